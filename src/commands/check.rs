//! What the server would find.

mod cluster;
mod listening;

use rustix::process::{Resource, getrlimit};

use crate::{
    config::{self, Config, Environment, Origin, VARIABLES, Variable},
    store::{Database, DatabaseConfig, Missing},
    telemetry::Metrics,
    upstream,
};

/// Fewer open files than this are not enough for a small instance.
const FEW_FILES: u64 = 4_096;

/// Prints line by line what the server would find; fails if it could not work.
pub async fn check() -> anyhow::Result<()> {
    let environment = super::environment()?;
    print_variables(&environment);
    config::log_config(&environment)?;
    let config = Config::read(&environment)?;
    let mut report = Report::default();
    report.listening(&config).await;
    let has_redis = report.redis(&config).await;
    report.database(&config).await;
    if let Some(cluster) = &config.cluster {
        report.cluster(&config, cluster, has_redis).await;
    }
    report.file_limit();
    anyhow::ensure!(report.failures == 0, "the server could not work: {} of the checks failed", report.failures);
    println!("The server can work.");
    Ok(())
}

fn print_variables(environment: &Environment) {
    match environment.file() {
        Some(path) => println!("file     {} was read", path.display()),
        None => println!("file     {}", super::absence(environment).as_deref().unwrap_or("no dotenv file")),
    }
    for warning in environment.warnings() {
        println!("warning  {warning}");
    }
    for unknown in config::unknown_variables(environment) {
        println!("warning  {unknown}");
    }
    if let Some(hint) = super::file_hint(environment) {
        println!("hint     {hint}");
    }
    for variable in VARIABLES {
        print_variable(environment, variable);
    }
}

fn print_variable(environment: &Environment, variable: &Variable) {
    let name = variable.name;
    // In development, variables of PostgreSQL's own tools are asked for what is not set.
    let source = config::libpq(environment, name).unwrap_or(name);
    let instead = if source == name { String::new() } else { format!(", in place of {name}") };
    let replaced = config::replaced_by(environment, name);
    if let Some(other) = config::useless_without(environment, name) {
        if environment.given(name).is_some() {
            println!("ignored  {name}, as {other} is not set");
        }
        return;
    }
    let default = config::default_in_force(environment, variable);
    match (environment.given(source).zip(environment.origin(source)), replaced, default) {
        (Some(_), Some(other), _) => println!("ignored  {name}, as {other} is set"),
        // Empty is as good as not set, but for addresses: all of them.
        (Some(("", origin)), None, Some(default)) if name != "BIND" => {
            println!("default  {name}={default} ({name} is empty in {})", place(origin));
        }
        (Some((value, origin)), None, _) => {
            let value = match value {
                "" if variable.secret => "(empty)",
                _ if variable.secret => "(set, not shown)",
                value => value,
            };
            println!("set      {source}={value} (from {}{instead})", place(origin));
        }
        (None, None, Some(default)) => println!("default  {name}={default}"),
        (None, ..) => {}
    }
}

fn place(origin: &Origin) -> String {
    match origin {
        Origin::Process => "the environment".to_owned(),
        Origin::File(path) => path.display().to_string(),
    }
}

#[derive(Default)]
struct Report {
    failures: u32,
}

impl Report {
    /// Whether it can be used.
    async fn redis(&mut self, config: &Config) -> bool {
        let before = self.failures;
        match upstream::probe(&config.redis).await {
            Ok(found) => {
                let latency = found.latency.as_secs_f64() * 1e3;
                println!("ok       redis at {}: version {}, {latency:.1} ms", config.redis.address, found.version);
            }
            Err(error) => self.fail(&error),
        }
        self.failures == before
    }

    async fn database(&mut self, config: &Config) {
        let database = Database::new(&config.database, Metrics::default().into());
        let address = config.database.address();
        match database.version().await {
            Ok((version, latency)) => {
                println!("ok       postgresql at {address}: {version}, {:.1} ms", latency.as_secs_f64() * 1e3);
            }
            Err(error) => return self.fail(&error),
        }
        match database.missing_columns().await {
            Ok(missing) if missing.is_empty() => println!("ok       every table and column that the server reads"),
            Ok(missing) => self.missing(&missing, &config.database),
            Err(error) => self.fail(&error),
        }
    }

    fn missing(&mut self, missing: &Missing, config: &DatabaseConfig) {
        let (database, address) = (&config.name, config.address());
        for table in &missing.tables {
            self.fail(&format!("no table {table} in database {database} at {address}"));
        }
        for column in &missing.columns {
            self.fail(&format!("no column {column} in database {database} at {address}"));
        }
        let by_url = config.variable == "DATABASE_URL";
        if !(missing.tables.is_empty() && missing.columns.is_empty()) {
            let variable = if by_url { "DATABASE_URL" } else { "DB_NAME" };
            println!(
                "hint     either {variable} names another database than Mastodon's, or rails db:migrate has not run"
            );
        }
        if !missing.unreadable.is_empty() {
            let (role, tables) = (&config.user, missing.unreadable.join(", "));
            let variable = if by_url { "DATABASE_URL" } else { "DB_USER" };
            self.fail(&format!(
                "the role {role} may not read {tables} in database {database} at {address} ({variable})"
            ));
            println!("hint     to be run by the owner of the tables: {}", missing.grant(role));
        }
    }

    fn file_limit(&mut self) {
        match getrlimit(Resource::Nofile).maximum {
            Some(limit) if limit < FEW_FILES => {
                println!("warning  at most {limit} open files, so fewer connections: raise LimitNOFILE or ulimit -n");
            }
            Some(limit) => println!("ok       at most {limit} open files: one for each connection"),
            None => println!("ok       any number of open files"),
        }
    }

    fn fail(&mut self, problem: &dyn std::fmt::Display) {
        self.failures += 1;
        println!("failed   {problem}");
    }
}
