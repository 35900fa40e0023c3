//! Answers that are not streams.

use std::convert::Infallible;

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use hyper::{
    StatusCode,
    header::{CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER},
};

use crate::domain::{Refusal, json};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(super) const PLAIN: HeaderValue = HeaderValue::from_static("text/plain");
const NO_STORE: HeaderValue = HeaderValue::from_static("private, no-store");
const ERROR_MESSAGE: HeaderName = HeaderName::from_static("x-error-message");

/// Seconds after which a client may try again when accounts cannot be looked up.
const RETRY: HeaderValue = HeaderValue::from_static("5");

/// An answer without body.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A text that nobody may keep.
pub(super) fn text(status: StatusCode, content_type: HeaderValue, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, NO_STORE);
    response
}

/// The head of an event stream, which has no length, for a request that wants nothing more.
pub(super) fn event_stream_head() -> Response {
    of_events(stream::empty())
}

/// The head of an event stream and what it begins with. A session goes on with it, and closes the connection in the end.
pub(super) fn event_stream(greeting: &'static [u8]) -> Response {
    let mut response = of_events(stream::iter([Ok(Bytes::from_static(greeting))]).chain(stream::pending()));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn of_events(body: impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static) -> Response {
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, NO_STORE);
    response
}

/// What is said to a plain request that gets nothing.
pub(super) fn refusal(refusal: Refusal) -> Response {
    let body = format!(r#"{{"error":{}}}"#, json::quote(refusal.message()));
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status(refusal);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    retry_later(refusal, &mut response);
    response
}

/// What is said to a WebSocket handshake that gets nothing: everything stands in the head.
pub(super) fn handshake_refusal(refusal: Refusal) -> Response {
    let mut response = empty(status(refusal));
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CONTENT_TYPE, PLAIN);
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    headers.insert(ERROR_MESSAGE, HeaderValue::from_static(refusal.message()));
    retry_later(refusal, &mut response);
    response
}

/// What is said to a request with more headers than are read.
pub(super) fn too_many_headers() -> Response {
    let mut response = empty(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn status(refusal: Refusal) -> StatusCode {
    StatusCode::from_u16(refusal.status()).expect("refusals have valid status codes")
}

fn retry_later(refusal: Refusal, response: &mut Response) {
    if refusal == Refusal::Unavailable {
        response.headers_mut().insert(RETRY_AFTER, RETRY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Refusal; 11] = [
        Refusal::MissingToken,
        Refusal::InvalidToken,
        Refusal::MissingScopes,
        Refusal::UnknownChannel,
        Refusal::UnknownStream,
        Refusal::MissingTag,
        Refusal::MissingList,
        Refusal::ForeignList,
        Refusal::TooManySubscriptions,
        Refusal::Internal,
        Refusal::Unavailable,
    ];

    #[tokio::test]
    async fn a_refusal_is_json_with_the_message() {
        for one in ALL {
            let response = refusal(one);
            assert_eq!(response.status().as_u16(), one.status());
            assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
            let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("the body is there");
            let body: serde_json::Value = serde_json::from_slice(&body).expect("the body is JSON");
            assert_eq!(body, serde_json::json!({"error": one.message()}));
        }
    }

    #[tokio::test]
    async fn a_refused_handshake_says_all_in_its_head() {
        for one in ALL {
            let response = handshake_refusal(one);
            assert_eq!(response.status().as_u16(), one.status());
            for (name, value) in [
                (CONNECTION, "close"),
                (CONTENT_TYPE, "text/plain"),
                (CONTENT_LENGTH, "0"),
                (ERROR_MESSAGE, one.message()),
            ] {
                assert_eq!(response.headers()[&name], value, "{name}");
            }
            let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("the body is there");
            assert!(body.is_empty());
        }
    }

    #[test]
    fn only_an_outage_is_worth_trying_again() {
        for one in ALL {
            let seconds = refusal(one).headers().get(RETRY_AFTER).map(|value| value.to_str().map(str::parse::<u32>));
            assert_eq!(seconds.is_some(), one == Refusal::Unavailable, "{one:?}");
            assert!(seconds.is_none_or(|seconds| seconds.is_ok_and(|seconds| seconds.is_ok())), "{one:?}");
            let of_handshake = handshake_refusal(one).headers().contains_key(RETRY_AFTER);
            assert_eq!(of_handshake, one == Refusal::Unavailable, "{one:?}");
        }
    }
}
