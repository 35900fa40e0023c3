//! Serving clients.

use crate::{
    app,
    config::{self, Config},
    telemetry::logs,
};

/// Serves until told to stop.
pub async fn serve() -> anyhow::Result<()> {
    let environment = super::environment()?;
    logs::start(config::log_config(&environment)?);
    let config = Config::read(&environment)?;
    app::raise_file_limit();
    let mut stop = app::StopSignal::listen()?;
    match app::start(&config, &mut stop).await? {
        Some(server) => server.serve_until(&mut stop).await,
        None => Ok(()),
    }
}
