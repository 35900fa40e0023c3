//! What the program does besides the demo.

mod check;
mod publish;
mod serve;

use std::path::PathBuf;

pub use check::check;
pub use publish::{PublishOptions, publish};
pub use serve::serve;

use crate::config::{ConfigError, Environment, VARIABLES};

/// The environment of this process and of the dotenv file beside it.
fn environment() -> Result<Environment, ConfigError> {
    // The whole path, since a wrong folder is what operators may have to find.
    Environment::of_process(&std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")))
}

/// Variables of which Mastodon sets some wherever it is told where things are.
const PLACES: [&str; 6] = ["DATABASE_URL", "DB_HOST", "DB_PASS", "REDIS_URL", "REDIS_HOST", "REDIS_SENTINELS"];

/// That there is no `.env.production`, in production, while nothing else says where things are: most likely the folder is
/// the wrong one.
fn absent_file(environment: &Environment) -> Option<String> {
    let told = PLACES.iter().any(|name| environment.given(name).is_some());
    if told || environment.get("NODE_ENV") != Some("production") {
        return None;
    }
    let nothing = absence(environment)?;
    Some(format!("{nothing}, and no variable says where PostgreSQL and Redis are: start it in Mastodon's folder"))
}

/// Which dotenv file is not there, and where, if that is so.
fn absence(environment: &Environment) -> Option<String> {
    let path = environment.absent()?;
    let (name, folder) = (path.file_name()?.to_string_lossy(), path.parent()?.display());
    Some(format!("no {name} in {folder}"))
}

/// What an operator should know of dotenv files that were not read.
fn file_hint(environment: &Environment) -> Option<String> {
    unread_file(environment).or_else(|| absent_file(environment))
}

/// Why a `.env.production` that lies in the folder was not read, if there is one. What is missing is often in it.
fn unread_file(environment: &Environment) -> Option<String> {
    let path = environment.unread()?.display();
    let cause = match environment.get("NODE_ENV") {
        None => "NODE_ENV is not set".to_owned(),
        Some("production") => "NODE_ENV says so in .env only".to_owned(),
        Some(mode) => format!("NODE_ENV is {mode}"),
    };
    let rails = if environment.get("RAILS_ENV").is_some() { "; RAILS_ENV does not count here" } else { "" };
    Some(format!("{path} was not read, as {cause}{rails}. To read it: NODE_ENV=production"))
}

/// An error, and the hint that a file with the variables was not read or is not there, if that is so.
fn hinted(environment: &Environment, error: impl Into<anyhow::Error>) -> anyhow::Error {
    match (error.into(), file_hint(environment)) {
        (error, Some(hint)) => anyhow::anyhow!("{error:#}\nhint: {hint}"),
        (error, None) => error,
    }
}

/// The environment variables, for `--help`.
pub fn variables_help() -> String {
    let mut help = String::from(
        "Environment variables (the same as Mastodon's; .env.production is read if NODE_ENV=production):\n",
    );
    for variable in VARIABLES {
        let default = if variable.default.is_empty() { "-" } else { variable.default };
        help.push_str(&format!("  {}\n      {} [default: {default}]\n", variable.name, variable.meaning));
    }
    help
}
