use super::*;
use crate::domain::json;

fn read(payload: &str) -> Result<Status, StatusError> {
    Status::read(json::parse(payload).expect("the payload should be JSON"))
}

/// The status of a valid account, with further members.
fn with(members: &str) -> Status {
    read(&format!(r#"{{"account":{{"id":"1","username":"ann","acct":"ann"}}{members}}}"#)).unwrap()
}

/// The status of an account with these members.
fn by(account: &str) -> Result<Status, StatusError> {
    read(&format!(r#"{{"account":{{{account}}}}}"#))
}

#[test]
fn a_whole_status_is_read() {
    let payload = r#"{
        "id": "109", "spoiler_text": "cw", "language": "de", "content": "<p>Hallo</p>", "local_only": false,
        "account": {"id": "7", "username": "bob", "acct": "bob@remote.example"},
        "mentions": [{"id": "8", "acct": "eve"}, {"id": 9}],
        "poll": {"options": [{"title": "yes", "votes_count": 1}, {"title": "no"}]},
        "media_attachments": [{"description": "a cat"}, {"description": null}, {"description": "a dog"}]
    }"#;
    let texts = StatusTexts {
        spoiler: "cw".into(),
        content: "<p>Hallo</p>".into(),
        options: vec!["yes".into(), "no".into()],
        descriptions: vec!["a cat".into(), "a dog".into()],
    };
    let status = Status {
        author: AccountId(7),
        origin: Origin::Remote,
        domain: Some("remote.example".into()),
        mentions: vec![AccountId(8), AccountId(9)],
        language: Some("de".into()),
        is_filtered: false,
        local_only: false,
        texts,
    };
    assert_eq!(read(payload), Ok(status));
}

#[test]
fn a_payload_that_is_no_object_is_refused() {
    for payload in ["null", "1", "\"{}\"", "[]", "true"] {
        assert_eq!(read(payload), Err(StatusError::NotAnObject), "{payload}");
    }
}

#[test]
fn a_status_without_account_is_refused() {
    for payload in ["{}", r#"{"account":null}"#, r#"{"account":"1"}"#, r#"{"account":[]}"#] {
        assert_eq!(read(payload), Err(StatusError::NoAccount), "{payload}");
    }
}

#[test]
fn an_account_without_acct_is_refused() {
    for account in [r#""id":"1""#, r#""id":"1","acct":null"#, r#""id":"1","acct":5"#] {
        assert_eq!(by(account), Err(StatusError::NoAcct), "{account}");
    }
}

#[test]
fn an_author_whose_id_is_no_integer_is_refused() {
    for id in ["", r#","id":null"#, r#","id":"x""#, r#","id":1.5"#, r#","id":"9223372036854775808""#, r#","id":[1]"#] {
        assert_eq!(by(&format!(r#""acct":"ann"{id}"#)), Err(StatusError::AuthorId), "{id}");
    }
}

#[test]
fn a_mention_whose_id_is_no_integer_is_refused() {
    for mention in ["{}", r#"{"id":null}"#, r#"{"id":"x"}"#, r#"{"id":true}"#, "null", "\"1\"", "1", "[]"] {
        let payload = format!(r#"{{"account":{{"id":1,"acct":"ann"}},"mentions":[{{"id":"1"}},{mention}]}}"#);
        assert_eq!(read(&payload), Err(StatusError::MentionId), "{mention}");
    }
}

#[test]
fn ids_are_strings_or_numbers() {
    for id in ["\"110\"", "110"] {
        assert_eq!(by(&format!(r#""acct":"ann","id":{id}"#)).unwrap().author, AccountId(110));
    }
    assert_eq!(by(r#""acct":"ann","id":9007199254740993"#).unwrap().author, AccountId(9_007_199_254_740_993));
}

#[test]
fn an_author_is_local_if_username_and_acct_are_equal() {
    assert_eq!(by(r#""id":1,"username":"ann","acct":"ann""#).unwrap().origin, Origin::Local);
    for username in [r#","username":"Ann""#, r#","username":"ann@b""#, r#","username":null"#, r#","username":1"#, ""] {
        assert_eq!(by(&format!(r#""id":1,"acct":"ann"{username}"#)).unwrap().origin, Origin::Remote, "{username}");
    }
}

#[test]
fn the_domain_stands_between_the_first_and_the_second_at_sign() {
    let table = [
        ("ann", None),
        ("ann@", None),
        ("ann@b.example", Some("b.example")),
        ("ann@B@c", Some("B")),
        ("@b", Some("b")),
    ];
    for (acct, domain) in table {
        assert_eq!(by(&format!(r#""id":1,"acct":"{acct}""#)).unwrap().domain.as_deref(), domain, "{acct}");
    }
}

#[test]
fn a_language_is_a_string_or_none() {
    assert_eq!(with(r#","language":"zh-TW""#).language.as_deref(), Some("zh-TW"));
    assert_eq!(with(r#","language":"""#).language.as_deref(), Some(""));
    for language in ["", r#","language":null"#, r#","language":5"#, r#","language":["de"]"#] {
        assert_eq!(with(language).language, None, "{language}");
    }
}

#[test]
fn a_status_is_filtered_if_the_key_is_there() {
    for filtered in ["[]", "null", "false", "0", "\"\""] {
        assert!(with(&format!(r#","filtered":{filtered}"#)).is_filtered, "{filtered}");
    }
    assert!(!with(r#","Filtered":[]"#).is_filtered);
    assert!(!with(r#","reblog":{"filtered":[]}"#).is_filtered);
}

#[test]
fn local_only_is_what_ecmascript_calls_true() {
    for (local_only, wanted) in [("true", true), ("1", true), ("\"false\"", true), ("null", false), ("0", false)] {
        assert_eq!(with(&format!(r#","local_only":{local_only}"#)).local_only, wanted, "{local_only}");
    }
    assert!(!with("").local_only);
}

#[test]
fn what_is_mistyped_counts_as_none() {
    let mistyped = with(
        r#","mentions":{"id":1},"spoiler_text":null,"content":["x"],"poll":{"options":"x"},"media_attachments":7"#,
    );
    assert_eq!(mistyped, with(""));
    assert_eq!(mistyped.texts, StatusTexts::default());
    assert!(mistyped.mentions.is_empty());
    assert_eq!(with(r#","poll":[],"mentions":null,"media_attachments":null"#), mistyped);
}

#[test]
fn mistyped_options_and_descriptions_are_left_out() {
    let status = with(
        r#","poll":{"options":[null,"x",{},{"title":5},{"title":"yes"}]},
           "media_attachments":[{"description":"cat"},3,{"description":{}},{"url":"x"}]"#,
    );
    assert_eq!(status.texts.options, ["yes"]);
    assert_eq!(status.texts.descriptions, ["cat"]);
}

#[test]
fn the_author_and_the_texts_are_those_of_the_status_itself_not_of_what_it_reblogs() {
    let status = with(r#","reblog":{"content":"other","account":{"id":"2","acct":"b@c"},"mentions":[{"id":"x"}]}"#);
    assert_eq!(status, with(""));
}
