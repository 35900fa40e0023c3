//! Which tokens are good.

use crate::support::*;
use crate::{INVALID, of_token, outcome, refused};

#[tokio::test]
async fn a_token_that_is_not_there_is_invalid() {
    let Stage { server, db, .. } = Stage::start().await;
    let token = db.person("alice").await.token;
    let swapped: String = token.chars().map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c }).collect();
    let (shorter, longer) = (token[1..].to_owned(), format!("{token}x"));
    for wrong in ["x", "0", "null", "%", "_", &swapped, &shorter, &longer, &token.replace(|c: char| c != 'x', "_")] {
        assert_eq!(of_token(&server, wrong).await, refused(INVALID), "{wrong}");
    }
    assert_eq!(of_token(&server, &token).await, Ok(()));
}

#[tokio::test]
async fn a_token_with_quotes_nul_or_anything_else_that_sql_knows_is_invalid() {
    let Stage { server, db, .. } = Stage::start().await;
    let token = db.person("alice").await.token;
    for wrong in ["'", "''", "\"", "\\", "\\'", "' OR '1'='1", "'; DROP TABLE users; --", "x') OR true --", "$1", "{}"]
    {
        assert_eq!(of_token(&server, wrong).await, refused(INVALID), "{wrong}");
    }
    for wrong in ["%00", "G%00", "%00G", "%FF", "G%FF", "%C3%28", "%ED%A0%80", "%27", "%F0%9F%A6%86", "%2"] {
        let query = format!("access_token={}", wrong.replace('G', &token));
        assert_eq!(outcome(&server, &[], &query).await, refused(INVALID), "{query}");
    }
    assert_eq!(outcome(&server, &[("Authorization", "Bearer \u{e4}\u{1f986}")], "").await, refused(INVALID));
    assert_eq!(of_token(&server, &token).await, Ok(()));
}

#[tokio::test]
async fn a_revoked_token_is_invalid_whenever_that_was_or_will_be() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").revoked().await;
    assert_eq!(of_token(&server, &alice.token).await, refused(INVALID));
    for time in ["now() - interval '1 year'", "now() + interval '1 year'", "'infinity'"] {
        db.execute(format!("UPDATE oauth_access_tokens SET revoked_at = {time}")).await;
        assert_eq!(of_token(&server, &alice.token).await, refused(INVALID), "{time}");
    }
    db.execute("UPDATE oauth_access_tokens SET revoked_at = NULL").await;
    assert_eq!(of_token(&server, &alice.token).await, Ok(()));
}

#[tokio::test]
async fn a_token_is_good_until_it_expires() {
    let Stage { server, db, .. } = Stage::start().await;
    for (name, age, lives, outcome) in [
        ("for_ever", 1e9, None, Ok(())),
        ("fresh", 0.0, Some(7200), Ok(())),
        ("old", 7100.0, Some(7200), Ok(())),
        ("expired", 7201.0, Some(7200), refused(INVALID)),
        ("long_ago", 1e9, Some(1), refused(INVALID)),
        ("born_dead", 0.0, Some(0), refused(INVALID)),
        // 3,000 years: no number of days or years overflows.
        ("very_long", 0.0, Some(i32::MAX), Ok(())),
    ] {
        let person = db.person(name).token_age(age);
        let person = if let Some(lives) = lives { person.expires_in(lives).await } else { person.await };
        assert_eq!(of_token(&server, &person.token).await, outcome, "{name}");
    }
}

#[tokio::test]
async fn a_token_without_user_is_invalid() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").await;
    db.execute("UPDATE oauth_access_tokens SET resource_owner_id = NULL").await;
    assert_eq!(of_token(&server, &alice.token).await, refused(INVALID));
}

#[tokio::test]
async fn a_user_must_not_be_disabled_nor_unknown_to_be_enabled() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").disabled().await;
    assert_eq!(of_token(&server, &alice.token).await, refused(INVALID));
    db.execute("ALTER TABLE users ALTER disabled DROP NOT NULL; UPDATE users SET disabled = NULL").await;
    assert_eq!(of_token(&server, &alice.token).await, refused(INVALID));
    db.execute("UPDATE users SET disabled = false").await;
    assert_eq!(of_token(&server, &alice.token).await, Ok(()));
}

#[tokio::test]
async fn an_account_must_not_be_suspended() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").suspended().await;
    assert_eq!(of_token(&server, &alice.token).await, refused(INVALID));
    db.execute("UPDATE accounts SET suspended_at = 'infinity'").await;
    assert_eq!(of_token(&server, &alice.token).await, refused(INVALID));
    db.execute("UPDATE accounts SET suspended_at = NULL").await;
    assert_eq!(of_token(&server, &alice.token).await, Ok(()));
}

#[tokio::test]
async fn a_user_need_not_be_confirmed_nor_approved() {
    let Stage { server, db, .. } = Stage::start().await;
    let alice = db.person("alice").await;
    db.execute("UPDATE users SET confirmed_at = NULL, approved = false").await;
    assert_eq!(of_token(&server, &alice.token).await, Ok(()));
}

#[tokio::test]
async fn each_of_many_who_come_at_once_gets_what_its_own_token_opens() {
    let Stage { server, db, redis } = Stage::start().await;
    let mut people = Vec::new();
    for number in 0..20 {
        let person = db.person(&format!("person{number}"));
        people.push(if number % 3 == 0 { person.revoked().await } else { person.await });
    }
    let opening = people.iter().map(|person| of_user_stream(&server, person));
    for (number, stream) in futures_util::future::join_all(opening).await.into_iter().enumerate() {
        let person = &people[number];
        let channel = format!("timeline:{}", person.account_id);
        match stream {
            Ok(mut stream) => {
                redis.wait_for_subscribers(&channel, 1).await;
                redis.publish(&channel, event("delete", number.to_string())).await;
                assert_eq!(stream.next_event().await.data(), number.to_string());
            }
            Err(status) => assert_eq!(status, 401),
        }
        assert_eq!(redis.subscribers(&channel).await, usize::from(number % 3 != 0), "{number}");
    }
}

async fn of_user_stream(server: &Server, person: &Person) -> Result<Sse, u16> {
    let headers = [("Authorization", person.token.as_str())];
    Sse::try_open(server, "/api/v1/streaming/user", &headers).await.map_err(|answer| answer.status)
}
