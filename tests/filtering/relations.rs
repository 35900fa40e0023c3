//! The third rule: blocks, mutes and domain blocks.

use serde_json::json;

use crate::support::*;

/// Whether a status reaches the viewer.
async fn reaches(stage: &Stage, both: &mut Both, status: &statuses::Status) -> bool {
    stage.publish("timeline:public", update(status)).await;
    stage.publish("timeline:public", event("end", "1")).await;
    if both.next().await.event == "end" {
        return false;
    }
    assert_eq!(both.next().await.event, "end");
    true
}

struct Cast {
    stage: Stage,
    alice: Person,
    bob: Account,
    carol: Account,
    both: Both,
}

async fn cast() -> Cast {
    let stage = Stage::start().await;
    let alice = stage.db.person("alice").await;
    let bob = stage.db.account("bob@remote.example").await;
    let carol = stage.db.account("carol@elsewhere.example").await;
    let both = stage.both(&alice, "public").await;
    Cast { stage, alice, bob, carol, both }
}

#[tokio::test]
async fn blocks_and_mutes_of_author_or_mentioned_hide_a_status_and_are_looked_up_at_every_event() {
    let Cast { stage, alice, bob, carol, mut both } = cast().await;
    let plain = status(1, &bob);
    let mentioning = status(2, &bob).mention(&alice).mention(&carol);
    let (me, author, mentioned) = (alice.account_id, bob.account_id, carol.account_id);
    // What stands in the way, and whether the plain and the mentioning status pass then.
    let relations = [
        ("blocks (account_id, target_account_id", me, author, (false, false)),
        ("blocks (account_id, target_account_id", author, me, (false, false)),
        ("blocks (account_id, target_account_id", me, mentioned, (true, false)),
        ("blocks (account_id, target_account_id", mentioned, me, (true, true)),
        ("blocks (account_id, target_account_id", author, mentioned, (true, true)),
        ("blocks (account_id, target_account_id", mentioned, author, (true, true)),
        ("mutes (account_id, target_account_id", me, author, (false, false)),
        ("mutes (account_id, target_account_id", author, me, (true, true)),
        ("mutes (account_id, target_account_id", me, mentioned, (true, false)),
        ("mutes (account_id, target_account_id", mentioned, me, (true, true)),
    ];
    for (table, from, to, expected) in relations {
        stage
            .db
            .execute(format!("INSERT INTO {table}, created_at, updated_at) VALUES ({from}, {to}, now(), now())"))
            .await;
        let seen = (reaches(&stage, &mut both, &plain).await, reaches(&stage, &mut both, &mentioning).await);
        assert_eq!(seen, expected, "{table} {from} {to}");
        stage.db.execute("DELETE FROM blocks; DELETE FROM mutes").await;
        let seen = (reaches(&stage, &mut both, &plain).await, reaches(&stage, &mut both, &mentioning).await);
        assert_eq!(seen, (true, true), "without {table} {from} {to}");
    }
}

#[tokio::test]
async fn a_mute_counts_until_it_expires() {
    let Cast { stage, alice, bob, mut both, .. } = cast().await;
    let (me, author) = (alice.account_id, bob.account_id);
    for (seconds, passes) in [(-1.0, true), (-7.0 * 3600.0, true), (3600.0, false), (60.0, false)] {
        stage.db.execute("DELETE FROM mutes").await;
        stage.db.mute_for(me, author, seconds).await;
        assert_eq!(reaches(&stage, &mut both, &status(1, &bob)).await, passes, "expires in {seconds} s");
    }
    stage.db.execute("UPDATE mutes SET hide_notifications = false, expires_at = NULL").await;
    assert!(!reaches(&stage, &mut both, &status(1, &bob)).await, "null is for good");
    stage.db.execute("UPDATE mutes SET expires_at = 'infinity'").await;
    assert!(!reaches(&stage, &mut both, &status(1, &bob)).await, "infinity is in the future");
}

#[tokio::test]
async fn a_domain_block_hides_authors_of_exactly_that_domain() {
    let Cast { stage, alice, bob, carol, mut both } = cast().await;
    let me = alice.account_id;
    let with_acct = |acct: &str| {
        status(1, &bob).with("account", json!({"id": bob.account_id.to_string(), "username": "bob", "acct": acct}))
    };
    stage.db.block_domain(me, "remote.example").await;
    let table = [
        ("bob@remote.example", false),
        ("bob@Remote.example", true),
        ("bob@sub.remote.example", true),
        ("bob@remote.example.org", true),
        ("bob@mote.example", true),
        ("bob", true),
        ("remote.example", true),
        ("bob@remote.example@other.example", false),
        ("bob@other.example@remote.example", true),
        ("@remote.example", false),
        ("bob@", true),
        ("bob@'; DROP TABLE blocks; --", true),
        ("bob@remote.example\0", true),
        ("bob@r\\emote.example", true),
    ];
    for (acct, passes) in table {
        assert_eq!(reaches(&stage, &mut both, &with_acct(acct)).await, passes, "{acct}");
    }
    // A mentioned account's domain does not count.
    let mentioning = status(2, &carol).mention(&bob);
    assert!(reaches(&stage, &mut both, &mentioning).await);
    stage.db.execute("UPDATE account_domain_blocks SET domain = E'o''b\\\\r.example'").await;
    assert!(!reaches(&stage, &mut both, &with_acct("bob@o'b\\r.example")).await, "quotes and backslashes are text");
    assert_eq!(stage.failed_screenings().await, 0.0);
}

