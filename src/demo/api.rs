//! What the nodes of the demo answer besides the API of a server: the page, and a few requests to see and change the nodes.
//!
//! | request | what it does |
//! |---|---|
//! | `GET /demo/nodes` | tells of the nodes and of what flows |
//! | `POST /demo/nodes` | adds a node |
//! | `DELETE /demo/nodes/<name>` | kills a node, as `kill -9` would |
//! | `POST /demo/nodes/<name>/leave` | stops a node, which hands over first |

use std::{net::IpAddr, sync::Arc};

use axum::{body::Body, response::Response};
use futures_util::{FutureExt, future::BoxFuture};
use hyper::{
    HeaderMap, Method, StatusCode, Uri,
    header::{CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderName, HeaderValue, ORIGIN},
    http::request,
};
use serde_json::{Value, json};

use super::{
    nodes::{Nodes, Refused},
    page,
};
use crate::http::Pages;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The page of a server that is alone.
pub fn front_page() -> Pages {
    let page: Arc<str> = page::alone().into();
    Pages::new(move |request| is_front(request).then(|| html(&page)))
}

/// The page of a node, and what it needs.
pub fn of_a_node(nodes: Arc<Nodes>) -> Pages {
    let page: Arc<str> = page::of_a_node(nodes.host()).into();
    Pages::new(move |request| {
        if is_front(request) {
            return Some(html(&page));
        }
        let wanted = wanted(request)?;
        if let Wanted::Change(_) = wanted
            && !may_change(&request.headers, &nodes.ports())
        {
            return Some(told(
                StatusCode::FORBIDDEN,
                &json!({ "error": "only the demo's own page may do this, and only by an IP address or as localhost" }),
            ));
        }
        let nodes = Arc::clone(&nodes);
        Some(match wanted {
            Wanted::View => told(StatusCode::OK, &nodes.view()),
            Wanted::Change(change) => answer(nodes, change).boxed(),
        })
    })
}

fn is_front(request: &request::Parts) -> bool {
    matches!(request.method, Method::GET | Method::HEAD) && request.uri.path() == "/"
}

enum Wanted {
    View,
    Change(Change),
}

enum Change {
    Add,
    Kill(String),
    Leave(String),
}

fn wanted(request: &request::Parts) -> Option<Wanted> {
    let rest = request.uri.path().strip_prefix("/demo/nodes")?;
    let name = rest.strip_prefix('/').unwrap_or_default();
    Some(match (&request.method, rest) {
        (&Method::GET, "") => Wanted::View,
        (&Method::POST, "") => Wanted::Change(Change::Add),
        (&Method::DELETE, _) if !name.is_empty() => Wanted::Change(Change::Kill(name.to_owned())),
        (&Method::POST, _) => Wanted::Change(Change::Leave(name.strip_suffix("/leave")?.to_owned())),
        _ => return None,
    })
}

async fn answer(nodes: Arc<Nodes>, change: Change) -> Response {
    let done = match change {
        Change::Add => nodes.add().await.map(|name| (StatusCode::CREATED, name)),
        Change::Kill(name) => nodes.kill(&name).await.map(|()| (StatusCode::OK, name)),
        Change::Leave(name) => nodes.leave(&name).await.map(|()| (StatusCode::OK, name)),
    };
    match done {
        Ok((status, name)) => response(status, "application/json", json!({ "name": name }).to_string()),
        Err(refused) => {
            let status = match refused {
                Refused::Unknown => StatusCode::NOT_FOUND,
                Refused::Last | Refused::TooMany => StatusCode::CONFLICT,
                Refused::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
            };
            response(status, "application/json", json!({ "error": refused.to_string() }).to_string())
        }
    }
}

/// Whether whoever asks is no page of somebody else, which a browser would send along with its user's reach. A browser
/// names the page's origin with every request that changes something (Fetch standard, 3.1). The page may come from any
/// node, also from one that is gone; a name that anybody could point here is not believed.
fn may_change(headers: &HeaderMap, ports: &[u16]) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = text(HOST).and_then(|host| host.parse::<Uri>().ok());
    let host = host.as_ref().and_then(Uri::host).unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if bare != "localhost" && bare.parse::<IpAddr>().is_err() {
        return false;
    }
    match text(ORIGIN) {
        Some(origin) => {
            let origin = origin.parse::<Uri>().unwrap_or_default();
            origin.host() == Some(host) && ports.contains(&origin.port_u16().unwrap_or(80))
        }
        None => text(SEC_FETCH_SITE).is_none_or(|site| matches!(site, "same-origin" | "none")),
    }
}

fn html(page: &Arc<str>) -> BoxFuture<'static, Response> {
    let page = Arc::clone(page);
    async move { response(StatusCode::OK, "text/html; charset=utf-8", page.to_string()) }.boxed()
}

fn told(status: StatusCode, value: &Value) -> BoxFuture<'static, Response> {
    std::future::ready(response(status, "application/json", value.to_string())).boxed()
}

fn response(status: StatusCode, content_type: &'static str, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(headers: &[(HeaderName, &'static str)]) -> bool {
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        may_change(&headers, &[4000, 4001])
    }

    #[test]
    fn the_page_of_any_node_and_programs_may_change_nodes() {
        assert!(allowed(&[(HOST, "127.0.0.1:4000")]));
        assert!(allowed(&[(HOST, "127.0.0.1:4000"), (SEC_FETCH_SITE, "none")]));
        assert!(allowed(&[
            (HOST, "127.0.0.1:4000"),
            (ORIGIN, "http://127.0.0.1:4000"),
            (SEC_FETCH_SITE, "same-origin")
        ]));
        assert!(allowed(&[(HOST, "localhost:4001"), (ORIGIN, "http://localhost:4000"), (SEC_FETCH_SITE, "same-site")]));
        assert!(allowed(&[(HOST, "[::1]:4001"), (ORIGIN, "http://[::1]:4000")]));
    }

    #[test]
    fn pages_of_others_may_not() {
        for origin in ["https://example.com", "http://127.0.0.1:3000", "http://localhost:4000", "null", ""] {
            assert!(!allowed(&[(HOST, "127.0.0.1:4000"), (ORIGIN, origin)]), "{origin}");
        }
        assert!(!allowed(&[(HOST, "127.0.0.1:4000"), (SEC_FETCH_SITE, "cross-site")]));
        // A name of a stranger that leads here.
        assert!(!allowed(&[(HOST, "example.com:4000"), (ORIGIN, "http://example.com:4000")]));
        assert!(!allowed(&[]));
    }
}
