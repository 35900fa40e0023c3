//! Tokens that are no tokens.

use super::siege::Siege;
use super::support::*;

/// Tokens in a query, percent-encoded.
const TOKENS: [&str; 12] = [
    "%00",
    "%27",
    "%22",
    "%5C",
    "%27%20OR%20%271%27%3D%271",
    "%27%3B%20DROP%20TABLE%20oauth_access_tokens%3B%20--",
    "%5C%27%3B%20SELECT%20pg_sleep%2860%29%3B%20--",
    "%24%24",
    "%FF%FE",
    "%F0%9F%A6%80",
    "%ED%A0%80",
    "%0D%0AX-Injected:%20yes",
];

#[tokio::test]
async fn tokens_with_quotes_nul_or_worse_are_invalid_and_do_no_harm() {
    let mut siege = Siege::start().await;
    let server = &siege.scene.server;
    for token in TOKENS {
        let response = server.get(&format!("/api/v1/streaming/public?access_token={token}")).await;
        assert_eq!(
            (response.status, response.text().as_str()),
            (401, r#"{"error":"Invalid access token"}"#),
            "{token}"
        );
        let refused = Ws::try_open(server, &format!("/?access_token={token}"), &[]).await;
        let response = refused.err().unwrap_or_else(|| panic!("{token} opens a WebSocket"));
        assert_eq!(
            (response.status, response.header("x-error-message")),
            (401, Some("Invalid access token")),
            "{token}"
        );
    }
    let count = "SELECT count(*) FROM oauth_access_tokens";
    assert_eq!(siege.scene.db.number(count).await, 2);
    siege.unharmed().await;
}

#[tokio::test]
async fn a_refused_token_is_logged_once_and_without_the_token() {
    let mut siege = Siege::start().await;
    let server = &siege.scene.server;
    assert_eq!(server.get("/api/v1/streaming/direct?access_token=%27secret%00").await.status, 401);
    siege.told_once("a request was refused", |line| *line.field("path") == "/api/v1/streaming/direct").await;
    siege.unharmed().await;
    for line in siege.scene.server.logs() {
        assert!(!line.text.contains("secret") && !line.text.contains(&siege.mallory.token), "{}", line.text);
    }
}

#[tokio::test]
async fn a_valid_token_with_anything_around_it_is_another_token() {
    let mut siege = Siege::start().await;
    let token = siege.mallory.token.clone();
    for query in [
        format!("{token}%00"),
        format!("%00{token}"),
        format!("{token}%27"),
        format!("{token}%20"),
        token.to_uppercase(),
    ] {
        let response = siege.scene.server.get(&format!("/api/v1/streaming/user?access_token={query}")).await;
        assert_eq!(response.status, 401, "{query}");
    }
    siege.unharmed().await;
}

#[tokio::test]
async fn bytes_that_no_header_may_have_are_refused() {
    let mut siege = Siege::start().await;
    for value in [&b"Bearer a\0b"[..], b"Bearer \xff\xfe", b"Bearer 'a\"b\\", b"\x7f", b"Bearer \xf0\x9f\xa6\x80"] {
        let head = [b"GET /api/v1/streaming/user HTTP/1.1\r\nHost: a\r\nAuthorization: ", value, b"\r\n\r\n"].concat();
        let response = http::raw(&siege.scene.server, head).await;
        assert!([400, 401].contains(&response.status), "{value:?}: {response:?}");
    }
    let long = "x".repeat(15_000);
    assert_eq!(siege.scene.server.get_as("/api/v1/streaming/user", &long).await.status, 401);
    siege.unharmed().await;
}

#[tokio::test]
async fn a_subprotocol_with_quotes_is_an_invalid_token_and_no_header_is_smuggled() {
    let mut siege = Siege::start().await;
    for protocol in ["'", "\"quoted\"", "a b", "a\\b", "a;b"] {
        let refused = Ws::try_open(&siege.scene.server, "/", &[("Sec-WebSocket-Protocol", protocol)]).await;
        assert_eq!(refused.err().map(|response| response.status), Some(401), "{protocol}");
    }
    siege.unharmed().await;
}
