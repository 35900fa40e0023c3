//! Every request that is not malformed comes here.

use std::{
    convert::Infallible,
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    extract::Request,
    response::Response,
};
use futures_util::future::BoxFuture;
use hyper::{
    HeaderMap, Method, StatusCode,
    body::Incoming,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_REQUEST_HEADERS, CONTENT_LENGTH, HeaderName, HeaderValue, VARY,
    },
    http::Extensions,
};
use tokio::sync::watch;
use uuid::Uuid;

use super::{Pages, TrustedProxies, answer, connection::Connection, event_source, handshake, route::Route, web_socket};
use crate::{
    domain::{Framing, Refusal, Viewer},
    hub::{Hub, SessionHandle},
    lifecycle::Lifecycle,
    session::Membership,
    store::Store,
    telemetry::Metrics,
    upstream::LinkState,
};

/// How long Redis may be gone before the health check says so.
const REDIS_GRACE: Duration = Duration::from_secs(10);

/// A request's line and headers together, to the blank line; beyond it the answer is 431.
const MAX_HEADER_BYTES: usize = 16 * 1024;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const METRICS_TYPE: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// What the public listener serves with.
#[derive(Debug)]
pub struct Parts {
    /// Where sessions join.
    pub hub: Arc<Hub>,
    /// Who may.
    pub store: Arc<Store>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whether events come.
    pub upstream: watch::Receiver<LinkState>,
    /// Whether they can be taken from some node of the cluster; `None` if this one is alone.
    pub holders: Option<watch::Receiver<LinkState>>,
    /// Where sessions' tasks run.
    pub lifecycle: Lifecycle,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: TrustedProxies,
    /// Whether WebSockets are compressed for clients that offer it.
    pub compression: bool,
    /// What is answered besides, if anything is.
    pub pages: Option<Pages>,
}

/// The public API. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Service(Arc<Parts>);

impl Service {
    /// The API over these parts.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    pub(super) fn router(&self) -> Self {
        self.clone()
    }
}

impl tower_service::Service<hyper::Request<Incoming>> for Service {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: hyper::Request<Incoming>) -> Self::Future {
        let parts = Arc::clone(&self.0);
        Box::pin(async move { Ok(respond(&parts, request.map(Body::new)).await) })
    }
}

/// Answers a request, with the headers that every answer has.
async fn respond(parts: &Arc<Parts>, request: Request) -> Response {
    let wants_web_socket = handshake::is_wanted(&request);
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let mut response = answer(parts, request, wants_web_socket).await;
    if response.status().is_client_error() || response.status().is_server_error() {
        // Without the query, in which tokens stand.
        let (path, status) = (uri.path(), response.status().as_u16());
        tracing::debug!(%method, path, status, "a request was refused");
    }
    let length = response.body().size_hint().exact();
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, request_id());
    if !wants_web_socket {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    }
    if method == Method::HEAD {
        // The length is that of the body which a GET would get (RFC 9110, 9.3.2); the HTTP library looks at the one it gets.
        if let Some(length) = length {
            headers.entry(CONTENT_LENGTH).or_insert_with(|| length.into());
        }
        *response.body_mut() = Body::empty();
    }
    response
}

/// A number for the logs of proxies and clients. It is no secret, so the system is not asked for chance.
fn request_id() -> HeaderValue {
    let id = uuid::Builder::from_random_bytes(fastrand::u128(..).to_ne_bytes()).into_uuid();
    let mut digits = Uuid::encode_buffer();
    HeaderValue::from_str(id.hyphenated().encode_lower(&mut digits)).expect("a UUID is a valid header value")
}

