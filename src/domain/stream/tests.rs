use super::*;

fn viewer(scopes: &str) -> Viewer {
    Viewer::in_tests(7, scopes)
}

fn request(message: &str) -> StreamRequest {
    StreamRequest::from_message(&json::parse(message).and_then(Value::object).unwrap())
}

fn resolve(message: &str) -> Result<Stream, Refusal> {
    request(message).resolve(&viewer("read"))
}

fn channels(stream: &Stream) -> Vec<&str> {
    stream.channels.iter().map(Channel::as_str).collect()
}

#[test]
fn every_stream_has_its_channels_and_its_label() {
    let table: [(&str, &[&str], &str); 12] = [
        (r#"{"stream":"user"}"#, &["timeline:7", "timeline:7:notifications"], r#"["user"]"#),
        (r#"{"stream":"user:notification"}"#, &["timeline:7:notifications"], r#"["user:notification"]"#),
        (r#"{"stream":"direct"}"#, &["timeline:direct:7"], r#"["direct"]"#),
        (r#"{"stream":"public"}"#, &["timeline:public"], r#"["public"]"#),
        (r#"{"stream":"public:media"}"#, &["timeline:public:media"], r#"["public:media"]"#),
        (r#"{"stream":"public:local"}"#, &["timeline:public:local"], r#"["public:local"]"#),
        (r#"{"stream":"public:local:media"}"#, &["timeline:public:local:media"], r#"["public:local:media"]"#),
        (r#"{"stream":"public:remote"}"#, &["timeline:public:remote"], r#"["public:remote"]"#),
        (r#"{"stream":"public:remote:media"}"#, &["timeline:public:remote:media"], r#"["public:remote:media"]"#),
        (r#"{"stream":"hashtag","tag":"Café"}"#, &["timeline:hashtag:cafe"], r#"["hashtag","Café"]"#),
        (r#"{"stream":"hashtag:local","tag":"a\"b"}"#, &["timeline:hashtag:ab:local"], r#"["hashtag:local","a\"b"]"#),
        (r#"{"stream":"list","list":"12"}"#, &["timeline:list:12"], r#"["list","12"]"#),
    ];
    for (message, expected, label) in table {
        let stream = resolve(message).unwrap();
        assert_eq!(channels(&stream), expected, "{message}");
        assert_eq!(&*stream.label, label, "{message}");
    }
}

#[test]
fn every_name_is_read_back_as_its_stream() {
    for stream in StreamName::ALL {
        assert_eq!(StreamName::parse(stream.as_str()), Some(stream));
    }
    for other in ["", "USER", "user ", "public:all", "public:local:", "hashtag:", "kill", "user:notifications"] {
        assert_eq!(StreamName::parse(other), None, "{other}");
    }
}

#[test]
fn user_has_notifications_only_if_the_token_may_read_them() {
    let user = request(r#"{"stream":"user"}"#);
    for (scopes, count) in [("read", 2), ("read:notifications", 2), ("read:statuses", 1), ("write", 1)] {
        assert_eq!(user.resolve(&viewer(scopes)).unwrap().channels.len(), count, "{scopes}");
    }
}

#[test]
fn scopes_open_streams() {
    let opens = |scopes: &str, stream: &str| {
        request(&format!(r#"{{"stream":"{stream}"}}"#)).check_scopes(&viewer(scopes)) == Ok(())
    };
    for stream in StreamName::ALL.map(StreamName::as_str).into_iter().chain(["no such stream"]) {
        let notifications = stream == "user:notification";
        assert!(opens("read", stream), "{stream}");
        assert_eq!(opens("read:statuses", stream), !notifications, "{stream}");
        assert_eq!(opens("read:notifications", stream), notifications, "{stream}");
        assert!(!opens("write follow push read:lists", stream), "{stream}");
    }
}

#[test]
fn a_stream_that_is_no_name_is_unknown() {
    for stream in ["\"PUBLIC\"", "\"\"", "null", "1", "{}", "[]", "[[\"user\"]]", "true", "[null,\"user\"]"] {
        let message = format!(r#"{{"stream":{stream}}}"#);
        assert_eq!(resolve(&message).unwrap_err(), Refusal::UnknownStream, "{message}");
    }
    assert_eq!(resolve("{}").unwrap_err(), Refusal::UnknownStream);
}

#[test]
fn the_first_element_of_an_array_counts_as_stream() {
    assert_eq!(resolve(r#"{"stream":["direct","user"]}"#).unwrap().name, StreamName::Direct);
}

#[test]
fn a_tag_that_is_no_text_is_missing() {
    for tag in ["null", "0", "\"\"", "1", "true", "[\"a\"]", "{}"] {
        for stream in ["hashtag", "hashtag:local"] {
            let message = format!(r#"{{"stream":"{stream}","tag":{tag}}}"#);
            assert_eq!(resolve(&message).unwrap_err(), Refusal::MissingTag, "{message}");
        }
    }
    assert_eq!(resolve(r#"{"stream":"hashtag"}"#).unwrap_err(), Refusal::MissingTag);
}

#[test]
fn a_tag_of_which_nothing_is_left_has_a_channel_too() {
    assert_eq!(channels(&resolve(r#"{"stream":"hashtag","tag":"!?"}"#).unwrap()), ["timeline:hashtag:"]);
}

#[test]
fn two_spellings_of_a_tag_have_the_same_channels_and_their_own_labels() {
    let one = resolve(r#"{"stream":"hashtag","tag":"Rust"}"#).unwrap();
    let other = resolve(r##"{"stream":"hashtag","tag":"#rust"}"##).unwrap();
    assert_eq!(one.channels, other.channels);
    assert_ne!(one.label, other.label);
}

#[test]
fn a_list_without_value_is_missing() {
    for list in ["null", "0", "\"\"", "false", "-0", "0.0"] {
        let message = format!(r#"{{"stream":"list","list":{list}}}"#);
        assert_eq!(resolve(&message).unwrap_err(), Refusal::MissingList, "{message}");
    }
    assert_eq!(resolve(r#"{"stream":"list"}"#).unwrap_err(), Refusal::MissingList);
}

#[test]
fn a_list_that_is_no_id_is_foreign() {
    for list in ["\"x\"", "true", "[12]", "[\"12\"]", "{}", "12.5", "\"9223372036854775808\"", "9223372036854775808"] {
        let message = format!(r#"{{"stream":"list","list":{list}}}"#);
        assert_eq!(resolve(&message).unwrap_err(), Refusal::ForeignList, "{message}");
    }
}

#[test]
fn a_list_is_compared_as_a_number_and_echoed_as_given() {
    for list in ["123", "\"123\"", "\"0123\"", "\" 123 \"", "\"+123\""] {
        let stream = resolve(&format!(r#"{{"stream":"list","list":{list}}}"#)).unwrap();
        assert_eq!((stream.list, channels(&stream)), (Some(ListId(123)), vec!["timeline:list:123"]), "{list}");
        assert_eq!(*stream.label, format!(r#"["list",{list}]"#));
    }
}

#[test]
fn the_string_0_is_a_list_that_is_looked_up() {
    assert_eq!(resolve(r#"{"stream":"list","list":"0"}"#).unwrap().list, Some(ListId(0)));
}

#[test]
fn a_list_as_text_is_read_like_a_string() {
    assert_eq!(ListParameter::from_text(" 12"), ListParameter::Given(ListId(12), "\" 12\"".to_owned()));
    assert_eq!(ListParameter::from_text("a\"b"), ListParameter::NoId);
}

#[test]
fn only_lists_are_looked_up() {
    for stream in StreamName::ALL {
        let message = format!(r#"{{"stream":"{}","tag":"a","list":"1"}}"#, stream.as_str());
        assert_eq!(resolve(&message).unwrap().list.is_some(), stream == StreamName::List, "{message}");
    }
}

#[test]
fn the_streams_of_glitch_share_the_channels_and_labels_of_metrics() {
    for (stream, plain) in [("public:allow_local_only", "public"), ("public:allow_local_only:media", "public:media")] {
        let stream = resolve(&format!(r#"{{"stream":"{stream}"}}"#)).unwrap();
        assert_eq!(channels(&stream), [format!("timeline:{plain}")]);
        assert_eq!((stream.name.label(), stream.shows_local_only), (plain, true));
        assert_eq!(*stream.label, format!(r#"["{}"]"#, stream.name.as_str()));
    }
}

#[test]
fn statuses_that_do_not_federate_are_shown_where_they_belong() {
    for stream in StreamName::ALL.map(StreamName::as_str) {
        let shows = |parameter: &str| {
            let message = format!(r#"{{"stream":"{stream}","tag":"a","list":"1"{parameter}}}"#);
            resolve(&message).unwrap().shows_local_only
        };
        let by_parameter_only = ["public", "public:media"].contains(&stream);
        let never = ["public:remote", "public:remote:media"].contains(&stream);
        assert_eq!(shows(""), !by_parameter_only && !never, "{stream}");
        assert_eq!(shows(r#","allow_local_only":true"#), !never, "{stream}");
    }
}

#[test]
fn allow_local_only_is_false_for_what_mastodon_takes_for_no() {
    let allows =
        |value: &str| request(&format!(r#"{{"stream":"public","allow_local_only":{value}}}"#)).allow_local_only;
    for no in ["0", "\"0\"", "\"f\"", "\"F\"", "\"false\"", "\"FALSE\"", "\"off\"", "\"OFF\"", "\"\"", "false", "null"]
    {
        assert!(!allows(no), "{no}");
    }
    for yes in ["1", "\"1\"", "true", "\"False\"", "\"no\"", "\"Off\"", "[]", "\" \""] {
        assert!(allows(yes), "{yes}");
    }
    assert!(!request(r#"{"stream":"public"}"#).allow_local_only);
}

#[test]
fn only_public_feeds_have_a_form_with_media() {
    for stream in StreamName::ALL {
        let expected = match stream.as_str() {
            "public" | "public:local" | "public:remote" => format!("{}:media", stream.as_str()),
            other => other.to_owned(),
        };
        assert_eq!(stream.with_media().as_str(), expected);
    }
}

#[test]
fn feeds_are_governed_by_the_settings_of_their_kind() {
    for stream in StreamName::ALL {
        let name = stream.as_str();
        let expected = match name.split(':').next().unwrap() {
            "public" => Some(Feed::Live),
            "hashtag" => Some(Feed::Topic),
            _ => None,
        };
        assert_eq!(stream.feed(), expected, "{name}");
    }
}

#[test]
fn a_session_listens_on_the_control_channels_of_its_token_and_its_account() {
    let channels = control_channels(&viewer("")).map(|channel| channel.to_string());
    assert_eq!(channels, ["timeline:access_token:107", "timeline:system:7"]);
}

#[test]
fn a_tag_is_echoed_as_given_also_with_what_no_channel_can_have() {
    let stream = resolve(r#"{"stream":"hashtag","tag":"a\ud800b"}"#).unwrap();
    assert_eq!(&*stream.label, r#"["hashtag","a\ud800b"]"#);
    assert_eq!(channels(&stream), ["timeline:hashtag:ab"]);
}
