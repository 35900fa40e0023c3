//! `flodgatt check`: what it finds, what it shows and what it hides.

use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use crate::support::postgres::{PASSWORD, USER};
use crate::support::process::{Folder, free_port};
use crate::support::*;

pub async fn check(options: ServerOptions) -> Ended {
    options.argument("check").run_to_end().await
}

/// The line that begins with a word of the report and contains a part.
#[track_caller]
pub fn line<'a>(ended: &'a Ended, kind: &str, part: &str) -> &'a str {
    let found =
        ended.logs.iter().map(|line| line.text.as_str()).find(|line| line.starts_with(kind) && line.contains(part));
    found.unwrap_or_else(|| panic!("{kind:?} with {part:?} is missing in\n{}", ended.text()))
}

#[tokio::test]
async fn a_good_environment_passes_and_every_finding_is_told() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let ended = check(Server::options(&redis, &db)).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.text());
    line(&ended, "file", "no .env.production in /");
    assert!(line(&ended, "ok", &format!("redis at 127.0.0.1:{}: version ", redis.port())).ends_with(" ms"));
    assert!(line(&ended, "ok", &format!("postgresql at 127.0.0.1:{}: ", db.postgres().port())).ends_with(" ms"));
    line(&ended, "ok", "every table and column that the server reads");
    line(&ended, "listen", "127.0.0.1:0");
    assert!(ended.text().contains("open files"));
    assert_eq!(ended.logs.last().unwrap().text, "The server can work.");
    assert!(ended.logs.iter().all(|line| !line.is_error_output && !line.text.starts_with("failed")));
}

#[tokio::test]
async fn each_variable_in_force_is_shown_with_where_it_comes_from() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let folder = Folder::new("dotenv");
    let file = folder.write(".env.production", "DB_POOL=7\nREDIS_PORT=1\nREDIS_NAMESPACE=\n");
    let ended = check(Server::options(&redis, &db).folder(folder.path())).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.text());
    line(&ended, "file", ".env.production was read");
    assert!(line(&ended, "set", "DB_POOL=7 (from ").contains(&*file.file_name().unwrap().to_string_lossy()));
    line(&ended, "set", &format!("REDIS_PORT={} (from the environment)", redis.port()));
    line(&ended, "set", "REDIS_NAMESPACE= (from ");
    line(&ended, "default", "REDIS_DB=0");
}

#[tokio::test]
async fn a_default_is_shown_as_the_value_that_it_is_here() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    for (mode, name, level) in
        [("production", "mastodon_production", "info"), ("development", "mastodon_development", "debug")]
    {
        let options = Server::options(&redis, &db).env("NODE_ENV", mode).without("DB_NAME").without("LOG_LEVEL");
        let ended = check(options.env("REDIS_DB", "").env("BIND", "")).await;
        assert_eq!(line(&ended, "default", "DB_NAME"), format!("default  DB_NAME={name}"));
        assert_eq!(line(&ended, "default", "LOG_LEVEL"), format!("default  LOG_LEVEL={level}"));
        line(&ended, "default", "REDIS_DB=0 (REDIS_DB is empty in the environment)");
        // Empty means something here: all addresses.
        line(&ended, "set", "BIND= (from the environment)");
        assert!(!ended.text().contains("SENTINEL"), "no Sentinel has a part in this: {}", ended.text());
    }
}

#[tokio::test]
async fn a_file_for_production_that_is_not_read_is_told_with_the_cause() {
    let folder = Folder::new("dotenv");
    folder.write(".env.production", "REDIS_PORT=no port\n");
    let bare = || ServerOptions::bare().folder(folder.path()).without("NODE_ENV").env("DB_POOL", "many");
    for (options, cause) in [
        (bare(), "NODE_ENV is not set. "),
        (bare().env("NODE_ENV", "development"), "NODE_ENV is development. "),
        (bare().env("RAILS_ENV", "production"), "NODE_ENV is not set; RAILS_ENV does not count here. "),
    ] {
        let ended = check(options).await;
        line(&ended, "hint", &format!(".env.production was not read, as {cause}To read it: NODE_ENV=production"));
    }
    let production = check(bare().env("NODE_ENV", "production")).await;
    assert!(!production.text().contains("was not read"), "{}", production.text());
}

#[tokio::test]
async fn a_variable_without_effect_is_not_in_force() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let alone = check(Server::options(&redis, &db).env("CLUSTER_NAME", "social")).await;
    assert_eq!(line(&alone, "ignored", "CLUSTER_NAME"), "ignored  CLUSTER_NAME, as CLUSTER_BIND is not set");
    assert!(!alone.text().contains("CLUSTER_LOG_SECONDS"));
    let member = Server::options(&redis, &db).env("CLUSTER_BIND", "127.0.0.1:0").env("CLUSTER_NAME", "social");
    let member = check(member.env("CLUSTER_SECRET", "correct-horse-battery")).await;
    line(&member, "set", "CLUSTER_NAME=social");
    line(&member, "default", "CLUSTER_LOG_SECONDS=60");
    assert!(!member.text().contains("correct-horse-battery"));
}

