//! One client connection: what its messages mean, and the tasks that serve it.

mod event_source;
mod last_moment;
mod line;
mod look_up;
mod membership;
mod state;
mod web_socket;

pub use event_source::EventStreamSession;
pub use last_moment::LastMoment;
pub use look_up::{Found, LookUp};
pub use membership::{Membership, tell_of_slow_clients};
pub use state::{Effect, Request, SessionState};
pub use web_socket::WebSocketSession;

use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// A timer whose first tick comes after a whole period, and which does not catch up on ticks that it missed.
fn regularly(period: Duration) -> Interval {
    let mut interval = interval_at(Instant::now() + period, period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
