//! Look-ups that arrive together go to PostgreSQL together.

use crate::support::*;

const MANY: usize = 100;

/// Two statements may be under way at once if the first is slow, and the rest share the next one, but for those who were
/// connected and had not asked yet.
const FEW: usize = 20;

async fn people(db: &Database) -> Vec<Person> {
    let mut people = Vec::new();
    for number in 0..MANY {
        people.push(db.person(&format!("person{number}")).await);
    }
    people
}

/// After each of the first two look-ups waits until it is under way, so that all others find both ways taken.
async fn occupy(lock: &locks::Lock<'_>, number: usize) {
    if number < 2 {
        lock.wait_for_waiting(number as i64 + 1).await;
    }
}

/// What a client was told who tried to open a WebSocket.
type Told = tokio::task::JoinHandle<Result<(), u16>>;

/// Begins to open a WebSocket for each of these tokens, which may be any bytes. The first two statements are under way when
/// this returns, everybody else is connected, and what they ask for waits.
async fn begin_to_open(stage: &Stage, lock: &locks::Lock<'_>, tokens: impl IntoIterator<Item = String>) -> Vec<Told> {
    let files = stage.server.open_files();
    let mut opening = Vec::new();
    for (number, token) in tokens.into_iter().enumerate() {
        let address = stage.server.address().clone();
        opening.push(tokio::spawn(async move {
            let target = format!("/?access_token={token}");
            Ws::try_open(address, &target, &[]).await.map(drop).map_err(|refused| refused.status)
        }));
        occupy(lock, number).await;
    }
    let all = opening.len();
    eventually("connections", || async {
        let open = stage.server.open_files().saturating_sub(files);
        if open >= all { Ok(()) } else { Err(open) }
    })
    .await;
    opening
}

async fn told(opening: Told) -> Result<(), u16> {
    opening.await.expect("opening does not panic")
}

/// Percent-encoded; what PostgreSQL, its texts or its arrays could take for something else.
const INVALID: [&str; 10] =
    ["nobody", "%00", "x%00", "%27", "%22", "%5C", "%7B%7D,NULL", "%27)%3B--", "%ED%A0%80%FF", "%F0%9F%A6%86"];

#[tokio::test]
async fn tokens_of_connections_that_come_at_once_are_looked_up_together() {
    let stage = Stage::start().await;
    let people = people(&stage.db).await;
    let lock = stage.db.lock("oauth_access_tokens").await;
    let is_invalid = |number: usize| number % 10 == 9;
    let token = |number: usize| match is_invalid(number) {
        true => INVALID[number / 10 % INVALID.len()].to_owned(),
        // Everybody comes twice.
        false => people[number & !1].token.clone(),
    };
    let opening = begin_to_open(&stage, &lock, (0..MANY).map(token)).await;
    lock.release().await;
    for (number, opening) in opening.into_iter().enumerate() {
        let expected = if is_invalid(number) { Err(401) } else { Ok(()) };
        assert_eq!(told(opening).await, expected, "connection {number}");
    }
    let statements = stage.db.count_statements("FROM oauth_access_tokens");
    assert!((3..=FEW).contains(&statements), "{statements} statements for {MANY} connections");
}