#[tokio::test]
async fn a_variable_that_another_one_replaces_is_not_in_force() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let options = Server::options(&redis, &db).env("DATABASE_URL", db.url()).env("REDIS_URL", redis.url());
    let ended = check(options.unix_socket().env("PORT", "5")).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.text());
    for (name, other) in
        [("DB_HOST", "DATABASE_URL"), ("DB_NAME", "DATABASE_URL"), ("REDIS_PORT", "REDIS_URL"), ("PORT", "SOCKET")]
    {
        line(&ended, "ignored", &format!(" {name}, as {other} is set"));
    }
    for name in ["DB_SSLMODE", "REDIS_DB", "BIND"] {
        assert!(!ended.text().contains(name), "{name} is not in force: {}", ended.text());
    }
    line(&ended, "default", "DB_POOL=10");
    let sentinel = check(Server::options(&redis, &db).env("REDIS_SENTINELS", "a").env("REDIS_SENTINEL_MASTER", "m"));
    line(&sentinel.await, "ignored", " REDIS_HOST, as REDIS_SENTINELS is set");
}

#[tokio::test]
async fn in_development_the_variables_of_libpq_are_shown_too() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let options = Server::options(&redis, &db).env("NODE_ENV", "development").without("DB_HOST").without("DB_PASS");
    let ended = check(options.env("PGHOST", "127.0.0.1").env("PGPASSWORD", PASSWORD).env("PGUSER", "nobody")).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.text());
    line(&ended, "set", "PGHOST=127.0.0.1 (from the environment, in place of DB_HOST)");
    line(&ended, "set", "PGPASSWORD=(set, not shown)");
    line(&ended, "set", &format!("DB_USER={USER} "));
    assert!(!ended.text().contains(PASSWORD) && !ended.text().contains("PGUSER"), "{}", ended.text());
}

#[tokio::test]
async fn the_defaults_are_those_of_mastodon() {
    // Nothing listens there: what is looked at is what it would do.
    let ended =
        check(ServerOptions::bare().without("BIND").without("PORT").env("DB_PORT", free_port().to_string())).await;
    line(&ended, "listen", "127.0.0.1:4000");
    for default in [
        "BIND=127.0.0.1",
        "PORT=4000",
        "DB_HOST=localhost",
        "DB_USER=mastodon",
        "DB_POOL=10",
        "REDIS_HOST=127.0.0.1",
        "REDIS_PORT=6379",
    ] {
        line(&ended, "default", default);
    }
}

