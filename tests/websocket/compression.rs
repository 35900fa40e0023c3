//! Messages that are compressed for clients that offer it (RFC 7692).

use super::support::frames::{BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT};
use super::support::websocket::{OFFER, deflate, inflate};
use super::support::*;

const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

const SUBSCRIBE: &str = r#"{"type":"subscribe","stream":"nonsense"}"#;

/// The bit RSV1, by which a message says that it is compressed.
const DEFLATED: u8 = 4;

/// Alice's WebSocket to a target, with extensions that it offers.
async fn offering(scene: &Scene, target: &str, offers: &[&str]) -> Ws {
    let authorization = format!("Bearer {}", scene.alice.token);
    let offers = offers.iter().map(|offer| ("Sec-WebSocket-Extensions", *offer));
    let headers: Vec<_> = offers.chain([("Authorization", &*authorization)]).collect();
    let opened = Ws::try_open(&scene.server, target, &headers).await;
    opened.unwrap_or_else(|response| panic!("{response:?}"))
}

/// One as browsers open it.
async fn compressed(scene: &Scene) -> Ws {
    let ws = offering(scene, "/", &[OFFER.1]).await;
    assert_eq!(ws.head.header("sec-websocket-extensions"), Some(AGREED));
    ws
}

fn deflated(text: &str) -> Frame {
    Frame { rsv: DEFLATED, ..Frame::text(deflate(text)) }
}

async fn closed_for(scene: &Scene, frames: &[Frame]) -> Option<(u16, String)> {
    let mut ws = compressed(scene).await;
    for frame in frames {
        ws.send_frame(frame.clone()).await;
    }
    ws.expect_close().await
}

fn code(code: u16) -> Option<(u16, String)> {
    Some((code, String::new()))
}

#[tokio::test]
async fn the_first_offer_that_can_be_met_is_accepted_and_the_connection_goes_on_without_if_there_is_none() {
    let scene = Scene::start().await;
    let small = "permessage-deflate; server_max_window_bits=9";
    let with_window = format!("{AGREED}; server_max_window_bits=12");
    let cases: [(&[&str], Option<&str>); 9] = [
        (&[], None),
        (&["permessage-deflate"], Some(AGREED)),
        (&["permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"], Some(&with_window)),
        (&[small], None),
        (&["permessage-deflate; server_max_window_bits=9, permessage-deflate"], Some(AGREED)),
        (&[small, "permessage-deflate; client_max_window_bits=10"], Some(AGREED)),
        (&["permessage-deflate; level=9"], None),
        (&["permessage-deflate; client_max_window_bits; client_max_window_bits"], None),
        (&["permessage-deflate; ="], None),
    ];
    for (offers, agreed) in cases {
        let mut ws = offering(&scene, "/", offers).await;
        assert_eq!(ws.head.header("sec-websocket-extensions"), agreed, "{offers:?}");
        ws.silent_so_far().await;
    }
}

#[tokio::test]
async fn clients_of_one_event_get_it_compressed_or_not_as_they_agreed() {
    let scene = Scene::start().await;
    let bob = scene.db.account("bob@remote.example").await;
    let target = "/?stream=public";
    let mut clients = [
        offering(&scene, target, &["permessage-deflate"]).await,
        offering(&scene, target, &[]).await,
        offering(&scene, target, &["permessage-deflate; server_max_window_bits=15"]).await,
        offering(&scene, target, &["permessage-deflate; server_max_window_bits=8"]).await,
    ];
    let labels = [("type", "websocket"), ("channel", "public")];
    scene.server.wait_for_metric("connected_channels", &labels, 4.0).await;
    scene.redis.wait_for_subscribers("timeline:public", 1).await;
    let heron = "herons stand in the shallows ".repeat(20);
    for id in 1..=3 {
        scene.publish("timeline:public", update(&status(id, &bob).content(&format!("<p>{heron}{id}</p>")))).await;
    }
    scene.publish("timeline:public", event("delete", "3")).await;
    for (ws, inflated) in clients.iter_mut().zip([3, 0, 3, 0]) {
        for id in 1..=3 {
            let status = ws.next_event().await.json();
            assert_eq!(status["id"], id.to_string());
            assert_eq!(status["content"], format!("<p>{heron}{id}</p>"));
        }
        assert_eq!(ws.next_event().await.event, "delete");
        assert_eq!(ws.inflated, inflated, "short messages are sent as they are");
    }
}

