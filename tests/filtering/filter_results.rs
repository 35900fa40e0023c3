//! The fourth rule: what is added to a status.

use serde_json::{Value, json};

use crate::support::*;

#[tokio::test]
async fn a_result_has_the_shape_of_mastodons_api() {
    let stage = Stage::start().await;
    let (alice, bob) = (stage.db.person("alice").await, stage.db.account("bob@remote.example").await);
    let me = alice.account_id;
    let title = "Birds \"and\" \\ 🦆\n";
    let first = stage.db.filter(me, title).keyword("heron").context(&["home", "public"]).await;
    let second = stage.db.filter(me, "").keyword("a Heron").action(1).context(&[]).await;
    let third = stage.db.filter(me, "blur").keyword("ero").action(2).context(&["account", "thread"]).await;
    let expiry = "UPDATE custom_filters SET expires_at = '2126-01-02 03:04:05.678901' WHERE id";
    stage.db.execute(format!("{expiry} = {first}")).await;
    stage.db.execute(format!("UPDATE custom_filters SET expires_at = '2126-01-02 03:04:05' WHERE id = {second}")).await;
    let mut both = stage.both(&alice, "public").await;
    for kind in ["update", "status.update"] {
        let published = status(1, &bob).content("<p>A <b>her</b>on</p>");
        stage.publish("timeline:public", event(kind, published.clone())).await;
        let expected = published.filtered(json!([
            {
                "filter": {
                    "id": first.to_string(), "title": title, "context": ["home", "public"],
                    "expires_at": "2126-01-02T03:04:05.678Z", "filter_action": "warn",
                },
                "keyword_matches": ["heron"], "status_matches": null,
            },
            {
                "filter": {
                    "id": second.to_string(), "title": "", "context": [],
                    "expires_at": "2126-01-02T03:04:05.000Z", "filter_action": "hide",
                },
                "keyword_matches": ["A heron"], "status_matches": null,
            },
            {
                "filter": {
                    "id": third.to_string(), "title": "blur", "context": ["account", "thread"],
                    "expires_at": null, "filter_action": "blur",
                },
                "keyword_matches": ["ero"], "status_matches": null,
            },
        ]));
        let heard = both.next().await;
        assert_eq!((&*heard.event, &heard.json()), (kind, expected.value()));
    }
}

#[tokio::test]
async fn a_status_that_nothing_matches_gets_an_empty_array() {
    let stage = Stage::start().await;
    let (alice, carol) = (stage.db.person("alice").await, stage.db.person("carol").await);
    let bob = stage.db.account("bob@remote.example").await;
    stage.db.filter(carol.account_id, "none of this").keyword("zebra").await;
    stage.db.filter(carol.account_id, "no keywords").await;
    for person in [&alice, &carol] {
        for (stream, channel) in [("public", "timeline:public"), ("hashtag&tag=cats", "timeline:hashtag:cats")] {
            let mut both = stage.both(person, stream).await;
            stage.publish(channel, update(&status(1, &bob))).await;
            assert_eq!(both.next().await.json(), *status(1, &bob).filtered(json!([])).value());
        }
    }
}

#[tokio::test]
async fn a_status_with_the_key_filtered_is_left_alone_whatever_its_value() {
    let stage = Stage::start().await;
    let (alice, bob) = (stage.db.person("alice").await, stage.db.account("bob@remote.example").await);
    stage.db.filter(alice.account_id, "birds").keyword("heron").await;
    let mut both = stage.both(&alice, "public").await;
    for value in
        [Value::Null, json!(false), json!(0), json!(""), json!([]), json!({}), json!([{"filter": {"id": "1"}}])]
    {
        let published = status(1, &bob).content("heron").filtered(value);
        stage.publish("timeline:public", update(&published)).await;
        assert_eq!(both.next().await.json(), *published.value());
    }
    // The key of a reblogged status is another's.
    let reblog = status(1, &bob).content("heron").with("reblog", status(2, &bob).filtered(json!([])));
    stage.publish("timeline:public", update(&reblog)).await;
    assert_eq!(both.next().await.json()["filtered"][0]["filter"]["title"], "birds");
}

#[tokio::test]
async fn results_are_in_ascending_order_of_ids_one_for_each_filter_that_matches() {
    let stage = Stage::start().await;
    let (alice, bob) = (stage.db.person("alice").await, stage.db.account("bob@remote.example").await);
    for number in 0..12 {
        let keyword = if number % 3 == 1 { "zebra" } else { "heron" };
        stage.db.filter(alice.account_id, &number.to_string()).keyword(keyword).keyword("ostrich").await;
    }
    // The order is neither that of the rows in the table nor that of their ids as text.
    stage.db.execute("UPDATE custom_filters SET phrase = phrase WHERE id % 2 = 1").await;
    let mut both = stage.both(&alice, "public").await;
    stage.publish("timeline:public", update(&status(1, &bob).content("heron heron"))).await;
    let results = both.next().await.json()["filtered"].as_array().expect("results").clone();
    let titles: Vec<String> =
        results.iter().map(|one| one["filter"]["title"].as_str().expect("a title").into()).collect();
    assert_eq!(titles, (0..12).filter(|number| number % 3 != 1).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(results.iter().all(|one| one["keyword_matches"] == json!(["heron"])));
}

#[tokio::test]
async fn keywords_count_in_row_order() {
    let stage = Stage::start().await;
    let (alice, bob) = (stage.db.person("alice").await, stage.db.account("bob@remote.example").await);
    stage.db.filter(alice.account_id, "rows").keyword("her").keyword("hero").keyword("heron").await;
    // The last row comes first now.
    stage.db.execute("UPDATE custom_filter_keywords SET id = 1000 - id").await;
    let mut both = stage.both(&alice, "public").await;
    stage.publish("timeline:public", update(&status(1, &bob).content("heron"))).await;
    assert_eq!(both.next().await.json()["filtered"][0]["keyword_matches"], json!(["heron"]));
}

#[tokio::test]
async fn filters_that_have_expired_do_not_apply() {
    let stage = Stage::start().await;
    let (alice, bob) = (stage.db.person("alice").await, stage.db.account("bob@remote.example").await);
    for (title, seconds) in
        [("a second ago", -1.0), ("hours ago", -7.0 * 3600.0), ("in an hour", 3600.0), ("in a minute", 60.0)]
    {
        stage.db.filter(alice.account_id, title).keyword("heron").expires_in(seconds).await;
    }
    let mut both = stage.both(&alice, "public").await;
    stage.publish("timeline:public", update(&status(1, &bob).content("heron"))).await;
    let status = both.next().await.json();
    let results = status["filtered"].as_array().expect("results");
    let titles: Vec<_> = results.iter().map(|result| &result["filter"]["title"]).collect();
    assert_eq!(titles, ["in an hour", "in a minute"]);
}

#[tokio::test]
async fn filters_are_the_viewers_own() {
    let stage = Stage::start().await;
    let (alice, carol) = (stage.db.person("alice").await, stage.db.person("carol").await);
    let bob = stage.db.account("bob@remote.example").await;
    stage.db.filter(carol.account_id, "of carol").keyword("heron").await;
    stage.db.filter(bob.account_id, "of the author").keyword("heron").await;
    let mut of_alice = stage.both(&alice, "public").await;
    let mut of_carol = stage.both(&carol, "public").await;
    stage.publish("timeline:public", update(&status(1, &bob).content("heron"))).await;
    assert_eq!(of_alice.next().await.json()["filtered"], json!([]));
    assert_eq!(of_carol.next().await.json()["filtered"][0]["filter"]["title"], "of carol");
}