#[tokio::test]
async fn no_secret_is_shown_in_success_or_in_failure() {
    let options = RedisOptions { password: Some("redis-secret".into()), ..RedisOptions::default() };
    let (redis, db) = (Redis::start_with(options).await, Database::create().await);
    let url =
        |database: String, redis: String| ServerOptions::bare().env("DATABASE_URL", database).env("REDIS_URL", redis);
    let sentinel = Server::options(&redis, &db).env("REDIS_SENTINELS", format!("127.0.0.1:{}", free_port()));
    let sentinel = sentinel.env("REDIS_SENTINEL_MASTER", "m").env("REDIS_SENTINEL_PASSWORD", "sentinel-secret");
    for (options, works) in [
        (Server::options(&redis, &db), true),
        (url(db.url(), redis.url()), true),
        (Server::options(&redis, &db).env("DB_PASS", "other-secret").env("REDIS_PASSWORD", "wrong-secret"), false),
        (url(db.url().replace("correct", "wrong-secret"), redis.url().replace("redis-secret", "wrong-secret")), false),
        (url("postgres://u:secret@h:x/d".into(), redis.url()), false),
        (url(db.url(), "redis://:secret@h:x".into()), false),
        (sentinel, false),
    ] {
        let ended = check(options).await;
        let text = ended.text();
        assert_eq!(ended.status.success(), works, "{text}");
        for secret in ["secret", PASSWORD, "correct%20horse"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        assert!(text.contains("(set, not shown)"), "{text}");
    }
}

#[tokio::test]
async fn a_redis_that_is_not_there_or_refuses_fails() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let port = free_port().to_string();
    let away = check(Server::options(&redis, &db).env("REDIS_PORT", &port)).await;
    assert!(line(&away, "failed", &format!("127.0.0.1:{port}")).contains("REDIS_HOST"));
    // One failure does not hide the other findings.
    line(&away, "ok", "every table and column");
    // A user who may do nothing but subscribe to other channels.
    redis.command(&["ACL", "SETUSER", "narrow", "on", ">pw", "~*", "resetchannels", "&other:*", "+@all"]).await;
    let narrow = check(Server::options(&redis, &db).env("REDIS_USER", "narrow").env("REDIS_PASSWORD", "pw")).await;
    line(&narrow, "failed", "REDIS_USER");
    line(&narrow, "ok", "every table and column");
    for ended in [away, narrow] {
        assert_eq!(ended.status.code(), Some(1), "{}", ended.text());
        assert!(!ended.text().contains("The server can work."));
        line(&ended, "flodgatt: ", "could not work: 1 of the checks failed");
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_or_refuses_fails() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let port = free_port().to_string();
    for (name, value, reason) in [
        ("DB_PORT", port.as_str(), "127.0.0.1:"),
        ("DB_NAME", "nothing", "database \"nothing\" does not exist"),
        ("DB_PASS", "wrong", "password authentication failed"),
        ("DB_HOST", "db.invalid", "db.invalid"),
    ] {
        let ended = check(Server::options(&redis, &db).env(name, value)).await;
        assert_eq!(ended.status.code(), Some(1), "{}", ended.text());
        assert!(line(&ended, "failed", reason).contains(name));
        line(&ended, "ok", "redis at");
    }
}

#[tokio::test]
async fn each_missing_table_and_column_is_named_once_with_a_hint_at_the_cause() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    db.execute("ALTER TABLE users DROP COLUMN chosen_languages; DROP TABLE custom_filter_keywords").await;
    for (options, variable) in [
        (Server::options(&redis, &db), "DB_NAME"),
        (Server::options(&redis, &db).env("DATABASE_URL", db.url()), "DATABASE_URL"),
    ] {
        let ended = check(options).await;
        assert_eq!(ended.status.code(), Some(1));
        line(&ended, "failed", "no column users.chosen_languages in database ");
        line(&ended, "failed", "no table custom_filter_keywords in database ");
        let failed = ended.logs.iter().filter(|line| line.text.starts_with("failed")).count();
        assert_eq!(failed, 2, "{}", ended.text());
        line(&ended, "hint", &format!("either {variable} names another database than Mastodon's"));
        line(&ended, "hint", "rails db:migrate");
    }
}

#[tokio::test]
async fn tables_that_the_role_may_not_read_fail_and_the_grant_that_is_told_is_enough() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    // The owner of tables can take rights from itself.
    db.execute(format!("REVOKE SELECT ON oauth_access_tokens, lists FROM {USER}")).await;
    // Some columns are not enough.
    db.execute(format!("GRANT SELECT (id) ON lists TO {USER}")).await;
    let options = || Server::options(&redis, &db);
    let ended = check(options()).await;
    assert_eq!(ended.status.code(), Some(1), "{}", ended.text());
    let failed = format!("the role {USER} may not read oauth_access_tokens, lists in database {} at ", db.name());
    assert!(line(&ended, "failed", &failed).ends_with("(DB_USER)"));
    let hint = line(&ended, "hint", "GRANT");
    assert!(!ended.text().contains("rails db:migrate"), "nothing is missing: {}", ended.text());
    db.execute(hint.split_once("the tables: ").unwrap().1).await;
    assert_eq!(check(options()).await.status.code(), Some(0));
}

#[tokio::test]
async fn a_streaming_server_in_its_place_is_a_hint_and_anything_else_a_failure() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let folder = Folder::new("socket");
    let [socket, silent] = ["streaming.sock", "silent.sock"].map(|name| folder.path().join(name));
    let _silent = UnixListener::bind(&silent).unwrap();
    let port = free_port().to_string();
    let options = || Server::options(&redis, &db);
    let _servers = [
        options().env("PORT", &port).start().await,
        options().without("BIND").without("PORT").env("SOCKET", socket.to_string_lossy()).start().await,
    ];
    let hint = "something listens there already: if it is the Node server, stop it first; else choose another";
    for (name, value) in [("PORT", &*port), ("SOCKET", &*socket.to_string_lossy())] {
        let ended = check(options().env(name, value)).await;
        line(&ended, "hint", &format!("{hint} {name}"));
        assert!(ended.status.success(), "{}", ended.text());
    }
    for (name, value) in [("PORT", &*redis.port().to_string()), ("SOCKET", &*silent.to_string_lossy())] {
        let ended = check(options().env(name, value)).await;
        line(&ended, "failed", &format!("{hint} {name}. What listens there does not answer OK at "));
        assert_eq!(ended.status.code(), Some(1), "{}", ended.text());
    }
}

