//! Nodes that have connected and not yet greeted. Anybody can connect, so they have few places, and who takes many of them
//! loses them first.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::telemetry::Reminder;

/// Places; links that are there take none.
const MOST: usize = 256;

/// What was said of whom.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<Reminder>);

impl Complaints {
    /// Whether this is to be said of a source: of all its addresses together.
    pub(super) fn is_due(&self, peer: IpAddr, problem: &str) -> bool {
        self.0.lock().is_due(&format!("{} {problem}", source(peer)))
    }
}

/// Who has a place. Cheap to clone; all clones are the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Newcomers(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    ever: u64,
    /// In the order in which they came.
    places: BTreeMap<u64, (IpAddr, CancellationToken)>,
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    newcomers: Newcomers,
    number: u64,
    lost: CancellationToken,
}

impl Newcomers {
    /// A place for a new connection. If there is none left, the source that has most of them loses its oldest: so one that
    /// opens many connections keeps nobody else out.
    pub(super) fn enter(&self, peer: IpAddr) -> Place {
        let (source, lost) = (source(peer), CancellationToken::new());
        let mut state = self.0.lock();
        state.ever += 1;
        let number = state.ever;
        state.places.insert(number, (source, lost.clone()));
        if state.places.len() > MOST {
            state.dismiss();
        }
        Place { newcomers: self.clone(), number, lost }
    }
}

impl State {
    fn dismiss(&mut self) {
        let mut counts = HashMap::<IpAddr, usize>::new();
        for (source, _) in self.places.values() {
            *counts.entry(*source).or_default() += 1;
        }
        let most = counts.values().max().copied();
        let oldest = self.places.iter().find(|(_, (source, _))| counts.get(source).copied() == most);
        if let Some((_, lost)) = oldest.map(|(number, _)| *number).and_then(|number| self.places.remove(&number)) {
            lost.cancel();
        }
    }
}

/// What counts as one source: an IPv4 address, or the network of an IPv6 one, of which a host has all addresses.
fn source(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
        ip => ip,
    }
}

impl Place {
    /// Completes when a later connection has got the place.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.newcomers.0.lock().places.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("the text is an address")
    }

    #[test]
    fn a_source_that_takes_all_places_loses_its_oldest_to_who_comes_next() {
        let newcomers = Newcomers::default();
        let flood: Vec<Place> = (0..MOST).map(|_| newcomers.enter(ip("192.0.2.1"))).collect();
        let node = newcomers.enter(ip("192.0.2.2"));
        assert!(flood[0].lost.is_cancelled() && flood[1..].iter().all(|one| !one.lost.is_cancelled()));
        let more: Vec<Place> = (0..10 * MOST).map(|_| newcomers.enter(ip("192.0.2.1"))).collect();
        assert!(!node.lost.is_cancelled());
        assert_eq!(more.iter().filter(|one| !one.lost.is_cancelled()).count(), MOST - 1);
    }

    #[test]
    fn a_newcomer_from_a_source_with_all_places_has_the_time_of_as_many_others() {
        let newcomers = Newcomers::default();
        let _flood: Vec<Place> = (0..MOST).map(|_| newcomers.enter(ip("192.0.2.1"))).collect();
        let node = newcomers.enter(ip("192.0.2.1"));
        let mut more: Vec<Place> = (1..MOST).map(|_| newcomers.enter(ip("192.0.2.1"))).collect();
        assert!(!node.lost.is_cancelled());
        more.push(newcomers.enter(ip("192.0.2.1")));
        assert!(node.lost.is_cancelled());
    }

    #[test]
    fn a_host_with_a_whole_network_of_addresses_is_one_source() {
        let newcomers = Newcomers::default();
        let node = newcomers.enter(ip("2001:db8::1"));
        let flood = |number: u64| newcomers.enter(ip(&format!("2001:db8:0:1::{number:x}")));
        let _flood: Vec<Place> = (0..2 * MOST as u64).map(flood).collect();
        assert!(!node.lost.is_cancelled());
    }

    #[tokio::test]
    async fn a_host_with_a_whole_network_of_addresses_is_complained_of_once() {
        let complaints = Complaints::default();
        let due = |number: u32| complaints.is_due(ip(&format!("2001:db8:0:1::{number:x}")), "no greeting");
        assert_eq!((0..2_000).filter(|number| due(*number)).count(), 1);
        assert!(complaints.is_due(ip("192.0.2.1"), "no greeting"));
    }

    #[test]
    fn places_are_free_again_when_they_are_given_up() {
        let newcomers = Newcomers::default();
        let first = newcomers.enter(ip("192.0.2.1"));
        for _ in 0..2 * MOST {
            drop(newcomers.enter(ip("192.0.2.1")));
        }
        assert!(!first.lost.is_cancelled());
        assert_eq!(newcomers.0.lock().places.len(), 1);
    }
}
