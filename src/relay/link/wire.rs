//! Orders and notices as they go over a link, and what is wrong with those that do not make sense.

use std::{sync::Arc, time::Duration};

use prost::bytes::Bytes;

use super::{
    super::{
        message::{GapCause, Notice, Order, Take},
        position::{Position, Tick},
    },
    proto::{self, gap::Cause, notice, order},
};
use crate::domain::Channel;

/// Orders in one message.
pub(super) const MOST_ORDERS: usize = 10_000;

/// Bytes of a channel's name. A client may ask for a hashtag as long as its message may be.
pub(super) const LONGEST_CHANNEL: usize = 2 * 1024 * 1024;

/// How every channel begins.
const CHANNELS: &str = "timeline:";

/// How those begin that this program uses for itself.
const OWN_CHANNELS: &str = "timeline:flodgatt:";

/// What is wrong with a message of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub(super) struct Malformed {
    /// As in the `.proto` file.
    pub field: &'static str,
    pub problem: &'static str,
}

impl Malformed {
    pub(super) fn new(field: &'static str, problem: &'static str) -> Self {
        Self { field, problem }
    }
}

/// Whether a channel can be asked for over a link.
pub(super) fn check_channel(name: &str, field: &'static str) -> Result<(), Malformed> {
    match name {
        name if name.len() > LONGEST_CHANNEL => Err(Malformed::new(field, "is too long")),
        name if !name.starts_with(CHANNELS) => Err(Malformed::new(field, "does not begin with timeline:")),
        name if name.starts_with(OWN_CHANNELS) => Err(Malformed::new(field, "is not for events")),
        _ => Ok(()),
    }
}

pub(super) fn order(ask: u64, order: Order) -> proto::Order {
    let kind = match order {
        Order::Hold(channel) => order::Kind::Hold(proto::Hold { channel: channel.as_str().to_owned() }),
        Order::Take(channel, take) => order::Kind::Take(proto::Take {
            channel: channel.as_str().to_owned(),
            round: take.round,
            from: take.from.map(|position| proto::Position {
                tick: Some(tick(position.tick)),
                count: position.count,
                check: position.check,
            }),
            strict: take.strict,
        }),
        Order::Release => order::Kind::Release(proto::Release {}),
    };
    proto::Order { ask, kind: Some(kind) }
}

/// The orders in a message; those of kinds that are not known are left out.
pub(super) fn read_orders(orders: proto::Orders) -> Result<Vec<(u64, Order)>, Malformed> {
    if orders.orders.len() > MOST_ORDERS {
        return Err(Malformed::new("orders.orders", "has too many entries"));
    }
    orders.orders.into_iter().filter_map(|order| Some((order.ask, order.kind?))).map(read_order).collect()
}

fn read_order((ask, kind): (u64, order::Kind)) -> Result<(u64, Order), Malformed> {
    let order = match kind {
        order::Kind::Hold(hold) => {
            check_channel(&hold.channel, "order.hold.channel")?;
            Order::Hold(Channel::named(&hold.channel))
        }
        order::Kind::Take(take) => {
            check_channel(&take.channel, "order.take.channel")?;
            let from = take.from.map(read_position).transpose()?;
            Order::Take(Channel::named(&take.channel), Take { round: take.round, from, strict: take.strict })
        }
        order::Kind::Release(proto::Release {}) => Order::Release,
    };
    Ok((ask, order))
}

fn read_position(position: proto::Position) -> Result<Position, Malformed> {
    let tick = read_tick(position.tick, "order.take.from.tick")?;
    Ok(Position { tick, count: position.count, check: position.check })
}

fn tick(tick: Tick) -> proto::Tick {
    proto::Tick { incarnation: tick.incarnation, counter: tick.counter }
}

