//! The program's commands beside serving: `check`, `publish`, `demo` with a taken port, and help.

mod support;

#[path = "commands/check.rs"]
mod check;
#[path = "commands/check_cluster.rs"]
mod check_cluster;
#[path = "commands/publish.rs"]
mod publish;

use flodgatt::config::VARIABLES;
use support::postgres::USER;
use support::*;

/// Runs a command that needs nothing, and returns what it wrote.
async fn run(arguments: &[&str]) -> Ended {
    arguments.iter().fold(ServerOptions::bare(), |options, argument| options.argument(argument)).run_to_end().await
}

#[tokio::test]
async fn help_names_the_commands_and_every_variable() {
    let ended = run(&["--help"]).await;
    assert_eq!(ended.status.code(), Some(0));
    let text = ended.text();
    for word in ["serve", "demo", "check", "publish"] {
        assert!(text.lines().any(|line| line.trim_start().starts_with(word)), "{word}: {text}");
    }
    for command in ["serve", "check"] {
        let text = run(&[command, "--help"]).await.text();
        assert!(VARIABLES.iter().all(|variable| text.contains(variable.meaning)), "{text}");
    }
    for variable in VARIABLES {
        assert!(text.lines().any(|line| line.trim() == variable.name), "{}: {text}", variable.name);
        assert!(text.contains(variable.meaning), "{}: {text}", variable.name);
    }
    assert!(text.contains(".env.production is read if NODE_ENV=production"), "{text}");
    assert!(ended.logs.iter().all(|line| !line.is_error_output));
}

#[tokio::test]
async fn version_is_that_of_the_package() {
    let ended = run(&["--version"]).await;
    assert_eq!((ended.status.code(), ended.text()), (Some(0), format!("flodgatt {}", env!("CARGO_PKG_VERSION"))));
}

#[tokio::test]
async fn an_unknown_command_is_an_error() {
    for arguments in [&["sevre"][..], &["--port", "1"], &["check", "more"], &["publish"], &["demo", "--rate", "0"]] {
        let ended = run(arguments).await;
        assert_eq!(ended.status.code(), Some(2), "{arguments:?}: {}", ended.text());
        assert!(ended.logs.iter().any(|line| line.is_error_output));
    }
}

#[tokio::test]
async fn serve_is_what_it_does_without_a_command() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let server = Server::options(&redis, &db).argument("serve").start().await;
    assert_eq!(server.get("/api/v1/streaming/health").await.text(), "OK");
    assert!(server.terminate().await.success());
}

#[tokio::test]
async fn serve_warns_of_variables_of_a_cluster_that_it_is_not_in() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alone = Server::options(&redis, &db).env("CLUSTER_BIND", "").env("CLUSTER_PEERS", "10.0.0.1:4500");
    let server = alone.env("CLUSTER_SECRET", "correct-horse-battery").start().await;
    let words = "ignored CLUSTER_PEERS, CLUSTER_SECRET, as CLUSTER_BIND is not set";
    server.wait_for_log(|line| line.level() == "WARN" && line.message() == words).await;
}

#[tokio::test]
async fn serve_warns_once_of_missing_tables_and_columns_and_serves() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    db.execute("ALTER TABLE mutes DROP COLUMN expires_at; DROP TABLE custom_filter_keywords").await;
    let server = Server::start(&redis, &db).await;
    assert_eq!(server.get("/api/v1/streaming/health").await.text(), "OK");
    let logs = server.logs();
    let warnings: Vec<_> = logs.iter().filter(|line| line.level() == "WARN").collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0].field("tables"), "custom_filter_keywords");
    assert_eq!(warnings[0].field("columns"), "mutes.expires_at");
}

#[tokio::test]
async fn serve_warns_once_of_tables_that_the_role_may_not_read_and_serves() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    db.execute(format!("REVOKE SELECT ON mutes, settings FROM {USER}")).await;
    let server = Server::start(&redis, &db).await;
    let logs = server.logs();
    let warnings: Vec<_> = logs.iter().filter(|line| line.level() == "WARN").collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0].field("tables"), "settings, mutes");
    assert_eq!(warnings[0].field("remedy"), format!("GRANT SELECT ON settings, mutes TO \"{USER}\"").as_str());
    assert!(server.terminate().await.success());
}

#[tokio::test]
async fn a_demo_with_a_taken_port_names_the_option_to_change_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let by_option = ServerOptions::bare().argument("demo").argument("--port").argument(&port);
    let by_variable = ServerOptions::bare().argument("demo").env("PORT", &port);
    for options in [by_option, by_variable] {
        let ended = options.run_to_end().await;
        let text = ended.text();
        assert_eq!(ended.status.code(), Some(1), "{text}");
        assert!(text.contains("--port") && text.contains(&format!("127.0.0.1:{port}")), "{text}");
    }
}
