//! The page, put together from its parts.

use super::TOKEN;

/// The page of a server that is alone.
pub fn alone() -> String {
    complete(&Cluster::default(), "'self'")
}

/// The page of a node, which talks to other nodes too: the same host at other ports.
pub fn of_a_node(host: &str) -> String {
    let cluster = Cluster {
        nodes: include_str!("cluster.html"),
        flows: include_str!("flows.html"),
        style: include_str!("cluster.css"),
        script: include_str!("cluster.js"),
    };
    complete(&cluster, &format!("'self' {}", elsewhere(host)))
}

/// What the page of a node has besides.
#[derive(Default)]
struct Cluster {
    nodes: &'static str,
    flows: &'static str,
    style: &'static str,
    script: &'static str,
}

fn complete(cluster: &Cluster, connections: &str) -> String {
    include_str!("page.html")
        .replace("{{cluster.html}}", cluster.nodes)
        .replace("{{flows.html}}", cluster.flows)
        .replace("{{page.css}}", include_str!("page.css"))
        .replace("{{cluster.css}}", cluster.style)
        .replace("{{content.js}}", include_str!("content.js"))
        .replace("{{post.js}}", include_str!("post.js"))
        .replace("{{page.js}}", include_str!("page.js"))
        .replace("{{cluster.js}}", cluster.script)
        .replace("{{connections}}", connections)
        .replace("{{token}}", TOKEN)
}

/// Where the page may connect (Content Security Policy, which has no word for "this host at any port").
fn elsewhere(host: &str) -> &'static str {
    match host {
        "127.0.0.1" | "localhost" => "http://127.0.0.1:* ws://127.0.0.1:* http://localhost:* ws://localhost:*",
        _ => "http: ws:",
    }
}
