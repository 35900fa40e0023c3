//! The rules of `deny.toml`, held without `cargo deny`: whose licences we take, what we do not build with, and that the
//! large crates come once.

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;

/// Crates of which a second version would cost minutes and megabytes.
const ONCE: [&str; 15] = [
    "axum",
    "fred",
    "h2",
    "html5ever",
    "hyper",
    "prost",
    "regex",
    "ring",
    "rustls",
    "serde_json",
    "sqlx-core",
    "tokio",
    "tonic",
    "tracing",
    "tungstenite",
];

/// Packages that are built into the program or its tests, by name.
fn packages() -> BTreeMap<String, Vec<Value>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let resolved = metadata["resolve"]["nodes"].as_array().expect("dependencies are resolved");
    let is_used = |package: &Value| resolved.iter().any(|node| node["id"] == package["id"]);
    let mut packages: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for package in metadata["packages"].as_array().expect("there are packages").iter().filter(|one| is_used(one)) {
        packages.entry(package["name"].as_str().expect("a name").to_owned()).or_default().push(package.clone());
    }
    packages
}

/// The strings in the array or tables under a key of `deny.toml`.
fn denied(key: &str) -> Vec<String> {
    let text = include_str!("../deny.toml");
    let array = text.split_once(&format!("\n{key} = [\n")).and_then(|(_, rest)| rest.split_once("\n]"));
    let (array, _) = array.unwrap_or_else(|| panic!("deny.toml has an array {key}"));
    array.lines().filter_map(|line| line.split('"').nth(1)).map(str::to_owned).collect()
}

/// Whether a licence expression (SPDX) can be met with these licences.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let is_one = |licence: &str| {
        let name = licence.trim_matches(['(', ')', ' ']);
        allowed.iter().any(|one| one == name.split(" WITH ").next().unwrap_or(name))
    };
    expression.replace('/', " OR ").split(" AND ").all(|alternatives| alternatives.split(" OR ").any(is_one))
}

#[test]
fn every_dependency_has_a_licence_that_deny_toml_allows() {
    let allowed = denied("allow");
    for package in packages().values().flatten() {
        let expression = package["license"].as_str().unwrap_or("none");
        assert!(is_allowed(expression, &allowed), "{} has the licence {expression}", package["id"]);
    }
}

#[test]
fn nothing_is_built_with_what_deny_toml_bans() {
    let packages = packages();
    for name in denied("deny") {
        assert!(!packages.contains_key(&name), "{name} is banned: see deny.toml");
    }
}

#[test]
fn every_dependency_comes_from_the_registry() {
    for package in packages().values().flatten().filter(|package| package["name"] != "flodgatt") {
        let source = package["source"].as_str().unwrap_or("a path");
        assert!(source.starts_with("registry+"), "{} comes from {source}", package["id"]);
    }
}

#[test]
fn large_crates_come_once() {
    let packages = packages();
    for name in ONCE {
        let versions = packages.get(name).unwrap_or_else(|| panic!("{name} is not used any more"));
        assert_eq!(versions.len(), 1, "{name} is built {} times", versions.len());
    }
}