#[tokio::test]
async fn a_compressed_status_takes_much_less_of_the_wire_and_inflates_by_itself() {
    let scene = Scene::start().await;
    let bob = scene.db.account("bob@remote.example").await;
    let mut ws = offering(&scene, "/?stream=public", &[OFFER.1]).await;
    scene.redis.wait_for_subscribers("timeline:public", 1).await;
    let published = update(&status(1, &bob));
    let mut frames = Vec::new();
    for _ in 0..2 {
        scene.publish("timeline:public", &published).await;
        frames.push(ws.next_frame().await.expect("the connection is there"));
    }
    let [first, second] = &frames[..] else { unreachable!("two were read") };
    assert_eq!((first.opcode, first.rsv, first.fin), (TEXT, DEFLATED, true));
    assert_eq!(first, second, "nothing is taken over from one message to the next");
    let text = inflate(&first.payload);
    assert!(first.payload.len() < text.len() / 2, "{} of {} bytes", first.payload.len(), text.len());
    assert!(text.starts_with(br#"{"stream":["public"],"event":"update","payload":""#));
}

#[tokio::test]
async fn requests_are_taken_compressed_or_not_in_one_frame_or_several() {
    let scene = Scene::start().await;
    let mut ws = compressed(&scene).await;
    let payload = deflate(SUBSCRIBE);
    let (first, rest) = payload.split_at(5);
    let begun = Frame { rsv: DEFLATED, ..Frame::text(first).unfinished() };
    for frames in [
        vec![deflated(SUBSCRIBE)],
        vec![Frame::text(SUBSCRIBE)],
        vec![begun, Frame::new(CONTINUATION, "").unfinished(), Frame::new(CONTINUATION, rest)],
        vec![deflated(SUBSCRIBE)],
    ] {
        for frame in frames {
            ws.send_frame(frame).await;
        }
        ws.expect_error("Unknown stream type", 400).await;
    }
    ws.send_frame(deflated(r#"{"type":"subscribe","stream":"hashtag","tag":"herons"}"#)).await;
    scene.wait_for_channels(&["timeline:hashtag:herons"]).await;
}

#[tokio::test]
async fn compressed_frames_where_none_may_be_are_answered_with_1002() {
    let scene = Scene::start().await;
    let with_bit = |frame: Frame| Frame { rsv: DEFLATED, ..frame };
    for opcode in [PING, PONG, CLOSE] {
        assert_eq!(closed_for(&scene, &[with_bit(Frame::new(opcode, ""))]).await, code(1002), "{opcode}");
    }
    let continued = [deflated(SUBSCRIBE).unfinished(), with_bit(Frame::new(CONTINUATION, ""))];
    assert_eq!(closed_for(&scene, &continued).await, code(1002), "a continuation");
    for rsv in [1, 2, 5, 6] {
        assert_eq!(closed_for(&scene, &[Frame { rsv, ..deflated(SUBSCRIBE) }]).await, code(1002), "bits {rsv}");
    }
    let mut plain = scene.ws("/").await;
    plain.send_frame(deflated(SUBSCRIBE)).await;
    assert_eq!(plain.expect_close().await, code(1002), "nothing was agreed on");
    let mut declined = offering(&scene, "/", &["permessage-deflate; server_max_window_bits=8"]).await;
    declined.send_frame(deflated(SUBSCRIBE)).await;
    assert_eq!(declined.expect_close().await, code(1002), "the offer was declined");
}

#[tokio::test]
async fn what_cannot_be_inflated_or_is_no_text_is_answered_with_1007() {
    let scene = Scene::start().await;
    for payload in [SUBSCRIBE.as_bytes().to_vec(), vec![0xff; 10], Vec::new(), deflate(b"a\xffb")] {
        let frame = Frame { rsv: DEFLATED, ..Frame::text(payload) };
        assert_eq!(closed_for(&scene, std::slice::from_ref(&frame)).await, code(1007), "{frame:?}");
    }
    for (reason, count) in [("invalid_deflate", 3.0), ("invalid_utf8", 1.0)] {
        let labels = [("type", "websocket"), ("reason", reason)];
        assert_eq!(scene.server.metric("flodgatt_sessions_closed_total", &labels).await, count, "{reason}");
    }
}

#[tokio::test]
async fn a_compressed_binary_message_is_not_supported_either() {
    let scene = Scene::start().await;
    let frame = Frame { rsv: DEFLATED, ..Frame::new(BINARY, deflate("a")) };
    let text = "The mastodon streaming server does not support binary messages";
    assert_eq!(closed_for(&scene, &[frame]).await, Some((1003, text.to_owned())));
}

#[tokio::test]
async fn bombs_are_answered_with_1009_and_take_no_memory() {
    let scene = Scene::start().await;
    let mut ws = compressed(&scene).await;
    ws.silent_so_far().await;
    let bomb = deflate(vec![b' '; 512 << 20]);
    assert!(bomb.len() < 1 << 20, "its header announces less than the limit");
    let before = scene.server.rss_bytes();
    for _ in 0..10 {
        let frame = Frame { rsv: DEFLATED, ..Frame::text(&bomb) };
        assert_eq!(closed_for(&scene, &[frame]).await, code(1009));
    }
    let more = scene.server.rss_bytes().saturating_sub(before);
    assert!(more < 32 << 20, "{more} bytes more than before");
    ws.silent_so_far().await;
    let most = format!("{SUBSCRIBE}{}", " ".repeat((1 << 20) - SUBSCRIBE.len()));
    ws.send_frame(deflated(&most)).await;
    ws.expect_error("Unknown stream type", 400).await;
}

#[tokio::test]
async fn nobody_is_compressed_for_if_the_operator_says_so() {
    let scene = Scene::start_with(|options| options.env("WS_COMPRESSION", "off")).await;
    let bob = scene.db.account("bob@remote.example").await;
    let mut ws = offering(&scene, "/?stream=public", &[OFFER.1]).await;
    assert_eq!(ws.head.header("sec-websocket-extensions"), None);
    scene.redis.wait_for_subscribers("timeline:public", 1).await;
    scene.publish("timeline:public", update(&status(1, &bob))).await;
    assert_eq!(ws.next_event().await.json()["id"], "1");
    ws.send_frame(deflated(SUBSCRIBE)).await;
    assert_eq!(ws.expect_close().await, code(1002));
}