#[tokio::test]
async fn another_accounts_relations_do_not_count() {
    let Cast { stage, bob, carol, mut both, .. } = cast().await;
    let dora = stage.db.person("dora").await;
    stage.db.block(dora.account_id, bob.account_id).await;
    stage.db.block(bob.account_id, dora.account_id).await;
    stage.db.mute(dora.account_id, bob.account_id).await;
    stage.db.block_domain(dora.account_id, "remote.example").await;
    stage.db.block(carol.account_id, bob.account_id).await;
    let mut of_dora = stage.both(&dora, "public").await;
    stage.publish("timeline:public", update(&status(1, &bob))).await;
    assert_eq!(both.next().await.json()["id"], "1");
    of_dora.silent_until(&stage.redis, "timeline:public").await;
}

#[tokio::test]
async fn the_author_of_a_reblogged_status_and_its_mentions_do_not_count() {
    let Cast { stage, alice, bob, carol, mut both } = cast().await;
    let me = alice.account_id;
    for blocked in [carol.account_id, stage.db.account("dan@there.example").await.account_id] {
        stage.db.block(me, blocked).await;
        stage.db.mute(me, blocked).await;
    }
    stage.db.block(carol.account_id, me).await;
    stage.db.block_domain(me, "elsewhere.example").await;
    let reblogged = status(1, &carol).mention(&carol);
    let reblog =
        status(2, &bob).with("reblog", reblogged).with("quote", json!({"quoted_status": status(3, &carol).value()}));
    assert!(reaches(&stage, &mut both, &reblog).await);
    assert!(!reaches(&stage, &mut both, &status(4, &carol)).await);
}

#[tokio::test]
async fn any_of_many_mentions_counts_whether_its_id_is_a_string_or_a_number() {
    let Cast { stage, alice, bob, carol, mut both } = cast().await;
    stage.db.block(alice.account_id, carol.account_id).await;
    let mentions = |id: serde_json::Value| {
        let others = (1..=200).map(|id: i64| json!({"id": id.to_string(), "acct": "x"}));
        let mentions: Vec<_> = others.chain([json!({"id": id})]).collect();
        status(1, &bob).with("mentions", mentions)
    };
    let carol = carol.account_id;
    assert!(!reaches(&stage, &mut both, &mentions(json!(carol.to_string()))).await);
    assert!(!reaches(&stage, &mut both, &mentions(json!(carol))).await);
    assert!(reaches(&stage, &mut both, &mentions(json!(201))).await);
    assert!(reaches(&stage, &mut both, &mentions(json!(i64::MAX))).await);
    assert!(reaches(&stage, &mut both, &mentions(json!(i64::MIN.to_string()))).await);
}

#[tokio::test]
async fn an_author_whose_id_is_a_number_is_known_to_its_last_digit() {
    let Cast { stage, alice, bob, mut both, .. } = cast().await;
    stage.db.block(alice.account_id, bob.account_id).await;
    let by = |id: i64| status(1, &bob).with("account", json!({"id": id, "username": "bob", "acct": "bob@x.example"}));
    assert!(!reaches(&stage, &mut both, &by(bob.account_id)).await);
    // As a floating point number it would be the same.
    assert!(bob.account_id > 1 << 53);
    assert!(reaches(&stage, &mut both, &by(bob.account_id + 1)).await);
    assert!(reaches(&stage, &mut both, &by(bob.account_id - 1)).await);
}

#[tokio::test]
async fn status_updates_and_hashtags_are_screened_and_deletions_are_not() {
    let Cast { stage, alice, bob, mut both, .. } = cast().await;
    stage.db.block(alice.account_id, bob.account_id).await;
    let mut hashtag = stage.both(&alice, "hashtag&tag=cats").await;
    for (channel, both) in [("timeline:public", &mut both), ("timeline:hashtag:cats", &mut hashtag)] {
        for kind in ["update", "status.update"] {
            stage.publish(channel, event(kind, status(1, &bob))).await;
            both.silent_until(&stage.redis, channel).await;
        }
        for kind in ["delete", "Update", "update "] {
            stage.publish(channel, event(kind, status(1, &bob))).await;
            assert_eq!(both.next().await.event, kind);
        }
    }
}
