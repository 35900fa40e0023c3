use serde_json::json;

use super::*;

fn read(message: &str) -> Event<'_> {
    Event::read(message).unwrap_or_else(|error| panic!("{error}: {message}"))
}

/// The payload of a frame: all of it, or what follows the header of a WebSocket's.
fn text(frame: &Frame) -> &str {
    let header = match frame.0[..] {
        [0x81, 126, ..] => 4,
        [0x81, ..] => 2,
        _ => 0,
    };
    std::str::from_utf8(&frame.0[header..]).unwrap()
}

fn websocket(message: &str, filtered: Option<&str>) -> serde_json::Value {
    serde_json::from_str(text(&read(message).frame(Framing::Text, r#"["public"]"#, filtered))).unwrap()
}

fn sse(message: &str, filtered: Option<&str>) -> String {
    text(&read(message).frame(Framing::Bare, r#"["public"]"#, filtered)).to_owned()
}

#[test]
fn further_keys_of_a_message_do_not_count() {
    let event = read(r#"{"queued_at":1,"payload":"5","event":"delete","x":{}}"#);
    assert_eq!((event.name(), event.payload().unwrap().raw()), ("delete", "\"5\""));
}

#[test]
fn what_is_no_object_is_no_event() {
    for message in ["", "x", "1", "\"update\"", "[]", "null", "{\"event\":\"a\"", "\u{feff}{\"event\":\"a\"}"] {
        assert_eq!(Event::read(message).unwrap_err(), EventError::NoObject, "{message}");
    }
}

#[test]
fn an_event_has_a_name_that_is_a_string_and_not_empty() {
    for message in [r#"{}"#, r#"{"event":""}"#, r#"{"event":1}"#, r#"{"event":null}"#, r#"{"event":["a"]}"#] {
        assert_eq!(Event::read(message).unwrap_err(), EventError::NoName, "{message}");
    }
}

#[test]
fn a_payload_that_ecmascript_calls_false_is_not_delivered() {
    for payload in ["null", "false", "0", "\"\"", "-0", "0.0", "1e-999"] {
        let message = format!(r#"{{"event":"update","payload":{payload}}}"#);
        assert!(!read(&message).is_delivered_to(StreamName::User), "{payload}");
    }
    assert!(!read(r#"{"event":"update"}"#).is_delivered_to(StreamName::User));
    for payload in ["true", "1", "\" \"", "\"0\"", "[]", "{}", "1e999"] {
        let message = format!(r#"{{"event":"update","payload":{payload}}}"#);
        assert!(read(&message).is_delivered_to(StreamName::User), "{payload}");
    }
}

#[test]
fn filters_changed_reaches_user_streams_without_payload() {
    for message in [r#"{"event":"filters_changed"}"#, r#"{"event":"filters_changed","payload":null}"#] {
        for stream in StreamName::ALL {
            assert_eq!(read(message).is_delivered_to(stream), stream == StreamName::User, "{stream:?}");
        }
        assert_eq!(websocket(message, None), json!({"stream": ["public"], "event": "filters_changed"}));
        assert_eq!(sse(message, None), "event: filters_changed\ndata: undefined\n\n");
    }
}

#[test]
fn only_new_and_edited_statuses_are_screened() {
    for (name, is_status) in [
        ("update", true),
        ("status.update", true),
        ("delete", false),
        ("notification", false),
        ("Update", false),
        ("updates", false),
    ] {
        assert_eq!(read(&format!(r#"{{"event":"{name}","payload":{{}}}}"#)).is_status(), is_status, "{name}");
    }
}

#[test]
fn objects_and_arrays_become_a_string_of_json_digit_by_digit() {
    for payload in [r#"{"id":110000000000000000001,"x":1.0,"y":1e2}"#, r#"[1.50,"a\u00e9"]"#] {
        let message = format!(r#"{{"event":"e","payload":{payload}}}"#);
        assert_eq!(websocket(&message, None)["payload"], json!(payload));
        assert_eq!(sse(&message, None), format!("event: e\ndata: {payload}\n\n"));
    }
}

#[test]
fn strings_pass_and_numbers_and_true_stay_bare() {
    for (payload, data) in [("\"1\"", "1"), ("42", "42"), ("true", "true"), ("1.50", "1.50"), (r#""\u00e9\"""#, "é\"")]
    {
        let message = format!(r#"{{"event":"e","payload":{payload}}}"#);
        let frame = read(&message).frame(Framing::Text, r#"["user"]"#, None);
        assert_eq!(text(&frame), format!(r#"{{"stream":["user"],"event":"e","payload":{payload}}}"#));
        assert_eq!(sse(&message, None), format!("event: e\ndata: {data}\n\n"));
    }
}

#[test]
fn the_result_of_filters_is_added_to_the_payload() {
    let message = r#"{"event":"update","payload":{"id":"1","content":"\"\\\n}"}}"#;
    let filtered = r#"[{"filter":{"title":"a \"b\""}}]"#;
    let expected = json!({"id": "1", "content": "\"\\\n}", "filtered": [{"filter": {"title": "a \"b\""}}]});
    let message_json = websocket(message, Some(filtered));
    let payload = message_json["payload"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(payload).unwrap(), expected);
    let block = sse(message, Some(filtered));
    let data = block.strip_prefix("event: update\ndata: ").and_then(|rest| rest.strip_suffix("\n\n")).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(data).unwrap(), expected);
}

#[test]
fn one_event_serves_viewers_with_and_without_filters() {
    let event = read(r#"{"event":"update","payload":{"id":"1"}}"#);
    let plain = event.frame(Framing::Text, "[]", None);
    let added = event.frame(Framing::Text, "[]", Some("[]"));
    assert_eq!(text(&plain), r#"{"stream":[],"event":"update","payload":"{\"id\":\"1\"}"}"#);
    assert_eq!(text(&added), r#"{"stream":[],"event":"update","payload":"{\"id\":\"1\",\"filtered\":[]}"}"#);
}

#[test]
fn a_payload_with_line_feeds_gets_a_data_line_each() {
    let message = r#"{"event":"e","payload":"a\nb\r\nc\rd\n"}"#;
    assert_eq!(sse(message, None), "event: e\ndata: a\ndata: b\ndata: c\ndata: d\ndata: \n\n");
    assert_eq!(websocket(message, None)["payload"], json!("a\nb\r\nc\rd\n"));
}

#[test]
fn a_payload_published_over_several_lines_stays_one_event() {
    let message = "{\"event\":\"e\",\"payload\":{\n\"id\": 1\n}}";
    assert_eq!(sse(message, None), "event: e\ndata: {\ndata: \"id\": 1\ndata: }\n\n");
}

#[test]
fn line_feeds_in_an_events_name_are_removed_from_the_event_stream() {
    let message = r#"{"event":"up\ndata: x\r","payload":"1"}"#;
    assert_eq!(sse(message, None), "event: updata: x\ndata: 1\n\n");
    assert_eq!(websocket(message, None)["event"], json!("up\ndata: x\r"));
}

#[test]
fn a_name_with_quotes_and_control_characters_stays_valid_json() {
    assert_eq!(websocket(r#"{"event":"a\"\u0001","payload":"1"}"#, None)["event"], json!("a\"\u{1}"));
}
