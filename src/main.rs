//! The command line.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use flodgatt::{commands, demo};

/// A streaming server for Mastodon, in place of its Node.js process behind /api/v1/streaming.
#[derive(Parser)]
#[command(version, after_long_help = commands::variables_help(), arg_required_else_help = false)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve clients (the default)
    #[command(after_long_help = commands::variables_help())]
    Serve,
    /// Show a complete server at work: nothing but this program is needed
    Demo(demo::Options),
    /// Read the environment as the server would and say what it would find
    #[command(after_long_help = commands::variables_help())]
    Check,
    /// Publish an event at the configured Redis, to try a set-up by hand
    Publish(commands::PublishOptions),
}

fn main() -> ExitCode {
    let command = CommandLine::parse().command.unwrap_or(Command::Serve);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("flodgatt: cannot start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(async {
        match command {
            Command::Serve => commands::serve().await,
            Command::Demo(options) => demo::run(options).await,
            Command::Check => commands::check().await,
            Command::Publish(options) => commands::publish(options).await,
        }
    });
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flodgatt: {error:#}");
            ExitCode::FAILURE
        }
    }
}
