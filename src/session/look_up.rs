//! What must be known before a stream is opened.

use crate::{
    domain::{AccountId, ListId, Refusal, Stream, Viewer, stream::FeedAccess},
    store::{FeedSettings, Store, StoreError},
};

/// A question to the database about one request of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookUp {
    account: AccountId,
    list: Option<ListId>,
    feed_settings: bool,
}

/// What the database knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Whether the list belongs to the viewer; true if no list was asked for.
    pub owns_list: bool,
    /// The instance's settings, or the defaults if they were not asked for.
    pub settings: FeedSettings,
}

impl LookUp {
    /// What must be known to subscribe; `None` if nothing.
    pub fn to_subscribe(stream: &Stream, viewer: &Viewer) -> Option<Self> {
        // A role that passes closed feeds does not need to know whether they are closed.
        let feed_settings = stream.name.feed().is_some() && !viewer.permissions.opens_closed_feeds();
        (stream.list.is_some() || feed_settings).then_some(Self {
            account: viewer.account,
            list: stream.list,
            feed_settings,
        })
    }

    /// What must be known to unsubscribe from what is not subscribed.
    pub fn to_unsubscribe(stream: &Stream, viewer: &Viewer) -> Option<Self> {
        stream.list.map(|list| Self { account: viewer.account, list: Some(list), feed_settings: false })
    }

    /// Asks the database.
    pub async fn run(self, store: &Store) -> Result<Found, StoreError> {
        let owns_list = match self.list {
            Some(list) => store.owns_list(self.account, list).await?,
            None => true,
        };
        let settings = if self.feed_settings { store.feed_settings().await? } else { FeedSettings::default() };
        Ok(Found { owns_list, settings })
    }
}

impl Found {
    /// What the viewer may see of the stream.
    pub fn access(&self, stream: &Stream, viewer: &Viewer) -> Result<FeedAccess, Refusal> {
        if !self.owns_list {
            return Err(Refusal::ForeignList);
        }
        let Some(feed) = stream.name.feed() else { return Ok(FeedAccess::OPEN) };
        let (local_closed, remote_closed) = self.settings.closed(feed);
        let privileged = viewer.permissions.opens_closed_feeds();
        Ok(FeedAccess { local: privileged || !local_closed, remote: privileged || !remote_closed })
    }
}
