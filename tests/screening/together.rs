//! Look-ups that arrive together go to PostgreSQL together.

use crate::support::*;

const MANY: usize = 200;

/// The statements of which two may be under way at once; the rest share the next ones.
const FEW: usize = 10;

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

#[tokio::test]
async fn tokens_of_connections_that_come_at_once_are_looked_up_together() {
    let stage = Stage::start().await;
    let people = people(&stage.db).await;
    let lock = stage.db.lock("oauth_access_tokens").await;
    let files = stage.server.open_files();
    let mut opening = Vec::new();
    for (number, person) in people.iter().enumerate() {
        let (address, token) = (stage.server.address().clone(), person.token.clone());
        let target = if number % 10 == 0 { "nobody" } else { &*token }.to_owned();
        opening.push(tokio::spawn(async move {
            let authorization = format!("Bearer {target}");
            let opened = Ws::try_open(address, "/", &[("Authorization", &authorization)]).await;
            opened.map(drop).map_err(|refused| refused.status)
        }));
        occupy(&lock, number).await;
    }
    // All are connected, and what they ask for waits.
    eventually("connections", || async {
        let open = stage.server.open_files().saturating_sub(files);
        if open >= MANY { Ok(()) } else { Err(open) }
    })
    .await;
    lock.release().await;
    for (number, opening) in opening.into_iter().enumerate() {
        let expected = if number % 10 == 0 { Err(401) } else { Ok(()) };
        assert_eq!(opening.await.expect("opening does not panic"), expected, "connection {number}");
    }
    let statements = stage.db.count_statements("FROM oauth_access_tokens");
    assert!((2..=FEW).contains(&statements), "{statements} statements for {MANY} connections");
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
