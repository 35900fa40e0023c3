use prost::Message;

use super::*;

fn every_notice() -> Vec<Notice> {
    let (tick, message) = (Tick { incarnation: 7, counter: 12 }, Arc::<str>::from("{\"event\":\"ü\"}"));
    let mut notices = vec![
        Notice::Tick(Tick { incarnation: 7, counter: 0 }),
        Notice::Event { ask: 1, age: Duration::from_micros(87_654), message: Arc::clone(&message) },
        Notice::Held { ask: 2, since: tick },
        Notice::Replay { ask: 3, round: 4, tick, count: 5, age: Duration::from_micros(1_234_567), message },
        Notice::Taken { ask: 6, round: 7, count: 8 },
        Notice::Broken,
        Notice::Up,
        Notice::Leaving,
    ];
    // The others are an edge's own.
    let causes = [GapCause::BeforeSince, GapCause::Evicted, GapCause::UnknownTick, GapCause::CheckFailed];
    notices.extend(causes.map(|cause| Notice::Gap { ask: 9, round: 10, cause }));
    notices.extend(causes.map(|cause| Notice::Refused { ask: 9, round: 10, cause }));
    notices
}

fn every_order() -> Vec<(u64, Order)> {
    let channel = || Channel::named("timeline:hashtag:rüst");
    let tick = Tick { incarnation: u64::MAX, counter: 1 };
    let from = |check| Some(Position { tick, count: 0, check });
    vec![
        (1, Order::Hold(channel())),
        (2, Order::Take(channel(), Take { round: 3, from: None, strict: false })),
        // A check of 0 is one.
        (2, Order::Take(channel(), Take { round: 4, from: from(Some(0)), strict: true })),
        (2, Order::Take(channel(), Take { round: 5, from: from(None), strict: true })),
        (u64::MAX, Order::Release),
    ]
}

#[test]
fn every_notice_is_read_as_it_was_said() {
    let said = proto::Notices { notices: every_notice().into_iter().map(notice).collect() };
    let heard = proto::Notices::decode(said.encode_to_vec().as_slice()).unwrap();
    assert_eq!(read_notices(heard), Ok(every_notice()));
}

#[test]
fn every_order_is_read_as_it_was_given() {
    let given = proto::Orders { orders: every_order().into_iter().map(|(ask, one)| order(ask, one)).collect() };
    let got = proto::Orders::decode(given.encode_to_vec().as_slice()).unwrap();
    assert_eq!(read_orders(got), Ok(every_order()));
}

/// A field of a number that no version has yet, with some bytes.
fn newer_field() -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::bytes::encode(99, &b"from the future".to_vec(), &mut bytes);
    bytes
}

#[test]
fn fields_that_are_not_known_are_skipped() {
    for one in every_notice() {
        let mut bytes = notice(one.clone()).encode_to_vec();
        bytes.extend(newer_field());
        let heard = proto::Notice::decode(bytes.as_slice()).unwrap();
        assert_eq!(read_notices(proto::Notices { notices: vec![heard] }), Ok(vec![one]));
    }
}

#[test]
fn kinds_that_are_not_known_are_skipped() {
    let newer = proto::Notice::decode(newer_field().as_slice()).unwrap();
    let notices = proto::Notices { notices: vec![notice(Notice::Up), newer, notice(Notice::Broken)] };
    assert_eq!(read_notices(notices), Ok(vec![Notice::Up, Notice::Broken]));
    let mut newer = proto::Order { ask: 5, kind: None }.encode_to_vec();
    newer.extend(newer_field());
    let newer = proto::Order::decode(newer.as_slice()).unwrap();
    let orders = proto::Orders { orders: vec![newer, order(6, Order::Release)] };
    assert_eq!(read_orders(orders), Ok(vec![(6, Order::Release)]));
}

#[test]
fn a_cause_that_is_not_known_is_taken_for_an_unknown_tick() {
    let kind = notice::Kind::Gap(proto::Gap { ask: 1, round: 2, cause: 77 });
    let notices = proto::Notices { notices: vec![proto::Notice { kind: Some(kind) }] };
    assert_eq!(read_notices(notices), Ok(vec![Notice::Gap { ask: 1, round: 2, cause: GapCause::UnknownTick }]));
}

#[test]
fn a_channel_is_as_long_as_is_allowed_and_no_longer() {
    let name = |length: usize| format!("timeline:{}", "x".repeat(length - "timeline:".len()));
    assert_eq!(check_channel(&name(LONGEST_CHANNEL), "channel"), Ok(()));
    assert!(check_channel(&name(LONGEST_CHANNEL + 1), "channel").is_err());
}

#[test]
fn a_message_shares_the_memory_of_the_event() {
    let message = Arc::<str>::from("event");
    assert_eq!(bytes(Arc::clone(&message)).as_ptr(), message.as_ptr());
}
