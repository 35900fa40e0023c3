//! PgBouncer in transaction mode between the server and PostgreSQL.

use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::json;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use crate::support::installation::unprivileged_user;
use crate::support::postgres::{PASSWORD, USER};
use crate::support::process::{Folder, Process, free_port};
use crate::support::*;

/// A running PgBouncer with two connections to PostgreSQL, which all clients share by transactions.
struct PgBouncer {
    port: u16,
    // Before the folder: fields are dropped in this order.
    _process: Process,
    folder: Folder,
}

impl PgBouncer {
    async fn start(db: &Database) -> Self {
        let (port, folder) = (free_port(), Folder::new("pgbouncer"));
        let path = folder.path().display();
        folder.write("users", format!("\"{USER}\" \"{PASSWORD}\"\n"));
        let configuration = folder.write(
            "pgbouncer.ini",
            format!(
                "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
                 unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {path}/users\nlogfile = {path}/log\n\
                 pool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 100\n",
                db.postgres().port()
            ),
        );
        let mut command = Command::new("pgbouncer");
        if let Some(user) = unprivileged_user() {
            // It refuses to be root, unless it is told whom to become.
            folder.give_to(user);
            command.arg("-u").arg(user_name(user.uid));
        }
        command.arg(configuration).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process::start_ending_by(&mut command, Signal::KILL);
        let bouncer = Self { port, _process: process, folder };
        eventually("answer of pgbouncer", || async {
            let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port).username(USER);
            let options = options.password(PASSWORD).database(db.name()).extra_float_digits(None);
            options.connect().await.map(drop).map_err(|error| format!("{error}: {}", bouncer.log()))
        })
        .await;
        bouncer
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

fn user_name(uid: u32) -> String {
    let output = Command::new("id").args(["-un", &uid.to_string()]).output().expect("id can be started");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// With named statements this fails at once: the second transaction finds its statement missing, or another one's.
#[tokio::test]
async fn it_works_behind_pgbouncer_in_transaction_mode_with_many_clients_at_once() {
    const CLIENTS: usize = 20;
    let (redis, db) = (Redis::start().await, Database::create().await);
    let bouncer = PgBouncer::start(&db).await;
    let author = db.account("bob@remote.example").await;
    let mut people = Vec::new();
    for number in 0..CLIENTS {
        let person = db.person(&format!("person{number}")).await;
        people.push((db.list(person.account_id).await, person));
    }
    let server = Server::options(&redis, &db).env("DB_PORT", bouncer.port.to_string()).start().await;
    let address = server.address().clone();
    let mut opening = tokio::task::JoinSet::new();
    for (list, person) in people {
        let address = address.clone();
        opening.spawn(async move {
            let mut ws = Ws::open(&address, "/?stream=public", &person.token).await;
            ws.send_json(json!({"type": "subscribe", "stream": "list", "list": list.to_string()})).await;
            ws.send_json(json!({"type": "subscribe", "stream": "hashtag", "tag": "rust"})).await;
            ws
        });
    }
    let mut clients = opening.join_all().await;
    for channel in ["public", "list", "hashtag"] {
        let labels = [("type", "websocket"), ("channel", channel)];
        server.wait_for_metric("connected_channels", &labels, CLIENTS as f64).await;
    }
    for id in 1..=10 {
        let (one, other) = (update(&status(id, &author)), update(&status(id + 100, &author)));
        tokio::join!(redis.publish("timeline:public", one), redis.publish("timeline:hashtag:rust", other));
    }
    for ws in &mut clients {
        let mut ids = Vec::new();
        for _ in 0..20 {
            ids.push(ws.next_event().await.json()["id"].as_str().unwrap().parse::<u32>().unwrap());
        }
        ids.sort_unstable();
        assert!(ids.into_iter().eq((1..=10).chain(101..=110)));
    }
    let failed = server.metric("flodgatt_deliveries_dropped_total", &[("cause", "screening_failed")]).await;
    assert_eq!(failed, 0.0);
    assert!(bouncer.log().contains("login attempt"), "{}", bouncer.log());
    let warnings: Vec<_> = server.logs().into_iter().filter(|line| line.level() == "WARN").collect();
    assert!(warnings.is_empty(), "{warnings:#?}");
    assert!(db.connections().await <= 2);
}

#[tokio::test]
async fn the_connection_that_asks_at_start_whether_postgresql_is_there_says_good_bye() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let bouncer = PgBouncer::start(&db).await;
    let _server = Server::options(&redis, &db).env("DB_PORT", bouncer.port.to_string()).start().await;
    // A connection that is lost is "client unexpected eof" to it.
    eventually("good-bye", || async {
        let log = bouncer.log();
        if log.contains("client close request") { Ok(()) } else { Err(log) }
    })
    .await;
}
