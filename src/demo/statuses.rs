//! Lifelike events for the demo: what Mastodon would publish while a small cast of invented people talks.
//!
//! Pure: the time is given, chance comes from a seed, so the same seed and times give the same events.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::SystemTime;

use fastrand::Rng;
use serde_json::{Value, json};

use super::render::{self, DOMAIN, Written, escape, for_viewer, iso8601, link, text};
use super::words::{Extra, LINES, Line, PEOPLE, PHRASES, Person, Phrases, VIEWER};

/// The demo account's id.
pub const VIEWER_ID: &str = "1";

/// How many statuses can still be edited, deleted, boosted or answered.
const REMEMBERED: usize = 40;

/// One event as Mastodon publishes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Post {
    /// Redis channels without namespace.
    pub channels: Vec<String>,
    /// `update`, `status.update`, `delete` or `notification`.
    pub event: String,
    /// A status, a notification, or (for `delete`) a status id as a string.
    pub payload: Value,
}

/// The people of the demo and what they have said lately.
pub struct Cast {
    rng: Rng,
    people: Vec<Member>,
    recent: VecDeque<Published>,
    last_id: u64,
}

struct Member {
    person: &'static Person,
    id: String,
    /// The account object.
    account: Value,
}

/// A status that clients have seen, rendered without viewer.
struct Published {
    status: Value,
    language: &'static str,
    channels: Vec<String>,
    /// Whether it went to the demo account's home feed too.
    home: bool,
}

/// A status before it is rendered.
struct Draft {
    author: usize,
    phrases: &'static Phrases,
    content: String,
    tag: Option<&'static str>,
    mentions: Vec<usize>,
    extra: &'static Extra,
    visibility: &'static str,
    /// Ids of the status and of the account that it answers.
    answers: Option<(String, String)>,
}

