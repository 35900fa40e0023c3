//! What a client names when it subscribes, and the channels that this means.

use std::sync::Arc;

use super::{Channel, ListId, Viewer, json, json::Value, refusal::Refusal, tag};

/// The streams of Mastodon's streaming API, and the two that glitch-soc adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamName {
    /// The home feed, with notifications if the token may read them.
    User,
    /// Notifications alone.
    UserNotification,
    /// All public statuses.
    Public,
    /// All public statuses with attachments.
    PublicMedia,
    /// Public statuses of this instance.
    PublicLocal,
    /// Public statuses of this instance with attachments.
    PublicLocalMedia,
    /// Public statuses of other instances.
    PublicRemote,
    /// Public statuses of other instances with attachments.
    PublicRemoteMedia,
    /// glitch-soc: `public` with statuses that do not federate.
    PublicAllowLocalOnly,
    /// glitch-soc: `public:media` with statuses that do not federate.
    PublicAllowLocalOnlyMedia,
    /// Public statuses with a hashtag.
    Hashtag,
    /// Public statuses of this instance with a hashtag.
    HashtagLocal,
    /// Posts of a list.
    List,
    /// Conversations.
    Direct,
}

/// Which of the instance's feed access settings governs a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Feed {
    /// Public feeds: `local_live_feed_access`, `remote_live_feed_access`.
    Live,
    /// Hashtags: `local_topic_feed_access`, `remote_topic_feed_access`.
    Topic,
}

/// Which statuses of a filtered stream a viewer may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedAccess {
    /// Those of this instance.
    pub local: bool,
    /// Those of other instances.
    pub remote: bool,
}

impl FeedAccess {
    /// Everything may be seen.
    pub const OPEN: Self = Self { local: true, remote: true };
}

impl StreamName {
    /// All streams.
    pub const ALL: [Self; 14] = [
        Self::User,
        Self::UserNotification,
        Self::Public,
        Self::PublicMedia,
        Self::PublicLocal,
        Self::PublicLocalMedia,
        Self::PublicRemote,
        Self::PublicRemoteMedia,
        Self::PublicAllowLocalOnly,
        Self::PublicAllowLocalOnlyMedia,
        Self::Hashtag,
        Self::HashtagLocal,
        Self::List,
        Self::Direct,
    ];

    /// The stream with this name, exactly.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| stream.as_str() == name)
    }

    /// The name that clients use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PublicAllowLocalOnly => "public:allow_local_only",
            Self::PublicAllowLocalOnlyMedia => "public:allow_local_only:media",
            other => other.label(),
        }
    }

    /// The label `channel` of the metric `connected_channels`, which has none for glitch-soc's streams.
    pub fn label(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::UserNotification => "user:notification",
            Self::Public | Self::PublicAllowLocalOnly => "public",
            Self::PublicMedia | Self::PublicAllowLocalOnlyMedia => "public:media",
            Self::PublicLocal => "public:local",
            Self::PublicLocalMedia => "public:local:media",
            Self::PublicRemote => "public:remote",
            Self::PublicRemoteMedia => "public:remote:media",
            Self::Hashtag => "hashtag",
            Self::HashtagLocal => "hashtag:local",
            Self::List => "list",
            Self::Direct => "direct",
        }
    }

    /// Which feed access settings apply; `None` for streams that are not filtered.
    pub fn feed(self) -> Option<Feed> {
        match self {
            Self::User | Self::UserNotification | Self::List | Self::Direct => None,
            Self::Hashtag | Self::HashtagLocal => Some(Feed::Topic),
            _ => Some(Feed::Live),
        }
    }

    /// The same stream restricted to statuses with attachments; itself where that makes no difference.
    pub fn with_media(self) -> Self {
        match self {
            Self::Public => Self::PublicMedia,
            Self::PublicLocal => Self::PublicLocalMedia,
            Self::PublicRemote => Self::PublicRemoteMedia,
            other => other,
        }
    }

    /// Whether statuses that do not federate are shown, given the client's parameter `allow_local_only`.
    fn shows_local_only(self, allow_local_only: bool) -> bool {
        match self {
            Self::Public | Self::PublicMedia => allow_local_only,
            Self::PublicRemote | Self::PublicRemoteMedia => false,
            _ => true,
        }
    }
}

/// The parameter `tag` of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagParameter {
    /// Missing, empty, repeated or no string.
    Missing,
    /// The tag, and the JSON text that the client gave for it.
    Given(String, String),
}

/// The parameter `list` of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListParameter {
    /// Missing, empty, null or the number 0.
    Missing,
    /// Something that can be no list's id.
    NoId,
    /// An id, and the JSON text that the client gave for it.
    Given(ListId, String),
}

/// A subscription as a client asks for it, unchecked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRequest {
    /// The stream; `None` if there is none of that name.
    pub name: Option<StreamName>,
    /// For hashtags.
    pub tag: TagParameter,
    /// For lists.
    pub list: ListParameter,
    /// glitch-soc's permission for `public` and `public:media`.
    pub allow_local_only: bool,
}

/// A subscription that names an existing stream with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Which stream.
    pub name: StreamName,
    /// Its channels; what identifies a subscription on its connection.
    pub channels: Vec<Channel>,
    /// The JSON array that WebSocket messages carry as `stream`.
    pub label: Arc<str>,
    /// Whether statuses that do not federate are shown.
    pub shows_local_only: bool,
    /// The list whose owner the viewer must be.
    pub list: Option<ListId>,
}

