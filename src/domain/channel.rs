//! Redis pub/sub topics, without the namespace that `REDIS_NAMESPACE` puts before them.

use std::{borrow::Borrow, fmt, sync::Arc};

use super::{AccountId, ListId, TokenId};

/// A Redis pub/sub topic without namespace, such as `timeline:public:local`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel(Arc<str>);

/// What the server does with the events of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelKind {
    /// Forwarded as they are: home feeds, notifications, lists, direct messages.
    Plain,
    /// Screened for each viewer: public feeds and hashtags.
    Filtered,
    /// Obeyed and never forwarded: `kill` and `filters_changed`.
    Control,
}

const HASHTAG: &str = "timeline:hashtag:";
const ACCESS_TOKEN: &str = "timeline:access_token:";
const SYSTEM: &str = "timeline:system:";

impl Channel {
    /// A channel by its full name.
    pub fn named(name: &str) -> Self {
        Self(name.into())
    }

    /// The home feed of an account.
    pub fn home(account: AccountId) -> Self {
        Self(format!("timeline:{account}").into())
    }

    /// The notifications of an account.
    pub fn notifications(account: AccountId) -> Self {
        Self(format!("timeline:{account}:notifications").into())
    }

    /// The conversations of an account.
    pub fn direct(account: AccountId) -> Self {
        Self(format!("timeline:direct:{account}").into())
    }

    /// The posts of a list.
    pub fn list(list: ListId) -> Self {
        Self(format!("timeline:list:{list}").into())
    }

    /// The posts with a hashtag, given as [`super::tag::normalise`] returns it; local ones only if `local`.
    pub fn hashtag(normalised: &str, local: bool) -> Self {
        let suffix = if local { ":local" } else { "" };
        Self(format!("{HASHTAG}{normalised}{suffix}").into())
    }

    /// Where Mastodon says that a token was revoked.
    pub fn access_token(token: TokenId) -> Self {
        Self(format!("{ACCESS_TOKEN}{token}").into())
    }

    /// Where Mastodon says that an account was suspended or changed its filters.
    pub fn system(account: AccountId) -> Self {
        Self(format!("{SYSTEM}{account}").into())
    }

    /// What is done with this channel's events.
    pub fn kind(&self) -> ChannelKind {
        let name = &*self.0;
        if name.starts_with(HASHTAG) || name == "timeline:public" || name.starts_with("timeline:public:") {
            ChannelKind::Filtered
        } else if name.starts_with(ACCESS_TOKEN) || name.starts_with(SYSTEM) {
            ChannelKind::Control
        } else {
            ChannelKind::Plain
        }
    }

    /// The name without namespace.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Channel {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_and_hashtag_channels_are_filtered() {
        for name in ["timeline:public", "timeline:public:local:media", "timeline:hashtag:rust", "timeline:hashtag:"] {
            assert_eq!(Channel::named(name).kind(), ChannelKind::Filtered, "{name}");
        }
        for name in ["timeline:1", "timeline:1:notifications", "timeline:list:1", "timeline:direct:1"] {
            assert_eq!(Channel::named(name).kind(), ChannelKind::Plain, "{name}");
        }
    }

    #[test]
    fn token_and_system_channels_are_for_control() {
        assert_eq!(Channel::access_token(TokenId(7)).kind(), ChannelKind::Control);
        assert_eq!(Channel::system(AccountId(7)).kind(), ChannelKind::Control);
    }
}
