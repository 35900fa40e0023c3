//! The objects of Mastodon's REST API (`Status`, `Account`, `MediaAttachment`, …, as its documentation describes them)
//! that the demo's events carry.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use serde_json::{Value, json};

use super::pictures;
use super::words::{Extra, Person};

/// The domain that the demo's own accounts live on.
pub const DOMAIN: &str = "flodgatt.example";

/// What a status says, before it has Mastodon's shape.
pub struct Written<'a> {
    pub id: &'a str,
    pub now: SystemTime,
    /// The author's server.
    pub host: &'static str,
    pub local: bool,
    pub account: &'a Value,
    /// HTML.
    pub content: &'a str,
    pub language: &'static str,
    pub visibility: &'static str,
    pub tag: Option<&'static str>,
    pub extra: &'static Extra,
    pub mentions: Vec<Value>,
    /// Ids of the status and of the account that it answers.
    pub answers: Option<(String, String)>,
}

/// The status object as it goes to public feeds, rendered for nobody in particular.
pub fn status(rng: &mut Rng, written: Written<'_>) -> Value {
    let Written { id, now, host, account, language, visibility, extra, .. } = written;
    let (uri, url) = (text(&account["uri"]), text(&account["url"]));
    let warning = if let Extra::Warning(warning) = extra { warning } else { "" };
    let (content, tags) = tagged(written.content, written.tag, host);
    let (answered, answered_account) = written.answers.unzip();
    let mut status = json!({
        "id": id, "uri": format!("{uri}/statuses/{id}"), "url": format!("{url}/{id}"),
        "created_at": iso8601(now), "edited_at": null, "account": account,
        "in_reply_to_id": answered, "in_reply_to_account_id": answered_account,
        "content": content, "language": language, "visibility": visibility,
        "sensitive": !warning.is_empty(), "spoiler_text": warning,
    });
    merge(
        &mut status,
        json!({
            "replies_count": 0, "reblogs_count": 0, "favourites_count": 0, "quotes_count": 0,
            "reblog": null, "quote": null, "mentions": written.mentions, "tags": tags, "emojis": [],
            "media_attachments": media(rng, extra, id, host), "card": card(extra), "poll": poll(rng, extra, id, now),
        }),
    );
    if written.local {
        status["application"] = json!({"name": "Web", "website": null});
    }
    status
}

/// The same status rendered for somebody: what they did with it, and which of their filters match (none).
pub fn for_viewer(status: &Value) -> Value {
    let mut status = status.clone();
    merge(
        &mut status,
        json!({"favourited": false, "reblogged": false, "muted": false, "bookmarked": false, "filtered": []}),
    );
    if status["poll"].is_object() {
        merge(&mut status["poll"], json!({"voted": false, "own_votes": []}));
    }
    status
}

/// The account object of a person; `number` picks the colours of the avatar.
pub fn account(rng: &mut Rng, person: &Person, id: &str, number: usize) -> Value {
    let Person { username, domain, name, avatar, bot, .. } = person;
    let (acct, host) = match *domain {
        "" => ((*username).to_owned(), DOMAIN),
        domain => (format!("{username}@{domain}"), domain),
    };
    let avatar = match avatar {
        0 => format!("https://{host}/avatars/original/missing.png"),
        drawing => pictures::avatar(*drawing, u32::try_from(number * 47 % 360).unwrap_or(0)),
    };
    let header = format!("https://{host}/headers/original/missing.png");
    let mut account = json!({
        "id": id, "username": username, "acct": acct, "display_name": name, "note": "",
        "url": format!("https://{host}/@{username}"), "uri": format!("https://{host}/users/{username}"),
        "avatar": avatar, "avatar_static": avatar, "header": header, "header_static": header,
        "created_at": format!("20{}-0{}-1{}T00:00:00.000Z", rng.u8(17..25), rng.u8(1..10), rng.u8(0..10)),
    });
    merge(
        &mut account,
        json!({
            "locked": false, "bot": bot, "group": false, "discoverable": true, "indexable": true,
            "emojis": [], "fields": [], "last_status_at": null, "followers_count": rng.u32(12..2_400),
            "following_count": rng.u32(8..700), "statuses_count": rng.u32(40..9_000),
        }),
    );
    account
}

