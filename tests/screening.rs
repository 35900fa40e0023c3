//! Once per event: how often the database is asked, who waits for whom, and that no viewer gets another's result.

mod support;

#[path = "screening/crowd.rs"]
mod crowd;
#[path = "screening/plans.rs"]
mod plans;
#[path = "screening/privacy.rs"]
mod privacy;
#[path = "screening/slow.rs"]
mod slow;
#[path = "screening/statements.rs"]
mod statements;
#[path = "screening/together.rs"]
mod together;
