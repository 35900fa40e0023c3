//! Which path means what.

use crate::domain::{StreamName, StreamRequest, stream::ListParameter, stream::TagParameter};

use super::query::Query;

/// What a path stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Whether the server works.
    Health,
    /// The page for Prometheus.
    Metrics,
    /// Browsers ask for it.
    Favicon,
    /// An event stream.
    Stream(StreamName),
    /// Nothing.
    Unknown,
}

impl Route {
    /// Stream paths match exactly, as they stand in the request.
    pub(super) fn of(path: &str) -> Self {
        match path {
            "/metrics" => return Self::Metrics,
            "/favicon.ico" => return Self::Favicon,
            _ => {}
        }
        if path.strip_suffix('/').unwrap_or(path).eq_ignore_ascii_case("/api/v1/streaming/health") {
            return Self::Health;
        }
        match path.strip_prefix("/api/v1/streaming/") {
            Some("user") => Self::Stream(StreamName::User),
            Some("user/notification") => Self::Stream(StreamName::UserNotification),
            Some("public") => Self::Stream(StreamName::Public),
            Some("public/local") => Self::Stream(StreamName::PublicLocal),
            Some("public/remote") => Self::Stream(StreamName::PublicRemote),
            Some("hashtag") => Self::Stream(StreamName::Hashtag),
            Some("hashtag/local") => Self::Stream(StreamName::HashtagLocal),
            Some("list") => Self::Stream(StreamName::List),
            Some("direct") => Self::Stream(StreamName::Direct),
            _ => Self::Unknown,
        }
    }
}

/// The stream that a path and its query ask for.
pub(super) fn stream_request(name: StreamName, query: &Query) -> StreamRequest {
    let name = if query.is_true("only_media") { name.with_media() } else { name };
    parameters(Some(name), query)
}

/// The stream that the query of a WebSocket handshake asks for, if it does.
pub(super) fn handshake_request(query: &Query) -> Option<StreamRequest> {
    // A repeated parameter is an array, of which the first element counts.
    let name = query.first("stream")?;
    if name.is_empty() && query.single("stream").is_some() {
        return None;
    }
    Some(parameters(StreamName::parse(name), query))
}

fn parameters(name: Option<StreamName>, query: &Query) -> StreamRequest {
    StreamRequest {
        name,
        tag: query.single("tag").map_or(TagParameter::Missing, TagParameter::from_text),
        list: match (query.first("list"), query.single("list")) {
            (None, _) | (_, Some("")) => ListParameter::Missing,
            (_, Some(list)) => ListParameter::from_text(list),
            (_, None) => ListParameter::NoId,
        },
        allow_local_only: query.is_true("allow_local_only"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_paths_match_exactly() {
        assert_eq!(Route::of("/api/v1/streaming/public/local"), Route::Stream(StreamName::PublicLocal));
        for path in [
            "/api/v1/streaming/public/",
            "/api/v1/streaming/Public",
            "/api/v1/streaming/p%75blic",
            "/api/v1/streaming",
            "/api/v1/streaming/",
            "/api/v1/streaming/public/local/media",
            "/",
        ] {
            assert_eq!(Route::of(path), Route::Unknown, "{path}");
        }
    }

    #[test]
    fn each_stream_has_its_path() {
        for (path, stream) in [
            ("user", StreamName::User),
            ("user/notification", StreamName::UserNotification),
            ("public", StreamName::Public),
            ("public/local", StreamName::PublicLocal),
            ("public/remote", StreamName::PublicRemote),
            ("hashtag", StreamName::Hashtag),
            ("hashtag/local", StreamName::HashtagLocal),
            ("list", StreamName::List),
            ("direct", StreamName::Direct),
        ] {
            assert_eq!(Route::of(&format!("/api/v1/streaming/{path}")), Route::Stream(stream), "{path}");
        }
        assert_eq!((Route::of("/metrics"), Route::of("/favicon.ico")), (Route::Metrics, Route::Favicon));
        for path in ["/metrics/", "/Metrics", "/favicon.ico/"] {
            assert_eq!(Route::of(path), Route::Unknown, "{path}");
        }
    }

    #[test]
    fn the_health_path_may_be_in_any_case_and_end_with_a_slash() {
        assert_eq!(Route::of("/API/v1/Streaming/health/"), Route::Health);
        assert_eq!(Route::of("/api/v1/streaming/health//"), Route::Unknown);
    }

    #[test]
    fn only_media_restricts_public_streams_and_nothing_else() {
        let query = Query::parse("only_media=1&tag=x");
        assert_eq!(stream_request(StreamName::PublicRemote, &query).name, Some(StreamName::PublicRemoteMedia));
        assert_eq!(stream_request(StreamName::Hashtag, &query).name, Some(StreamName::Hashtag));
        let query = Query::parse("only_media=off");
        assert_eq!(stream_request(StreamName::Public, &query).name, Some(StreamName::Public));
    }

    #[test]
    fn an_empty_stream_in_a_handshake_is_none() {
        assert_eq!(handshake_request(&Query::parse("stream=&tag=x")), None);
        assert_eq!(handshake_request(&Query::parse("tag=x")), None);
    }

    #[test]
    fn of_a_repeated_stream_in_a_handshake_the_first_counts() {
        let request = handshake_request(&Query::parse("stream=public&stream=user"));
        assert_eq!(request.and_then(|request| request.name), Some(StreamName::Public));
    }

    #[test]
    fn a_repeated_tag_is_missing_and_a_repeated_list_is_no_list() {
        let request = parameters(None, &Query::parse("tag=a&tag=b&list=1&list=2"));
        assert_eq!((request.tag, request.list), (TagParameter::Missing, ListParameter::NoId));
    }

    #[test]
    fn an_empty_parameter_is_missing() {
        for query in ["", "tag=&list=", "tag&list"] {
            let request = parameters(None, &Query::parse(query));
            assert_eq!((request.tag, request.list), (TagParameter::Missing, ListParameter::Missing), "{query}");
        }
    }

    #[test]
    fn a_handshake_does_not_read_only_media() {
        let request = handshake_request(&Query::parse("stream=public&only_media=1&allow_local_only=1"));
        let request = request.expect("a stream is named");
        assert_eq!((request.name, request.allow_local_only), (Some(StreamName::Public), true));
    }

    #[test]
    fn an_unknown_stream_in_a_handshake_is_still_a_request() {
        for query in ["stream=nothing", "stream=&stream=", "stream=Public"] {
            let request = handshake_request(&Query::parse(query)).unwrap_or_else(|| panic!("{query}"));
            assert_eq!(request.name, None, "{query}");
        }
    }
}
