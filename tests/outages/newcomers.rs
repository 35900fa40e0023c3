//! How long newcomers wait for a PostgreSQL that takes no connections, and how often that is asked meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::support::*;

/// Asks to come in; the status is 200, or what it is refused with.
async fn ask(server: &Server, person: &Person) -> u16 {
    let headers = [("Authorization", person.token.as_str())];
    match Sse::try_open(server, "/api/v1/streaming/user", &headers).await {
        Ok(_) => 200,
        Err(response) => response.status,
    }
}

/// Newcomers are refused within a second while PostgreSQL is stopped, with the cause in the log, and come in afterwards.
async fn are_put_off_at_once(host: impl FnOnce(&Postgres) -> String, cause: &str) {
    let postgres = Postgres::start_own().await;
    let (redis, db) = (Redis::start().await, postgres.database().await);
    let alice = db.person("alice").await;
    let server = Server::options(&redis, &db).env("DB_HOST", host(&postgres)).start().await;
    assert_eq!(ask(&server, &alice).await, 200);
    postgres.stop();
    for _ in 0..5 {
        let asked = Instant::now();
        assert_eq!(ask(&server, &alice).await, 503);
        assert!(asked.elapsed() < Duration::from_secs(1), "put off after {:?}", asked.elapsed());
    }
    let failures = server.logs().into_iter().filter(|line| line.message() == "accounts could not be looked up");
    let errors: Vec<String> = failures.map(|line| line.field("error").to_string()).collect();
    let told = format!("cannot be reached: {cause} (DB_HOST and DB_PORT)");
    // Once a minute, by whichever task it was looked up.
    assert!(errors.len() == 1 && errors[0].contains(&told), "{errors:?}");
    postgres.start_again().await;
    eventually("an open door", || async { ask(&server, &alice).await == 200 }).await;
}

#[tokio::test]
async fn newcomers_are_answered_at_once_while_postgresql_refuses_connections() {
    are_put_off_at_once(|_| "127.0.0.1".to_owned(), "connection refused").await;
}

#[tokio::test]
async fn newcomers_are_answered_at_once_while_the_socket_of_postgresql_is_missing() {
    are_put_off_at_once(|postgres| postgres.socket_folder().to_string_lossy().into_owned(), "no such file or socket")
        .await;
}

/// What happens to those who come to a door.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    Shut,
    /// They wait until it is another way.
    Held,
}

/// A way to PostgreSQL that can be shut, and counts who comes.
struct Door {
    port: u16,
    way: watch::Sender<Way>,
    visits: Arc<AtomicUsize>,
}

impl Door {
    async fn to(target: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let (way, visits) = (watch::Sender::new(Way::Open), Arc::<AtomicUsize>::default());
        let (own, counted) = (way.subscribe(), Arc::clone(&visits));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let mut way = own.clone();
                tokio::spawn(async move {
                    let found = way.wait_for(|way| *way != Way::Held).await.map(|way| *way);
                    if matches!(found, Ok(Way::Open)) {
                        let mut server = TcpStream::connect(("127.0.0.1", target)).await.expect("it is there");
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    }
                });
            }
        });
        Self { port, way, visits }
    }

    fn visits(&self) -> usize {
        self.visits.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_postgresql_that_refuses_is_asked_a_few_times_a_second_however_many_come() {
    const POOL: usize = 2;
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    let door = Door::to(db.postgres().port()).await;
    let options = Server::options(&redis, &db).env("DB_PORT", door.port.to_string());
    let server = options.env("DB_POOL", POOL.to_string()).start().await;
    assert_eq!(ask(&server, &alice).await, 200);
    door.way.send_replace(Way::Shut);
    db.drop_clients().await;
    let (started, before) = (Instant::now(), door.visits());
    for _ in 0..50 {
        let statuses = join_all((0..4).map(|_| ask(&server, &alice))).await;
        assert_eq!(statuses, [503; 4]);
    }
    let (took, visits) = (started.elapsed(), door.visits() - before);
    assert!(visits > 0, "it was asked");
    assert!(visits <= POOL + 5 * (1 + took.as_secs() as usize), "{visits} visits in {took:?}");
    door.way.send_replace(Way::Open);
    eventually("an open door", || async { ask(&server, &alice).await == 200 }).await;
}

#[tokio::test]
async fn a_refusal_that_is_long_past_is_told_to_nobody() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let (alice, bob) = (db.person("alice").await, db.person("bob").await);
    let door = Door::to(db.postgres().port()).await;
    let server = Server::options(&redis, &db).env("DB_PORT", door.port.to_string()).env("DB_POOL", "2").start().await;
    door.way.send_replace(Way::Shut);
    db.drop_clients().await;
    assert_eq!(ask(&server, &alice).await, 503);
    door.way.send_replace(Way::Held);
    // What is told here is that time has passed.
    tokio::time::sleep(Duration::from_secs(3)).await;
    // While the first of them is on its way, nobody knows whether it will be refused.
    let before = door.visits();
    let second = async {
        eventually("a first visit", || async { door.visits() > before }).await;
        ask(&server, &bob).await
    };
    let opened = async {
        eventually("a second visit", || async { door.visits() > before + 1 }).await;
        door.way.send_replace(Way::Open);
    };
    let (first, second, ()) = tokio::join!(ask(&server, &alice), second, opened);
    assert_eq!((first, second), (200, 200));
}

#[tokio::test]
async fn a_newcomer_waits_for_a_connection_of_ours_if_postgresql_has_none_left() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alice = db.person("alice").await;
    let server = Server::options(&redis, &db).env("DB_POOL", "2").start().await;
    let mut ws = Ws::open(&server, "/", &alice.token).await;
    let mut lock = db.pool().begin().await.unwrap();
    sqlx::query("LOCK TABLE lists").execute(&mut *lock).await.unwrap();
    ws.send_json(serde_json::json!({"type": "subscribe", "stream": "list", "list": "1"})).await;
    eventually("a look-up that waits", || async {
        db.number("SELECT count(*) FROM pg_locks WHERE NOT granted").await > 0
    })
    .await;
    // There are more already.
    db.execute(format!("ALTER DATABASE {} CONNECTION LIMIT 1", db.name())).await;
    let refused = || db.postgres().log().contains(&format!("too many connections for database \"{}\"", db.name()));
    let released = async {
        eventually("a refusal", || async { refused() }).await;
        lock.rollback().await.unwrap();
    };
    let (status, ()) = tokio::join!(ask(&server, &alice), released);
    assert_eq!(status, 200);
}