impl Cast {
    /// The cast, with nothing said yet.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let people = std::iter::once(&VIEWER).chain(PEOPLE).enumerate();
        let people = people.map(|(number, person)| Member::new(number, person, &mut rng)).collect();
        Self { rng, people, recent: VecDeque::new(), last_id: 0 }
    }

    /// What happens next: one thing, which may be several events (the public and the home rendering of a status, say).
    pub fn next(&mut self, now: SystemTime) -> Vec<Post> {
        let happens = self.rng.u8(0..100);
        if self.recent.len() < 6 {
            return self.say(now);
        }
        match happens {
            0..5 => self.edit(now),
            5..9 => self.delete(),
            9..13 => self.reply(now),
            13..16 => self.boost(now),
            16..22 => self.notify(now),
            _ => self.say(now),
        }
    }

    /// Somebody whom the demo account follows writes a public status: newcomers see it, whatever they watch most likely.
    pub fn welcome(&mut self, now: SystemTime) -> Vec<Post> {
        let followed: Vec<usize> = (0..self.people.len()).filter(|author| is_followed(*author)).collect();
        let author = *pick(&mut self.rng, &followed);
        self.say_as(author, false, now)
    }

    /// Somebody writes a status.
    fn say(&mut self, now: SystemTime) -> Vec<Post> {
        let author = self.rng.usize(0..self.people.len());
        self.say_as(author, true, now)
    }

    /// One of them writes a status, which may be for few eyes.
    fn say_as(&mut self, author: usize, may_hide: bool, now: SystemTime) -> Vec<Post> {
        let (line, phrases) = self.pick_line(author);
        let mut draft = self.draft(author, line, phrases);
        if self.rng.u8(0..10) == 0 && !matches!(line.extra, Extra::Poll(_)) {
            let other = self.rng.usize(1..self.people.len());
            if other != author {
                draft.mention(phrases.thanks, other, &self.people[other]);
            }
        }
        // The viewer sees their own statuses at home, and those of some whom they follow.
        let mut home = author == 0 || is_followed(author);
        if may_hide && author != 0 && self.rng.u8(0..25) == 0 {
            draft.visibility = if self.rng.bool() { "unlisted" } else { "private" };
            home = true;
        }
        self.publish(&draft, home, now)
    }

    /// Somebody answers somebody else: Mastodon keeps those out of the public timelines, not out of hashtags and home feeds.
    fn reply(&mut self, now: SystemTime) -> Vec<Post> {
        let answered = pick_index(&mut self.rng, &self.recent, |published| published.status["visibility"] == "public");
        let Some(answered) = answered else { return self.say(now) };
        let Published { status, language, .. } = &self.recent[answered];
        let ids = (text(&status["id"]), text(&status["account"]["id"]));
        let language = *language;
        let phrases = phrases_of(language);
        let author = self.pick_author(|member| member.person.languages.contains(&language) && member.id != ids.1);
        let Some(other) = self.people.iter().position(|member| member.id == ids.1) else { return Vec::new() };
        let words = pick(&mut self.rng, phrases.replies);
        let mut draft = Draft {
            author,
            phrases,
            content: String::new(),
            tag: None,
            mentions: Vec::new(),
            extra: &Extra::Nothing,
            visibility: "public",
            answers: Some(ids),
        };
        draft.mention(&format!("{{mention}} {words}"), other, &self.people[other]);
        self.publish(&draft, true, now)
    }

    /// Something that the demo account is told of.
    fn notify(&mut self, now: SystemTime) -> Vec<Post> {
        let who = self.rng.usize(1..self.people.len());
        let own = self.recent.iter().rev().find(|published| published.status["account"]["id"] == VIEWER_ID);
        let own = own.map(|published| for_viewer(&published.status));
        let kind = match (self.rng.u8(0..4), &own) {
            (0, _) => return self.mention_viewer(now),
            (1, _) | (_, None) => "follow",
            (2, Some(_)) => "favourite",
            (_, Some(_)) => "reblog",
        };
        let status = own.filter(|_| kind != "follow");
        vec![self.notification(kind, who, status, now)]
    }

    fn mention_viewer(&mut self, now: SystemTime) -> Vec<Post> {
        let author = self.rng.usize(0..self.people.len());
        let (line, phrases) = self.pick_line(author);
        let mut draft = self.draft(author, line, phrases);
        if author == 0 {
            return self.publish(&draft, true, now); // nobody is told of mentioning themselves
        }
        draft.mention(phrases.question, 0, &self.people[0]);
        let mut posts = self.publish(&draft, false, now);
        let status = posts.first().map(|post| for_viewer(&post.payload));
        posts.push(self.notification("mention", author, status, now));
        posts
    }

    fn notification(&mut self, kind: &str, who: usize, status: Option<Value>, now: SystemTime) -> Post {
        let id = self.next_id(now);
        let mut payload = json!({
            "id": id, "type": kind, "created_at": iso8601(now), "group_key": format!("ungrouped-{id}"),
            "account": self.people[who].account,
        });
        if let Some(status) = status {
            payload["status"] = status;
        }
        Post { channels: vec![format!("timeline:{VIEWER_ID}:notifications")], event: "notification".into(), payload }
    }

    /// Somebody whom the demo account follows boosts a status: home feeds only.
    fn boost(&mut self, now: SystemTime) -> Vec<Post> {
        let boosted = pick_index(&mut self.rng, &self.recent, |published| published.status["visibility"] == "public");
        let Some(boosted) = boosted else { return self.say(now) };
        let original = for_viewer(&self.recent[boosted].status);
        let who = self.pick_author(|member| member.id != VIEWER_ID && original["account"]["id"] != member.id);
        let id = self.next_id(now);
        let mut status = original.clone();
        status["uri"] = json!(format!("{}/statuses/{id}/activity", text(&self.people[who].account["uri"])));
        status["id"] = json!(id);
        status["created_at"] = json!(iso8601(now));
        status["account"] = self.people[who].account.clone();
        status["reblog"] = original;
        vec![Post { channels: vec![format!("timeline:{VIEWER_ID}")], event: "update".into(), payload: status }]
    }

    /// An author mends a status that was not edited before.
    fn edit(&mut self, now: SystemTime) -> Vec<Post> {
        let edited = pick_index(&mut self.rng, &self.recent, |published| published.status["edited_at"].is_null());
        let Some(edited) = edited else { return self.say(now) };
        let published = &mut self.recent[edited];
        let content = text(&published.status["content"]);
        published.status["content"] = json!(format!("{content}<p>{}</p>", phrases_of(published.language).edit));
        published.status["edited_at"] = json!(iso8601(now));
        published.posts("status.update")
    }

    fn delete(&mut self) -> Vec<Post> {
        let gone = self.rng.usize(0..self.recent.len());
        let Some(Published { status, mut channels, home, .. }) = self.recent.remove(gone) else { return Vec::new() };
        if home {
            channels.push(format!("timeline:{VIEWER_ID}"));
        }
        vec![Post { channels, event: "delete".into(), payload: status["id"].clone() }]
    }

    /// Renders a draft, remembers it, and says what is published.
    fn publish(&mut self, draft: &Draft, home: bool, now: SystemTime) -> Vec<Post> {
        let language = draft.phrases.language;
        let id = self.next_id(now);
        let author = &self.people[draft.author];
        let written = Written {
            id: &id,
            now,
            host: author.host(),
            local: author.is_local(),
            account: &author.account,
            content: &draft.content,
            language,
            visibility: draft.visibility,
            tag: draft.tag,
            extra: draft.extra,
            mentions: draft.mentions.iter().map(|&other| self.people[other].mention()).collect(),
            answers: draft.answers.clone(),
        };
        let status = render::status(&mut self.rng, written);
        let channels = channels(draft, self.people[draft.author].is_local());
        let published = Published { status, language, channels, home };
        let posts = published.posts("update");
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(published);
        posts
    }

    fn pick_author(&mut self, fits: impl Fn(&Member) -> bool) -> usize {
        pick_index(&mut self.rng, &self.people, fits).unwrap_or(1)
    }

    fn pick_line(&mut self, author: usize) -> (&'static Line, &'static Phrases) {
        let language = *pick(&mut self.rng, self.people[author].person.languages);
        let lines: Vec<&'static Line> = LINES.iter().filter(|line| line.language == language).collect();
        (*pick::<&Line>(&mut self.rng, &lines), phrases_of(language))
    }

    fn draft(&mut self, author: usize, line: &'static Line, phrases: &'static Phrases) -> Draft {
        let ending = if matches!(line.extra, Extra::Poll(_)) { &"" } else { pick(&mut self.rng, phrases.endings) };
        let space = if phrases.language == "ja" || ending.is_empty() { "" } else { " " };
        let words = escape(&format!("{}{space}{ending}", line.text));
        let words = words.replace("{n}", &self.rng.u8(3..20).to_string());
        let mut content = format!("<p>{words}</p>");
        if let Extra::Link(url, _, _) = line.extra {
            content.push_str(&link(url));
        }
        // Now and then a tag is forgotten.
        let tag = (self.rng.u8(0..8) != 0).then_some(line.tag);
        let mentions = Vec::new();
        Draft { author, phrases, content, tag, mentions, extra: &line.extra, visibility: "public", answers: None }
    }

    /// Ids as Mastodon makes them: milliseconds in the upper 48 bits, so they ascend with time.
    fn next_id(&mut self, now: SystemTime) -> String {
        let millis = render::millis(now) & 0x7fff_ffff_ffff;
        self.last_id = (self.last_id + 1).max((millis << 16) | u64::from(self.rng.u16(..)));
        self.last_id.to_string()
    }
}