#[tokio::test]
async fn a_token_is_found_whatever_it_is_made_of() {
    let stage = Stage::start().await;
    for (number, (token, encoded)) in [
        ("-_azAZ09", "-_azAZ09"),
        ("NULL", "NULL"),
        ("{a,b}", "%7Ba%2Cb%7D"),
        (r#"a"b"#, "a%22b"),
        (r"a\b", "a%5Cb"),
        (r#"\"\\""#, "%5C%22%5C%5C%22"),
        ("o''clock", "o%27clock"),
        (" \u{a0}\t\n", "%20%C2%A0%09%0A"),
        ("é🦆\u{ffff}", "%C3%A9%F0%9F%A6%86%EF%BF%BF"),
    ]
    .into_iter()
    .enumerate()
    {
        let person = stage.db.person(&format!("person{number}")).await;
        let statement = format!("UPDATE oauth_access_tokens SET token = '{token}' WHERE token = '{}'", person.token);
        assert_eq!(stage.db.execute(statement).await, 1);
        let opened = Ws::try_open(&stage.server, &format!("/?access_token={encoded}"), &[]).await;
        assert!(opened.is_ok(), "{token:?}");
    }
}

#[tokio::test]
async fn who_leaves_while_looked_up_with_others_harms_none_of_them() {
    let stage = Stage::start().await;
    let people = people(&stage.db).await;
    let lock = stage.db.lock("oauth_access_tokens").await;
    let opening = begin_to_open(&stage, &lock, people.iter().map(|person| person.token.clone())).await;
    let files = stage.server.open_files();
    let (mut left, mut stayed) = (0, Vec::new());
    for (number, opening) in opening.into_iter().enumerate() {
        // Of the statements under way one loses its client.
        if number % 3 == 1 {
            opening.abort();
            left += 1;
        } else {
            stayed.push(opening);
        }
    }
    eventually("end of connections", || async {
        let gone = files.saturating_sub(stage.server.open_files());
        if gone >= left { Ok(()) } else { Err(gone) }
    })
    .await;
    lock.release().await;
    for opening in stayed {
        assert_eq!(told(opening).await, Ok(()));
    }
    stage.wait_for_nobody().await;
}

#[tokio::test]
async fn all_who_share_a_look_up_are_told_when_postgresql_goes_away() {
    let postgres = Postgres::start_own().await;
    let (redis, db) = (Redis::start().await, postgres.database().await);
    let server = Server::start(&redis, &db).await;
    let stage = Stage { server, redis, db };
    let people = people(&stage.db).await;
    let lock = stage.db.lock("oauth_access_tokens").await;
    let opening = begin_to_open(&stage, &lock, people.iter().map(|person| person.token.clone())).await;
    postgres.stop();
    for opening in opening {
        assert_eq!(told(opening).await, Err(503));
    }
    postgres.start_again().await;
    let opens =
        || async { Ws::try_open(&stage.server, &format!("/?access_token={}", people[0].token), &[]).await.is_ok() };
    eventually("an open door", opens).await;
}

#[tokio::test]
async fn lists_and_settings_that_are_asked_for_at_once_are_looked_up_together_and_answered_to_whom_asked() {
    let stage = Stage::start().await;
    let people = people(&stage.db).await;
    let mut clients = Vec::new();
    for person in &people {
        let list = stage.db.list(person.account_id).await;
        clients.push((Ws::open(&stage.server, "/", &person.token).await, list));
    }
    let before = stage.db.count_statements("FROM lists");
    let lock = stage.db.lock("lists").await;
    for (number, (ws, list)) in clients.iter_mut().enumerate() {
        // Every tenth asks for the list before its own, which is another's.
        let list = if number % 10 == 9 { *list - 1 } else { *list };
        ws.send_json(serde_json::json!({"type": "subscribe", "stream": "list", "list": list})).await;
        occupy(&lock, number).await;
    }
    // Each client's ping is answered only after the message before it was read.
    for (ws, _) in &mut clients {
        ws.send_frame(Frame::new(frames::PING, "read")).await;
        assert_eq!(ws.next_message().await, Message::Pong(b"read".into()));
    }
    lock.release().await;
    for (number, (ws, list)) in clients.iter_mut().enumerate() {
        if number % 10 == 9 {
            ws.expect_error("Not authorized to stream this list", 401).await;
        } else {
            ws.silent_so_far().await;
            stage.redis.wait_for_subscribers(&format!("timeline:list:{list}"), 1).await;
        }
    }
    let statements = stage.db.count_statements("FROM lists") - before;
    assert!((2..=FEW).contains(&statements), "{statements} statements for {MANY} lists");

    let before = stage.db.count_statements("FROM settings");
    let lock = stage.db.lock("settings").await;
    for (number, (ws, _)) in clients.iter_mut().enumerate() {
        ws.subscribe("public").await;
        occupy(&lock, number).await;
    }
    for (ws, _) in &mut clients {
        ws.send_frame(Frame::new(frames::PING, "read")).await;
        assert_eq!(ws.next_message().await, Message::Pong(b"read".into()));
    }
    lock.release().await;
    stage
        .server
        .wait_for_metric("connected_channels", &[("type", "websocket"), ("channel", "public")], MANY as f64)
        .await;
    let statements = stage.db.count_statements("FROM settings") - before;
    assert!((2..=FEW).contains(&statements), "{statements} statements for {MANY} subscriptions");
}
