//! The three places for a token.

use crate::support::*;
use crate::{INVALID, MISSING, outcome, refused};

#[tokio::test]
async fn a_token_is_found_in_each_of_the_three_places() {
    let Stage { server, db, .. } = Stage::start().await;
    let token = db.person("alice").await.token;
    let query = format!("access_token={token}");
    assert_eq!(outcome(&server, &[("Authorization", &format!("Bearer {token}"))], "").await, Ok(()));
    assert_eq!(outcome(&server, &[], &query).await, Ok(()));
    assert_eq!(outcome(&server, &[("Sec-WebSocket-Protocol", &token)], "").await, Ok(()));
}

#[tokio::test]
async fn without_a_token_it_is_missing() {
    let Stage { server, .. } = Stage::start().await;
    for (headers, query) in [
        (&[][..], ""),
        (&[], "access_token"),
        (&[], "access_token="),
        (&[], "Access_Token=wrong"),
        (&[], "token=wrong"),
        (&[("Authorization", "")], ""),
        (&[("Authorization", " ")], "access_token="),
        (&[("Sec-WebSocket-Protocol", "")], ""),
        (&[("Authorization", ""), ("Sec-WebSocket-Protocol", "")], "access_token="),
        (&[("Cookie", "access_token=wrong")], ""),
        (&[("X-Authorization", "wrong")], ""),
    ] {
        assert_eq!(outcome(&server, headers, query).await, refused(MISSING), "{headers:?} {query}");
    }
}

/// Each line: `Authorization`, query, `Sec-WebSocket-Protocol`, and whether that opens; `G` stands for a good token.
const ORDER: [(&str, &str, &str, bool); 14] = [
    ("Bearer G", "access_token=bad", "bad", true),
    ("Bearer bad", "access_token=G", "G", false),
    ("Bearer bad", "access_token=G", "", false),
    ("Bearer bad", "", "G", false),
    ("Bearer", "access_token=G", "G", false),
    ("bad", "access_token=G", "", false),
    ("", "access_token=G", "bad", true),
    ("", "access_token=bad", "G", false),
    ("", "access_token=G", "", true),
    ("", "access_token=", "G", true),
    ("", "access_token", "G", true),
    ("", "", "G", true),
    ("", "", "bad", false),
    ("G", "access_token=bad", "bad", true),
];

#[tokio::test]
async fn the_first_that_is_not_empty_counts_and_there_is_no_falling_back() {
    let Stage { server, db, .. } = Stage::start().await;
    let token = db.person("alice").await.token;
    for (authorization, query, protocol, opens) in ORDER {
        let put = |text: &str| text.replace('G', &token);
        let (authorization, protocol) = (put(authorization), put(protocol));
        // Empty ones are sent too: they count as if they were not there.
        let headers = [("Authorization", authorization.as_str()), ("Sec-WebSocket-Protocol", protocol.as_str())];
        let headers = if protocol.is_empty() { &headers[..1] } else { &headers };
        let wanted = if opens { Ok(()) } else { refused(INVALID) };
        assert_eq!(outcome(&server, headers, &put(query)).await, wanted, "{authorization:?} {query} {protocol:?}");
    }
}

#[tokio::test]
async fn the_scheme_may_be_in_any_case_or_missing() {
    let Stage { server, db, .. } = Stage::start().await;
    let token = db.person("alice").await.token;
    for value in ["Bearer G", "bearer G", "BEARER G", "bEaReR G", "G"] {
        let value = value.replace('G', &token);
        assert_eq!(outcome(&server, &[("Authorization", &value)], "").await, Ok(()), "{value}");
    }
}

#[tokio::test]
async fn whatever_else_stands_in_the_authorization_header_is_the_token() {
    let Stage { server, db, .. } = Stage::start().await;
    let token = db.person("alice").await.token;
    for value in [
        "Bearer",
        "bearer",
        "Bearer ",
        "Bearer  G",
        "Bearer\tG",
        "Bearer:G",
        "Bearer,G",
        "BearerG",
        "Token G",
        "Basic G",
        "Bearer Bearer G",
        "Bearer G x",
        "G,G",
        "\"G\"",
        "Bearer \"G\"",
    ] {
        let value = value.replace('G', &token);
        assert_eq!(outcome(&server, &[("Authorization", &value)], "").await, refused(INVALID), "{value:?}");
    }
}

