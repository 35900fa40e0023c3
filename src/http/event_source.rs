//! A request for an event stream.

use std::sync::Arc;

use axum::{body::Body, response::Response};
use hyper::{
    Method, StatusCode,
    header::{ALLOW, HeaderValue},
    http::request::Parts as Head,
};

use super::{Parts, answer, connection::Connection, credentials::authenticate, query::Query, route::stream_request};
use crate::{
    domain::{Framing, Refusal, StreamName, StreamRequest, Viewer, stream::FeedAccess},
    hub::Subscription,
    session::{EventStream, LookUp},
};

/// Answers a request for a stream: token, scopes, method, parameters, in this order.
pub(super) async fn open(parts: &Parts, name: StreamName, request: &Head) -> Response {
    stream(parts, name, request).await.unwrap_or_else(answer::refusal)
}

async fn stream(parts: &Parts, name: StreamName, request: &Head) -> Result<Response, Refusal> {
    let query = Query::parse(request.uri.query().unwrap_or_default());
    let viewer = authenticate(&request.headers, &query, &parts.store).await?;
    let wanted = stream_request(name, &query);
    wanted.check_scopes(&viewer)?;
    if !matches!(request.method, Method::GET | Method::HEAD) {
        let mut response = answer::empty(StatusCode::METHOD_NOT_ALLOWED);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(response);
    }
    let subscription = subscription(&wanted, &viewer, parts).await?;
    if request.method == Method::HEAD {
        return Ok(answer::event_stream_head());
    }
    let address = parts.client_address(&request.headers, &request.extensions);
    let membership = parts.begin_session(viewer, Framing::Bare, address);
    membership.subscribe(&subscription);
    if let Some(connection) = request.extensions.get::<Arc<Connection>>() {
        connection.serves(membership.session());
    }
    Ok(answer::event_stream(Body::from_stream(EventStream::new(membership))))
}

async fn subscription(wanted: &StreamRequest, viewer: &Viewer, parts: &Parts) -> Result<Arc<Subscription>, Refusal> {
    let stream = wanted.resolve(viewer)?;
    let access = match LookUp::to_subscribe(&stream, viewer) {
        Some(look_up) => {
            let found = look_up.run(&parts.store).await.map_err(|error| Refusal::from(&error))?;
            found.access(&stream, viewer)?
        }
        None => FeedAccess::OPEN,
    };
    Ok(Arc::new(Subscription { stream, access }))
}
