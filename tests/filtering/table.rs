//! Many keywords against many statuses in one go.

use serde_json::Value;

use crate::support::{statuses::Status, *};

/// A keyword, and whether it matches whole words only.
pub type Keyword<'a> = (&'a str, bool);

/// A filter, a status, and the match that the filter reports in it.
pub struct Case<'a> {
    pub keywords: &'a [Keyword<'a>],
    pub status: Status,
    pub expected: Option<&'a str>,
}

/// A status whose only text is the spoiler, which is plain.
pub fn plain(text: &str) -> Status {
    let bob = Account { account_id: 5, username: "bob".into(), domain: Some("remote.example".into()) };
    status(1, bob).content("").spoiler(text)
}

/// A status whose only text is the content.
pub fn html(content: &str) -> Status {
    plain("").content(content)
}

/// Gives one viewer all the filters, publishes each status, and looks at what that case's filter says of it.
pub async fn check(cases: &[Case<'_>]) {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    for (number, case) in cases.iter().enumerate() {
        let filter = stage.db.filter(alice.account_id, &number.to_string());
        let filter = case.keywords.iter().fold(filter, |filter, (keyword, whole_word)| {
            if *whole_word { filter.whole_word(keyword) } else { filter.keyword(keyword) }
        });
        filter.await;
    }
    let mut ws = stage.ws(&alice, "public").await;
    for (number, case) in cases.iter().enumerate() {
        stage.publish("timeline:public", update(&case.status)).await;
        let status = ws.next_event().await.json();
        let results = status["filtered"].as_array().expect("there are results");
        let title = number.to_string();
        let result = results.iter().find(|result| result["filter"]["title"] == title);
        let found = result.map(|result| &result["keyword_matches"]);
        let expected = case.expected.map(|text| Value::from(vec![text]));
        let texts = ["spoiler_text", "content", "poll", "media_attachments"].map(|key| status[key].to_string());
        assert_eq!(found, expected.as_ref(), "{:?} in {texts:?}", case.keywords);
    }
}