#[tokio::test]
async fn only_one_prefix_is_removed_and_only_one_space() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").await;
    db.execute(format!("UPDATE oauth_access_tokens SET token = ' Bearer x' WHERE id = {}", alice.token_id)).await;
    // One prefix is removed, and one space.
    assert_eq!(outcome(&server, &[("Authorization", "Bearer  Bearer x")], "").await, Ok(()));
}

#[tokio::test]
async fn of_a_repeated_authorization_header_the_first_counts() {
    let Stage { server, db, .. } = Stage::start().await;
    let token = db.person("alice").await.token;
    let (good, bad) = (("Authorization", token.as_str()), ("Authorization", "bad"));
    assert_eq!(outcome(&server, &[good, bad], "").await, Ok(()));
    assert_eq!(outcome(&server, &[bad, good], "").await, refused(INVALID));
}

#[tokio::test]
async fn a_repeated_access_token_is_invalid() {
    let Stage { server, db, .. } = Stage::start().await;
    let token = db.person("alice").await.token;
    for query in ["access_token=G&access_token=G", "access_token=G&x=1&access_token=", "access_token=&access_token=G"] {
        let query = query.replace('G', &token);
        assert_eq!(outcome(&server, &[], &query).await, refused(INVALID), "{query}");
        assert_eq!(outcome(&server, &[("Sec-WebSocket-Protocol", &token)], &query).await, refused(INVALID), "{query}");
        // Not looked at if the header says it.
        assert_eq!(outcome(&server, &[("Authorization", &token)], &query).await, Ok(()), "{query}");
    }
}

#[tokio::test]
async fn an_access_token_in_the_query_is_decoded() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").await;
    db.execute(format!("UPDATE oauth_access_tokens SET token = 'a b&ä+' WHERE id = {}", alice.token_id)).await;
    assert_eq!(outcome(&server, &[], "x=1&access_token=a+b%26%C3%A4%2B&y=2").await, Ok(()));
    assert_eq!(outcome(&server, &[], "access%5Ftoken=a%20b%26%C3%A4%2B").await, Ok(()));
    assert_eq!(outcome(&server, &[], "access_token=a+b%26%C3%A4+").await, refused(INVALID));
    // The query takes no scheme away.
    assert_eq!(outcome(&server, &[], "access_token=Bearer+a+b%26%C3%A4%2B").await, refused(INVALID));
}

#[tokio::test]
async fn the_whole_subprotocol_header_is_the_token() {
    let Stage { server, db, .. } = Stage::start().await;
    let token = db.person("alice").await.token;
    let protocol = |value: &'static str| ("Sec-WebSocket-Protocol", value.replace('G', &token));
    for headers in [
        vec![protocol("G, mastodon")],
        vec![protocol("mastodon, G")],
        vec![protocol("G,mastodon")],
        vec![protocol("G, G")],
        vec![protocol("G"), protocol("mastodon")],
        vec![protocol("G"), protocol("G")],
        vec![protocol("Bearer G")],
    ] {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(outcome(&server, &headers, "").await, refused(INVALID), "{headers:?}");
    }
}

#[tokio::test]
async fn repeated_subprotocol_headers_are_joined_by_a_comma_and_a_space() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").await;
    db.execute(format!("UPDATE oauth_access_tokens SET token = 'a, b' WHERE id = {}", alice.token_id)).await;
    let headers = [("Sec-WebSocket-Protocol", "a"), ("Sec-WebSocket-Protocol", "b")];
    assert_eq!(outcome(&server, &headers, "").await, Ok(()));
    assert_eq!(outcome(&server, &headers[..1], "").await, refused(INVALID));
}
