//! A public feed as a large instance has it: viewers who block, mute and filter, so that each event is screened.

use super::Measured;
use crate::accounts::{self, token};
use crate::generator::Wish;
use crate::publisher::{Pace, Traffic};
use crate::reading::Transport;
use crate::stage::{Load, Stage};
use crate::subject::Kind;

const CHANNEL: &str = "timeline:public";

const BACKLOG: u64 = 4;

/// Authors of events. Each is blocked or muted by one viewer in so many.
const AUTHORS: usize = 100;

/// Accounts that publish nothing, and whom viewers block and mute.
const OTHERS: usize = 10_000;

/// Of those, how many a viewer blocks, and mutes.
const BLOCKS: usize = 100;
const MUTES: usize = 60;

/// One viewer in so many has a filter, and one in so many a filter that matches.
const FILTERS: usize = 5;
const MATCHES: usize = 50;

pub fn run(stage: &mut Stage, measured: &mut Measured<'_>) {
    let viewers = measured.arguments.clients[0];
    let all = AUTHORS + OTHERS + viewers;
    let first = stage.runtime.block_on(accounts::create(&stage.database, all)).start;
    let place = |count: usize| first + i64::try_from(count).expect("a few thousand");
    let [others, first_viewer] = [AUTHORS, AUTHORS + OTHERS].map(place);
    let relations = relations(first, others, first_viewer, viewers);
    stage.runtime.block_on(stage.database.execute(relations));
    stage.start(&[Kind::Flodgatt, Kind::PlainFour], Transport::WebSocket);
    let authors: Vec<i64> = (first..others).collect();
    let time = measured.arguments.time;
    let case = format!("websocket, public to {viewers} viewers who block, mute and filter, backlog of {BACKLOG}");
    measured.rounds(stage, &case, |stage, kind| {
        let port = stage.subjects[&kind].ports()[0];
        let transport = Transport::WebSocket;
        let wish = |viewer: i64| {
            let request = transport.request("public", &token(viewer), CHANNEL);
            Wish { port, transport, request, channels: vec![0] }
        };
        let load = Load {
            wishes: (first_viewer..).take(viewers).map(wish).collect(),
            channels: vec![(CHANNEL.to_owned(), authors.clone())],
            traffic: vec![Traffic::new(Pace::Backlog(BACKLOG), 0..1)],
            // Plain writes spare nobody anything.
            left_out: (kind == Kind::Flodgatt).then_some(AUTHORS as u64),
            time,
        };
        stage.turn(kind, load)
    });
}

/// Who wants to hear nothing of whom, and not of what.
fn relations(first: i64, others: i64, first_viewer: i64, viewers: usize) -> String {
    let rows = |table: &str, count: usize, stride: usize| {
        format!(
            "INSERT INTO {table} (account_id, target_account_id, created_at, updated_at) \
             SELECT {first_viewer} + viewer, {others} + (viewer * 31 + n * {stride}) % {OTHERS}, now(), now() \
             FROM generate_series(0, {viewers} - 1) AS viewer, generate_series(0, {count} - 1) AS n; "
        )
    };
    let authors = |table: &str, half: usize| {
        format!(
            "INSERT INTO {table} (account_id, target_account_id, created_at, updated_at) \
             SELECT {first_viewer} + viewer, {first} + viewer % {AUTHORS}, now(), now() \
             FROM generate_series(0, {viewers} - 1) AS viewer WHERE viewer % 2 = {half}; "
        )
    };
    let filters = format!(
        "WITH f AS (INSERT INTO custom_filters (account_id, phrase, context, created_at, updated_at) \
             SELECT {first_viewer} + viewer, 'birds', '{{public}}', now(), now() \
             FROM generate_series(0, {viewers} - 1, {FILTERS}) AS viewer RETURNING id, account_id) \
         INSERT INTO custom_filter_keywords (custom_filter_id, keyword, created_at, updated_at) \
             SELECT id, keyword, now(), now() FROM f, unnest(array['cormorant', 'pelican', \
                 CASE WHEN (account_id - {first_viewer}) % {MATCHES} = 0 THEN 'heron' ELSE 'egret' END]) AS keyword; "
    );
    let first_half = [rows("blocks", BLOCKS, 97), rows("mutes", MUTES, 89)].concat();
    [first_half, authors("blocks", 0), authors("mutes", 1), filters, "ANALYZE".to_owned()].concat()
}
