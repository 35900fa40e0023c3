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
