//! Serving clients.

use crate::{
    app,
    config::{self, Config},
    telemetry::logs,
};

/// Serves until told to stop.
pub async fn serve() -> anyhow::Result<()> {
    let environment = super::environment()?;
    let hinted = |error| super::hinted(&environment, error);
    logs::start(config::log_config(&environment).map_err(hinted)?);
    let config = Config::read(&environment).map_err(hinted)?;
    for warning in super::file_hint(&environment).iter().chain(environment.warnings()) {
        tracing::warn!("{warning}");
    }
    for unknown in config::unknown_variables(&environment) {
        tracing::warn!("{unknown}");
    }
    if config.cluster.as_ref().is_some_and(|cluster| cluster.peers.is_empty()) {
        tracing::warn!("CLUSTER_PEERS is empty: this node knows no other one until one calls it");
    }
    app::raise_file_limit();
    let mut stop = app::StopSignal::listen()?;
    match app::start(&config, &mut stop).await? {
        Some(server) => server.serve_until(&mut stop).await,
        None => Ok(()),
    }
}