impl Stream {
    /// How many bytes its names take.
    pub fn name_bytes(&self) -> usize {
        self.label.len() + self.channels.iter().map(|channel| channel.as_str().len()).sum::<usize>()
    }
}

impl StreamRequest {
    /// How many bytes its parameters take.
    pub fn bytes(&self) -> usize {
        let tag = match &self.tag {
            TagParameter::Given(tag, spelled) => tag.len() + spelled.len(),
            TagParameter::Missing => 0,
        };
        let list = match &self.list {
            ListParameter::Given(_, list) => list.len(),
            ListParameter::Missing | ListParameter::NoId => 0,
        };
        tag + list
    }

    /// Reads the parameters of a client's message.
    pub fn from_message(message: &json::Object<'_>) -> Self {
        let name = message.get("stream").and_then(|stream| match stream.elements() {
            Some(elements) => elements.first().copied(),
            None => Some(stream),
        });
        Self {
            name: name.and_then(Value::text).and_then(|name| StreamName::parse(&name)),
            tag: message.get("tag").map_or(TagParameter::Missing, TagParameter::from_json),
            list: match message.get("list") {
                Some(list) if list.is_truthy() => ListParameter::from_json(list),
                _ => ListParameter::Missing,
            },
            allow_local_only: message.get("allow_local_only").is_some_and(is_true_parameter),
        }
    }

    /// Whether the viewer's token may open this stream; an unknown one counts as one of statuses.
    pub fn check_scopes(&self, viewer: &Viewer) -> Result<(), Refusal> {
        let allowed = match self.name {
            Some(StreamName::UserNotification) => viewer.scopes.allow_notifications(),
            _ => viewer.scopes.allow_statuses(),
        };
        if allowed { Ok(()) } else { Err(Refusal::MissingScopes) }
    }

    /// Checks the name and the parameters.
    pub fn resolve(&self, viewer: &Viewer) -> Result<Stream, Refusal> {
        let name = self.name.ok_or(Refusal::UnknownStream)?;
        let mut list = None;
        let (channels, label) = match name {
            StreamName::User => (user_channels(viewer), simple_label(name)),
            StreamName::UserNotification => (vec![Channel::notifications(viewer.account)], simple_label(name)),
            StreamName::Direct => (vec![Channel::direct(viewer.account)], simple_label(name)),
            StreamName::Hashtag | StreamName::HashtagLocal => {
                let TagParameter::Given(tag, spelled) = &self.tag else { return Err(Refusal::MissingTag) };
                let channel = Channel::hashtag(&tag::normalise(tag), name == StreamName::HashtagLocal);
                (vec![channel], labelled(name, spelled))
            }
            StreamName::List => {
                let (id, spelled) = match &self.list {
                    ListParameter::Missing => return Err(Refusal::MissingList),
                    ListParameter::NoId => return Err(Refusal::ForeignList),
                    ListParameter::Given(id, spelled) => (*id, spelled),
                };
                list = Some(id);
                (vec![Channel::list(id)], labelled(name, spelled))
            }
            // The remaining ones are public feeds: a channel is named after its stream.
            _ => (vec![Channel::named(&format!("timeline:{}", name.label()))], simple_label(name)),
        };
        let shows_local_only = name.shows_local_only(self.allow_local_only);
        Ok(Stream { name, channels, label, shows_local_only, list })
    }
}

impl TagParameter {
    /// Reads a value.
    pub fn from_json(tag: Value<'_>) -> Self {
        match tag.text() {
            Some(text) if !text.is_empty() => Self::Given(text.into_owned(), tag.raw().to_owned()),
            _ => Self::Missing,
        }
    }

    /// Reads a text.
    pub fn from_text(tag: &str) -> Self {
        if tag.is_empty() { Self::Missing } else { Self::Given(tag.to_owned(), json::quote(tag)) }
    }
}

impl ListParameter {
    /// Reads a value that is not empty.
    pub fn from_json(list: Value<'_>) -> Self {
        match list.integer() {
            Some(id) => Self::Given(ListId(id), list.raw().to_owned()),
            None => Self::NoId,
        }
    }

    /// Reads a text that is not empty.
    pub fn from_text(list: &str) -> Self {
        let quoted = json::quote(list);
        json::parse(&quoted).map_or(Self::NoId, Self::from_json)
    }
}

fn user_channels(viewer: &Viewer) -> Vec<Channel> {
    let home = Channel::home(viewer.account);
    if viewer.scopes.allow_notifications() { vec![home, Channel::notifications(viewer.account)] } else { vec![home] }
}

fn simple_label(name: StreamName) -> Arc<str> {
    format!("[\"{}\"]", name.as_str()).into()
}

fn labelled(name: StreamName, parameter: &str) -> Arc<str> {
    format!("[\"{}\",{parameter}]", name.as_str()).into()
}

/// What Mastodon takes for "no" in a parameter that is a string.
pub fn is_false_text(text: &str) -> bool {
    matches!(text, "" | "0" | "f" | "F" | "false" | "FALSE" | "off" | "OFF")
}

fn is_true_parameter(value: Value<'_>) -> bool {
    value.is_truthy() && !value.text().is_some_and(|text| is_false_text(&text))
}

/// The channels on which a session listens for `kill` and `filters_changed`.
pub fn control_channels(viewer: &Viewer) -> [Channel; 2] {
    [Channel::access_token(viewer.token), Channel::system(viewer.account)]
}

#[cfg(test)]
mod tests;
