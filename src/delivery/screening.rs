//! Who may see a status of a public feed or a hashtag, and what their custom filters say of it.
//!
//! The rules, in this order; the first that applies drops the status for a viewer: the instance closed the feed to the
//! viewer's role; the viewer chose other languages; a block, a mute or a domain block stands between them. What passes
//! is marked with the viewer's custom filters, unless Mastodon has marked it already.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;

use super::FanOut;
use crate::{
    domain::{
        AccountId, Event, Status,
        filter::{FilterSet, FoldedText},
        json::Value,
        status::Origin,
        text,
    },
    hub::{Watcher, Writers},
    store::{Relations, Store, StoreError},
    telemetry::{
        Metrics,
        metrics::{DeliveryDrop, EventDrop},
    },
};

/// How long the database may say nothing before a status that waits for it is given up.
const LIMIT: Duration = Duration::from_secs(10);

/// How long a status may wait behind others while the database does answer, but slowly. Nobody wants older news.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// The pause after a look-up that did not reach the database; the next one is twice as long.
const FIRST_RETRY: Duration = Duration::from_millis(100);

/// Screens statuses and delivers them.
#[derive(Debug)]
pub(super) struct Screening {
    store: Arc<Store>,
    writers: Arc<Writers>,
    metrics: Arc<Metrics>,
    no_filters: Arc<FilterSet>,
    /// When the database answered last.
    last_answer: Mutex<Instant>,
    /// Whether the last screening failed: an outage is logged when it begins and when it ends.
    failing: AtomicBool,
}

/// A viewer that may see the status, with its custom filters unless they do not matter.
struct Admitted<'a> {
    watcher: &'a Watcher,
    filters: Option<Arc<FilterSet>>,
}

impl Screening {
    pub(super) fn new(store: Arc<Store>, writers: Arc<Writers>, metrics: Arc<Metrics>) -> Self {
        let no_filters = Arc::new(FilterSet::new(Vec::new()));
        let last_answer = Mutex::new(Instant::now());
        Self { store, writers, metrics, no_filters, last_answer, failing: AtomicBool::new(false) }
    }

    /// Delivers a status to those of the watchers who may see it.
    pub(super) async fn deliver(&self, event: &Event<'_>, payload: Value<'_>, watchers: &[Watcher], received: Instant) {
        let status = match Status::read(payload) {
            Ok(status) => status,
            Err(error) => {
                if self.metrics.event_dropped(EventDrop::MalformedStatus, 1) {
                    tracing::warn!(%error, "a status was dropped for all viewers; further ones are only counted");
                }
                return;
            }
        };
        let candidates: Vec<&Watcher> = watchers.iter().filter(|watcher| may_see(watcher, &status)).collect();
        if candidates.is_empty() {
            return;
        }
        let left = self.time_left(received);
        if left.is_zero() {
            // Asking now would only take a connection from a status that can still be in time.
            return self.give_up(candidates.len() as u64);
        }
        let relations = relations(&candidates, &status);
        let Some(hidden) = self.bounded(left, || self.store.hidden_from(&relations)).await else {
            self.metrics.delivery_dropped(DeliveryDrop::ScreeningFailed, candidates.len() as u64);
            return;
        };
        let admitted = candidates.into_iter().filter(|watcher| !hidden.contains(&watcher.session.viewer.account));
        let admitted = if status.is_filtered {
            admitted.map(|watcher| Admitted { watcher, filters: None }).collect()
        } else {
            let left = self.time_left(received);
            self.with_filters(admitted.collect(), left).await
        };
        self.offer(event, &status, &admitted);
    }

