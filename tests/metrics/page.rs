//! The page as a whole.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::server::sample;
use crate::support::*;
use crate::{CHANNELS, TYPES};

/// The Node server's metrics, and what each is.
const NODE: [(&str, &str); 8] = [
    ("connected_clients", "gauge"),
    ("connected_channels", "gauge"),
    ("redis_subscriptions", "gauge"),
    ("redis_messages_received_total", "counter"),
    ("messages_sent_total", "counter"),
    ("pg_pool_total_connections", "gauge"),
    ("pg_pool_idle_connections", "gauge"),
    ("pg_pool_waiting_queries", "gauge"),
];

/// The page's metrics with their types, and its samples. Panics if it is no Prometheus text format 0.0.4.
fn read(page: &str) -> (BTreeMap<&str, &str>, Vec<(&str, f64)>) {
    assert!(page.ends_with('\n'), "the last line ends too");
    let (mut types, mut samples, mut seen) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
    let mut current = "";
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a metric has a help text");
            assert!(!help.is_empty() && !types.contains_key(name), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a metric has a type");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(types.insert(name, kind), None, "{line}: a second time");
            current = name;
        } else {
            assert!(!line.starts_with('#'), "neither HELP nor TYPE: {line}");
            let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
            let name = series.split('{').next().unwrap_or_default();
            let of_histogram = types.get(current) == Some(&"histogram") && name.starts_with(current);
            assert!(name == current || of_histogram, "{line}: not below its TYPE");
            assert!(seen.insert(series), "{line}: a second time");
            samples.push((series, value.parse().expect("a value is a number")));
        }
    }
    (types, samples)
}

#[tokio::test]
async fn every_metric_of_the_node_server_has_its_name_and_type() {
    let Stage { server, .. } = Stage::start().await;
    let page = server.get("/metrics").await.text();
    let (types, _) = read(&page);
    for (name, kind) in NODE {
        assert_eq!(types.get(name), Some(&kind), "{name} in\n{page}");
    }
}

#[tokio::test]
async fn counters_are_those_whose_names_say_so() {
    let Stage { server, .. } = Stage::start().await;
    let page = server.get("/metrics").await.text();
    for (name, kind) in read(&page).0 {
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
    }
}

#[tokio::test]
async fn further_metrics_do_not_look_like_the_node_servers() {
    let Stage { server, .. } = Stage::start().await;
    let page = server.get("/metrics").await.text();
    let (types, _) = read(&page);
    let further: Vec<&&str> = types.keys().filter(|name| !NODE.iter().any(|(known, _)| known == *name)).collect();
    assert!(!further.is_empty(), "there are some");
    for name in further {
        for prefix in ["connected_", "redis_", "messages_", "pg_pool_"] {
            assert!(!name.starts_with(prefix), "{name}");
        }
    }
}

#[tokio::test]
async fn every_series_is_there_at_zero_from_the_start() {
    let Stage { server, .. } = Stage::start().await;
    let page = server.get("/metrics").await.text();
    for kind in TYPES {
        assert_eq!(sample(&page, "connected_clients", &[("type", kind)]), Some(0.0), "{kind} in\n{page}");
        assert_eq!(sample(&page, "messages_sent_total", &[("type", kind)]), Some(0.0), "{kind} in\n{page}");
        for channel in CHANNELS {
            let labels = [("type", kind), ("channel", channel)];
            assert_eq!(sample(&page, "connected_channels", &labels), Some(0.0), "{labels:?} in\n{page}");
        }
    }
    for name in ["redis_subscriptions", "redis_messages_received_total", "pg_pool_waiting_queries"] {
        assert_eq!(sample(&page, name, &[]), Some(0.0), "{name} in\n{page}");
    }
    for name in ["pg_pool_total_connections", "pg_pool_idle_connections"] {
        assert!(sample(&page, name, &[]).is_some(), "{name} in\n{page}");
    }
}

#[tokio::test]
async fn there_are_no_other_series_of_the_node_servers_metrics() {
    let Stage { server, redis, db } = Stage::start().await;
    // Neither at the start nor when there was traffic, also on the streams of glitch-soc.
    let before = server.get("/metrics").await.text();
    let alice = db.person("alice").await;
    let mut ws = Ws::open(&server, "/?stream=public:allow_local_only&allow_local_only=1", &alice.token).await;
    ws.subscribe("public:allow_local_only:media").await;
    ws.subscribe("nonsense").await;
    ws.expect_error("Unknown stream type", 400).await;
    redis.wait_for_subscribers("timeline:public:media", 1).await;
    redis.publish("timeline:public:media", event("delete", "1")).await;
    ws.next_event().await;
    let after = server.get("/metrics").await.text();
    let series =
        |page: &str| -> BTreeSet<String> { read(page).1.into_iter().map(|(name, _)| name.to_owned()).collect() };
    assert_eq!(series(&before), series(&after));
    let count = |name: &str| series(&after).iter().filter(|series| series.split('{').next() == Some(name)).count();
    let counts = NODE.map(|(name, _)| count(name));
    assert_eq!(counts, [2, 26, 1, 1, 2, 1, 1, 1]);
}
