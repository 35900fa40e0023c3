use super::*;

fn at(port: u16) -> ListenAddress {
    ListenAddress::Tcp("127.0.0.1".to_owned(), port)
}

fn port(listener: &BoundListener) -> u16 {
    listener.address().rsplit(':').next().and_then(|port| port.parse().ok()).expect("it has a port")
}

#[tokio::test]
async fn nodes_cannot_share_a_unix_socket() {
    let refused = Nodes::new(ListenAddress::Unix("/tmp/flodgatt.sock".into()), Arc::default()).err();
    assert!(refused.expect("one socket is not enough").to_string().contains("unset SOCKET"));
}

#[tokio::test]
async fn the_first_node_needs_the_port_that_is_wished_and_others_take_the_next_that_are_free() {
    let taken = at(0).bind().await.expect("some port is free");
    let first = port(&taken);
    let nodes = Nodes::new(at(first), Arc::default()).expect("it is a port");
    assert!(nodes.bind(1).await.expect_err("it is taken").is_taken());
    let second = nodes.bind(2).await.expect("some port is free");
    let third = nodes.bind(2).await.expect("some port is free");
    assert!(first < port(&second) && port(&second) < port(&third));
}
