//! How connections end.

use std::time::Duration;

use super::support::frames::CLOSE;
use super::support::*;

#[tokio::test]
async fn the_clients_close_code_and_reason_are_echoed() {
    let scene = Scene::start().await;
    let cases = [
        (1000, ""),
        (1000, "done"),
        (1001, "going away"),
        (1002, "you broke it"),
        (1007, "ü♥"),
        (1008, ""),
        (1009, ""),
        (1010, ""),
        (1011, ""),
        (1012, ""),
        (1013, ""),
        (3000, "registered"),
        (4999, "own"),
    ];
    for (code, reason) in cases {
        let mut ws = scene.ws("/?stream=public").await;
        assert_eq!(ws.close(Frame::close(code, reason)).await, Some((code, reason.to_owned())));
    }
    let longest = "x".repeat(123);
    assert_eq!(scene.ws("/").await.close(Frame::close(4000, &longest)).await, Some((4000, longest)));
    assert_eq!(scene.ws("/").await.close(Frame::new(CLOSE, "")).await, None);
    scene.wait_for_nobody().await;
}

#[tokio::test]
async fn after_its_close_frame_the_server_reads_on_and_the_connection_is_not_reset() {
    let scene = Scene::start().await;
    let mut ws = scene.ws("/").await;
    // Announced is too much; what has been announced comes nevertheless, as clients do not stop in the middle.
    let header = Frame::text("").header(2 << 20);
    ws.wire().send([&header[..], &vec![b'x'; 300_000]].concat()).await;
    assert_eq!(ws.next_message().await, Message::Close(Some((1009, String::new()))));
    ws.wire().send(vec![b'x'; 100_000]).await;
    let end = within("end of the connection", ws.wire().rest()).await;
    assert_eq!(end.expect("a regular end, and no reset"), b"");
    ws.wire().send(vec![b'x'; 1_000]).await;
}

#[tokio::test]
async fn a_client_that_does_not_close_is_left_behind_after_a_moment() {
    let scene = Scene::start().await;
    let mut ws = scene.ws("/").await;
    ws.send_frame(Frame { rsv: 4, ..Frame::text("") }).await;
    assert_eq!(ws.next_message().await, Message::Close(Some((1002, String::new()))));
    let mut sent = 0;
    // What is sent to a connection that is no more is refused.
    while ws.wire().try_send(b"x").await.is_ok() {
        sent += 1;
        assert!(sent < 3_000, "the server still reads");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(sent > 1, "the server did not read on");
}

#[tokio::test]
async fn a_session_that_is_closed_by_the_server_watches_nothing_from_that_moment() {
    let scene = Scene::start().await;
    let mut ws = scene.ws("/?stream=public").await;
    scene.wait_for_channels(&["timeline:public"]).await;
    ws.send_frame(Frame { rsv: 4, ..Frame::text("") }).await;
    // The client has not closed yet, nor even read the close frame.
    scene.wait_for_nobody().await;
    assert_eq!(ws.expect_close().await, Some((1002, String::new())));
}
