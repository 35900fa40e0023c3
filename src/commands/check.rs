//! What the server would find.

use rustix::process::{Resource, getrlimit};

use crate::{
    config::{self, Config, Environment, Origin, VARIABLES, Variable},
    store::Database,
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
    println!("listen   would listen on {}", config.listen);
    report.redis(&config).await;
    report.database(&config).await;
    report.file_limit();
    anyhow::ensure!(report.failures == 0, "the server could not work: {} of the checks failed", report.failures);
    println!("The server can work.");
    Ok(())
}

fn print_variables(environment: &Environment) {
    match environment.file() {
        Some(path) => println!("file     {} was read", path.display()),
        None => println!("file     no dotenv file in this folder"),
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
    match (environment.given(source), environment.origin(source), replaced) {
        (Some(_), _, Some(other)) => println!("ignored  {name}, as {other} is set"),
        (Some(value), Some(origin), None) => {
            let value = if variable.secret { "(set, not shown)" } else { value };
            let origin = match origin {
                Origin::Process => "the environment".to_owned(),
                Origin::File(path) => path.display().to_string(),
            };
            println!("set      {source}={value} (from {origin}{instead})");
        }
        (None, _, None) if !variable.default.is_empty() => println!("default  {name}={}", variable.default),
        _ => {}
    }
}

#[derive(Default)]
struct Report {
    failures: u32,
}

impl Report {
    async fn redis(&mut self, config: &Config) {
        match upstream::probe(&config.redis).await {
            Ok(found) => {
                let latency = found.latency.as_secs_f64() * 1e3;
                println!("ok       redis at {}: version {}, {latency:.1} ms", config.redis.address, found.version);
            }
            Err(error) => self.fail(&error),
        }
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
            Ok(missing) => {
                for column in missing {
                    self.fail(&format!("postgresql at {address} has no column {column}: is this Mastodon's database?"));
                }
            }
            Err(error) => self.fail(&error),
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
