//! Where a request carries its token.

use hyper::{
    HeaderMap,
    header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL},
};

use super::query::Query;
use crate::domain::{Refusal, Viewer};
use crate::store::Store;

/// Finds out who is asking. Of the three places for a token the first that is not empty counts; there is no falling
/// back to the next when it turns out to be invalid.
pub(super) async fn authenticate(headers: &HeaderMap, query: &Query, store: &Store) -> Result<Viewer, Refusal> {
    let token = token(headers, query)?;
    match store.viewer(token).await {
        Ok(viewer) => viewer.ok_or(Refusal::InvalidToken),
        Err(error) => Err(Refusal::from(&error)),
    }
}

fn token(headers: &HeaderMap, query: &Query) -> Result<String, Refusal> {
    if let Some(authorization) = headers.get(AUTHORIZATION).filter(|value| !value.is_empty()) {
        let value = String::from_utf8_lossy(authorization.as_bytes());
        return Ok(without_scheme(&value).to_owned());
    }
    match (query.first("access_token"), query.single("access_token")) {
        (Some(_), None) => return Err(Refusal::InvalidToken),
        (_, Some(token)) if !token.is_empty() => return Ok(token.to_owned()),
        _ => {}
    }
    let protocols = joined(headers);
    if protocols.is_empty() { Err(Refusal::MissingToken) } else { Ok(protocols) }
}

fn without_scheme(authorization: &str) -> &str {
    match authorization.split_at_checked("bearer ".len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer ") => token,
        _ => authorization,
    }
}

fn joined(headers: &HeaderMap) -> String {
    let values: Vec<_> =
        headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    values.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
    }

    fn found(lines: &[(&'static str, &str)], query: &str) -> Result<String, Refusal> {
        token(&headers(lines), &Query::parse(query))
    }

    #[test]
    fn the_authorization_header_comes_before_the_query_and_that_before_the_subprotocol() {
        let (authorization, protocol) = (("authorization", "Bearer a"), ("sec-websocket-protocol", "c"));
        assert_eq!(found(&[authorization, protocol], "access_token=b"), Ok("a".to_owned()));
        assert_eq!(found(&[protocol], "access_token=b"), Ok("b".to_owned()));
        assert_eq!(found(&[protocol], "access_token="), Ok("c".to_owned()));
        assert_eq!(found(&[], ""), Err(Refusal::MissingToken));
    }

    #[test]
    fn the_scheme_may_be_in_any_case_and_missing() {
        for value in ["Bearer x", "bearer x", "BEARER x", "x"] {
            assert_eq!(found(&[("authorization", value)], ""), Ok("x".to_owned()), "{value}");
        }
        assert_eq!(found(&[("authorization", "Bearer")], ""), Ok("Bearer".to_owned()));
        assert_eq!(found(&[("authorization", "Bearer  x")], ""), Ok(" x".to_owned()));
    }

    #[test]
    fn a_repeated_query_parameter_is_an_invalid_token() {
        assert_eq!(found(&[], "access_token=a&access_token=a"), Err(Refusal::InvalidToken));
    }

    #[test]
    fn of_a_repeated_authorization_header_the_first_counts() {
        let mut headers = headers(&[("authorization", "Bearer a")]);
        headers.append(AUTHORIZATION, "Bearer b".parse().expect("a value"));
        assert_eq!(token(&headers, &Query::parse("")), Ok("a".to_owned()));
    }

    #[test]
    fn repeated_subprotocols_are_joined() {
        let mut headers = headers(&[("sec-websocket-protocol", "a")]);
        headers.append(SEC_WEBSOCKET_PROTOCOL, "b".parse().expect("a value"));
        assert_eq!(token(&headers, &Query::parse("")), Ok("a, b".to_owned()));
    }

    #[test]
    fn an_empty_header_counts_as_none() {
        assert_eq!(found(&[("authorization", "")], "access_token=b"), Ok("b".to_owned()));
        assert_eq!(found(&[("authorization", ""), ("sec-websocket-protocol", "")], ""), Err(Refusal::MissingToken));
    }

    #[test]
    fn of_repeated_authorization_headers_an_empty_first_one_counts_too() {
        let mut headers = headers(&[("authorization", "")]);
        headers.append(AUTHORIZATION, "Bearer b".parse().expect("a value"));
        assert_eq!(token(&headers, &Query::parse("")), Err(Refusal::MissingToken));
    }

    #[test]
    fn a_header_need_not_be_text() {
        for bytes in [&b"Bearer \xff"[..], b"Bearer\xc3\xa4 x", b"\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, hyper::header::HeaderValue::from_bytes(bytes).expect("a value"));
            assert!(token(&headers, &Query::parse("")).is_ok(), "{bytes:?}");
        }
    }

    #[test]
    fn a_repeated_query_parameter_is_invalid_also_if_it_is_empty() {
        assert_eq!(found(&[], "access_token=&access_token="), Err(Refusal::InvalidToken));
        assert_eq!(found(&[("authorization", "a")], "access_token=&access_token="), Ok("a".to_owned()));
    }
}
