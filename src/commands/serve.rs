//! Serving clients.

use crate::{
    app,
    cluster::ClusterConfig,
    config::{self, Config},
    relay,
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
    for problem in config::unknown_variables(&environment).into_iter().chain(config::ignored_variables(&environment)) {
        tracing::warn!("{problem}");
    }
    if let Some(cluster) = &config.cluster {
        warn_of(cluster).await;
    }
    app::raise_file_limit();
    let mut stop = app::StopSignal::listen()?;
    match app::start(&config, &mut stop).await? {
        Some(server) => server.serve_until(&mut stop).await,
        None => Ok(()),
    }
}

/// What is no error, as it may change, and keeps others away.
async fn warn_of(cluster: &ClusterConfig) {
    if cluster.peers.is_empty() {
        tracing::warn!("CLUSTER_PEERS is empty: this node knows no other one until one calls it");
    }
    // Files that cannot be used at all end the start.
    if let Err(error) = relay::examine(cluster).await {
        tracing::warn!("{error}: no links to other nodes until that is mended");
    }
}