fn read_tick(tick: Option<proto::Tick>, field: &'static str) -> Result<Tick, Malformed> {
    let tick = tick.ok_or(Malformed::new(field, "is missing"))?;
    Ok(Tick { incarnation: tick.incarnation, counter: tick.counter })
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A message as bytes that share its memory.
struct Shared(Arc<str>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

fn bytes(message: Arc<str>) -> Bytes {
    Bytes::from_owner(Shared(message))
}

fn read_message(bytes: &Bytes, field: &'static str) -> Result<Arc<str>, Malformed> {
    std::str::from_utf8(bytes).map(Arc::from).map_err(|_| Malformed::new(field, "is not UTF-8"))
}

pub(super) fn notice(notice: Notice) -> proto::Notice {
    let kind = match notice {
        Notice::Tick(mark) => notice::Kind::Tick(tick(mark)),
        Notice::Event { ask, age, message } => {
            notice::Kind::Event(proto::Event { ask, age: microseconds(age), message: bytes(message) })
        }
        Notice::Held { ask, since } => notice::Kind::Held(proto::Held { ask, since: Some(tick(since)) }),
        Notice::Replay { ask, round, tick: mark, count, age, message } => notice::Kind::Replay(proto::Replay {
            ask,
            round,
            tick: Some(tick(mark)),
            count,
            age: microseconds(age),
            message: bytes(message),
        }),
        Notice::Taken { ask, round, count } => notice::Kind::Taken(proto::Taken { ask, round, count }),
        Notice::Gap { ask, round, cause } => notice::Kind::Gap(gap(ask, round, cause)),
        Notice::Refused { ask, round, cause } => notice::Kind::Refused(gap(ask, round, cause)),
        Notice::Broken => notice::Kind::Broken(proto::Broken {}),
        Notice::Up => notice::Kind::Up(proto::Up {}),
        Notice::Leaving => notice::Kind::Leaving(proto::Leaving {}),
    };
    proto::Notice { kind: Some(kind) }
}

fn gap(ask: u64, round: u32, cause: GapCause) -> proto::Gap {
    let cause = match cause {
        GapCause::BeforeSince => Cause::BeforeSince,
        GapCause::Evicted => Cause::Evicted,
        GapCause::UnknownTick => Cause::UnknownTick,
        GapCause::CheckFailed => Cause::CheckFailed,
        // What an edge finds out by itself is said by no holder.
        GapCause::SourceLost | GapCause::NoAnswer | GapCause::TooLarge => Cause::Unspecified,
    };
    proto::Gap { ask, round, cause: cause.into() }
}

fn read_cause(gap: proto::Gap) -> GapCause {
    match gap.cause() {
        Cause::BeforeSince => GapCause::BeforeSince,
        Cause::Evicted => GapCause::Evicted,
        Cause::UnknownTick | Cause::Unspecified => GapCause::UnknownTick,
        Cause::CheckFailed => GapCause::CheckFailed,
    }
}

/// The notices in a message; those of kinds that are not known are left out.
pub(super) fn read_notices(notices: proto::Notices) -> Result<Vec<Notice>, Malformed> {
    notices.notices.into_iter().filter_map(|notice| notice.kind).map(read_notice).collect()
}

fn read_notice(kind: notice::Kind) -> Result<Notice, Malformed> {
    Ok(match kind {
        notice::Kind::Tick(tick) => Notice::Tick(read_tick(Some(tick), "notice.tick")?),
        notice::Kind::Event(event) => Notice::Event {
            ask: event.ask,
            age: Duration::from_micros(event.age),
            message: read_message(&event.message, "notice.event.message")?,
        },
        notice::Kind::Held(held) => Notice::Held { ask: held.ask, since: read_tick(held.since, "notice.held.since")? },
        notice::Kind::Replay(replay) => Notice::Replay {
            ask: replay.ask,
            round: replay.round,
            tick: read_tick(replay.tick, "notice.replay.tick")?,
            count: replay.count,
            age: Duration::from_micros(replay.age),
            message: read_message(&replay.message, "notice.replay.message")?,
        },
        notice::Kind::Taken(taken) => Notice::Taken { ask: taken.ask, round: taken.round, count: taken.count },
        notice::Kind::Gap(gap) => Notice::Gap { ask: gap.ask, round: gap.round, cause: read_cause(gap) },
        notice::Kind::Refused(gap) => Notice::Refused { ask: gap.ask, round: gap.round, cause: read_cause(gap) },
        notice::Kind::Broken(proto::Broken {}) => Notice::Broken,
        notice::Kind::Up(proto::Up {}) => Notice::Up,
        notice::Kind::Leaving(proto::Leaving {}) => Notice::Leaving,
    })
}

#[cfg(test)]
mod tests;
