//! What Mastodon publishes: statuses of true shape and size, and the messages around them.

use serde_json::{Value, json};

use super::people::Account;
use super::redis::Redis;

/// A message as Mastodon publishes it: `{"event":…,"payload":…}`.
pub fn event(name: &str, payload: impl Into<Value>) -> String {
    json!({"event": name, "payload": payload.into()}).to_string()
}

/// The message that announces a new status.
pub fn update(status: &Status) -> String {
    event("update", status)
}

/// An event of no meaning, which tells a test that whatever was published before it has been dealt with.
pub struct Marker(String);

impl Marker {
    pub const EVENT: &str = "marker";

    /// Publishes one; panics if nobody is subscribed to the channel.
    pub async fn publish(redis: &Redis, channel: &str) -> Self {
        let marker = Self(format!("{:032x}", fastrand::u128(..)));
        let message = event(Self::EVENT, marker.payload());
        let receivers = redis.publish(channel, message).await;
        assert_ne!(receivers, 0, "nobody is subscribed to {channel}");
        marker
    }

    pub fn payload(&self) -> &str {
        &self.0
    }
}

/// A public status, in the making.
#[derive(Debug, Clone, PartialEq)]
pub struct Status(Value);

/// A public status in English, without mentions, media and poll, as it goes to public feeds (without `filtered`).
pub fn status(id: i64, author: impl Into<Account>) -> Status {
    let author = author.into();
    let address = address_of(&author);
    let content = "<p>The harbour was empty this morning, but for one heron who had evidently been told to wait for \
        somebody. I sat with it for a while. Neither of us had brought anything to read.</p><p>More about the walk: \
        <a href=\"https://walks.example/harbour/2026/heron\" target=\"_blank\" rel=\"nofollow noopener\"><span \
        class=\"invisible\">https://</span><span class=\"ellipsis\">walks.example/harbour/2026</span><span \
        class=\"invisible\">/heron</span></a></p>";
    Status(json!({
        "id": id.to_string(),
        "created_at": "2026-03-14T08:15:26.535Z",
        "in_reply_to_id": null,
        "in_reply_to_account_id": null,
        "sensitive": false,
        "spoiler_text": "",
        "visibility": "public",
        "language": "en",
        "uri": format!("https://{address}/users/{}/statuses/{id}", author.username),
        "url": format!("https://{address}/@{}/{id}", author.username),
        "replies_count": 0,
        "reblogs_count": 0,
        "favourites_count": 0,
        "quotes_count": 0,
        "edited_at": null,
        "content": content,
        "reblog": null,
        "application": if author.domain.is_none() { json!({"name": "Web", "website": null}) } else { Value::Null },
        "account": account(&author),
        "media_attachments": [],
        "mentions": [],
        "tags": [],
        "emojis": [],
        "card": card(),
        "poll": null,
    }))
}

/// The preview of the page to which the content links.
fn card() -> Value {
    json!({
        "url": "https://walks.example/harbour/2026/heron",
        "title": "A heron, waiting",
        "description": "Notes from a walk along the old harbour, with a map and the times of the tide.",
        "language": "en", "type": "link", "author_name": "", "author_url": "", "provider_name": "Walks",
        "provider_url": "", "html": "", "width": 640, "height": 360, "embed_url": "",
        "image": "https://files.local.example/cache/preview_cards/images/000/001/234/original/heron.png",
        "image_description": "", "blurhash": "UBL_:rOpGG-;~qWBRjj[%MayWBof-;ayRjj[", "published_at": null, "authors": [],
    })
}

fn address_of(account: &Account) -> &str {
    account.domain.as_deref().unwrap_or("local.example")
}