async fn answer(parts: &Arc<Parts>, request: Request, wants_web_socket: bool) -> Response {
    if header_bytes(&request) > MAX_HEADER_BYTES {
        return answer::too_many_headers();
    }
    if wants_web_socket {
        return web_socket::open(parts, request).await;
    }
    if request.method() == Method::OPTIONS {
        return preflight(&request);
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match Route::of(request.uri().path()) {
        Route::Stream(name) => event_source::open(parts, name, &request.into_parts().0).await,
        Route::Health if reads => health(parts),
        Route::Metrics if reads => metrics(parts),
        Route::Favicon if reads => answer::empty(StatusCode::NOT_FOUND),
        _ => match parts.pages.as_ref().and_then(|pages| pages.answer(&request.into_parts().0)) {
            Some(page) => page.await,
            None => answer::refusal(Refusal::UnknownChannel),
        },
    }
}

/// How many bytes a request's line and headers had, to the blank line, as clients write them.
fn header_bytes<B>(request: &hyper::Request<B>) -> usize {
    let uri = request.uri();
    let authority = uri.authority().map_or(0, |authority| "http://".len() + authority.as_str().len());
    let target = authority + uri.path_and_query().map_or(0, |target| target.as_str().len());
    let line = request.method().as_str().len() + target + "  HTTP/1.1\r\n".len();
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    line + headers.sum::<usize>() + "\r\n".len()
}

/// Feeds that stand still under a green health check were an operator's worst day.
fn health(parts: &Parts) -> Response {
    if parts.lifecycle.is_retiring() {
        return unready("this server is about to stop");
    }
    let sources = std::iter::once(&parts.upstream).chain(&parts.holders);
    match sources.map(|source| source.borrow()).find_map(|state| down_for_long(&state)) {
        None => answer::text(StatusCode::OK, answer::PLAIN, "OK".to_owned()),
        Some(reason) => unready(&reason),
    }
}

fn down_for_long(state: &LinkState) -> Option<String> {
    state.down_for_longer_than(REDIS_GRACE).map(str::to_owned)
}

fn unready(reason: &str) -> Response {
    answer::text(StatusCode::SERVICE_UNAVAILABLE, answer::PLAIN, reason.to_owned())
}

fn metrics(parts: &Parts) -> Response {
    if let Store::Postgres(postgres) = &*parts.store {
        postgres.database().observe();
    }
    answer::text(StatusCode::OK, METRICS_TYPE, parts.metrics.page())
}

/// Every page of every origin may use the API (CORS; Fetch standard, 3.2).
fn preflight(request: &Request) -> Response {
    let mut response = answer::empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    let methods = HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE");
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    headers.insert(VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
    for requested in request.headers().get_all(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.append(ACCESS_CONTROL_ALLOW_HEADERS, requested.clone());
    }
    response
}

impl Parts {
    /// Where the client of a request is; unknown behind a unix socket, unless a proxy says it.
    pub(super) fn client_address(&self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        self.trusted_proxies.client(Connection::of(extensions).peer, headers)
    }

    /// Begins a session; it ends when the membership is dropped.
    pub(super) fn begin_session(&self, viewer: Viewer, framing: Framing, address: Option<IpAddr>) -> Membership {
        let session = Arc::new(SessionHandle::new(viewer, framing));
        let address = address.map(tracing::field::display);
        let (transport, compressed) = (framing.transport().label(), framing == Framing::Deflated);
        tracing::debug!(transport, compressed, account = session.viewer.account.0, address, "session opened");
        Membership::new(session, Arc::clone(&self.hub), Arc::clone(&self.metrics))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(target: &str, headers: &[(&str, &str)]) -> usize {
        let mut request = hyper::Request::get(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        header_bytes(&request.body(()).expect("a valid request"))
    }

    #[test]
    fn the_bytes_of_a_request_are_those_that_it_was_written_with() {
        assert_eq!(counted("/", &[]), "GET / HTTP/1.1\r\n\r\n".len());
        assert_eq!(counted("/a?b=c", &[]), "GET /a?b=c HTTP/1.1\r\n\r\n".len());
        assert_eq!(counted("http://a.example:80/b", &[]), "GET http://a.example:80/b HTTP/1.1\r\n\r\n".len());
        let repeated = [("accept", "x"), ("accept", "yz"), ("host", "")];
        let written = "GET / HTTP/1.1\r\nAccept: x\r\nAccept: yz\r\nHost: \r\n\r\n";
        assert_eq!(counted("/", &repeated), written.len());
    }

    #[test]
    fn the_health_check_forgives_redis_a_short_absence() {
        let down = |for_s: u64| LinkState::Down {
            since: std::time::Instant::now().checked_sub(Duration::from_secs(for_s)).expect("the clock is older"),
            reason: "gone fishing".to_owned(),
        };
        assert_eq!(down_for_long(&LinkState::Up), None);
        assert_eq!(down_for_long(&down(9)), None);
        assert_eq!(down_for_long(&down(11)).as_deref(), Some("gone fishing"));
    }
}
