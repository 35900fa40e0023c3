//! Who is asking: where the token stands, which tokens are good, what their scopes open, and what is read when.

mod support;

#[path = "authentication/places.rs"]
mod places;
#[path = "authentication/reading.rs"]
mod reading;
#[path = "authentication/scopes.rs"]
mod scopes;
#[path = "authentication/tokens.rs"]
mod tokens;

use support::*;

const MISSING: &str = "Missing access token";
const INVALID: &str = "Invalid access token";

/// What a request for a stream and a WebSocket handshake get by these headers and this query: 200, or the error. Both
/// must get the same.
async fn outcome(server: &Server, headers: &[(&str, &str)], query: &str) -> Result<(), String> {
    let stream = Sse::try_open(server, &format!("/api/v1/streaming/user?{query}"), headers).await;
    let stream = stream.map(drop).map_err(|answer| {
        let error = answer.json()["error"].as_str().map(str::to_owned);
        (answer.status, error.unwrap_or_else(|| panic!("no error in {answer:?}")))
    });
    let socket = Ws::try_open(server, &format!("/?{query}"), headers).await;
    let socket = socket.map(drop).map_err(|answer| {
        assert_eq!(answer.body, b"", "{answer:?}");
        let error = answer.header("x-error-message").map(str::to_owned);
        (answer.status, error.unwrap_or_else(|| panic!("no error in {answer:?}")))
    });
    assert_eq!(stream, socket, "{headers:?} {query}");
    stream.map_err(|(status, error)| {
        assert_eq!(status, 401, "{headers:?} {query}: {error}");
        error
    })
}

/// What a token gets that stands in the header `Authorization`.
async fn of_token(server: &Server, token: &str) -> Result<(), String> {
    outcome(server, &[("Authorization", &format!("Bearer {token}"))], "").await
}

fn refused(error: &str) -> Result<(), String> {
    Err(error.to_owned())
}
