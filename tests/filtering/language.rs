//! The second rule: languages.

use serde_json::{Value, json};

use crate::support::*;

#[tokio::test]
async fn a_status_is_for_those_who_chose_exactly_its_language_or_none_at_all() {
    let stage = Stage::start().await;
    let bob = stage.db.account("bob@remote.example").await;
    let viewers: [Option<&[&str]>; 5] =
        [None, Some(&[]), Some(&["en"]), Some(&["de", "pt-BR", "en"]), Some(&["EN", "d"])];
    let languages =
        [json!("en"), json!("de"), json!("pt-BR"), json!("pt"), json!("EN"), json!(""), Value::Null, json!(5)];
    for (number, chosen) in viewers.into_iter().enumerate() {
        let person = stage.db.person(&format!("person{number}"));
        let person = match chosen {
            Some(chosen) => person.chosen_languages(chosen).await,
            None => person.await,
        };
        let mut both = stage.both(&person, "public").await;
        for kind in ["update", "status.update"] {
            for language in languages.iter().map(Some).chain([None]) {
                let status = status(1, &bob).filtered(0);
                let status = match language {
                    Some(language) => status.with("language", language.clone()),
                    None => status.without("language"),
                };
                stage.publish("timeline:public", event(kind, status)).await;
                let code = language.and_then(Value::as_str);
                if chosen.is_none_or(|chosen| code.is_some_and(|code| chosen.contains(&code))) {
                    assert_eq!(both.next().await.json().get("language"), language, "for {chosen:?}");
                }
                both.silent_until(&stage.redis, "timeline:public").await;
            }
        }
    }
}

#[tokio::test]
async fn hashtags_are_screened_for_languages_too_and_deletions_are_not() {
    let stage = Stage::start().await;
    let bob = stage.db.account("bob@remote.example").await;
    let alice = stage.db.person("alice").chosen_languages(&["de"]).await;
    for stream in ["hashtag&tag=cats", "hashtag:local&tag=cats"] {
        let mut both = stage.both(&alice, stream).await;
        let channel = if stream.contains("local") { "timeline:hashtag:cats:local" } else { "timeline:hashtag:cats" };
        stage.publish(channel, update(&status(1, &bob))).await;
        stage.publish(channel, update(&status(2, &bob).language("de"))).await;
        stage.publish(channel, event("delete", "1")).await;
        assert_eq!(both.next().await.json()["id"], "2");
        assert_eq!(both.next().await.payload, "1");
    }
}

#[tokio::test]
async fn languages_are_those_at_connect() {
    let stage = Stage::start().await;
    let bob = stage.db.account("bob@remote.example").await;
    let alice = stage.db.person("alice").chosen_languages(&["en"]).await;
    let mut old = stage.ws(&alice, "public").await;
    stage.db.execute("UPDATE users SET chosen_languages = '{de}'").await;
    let mut new = stage.ws(&alice, "public").await;
    stage.publish("timeline:public", update(&status(1, &bob).language("en"))).await;
    stage.publish("timeline:public", update(&status(2, &bob).language("de"))).await;
    assert_eq!(old.next_event().await.json()["id"], "1");
    old.silent_until(&stage.redis, "timeline:public").await;
    assert_eq!(new.next_event().await.json()["id"], "2");
}