/// The account object of an author.
fn account(account: &Account) -> Value {
    let (address, name) = (address_of(account), &account.username);
    let pictures = "https://files.local.example/accounts";
    let note = "<p>Walks along the water, mostly early. Keeps a list of birds and one of bakeries, and sometimes mixes \
        them up.</p><p>Pictures are my own; ask before you print them. I do not answer before the second coffee.</p>";
    let field =
        |name: &str, value: &str, verified: Value| json!({"name": name, "value": value, "verified_at": verified});
    json!({
        "id": account.account_id.to_string(),
        "username": name,
        "acct": account.acct(),
        "display_name": format!("{name} of the harbour"),
        "locked": false,
        "bot": false,
        "discoverable": true,
        "indexable": false,
        "group": false,
        "created_at": "2022-11-05T00:00:00.000Z",
        "note": note,
        "url": format!("https://{address}/@{name}"),
        "uri": format!("https://{address}/users/{name}"),
        "avatar": format!("{pictures}/avatars/000/014/715/original/{name}.png"),
        "avatar_static": format!("{pictures}/avatars/000/014/715/original/{name}.png"),
        "header": format!("{pictures}/headers/000/014/715/original/{name}.jpg"),
        "header_static": format!("{pictures}/headers/000/014/715/original/{name}.jpg"),
        "followers_count": 312,
        "following_count": 208,
        "statuses_count": 4711,
        "last_status_at": "2026-03-14",
        "hide_collections": null,
        "noindex": false,
        "emojis": [],
        "roles": [],
        "fields": [
            field("Walks", "<a href=\"https://walks.example\" target=\"_blank\" rel=\"nofollow noopener me\"><span \
                class=\"invisible\">https://</span><span class=\"\">walks.example</span></a>", json!("2024-02-03T04:05:06.000+00:00")),
            field("Birds", "134 so far, the bittern only by ear", Value::Null),
            field("Bakeries", "18, of which I would go back to five", Value::Null),
        ],
    })
}

impl Status {
    /// Sets any field of the status.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0[key] = value.into();
        self
    }

    /// Removes a field of the status.
    pub fn without(mut self, key: &str) -> Self {
        let fields = self.0.as_object_mut().expect("a status is an object");
        fields.remove(key);
        self
    }

    /// The content, as HTML.
    pub fn content(self, html: &str) -> Self {
        self.with("content", html)
    }

    /// The language's code, or none for null.
    pub fn language<'a>(self, code: impl Into<Option<&'a str>>) -> Self {
        self.with("language", code.into())
    }

    pub fn spoiler(self, text: &str) -> Self {
        self.with("spoiler_text", text).with("sensitive", true)
    }

    /// Adds a mention.
    pub fn mention(self, mentioned: impl Into<Account>) -> Self {
        let mentioned = mentioned.into();
        let url = format!("https://{}/@{}", address_of(&mentioned), mentioned.username);
        self.push(
            "mentions",
            json!({
                "id": mentioned.account_id.to_string(),
                "username": mentioned.username,
                "url": url,
                "acct": mentioned.acct(),
            }),
        )
    }

    /// Adds a picture with a description, or none for null.
    pub fn picture<'a>(self, description: impl Into<Option<&'a str>>) -> Self {
        let file = "https://files.local.example/media_attachments/files/000/022/345";
        self.push(
            "media_attachments",
            json!({
                "id": "22345", "type": "image", "url": format!("{file}/original/heron.png"),
                "preview_url": format!("{file}/small/heron.png"), "remote_url": null, "preview_remote_url": null,
                "text_url": null, "description": description.into(), "blurhash": "UFBWY:8_0Jxv4mx]t8t64.%M-:IUWGWAt6M}",
                "meta": {
                    "original": {"width": 1280, "height": 960, "size": "1280x960", "aspect": 1.3333333333333333},
                    "small": {"width": 554, "height": 415, "size": "554x415", "aspect": 1.3349397590361446},
                },
            }),
        )
    }

    /// A poll with these options.
    pub fn poll(self, options: &[&str]) -> Self {
        let option = |title: &&str| json!({"title": title, "votes_count": 0});
        let options: Vec<Value> = options.iter().map(option).collect();
        self.with(
            "poll",
            json!({
                "id": "34567", "expires_at": "2026-03-21T08:15:26.535Z", "expired": false, "multiple": false,
                "votes_count": 0, "voters_count": 0, "options": options, "emojis": [],
            }),
        )
    }

    /// Adds a hashtag to `tags` (the content stays as it is).
    pub fn tag(self, name: &str) -> Self {
        let url = format!("https://local.example/tags/{name}");
        self.push("tags", json!({"name": name, "url": url}))
    }

    /// The key `filtered`, which Mastodon adds where it renders for one viewer.
    pub fn filtered(self, filtered: impl Into<Value>) -> Self {
        self.with("filtered", filtered)
    }

    fn push(mut self, key: &str, value: Value) -> Self {
        let list = self.0[key].as_array_mut();
        list.expect("the field is an array").push(value);
        self
    }

    pub fn value(&self) -> &Value {
        &self.0
    }

    pub fn id(&self) -> &str {
        self.0["id"].as_str().expect("the id is a string")
    }
}

impl From<Status> for Value {
    fn from(status: Status) -> Self {
        status.0
    }
}

impl From<&Status> for Value {
    fn from(status: &Status) -> Self {
        status.0.clone()
    }
}