#[tokio::test]
async fn a_place_where_it_could_not_listen_fails_in_the_words_of_serve() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let folder = Folder::new("socket");
    let file = folder.write("precious", "data").to_string_lossy().into_owned();
    let [missing, long] =
        ["missing/socket", &"x".repeat(108)].map(|name| format!("{}/{name}", folder.path().display()));
    for (name, value, cause) in [
        ("BIND", "192.0.2.1", "BIND has to be an address of this machine"),
        ("BIND", "nobody.invalid", "BIND has to be an address of this machine"),
        ("SOCKET", &missing, "missing does not exist"),
        ("SOCKET", &folder.path().to_string_lossy(), "something is there that is no socket"),
        ("SOCKET", &file, "something is there that is no socket"),
        ("SOCKET", &long, "a unix socket has room for 107"),
    ] {
        let options = || Server::options(&redis, &db).env(name, value);
        let ended = check(options()).await;
        assert_eq!(ended.status.code(), Some(1), "{}", ended.text());
        let failed = line(&ended, "failed", cause).strip_prefix("failed   ").unwrap();
        let serve = options().run_to_end().await;
        line(&serve, &format!("flodgatt: {failed}"), "");
    }
    assert_eq!(std::fs::read_to_string(file).unwrap(), "data");
}

#[tokio::test]
async fn after_a_check_the_socket_is_not_there() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let folder = Folder::new("socket");
    let path = folder.path().join("streaming.sock");
    let ended = check(Server::options(&redis, &db).env("SOCKET", path.to_string_lossy())).await;
    assert!(ended.status.success(), "{}", ended.text());
    assert!(!path.exists());
}

#[tokio::test]
async fn in_production_a_missing_file_is_a_hint_where_nothing_else_says_where_things_are() {
    let folder = Folder::new("dotenv");
    let hint = format!("no .env.production in {}, and no variable says where", folder.path().display());
    let bare = || ServerOptions::bare().folder(folder.path()).env("DB_PORT", free_port().to_string());
    line(&check(bare()).await, "hint", &hint);
    let told = check(bare().env("REDIS_HOST", "127.0.0.1")).await;
    assert!(!told.text().contains("and no variable says"), "{}", told.text());
    let developing = check(bare().env("NODE_ENV", "development")).await;
    line(&developing, "file", &format!("no .env in {}", folder.path().display()));
    assert!(!developing.text().contains("and no variable says"), "{}", developing.text());
}

#[tokio::test]
async fn lines_of_a_file_that_are_not_as_they_should_be_are_warnings_without_what_they_say() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let folder = Folder::new("dotenv");
    let file = folder.write(".env.production", b"DB_POOL=7\nsecret\nREDIS_PASSWORD='secret\nOTHER=\xffsecret\n");
    let options = Server::options(&redis, &db).folder(folder.path()).env("REDIS_PASSWORD", "");
    let ended = check(options).await;
    assert!(ended.status.success(), "{}", ended.text());
    for problem in ["2: is no assignment", "3: has a quote that does not close", "4: is not UTF-8"] {
        line(&ended, "warning", &format!("{}:{problem}", file.display()));
    }
    line(&ended, "set", "DB_POOL=7");
    assert!(!ended.text().contains("secret"), "{}", ended.text());
}

#[tokio::test]
async fn an_empty_secret_is_shown_as_empty() {
    let ended = check(ServerOptions::bare().env("DB_PASS", "").env("DB_PORT", free_port().to_string())).await;
    line(&ended, "set", "DB_PASS=(empty) (from the environment)");
}

#[tokio::test]
async fn variables_of_sentinels_are_ignored_where_there_are_none() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let ended = check(Server::options(&redis, &db).env("REDIS_SENTINEL_MASTER", "m")).await;
    line(&ended, "ignored", " REDIS_SENTINEL_MASTER, as REDIS_SENTINELS is not set");
}

#[tokio::test]
async fn few_open_files_are_a_warning_and_no_failure() {
    let (redis, db) = (Redis::start().await, Database::create().await);
    let program = Server::options(&redis, &db).argument("check").command();
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "ulimit -n 100 && exec \"$0\" check"]).arg(program.get_program()).env_clear();
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.lines().any(|line| line.starts_with("warning") && line.contains("100 open files")), "{text}");
    assert!(output.status.success(), "{text}");
}

#[tokio::test]
async fn a_value_that_does_not_parse_fails_before_anything_is_tried() {
    let ended = check(ServerOptions::bare().env("DB_POOL", "many")).await;
    assert_eq!(ended.status.code(), Some(1));
    line(&ended, "flodgatt: DB_POOL: ", "many");
    assert!(ended.logs.iter().all(|line| !line.text.starts_with("ok") && !line.text.starts_with("failed")));
}
