//! What the program does besides the demo.

mod check;
mod publish;
mod serve;

use std::path::Path;

pub use check::check;
pub use publish::{PublishOptions, publish};
pub use serve::serve;

use crate::config::{ConfigError, Environment, VARIABLES};

/// The environment of this process and of the dotenv file beside it.
fn environment() -> Result<Environment, ConfigError> {
    Environment::of_process(Path::new("."))
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

/// An error, and the hint that a file with the variables was not read, if that is so.
fn hinted(environment: &Environment, error: impl Into<anyhow::Error>) -> anyhow::Error {
    match (error.into(), unread_file(environment)) {
        (error, Some(hint)) => anyhow::anyhow!("{error:#}\nhint: {hint}"),
        (error, None) => error,
    }
}

/// The environment variables, for `--help`.
pub fn variables_help() -> String {
    let mut help =
        String::from("Environment variables (the same as Mastodon's; a file .env.production is read too):\n");
    for variable in VARIABLES {
        let default = if variable.default.is_empty() { "-" } else { variable.default };
        help.push_str(&format!("  {}\n      {} [default: {default}]\n", variable.name, variable.meaning));
    }
    help
}
