//! Control channels: the end of sessions, and filters that changed.

mod support;

#[path = "control/filters_changed.rs"]
mod filters_changed;
#[path = "control/kill.rs"]
mod kill;
#[path = "control/missed.rs"]
mod missed;
#[path = "control/slow.rs"]
mod slow;