/// `content` with the hashtag below it, and the `tags` to go with it.
fn tagged(content: &str, tag: Option<&str>, host: &str) -> (String, Vec<Value>) {
    let Some(tag) = tag else { return (content.to_owned(), Vec::new()) };
    let name = tag.to_lowercase();
    let url = format!("https://{host}/tags/{name}");
    let anchor = format!("<a href=\"{url}\" class=\"mention hashtag\" rel=\"tag\">#<span>{tag}</span></a>");
    (format!("{content}<p>{anchor}</p>"), vec![json!({"name": name, "url": url})])
}

fn media(rng: &mut Rng, extra: &Extra, id: &str, host: &str) -> Vec<Value> {
    let Extra::Photos(photos) = extra else { return Vec::new() };
    let photo = |(place, (description, colour)): (usize, &(&str, u32))| {
        let (width, height) = *rng.choice(&[(1600, 1200), (1600, 1067), (1200, 1500)]).unwrap_or(&(1600, 1200));
        let size = |width: u32, height: u32| {
            json!({"width": width, "height": height, "size": format!("{width}x{height}"),
                   "aspect": f64::from(width) / f64::from(height)})
        };
        let file = |kind| format!("https://files.{host}/media_attachments/{id}/{kind}/{place}.jpg");
        json!({
            "id": format!("{id}{place}"), "type": "image", "url": file("original"), "preview_url": file("small"),
            "remote_url": (host != DOMAIN).then(|| file("original")), "preview_remote_url": null, "text_url": null,
            "meta": {"original": size(width, height), "small": size(width / 3, height / 3), "focus": {"x": 0.0, "y": 0.0}},
            "description": description, "blurhash": pictures::blurhash(rng, *colour),
        })
    };
    photos.iter().enumerate().map(photo).collect()
}

fn card(extra: &Extra) -> Value {
    let Extra::Link(url, title, description) = extra else { return Value::Null };
    let provider = url.split('/').nth(2).unwrap_or_default();
    json!({
        "url": url, "title": title, "description": description, "type": "link", "language": null,
        "author_name": "", "author_url": "", "authors": [], "provider_name": provider, "provider_url": "", "html": "",
        "width": 0, "height": 0, "image": null, "image_description": "", "embed_url": "", "blurhash": null,
        "published_at": null,
    })
}

fn poll(rng: &mut Rng, extra: &Extra, id: &str, now: SystemTime) -> Value {
    let Extra::Poll(titles) = extra else { return Value::Null };
    let votes: Vec<u32> = titles.iter().map(|_| rng.u32(0..60)).collect();
    let total: u32 = votes.iter().sum();
    let options = titles.iter().zip(votes).map(|(title, votes)| json!({"title": title, "votes_count": votes}));
    json!({
        "id": id, "expires_at": iso8601(now + Duration::from_secs(24 * 60 * 60)), "expired": false, "multiple": false,
        "votes_count": total, "voters_count": total, "options": options.collect::<Vec<_>>(), "emojis": [],
    })
}

/// A paragraph with a link, its scheme and its tail hidden as Mastodon hides them.
pub fn link(url: &str) -> String {
    let bare = url.trim_start_matches("https://");
    let shown = bare.char_indices().nth(30).map_or(bare.len(), |(end, _)| end);
    let (head, tail) = bare.split_at(shown);
    let class = if tail.is_empty() { "" } else { "ellipsis" };
    format!(
        "<p><a href=\"{url}\" target=\"_blank\" rel=\"nofollow noopener\" translate=\"no\">\
         <span class=\"invisible\">https://</span><span class=\"{class}\">{head}</span>\
         <span class=\"invisible\">{tail}</span></a></p>"
    )
}

/// Text as HTML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// The string in `value`, empty if it is none.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Milliseconds since 1970, 0 for earlier times.
pub fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// UTC with milliseconds, `2026-01-02T03:04:05.678Z`, as Mastodon writes times.
pub fn iso8601(time: SystemTime) -> String {
    let millis = millis(time);
    let (seconds, days) = (millis / 1_000, millis / 86_400_000);
    // Civil date from a day count (Howard Hinnant's algorithm): eras of 400 years that begin on 1 March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second, milli) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60, millis % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Adds the keys of `more` to `object`.
fn merge(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}
