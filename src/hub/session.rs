//! A session as the hub knows it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::Outbox;
use crate::domain::{Framing, Stream, Viewer, filter::FilterSet, stream::FeedAccess};

/// A number that no other session of this process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(u64);

impl SessionId {
    /// To which of so many equal shares of all sessions it belongs.
    pub(super) fn share(self, count: usize) -> usize {
        usize::try_from(self.0 % count as u64).expect("it is less than a usize")
    }
}

/// What the rest of the server holds of a session: whom it serves and where its frames go.
#[derive(Debug)]
pub struct SessionHandle {
    /// This session.
    pub id: SessionId,
    /// Whom it serves.
    pub viewer: Viewer,
    /// What its frames are encoded for.
    pub framing: Framing,
    /// What waits for its client.
    pub outbox: Outbox,
    /// Its viewer's custom filters, once an event needed them.
    pub filters: FilterCache,
}

impl SessionHandle {
    /// A session that has not joined the hub yet.
    pub fn new(viewer: Viewer, framing: Framing) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: SessionId(NEXT.fetch_add(1, Ordering::Relaxed)),
            viewer,
            framing,
            outbox: Outbox::default(),
            filters: FilterCache::default(),
        }
    }
}

/// One stream that a session is subscribed to.
#[derive(Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The stream and its channels.
    pub stream: Stream,
    /// Which statuses of a filtered stream the instance's settings let through, as they were when it was opened.
    pub access: FeedAccess,
}

/// A session's interest in one channel.
#[derive(Clone, Debug)]
pub struct Watcher {
    /// The session.
    pub session: Arc<SessionHandle>,
    /// The stream by which it watches; `None` on a control channel.
    pub subscription: Option<Arc<Subscription>>,
    /// Since when: it gets nothing that is older.
    pub since: Instant,
}

/// A viewer's custom filters as read at the first event that needed them, kept until they change.
#[derive(Debug, Default)]
pub struct FilterCache(Mutex<CachedFilters>);

#[derive(Debug, Default)]
struct CachedFilters {
    /// Counts the changes, so that what was read before a change is not kept after it.
    version: u32,
    filters: Option<Arc<FilterSet>>,
}

impl FilterCache {
    /// The filters, or, if they must be read, the version to give to [`store`](Self::store) with them.
    pub fn get(&self) -> Result<Arc<FilterSet>, u32> {
        let cached = self.0.lock();
        cached.filters.clone().ok_or(cached.version)
    }

    /// Keeps what was read, unless the filters have changed since the version was taken.
    pub fn store(&self, version: u32, filters: Arc<FilterSet>) {
        let mut cached = self.0.lock();
        if cached.version == version {
            cached.filters = Some(filters);
        }
    }

    /// The viewer changed its filters: they are read anew at the next event.
    pub fn discard(&self) {
        let mut cached = self.0.lock();
        cached.version = cached.version.wrapping_add(1);
        cached.filters = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_read_before_a_change_are_not_kept_after_it() {
        let cache = FilterCache::default();
        let version = cache.get().expect_err("nothing was read yet");
        cache.discard();
        cache.store(version, Arc::new(FilterSet::new(Vec::new())));
        assert!(cache.get().is_err());
    }

    #[test]
    fn filters_are_kept_until_they_change() {
        let cache = FilterCache::default();
        let version = cache.get().expect_err("nothing was read yet");
        cache.store(version, Arc::new(FilterSet::new(Vec::new())));
        assert!(cache.get().is_ok());
        cache.discard();
        assert!(cache.get().is_err());
    }
}