impl Member {
    fn new(number: usize, person: &'static Person, rng: &mut Rng) -> Self {
        // The viewer is number 1; the others have ids of the size that Mastodon gives out.
        let id = match number {
            0 => VIEWER_ID.to_owned(),
            _ => (109_300_000_000_000_000 + number * 7_919_003).to_string(),
        };
        let account = render::account(rng, person, &id, number);
        Self { person, id, account }
    }

    fn is_local(&self) -> bool {
        self.person.domain.is_empty()
    }

    fn host(&self) -> &'static str {
        if self.is_local() { DOMAIN } else { self.person.domain }
    }

    /// As it stands in a status's `mentions`.
    fn mention(&self) -> Value {
        let account = &self.account;
        json!({"id": account["id"], "username": account["username"], "url": account["url"], "acct": account["acct"]})
    }
}

impl Draft {
    /// Adds a paragraph in which `{mention}` links to `member`, whose place in the cast is `number`.
    fn mention(&mut self, words: &str, number: usize, member: &Member) {
        let anchor = format!(
            "<span class=\"h-card\" translate=\"no\"><a href=\"{}\" class=\"u-url mention\">@<span>{}</span></a></span>",
            text(&member.account["url"]),
            member.person.username
        );
        self.content.push_str(&format!("<p>{}</p>", escape(words).replace("{mention}", &anchor)));
        self.mentions.push(number);
    }
}

impl Published {
    fn posts(&self, event: &str) -> Vec<Post> {
        let mut posts = Vec::with_capacity(2);
        if !self.channels.is_empty() {
            posts.push(Post { channels: self.channels.clone(), event: event.into(), payload: self.status.clone() });
        }
        if self.home {
            let channels = vec![format!("timeline:{VIEWER_ID}")];
            posts.push(Post { channels, event: event.into(), payload: for_viewer(&self.status) });
        }
        posts
    }
}

/// Where Mastodon publishes a status, home feeds apart.
fn channels(draft: &Draft, local: bool) -> Vec<String> {
    let mut channels = Vec::new();
    if draft.visibility != "public" {
        return channels;
    }
    if draft.answers.is_none() {
        let origin = if local { "timeline:public:local" } else { "timeline:public:remote" };
        channels.extend(["timeline:public".to_owned(), origin.to_owned()]);
        if matches!(draft.extra, Extra::Photos(_)) {
            channels.extend(["timeline:public:media".to_owned(), format!("{origin}:media")]);
        }
    }
    if let Some(tag) = draft.tag {
        let channel = format!("timeline:hashtag:{}", tag.to_lowercase());
        if local {
            channels.push(format!("{channel}:local"));
        }
        channels.push(channel);
    }
    channels
}

/// Whether the demo account follows this number of the cast.
fn is_followed(number: usize) -> bool {
    number % 4 == 1
}

fn phrases_of(language: &str) -> &'static Phrases {
    PHRASES.iter().find(|phrases| phrases.language == language).unwrap_or(&PHRASES[0])
}

fn pick<'a, T>(rng: &mut Rng, choices: &'a [T]) -> &'a T {
    &choices[rng.usize(0..choices.len())]
}

/// The index of one of those that fit, none if none does.
fn pick_index<'a, T: 'a>(
    rng: &mut Rng,
    choices: impl IntoIterator<Item = &'a T>,
    fits: impl Fn(&T) -> bool,
) -> Option<usize> {
    let fitting: Vec<usize> =
        choices.into_iter().enumerate().filter(|(_, choice)| fits(choice)).map(|(index, _)| index).collect();
    rng.choice(fitting)
}