    /// Looks up the filters of those whose session has not needed them yet: one statement for all.
    async fn with_filters<'a>(&self, watchers: Vec<&'a Watcher>, left: Duration) -> Vec<Admitted<'a>> {
        let mut admitted = Vec::with_capacity(watchers.len());
        let mut unread = Vec::new();
        for watcher in watchers {
            match watcher.session.filters.get() {
                Ok(filters) => admitted.push(Admitted { watcher, filters: Some(filters) }),
                Err(version) => unread.push((watcher, version)),
            }
        }
        if unread.is_empty() {
            return admitted;
        }
        let accounts = distinct(unread.iter().map(|(watcher, _)| watcher.session.viewer.account));
        let Some(found) = self.bounded(left, || self.store.filters(&accounts)).await else {
            self.metrics.delivery_dropped(DeliveryDrop::ScreeningFailed, unread.len() as u64);
            return admitted;
        };
        let found: HashMap<AccountId, Arc<FilterSet>> =
            found.into_iter().map(|(account, filters)| (account, Arc::new(FilterSet::new(filters)))).collect();
        for (watcher, version) in unread {
            let filters = found.get(&watcher.session.viewer.account).unwrap_or(&self.no_filters);
            watcher.session.filters.store(version, Arc::clone(filters));
            admitted.push(Admitted { watcher, filters: Some(Arc::clone(filters)) });
        }
        admitted
    }

    fn offer(&self, event: &Event<'_>, status: &Status, admitted: &[Admitted<'_>]) {
        let filtering = admitted.iter().filter_map(|one| one.filters.as_ref()).any(|filters| !filters.is_empty());
        // Nobody's filters look at the text of most statuses: it is made ready only if somebody's do.
        let text = FoldedText::new(if filtering { text::searchable(&status.texts) } else { String::new() });
        let now = unix_millis();
        let results: Vec<Option<Arc<str>>> =
            admitted.iter().map(|one| one.filters.as_ref().map(|filters| filters.results(&text, now))).collect();
        let mut fan_out = FanOut::new(event, &self.writers, &self.metrics);
        for (one, result) in admitted.iter().zip(&results) {
            fan_out.offer(one.watcher, result.as_deref());
        }
    }

    /// How long a status may still wait. A long queue is no outage: what counts is how long the database has been silent.
    fn time_left(&self, received: Instant) -> Duration {
        let patience = self.last_answer.lock().max(received) + LIMIT;
        patience.min(received + LONGEST_WAIT).saturating_duration_since(Instant::now())
    }

    /// Counts what waited for a database that says nothing, or for too long behind others.
    fn give_up(&self, deliveries: u64) {
        if self.last_answer.lock().elapsed() >= LIMIT {
            self.metrics.delivery_dropped(DeliveryDrop::ScreeningFailed, deliveries);
        } else if self.metrics.delivery_dropped(DeliveryDrop::TooLate, deliveries) {
            tracing::error!("statuses waited too long to be screened; those dropped are counted");
        }
    }

    /// The result of a look-up if it comes in time; asked again as long as the database cannot be reached.
    async fn bounded<T, F>(&self, left: Duration, look_up: impl Fn() -> F) -> Option<T>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut unreachable = None;
        let asking = async {
            let mut pause = FIRST_RETRY;
            loop {
                match look_up().await {
                    Err(error @ StoreError::Unreachable { .. }) => unreachable = Some(error),
                    result => break result,
                }
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        };
        let result = match tokio::time::timeout(left, asking).await {
            Ok(result) => result.map_err(|error| error.to_string()),
            Err(_) => Err(unreachable.map_or_else(|| "no answer in time".to_owned(), |error| error.to_string())),
        };
        if result.is_ok() {
            *self.last_answer.lock() = Instant::now();
        }
        self.note(result.as_ref().err());
        result.ok()
    }

    /// A failure is logged once, until look-ups succeed again.
    fn note(&self, failure: Option<&String>) {
        if failure.is_some() == self.failing.swap(failure.is_some(), Ordering::Relaxed) {
            return;
        }
        match failure {
            Some(error) => {
                tracing::error!(error, limit_s = LIMIT.as_secs(), "statuses cannot be screened and are dropped");
            }
            None => tracing::info!("statuses are screened again"),
        }
    }
}

/// What can be decided without the database.
fn may_see(watcher: &Watcher, status: &Status) -> bool {
    let Some(subscription) = &watcher.subscription else { return false };
    let open = match status.origin {
        Origin::Local => subscription.access.local,
        Origin::Remote => subscription.access.remote,
    };
    open && (!status.local_only || subscription.stream.shows_local_only)
        && watcher.session.viewer.reads_language(status.language.as_deref())
}

fn relations(candidates: &[&Watcher], status: &Status) -> Relations {
    Relations {
        viewers: distinct(candidates.iter().map(|watcher| watcher.session.viewer.account)),
        author: status.author,
        mentions: status.mentions.clone(),
        domain: status.domain.clone(),
    }
}

fn distinct(accounts: impl Iterator<Item = AccountId>) -> Vec<AccountId> {
    let accounts: BTreeSet<AccountId> = accounts.collect();
    accounts.into_iter().collect()
}

fn unix_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
