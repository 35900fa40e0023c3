//! What cannot be found out: the event is dropped for those viewers, counted, and their connections live.

use crate::support::*;

#[tokio::test]
async fn unreadable_relations_drop_the_event_for_all_who_got_that_far_and_connections_live() {
    for table in ["blocks", "mutes", "account_domain_blocks"] {
        let stage = Stage::start().await;
        let (alice, bob) = (stage.db.person("alice").await, stage.db.account("bob@remote.example").await);
        let german = stage.db.person("german").chosen_languages(&["de"]).await;
        let mut both = stage.both(&alice, "public").await;
        let mut of_german = stage.both(&german, "public").await;
        stage.db.execute(format!("ALTER TABLE {table} RENAME TO hidden")).await;
        stage.publish("timeline:public", update(&status(1, &bob))).await;
        stage.publish("timeline:public", event("delete", "1")).await;
        // Statuses that custom filters do not matter to are not sent unscreened either.
        stage.publish("timeline:public", update(&status(2, &bob).filtered(0))).await;
        assert_eq!(both.next().await.event, "delete", "what needs no screening goes on");
        both.silent_until(&stage.redis, "timeline:public").await;
        assert_eq!(stage.failed_screenings().await, 4.0, "two events for two sessions");
        assert_eq!(of_german.next().await.event, "delete");
        stage.db.execute(format!("ALTER TABLE hidden RENAME TO {table}")).await;
        of_german.silent_until(&stage.redis, "timeline:public").await;
        stage.publish("timeline:public", update(&status(3, &bob))).await;
        assert_eq!(both.next().await.event, "marker");
        assert_eq!(both.next().await.json()["id"], "3");
        assert_eq!(stage.failed_screenings().await, 4.0);
    }
}

#[tokio::test]
async fn unreadable_filters_drop_the_event_only_for_those_who_have_not_read_theirs() {
    for table in ["custom_filters", "custom_filter_keywords"] {
        let stage = Stage::start().await;
        let (alice, carol) = (stage.db.person("alice").await, stage.db.person("carol").await);
        let bob = stage.db.account("bob@remote.example").await;
        stage.db.filter(alice.account_id, "birds").keyword("heron").await;
        let heron = status(1, &bob).content("heron");
        let mut early = stage.both(&alice, "public").await;
        stage.publish("timeline:public", update(&heron)).await;
        assert_eq!(early.next().await.json()["filtered"][0]["filter"]["title"], "birds");
        let mut late = stage.both(&carol, "public").await;
        stage.db.execute(format!("ALTER TABLE {table} RENAME TO hidden")).await;
        stage.publish("timeline:public", update(&heron)).await;
        assert_eq!(early.next().await.json()["filtered"][0]["filter"]["title"], "birds");
        late.silent_until(&stage.redis, "timeline:public").await;
        assert_eq!(stage.failed_screenings().await, 2.0);
        // What has been filtered already needs no filters.
        stage.publish("timeline:public", update(&heron.clone().filtered(0))).await;
        assert_eq!(late.next().await.json()["filtered"], 0);
        stage.db.execute(format!("ALTER TABLE hidden RENAME TO {table}")).await;
        stage.publish("timeline:public", update(&heron)).await;
        assert_eq!(late.next().await.json()["filtered"], serde_json::json!([]), "a failure is not kept");
    }
}

#[tokio::test]
async fn a_failure_is_logged_when_it_begins_and_when_it_ends_and_not_for_each_event() {
    let stage = Stage::start().await;
    let (alice, bob) = (stage.db.person("alice").await, stage.db.account("bob@remote.example").await);
    let mut both = stage.both(&alice, "public").await;
    stage.db.execute("ALTER TABLE blocks RENAME TO hidden").await;
    for _ in 0..20 {
        stage.publish("timeline:public", update(&status(1, &bob))).await;
    }
    both.silent_until(&stage.redis, "timeline:public").await;
    stage.db.execute("ALTER TABLE hidden RENAME TO blocks").await;
    stage.publish("timeline:public", update(&status(2, &bob))).await;
    assert_eq!(both.next().await.json()["id"], "2");
    stage.server.wait_for_log(|line| line.message() == "statuses are screened again").await;
    let logs = stage.server.logs();
    let count = |level: &str| logs.iter().filter(|line| line.level() == level).count();
    assert_eq!((count("ERROR"), count("WARN")), (1, 0), "{logs:#?}");
    assert_eq!(stage.failed_screenings().await, 40.0);
}

#[tokio::test]
async fn a_screening_that_takes_too_long_is_given_up() {
    let stage = Stage::start().await;
    let (alice, bob) = (stage.db.person("alice").await, stage.db.account("bob@remote.example").await);
    let mut both = stage.both(&alice, "public").await;
    let lock = stage.db.lock("blocks").await;
    for _ in 0..5 {
        stage.publish("timeline:public", update(&status(1, &bob))).await;
    }
    stage.publish("timeline:public", event("delete", "1")).await;
    // Ten seconds after they came, however many there are.
    assert_eq!(both.next().await.event, "delete");
    assert_eq!(stage.failed_screenings().await, 10.0);
    lock.release().await;
    stage.publish("timeline:public", update(&status(2, &bob))).await;
    assert_eq!(both.next().await.json()["id"], "2");
}
