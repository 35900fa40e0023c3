//! Connections that come to nothing.

use std::time::{Duration, Instant};

use super::siege::Siege;
use super::support::*;

/// Longer than the server waits for the head of a request, and shorter than twice that.
const SOON: Duration = Duration::from_secs(50);

/// Takes half a minute, for that is how long a client may take for the head of its request.
#[tokio::test]
async fn connections_that_never_complete_a_request_are_cut_off_and_hold_nobody_up() {
    let mut siege = Siege::start().await;
    let address = siege.scene.server.address().clone();
    let begun = Instant::now();
    let (silent, halved, trickling) = tokio::join!(
        ends(Wire::open(&address).await, Vec::new()),
        ends(Wire::open(&address).await, half_a_handshake(&siege.mallory.token)),
        trickle(Wire::open(&address).await),
    );
    for (what, ended) in [("silent", silent), ("half", halved), ("trickling", trickling)] {
        assert!(ended.duration_since(begun) < SOON, "{what}: {:?}", ended.duration_since(begun));
    }
    siege.unharmed().await;
}

#[tokio::test]
async fn hundreds_of_half_open_connections_hold_nobody_up() {
    let mut siege = Siege::start().await;
    let half = half_a_handshake(&siege.mallory.token);
    let mut open = Vec::new();
    for number in 0..300 {
        let mut wire = Wire::open(&siege.scene.server).await;
        wire.send(&half[..number % half.len()]).await;
        open.push(wire);
    }
    siege.unharmed().await;
    let mut ws = siege.attacker_at_home().await;
    siege.unharmed_by(&mut ws).await;
    // One of them comes to its end after all.
    let mut last = open.pop().expect("there are many");
    last.send(&half[299 % half.len()..]).await;
    last.send("\r\n").await;
    assert_eq!(http::read_head(&mut last).await.status, 101);
    drop(open);
    siege.unharmed_by(&mut ws).await;
}

fn half_a_handshake(token: &str) -> Vec<u8> {
    let mut request = websocket::handshake(&format!("/?access_token={token}"), &[]);
    request.truncate(request.len() - 2);
    request
}

/// Sends a beginning and waits for the end of the connection.
async fn ends(mut wire: Wire, beginning: Vec<u8>) -> Instant {
    wire.send(beginning).await;
    let _ = wire.rest().await;
    Instant::now()
}

/// Sends a byte every now and then, and never comes to an end.
async fn trickle(mut wire: Wire) -> Instant {
    let head = [b"GET / HTTP/1.1\r\nHost: localhost\r\n".to_vec(), b"X: y\r\n".repeat(1_000)].concat();
    for byte in head {
        if wire.try_send(&[byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Instant::now()
}
