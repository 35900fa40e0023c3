//! One viewer's result never reaches another: random viewers and statuses against a simple model.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{statuses::Status, *};

const VIEWERS: usize = 50;
const STATUSES: i64 = 60;
const WORDS: [&str; 12] =
    ["heron", "hero", "duck", "pond", "morning", "walk", "bakery", "bread", "rain", "on", "read", "walking"];
const LANGUAGES: [&str; 3] = ["en", "de", "fr"];

/// What the model knows of an author.
struct Author {
    account: Account,
}

/// What the model knows of a filter: id, title, keywords with their `whole_word`.
type Filter = (i64, String, Vec<(&'static str, bool)>);

/// A filter, by id and title, and what it matched.
type Match = (String, String);

/// What the model knows of a viewer.
#[derive(Default)]
struct Viewer {
    languages: Option<Vec<&'static str>>,
    privileged: bool,
    hidden_authors: BTreeSet<i64>,
    /// Those hidden as mentioned accounts too.
    hidden_people: BTreeSet<i64>,
    hidden_domains: BTreeSet<String>,
    filters: Vec<Filter>,
}

impl Viewer {
    /// What is to come of a status: nothing, or the filters that match, with what they match.
    fn expects(&self, status: &Status, author: &Author, mentions: &[i64], text: &str) -> Option<Vec<Match>> {
        let language = status.value()["language"].as_str().expect("every status here has one");
        let is_local = author.account.domain.is_none();
        let hidden = (is_local && !self.privileged)
            || self.languages.as_ref().is_some_and(|chosen| !chosen.contains(&language))
            || self.hidden_authors.contains(&author.account.account_id)
            || self.hidden_people.contains(&author.account.account_id)
            || mentions.iter().any(|id| self.hidden_people.contains(id))
            || author.account.domain.as_ref().is_some_and(|domain| self.hidden_domains.contains(domain));
        let matches = |(id, title, keywords): &Filter| {
            let found = keywords.iter().filter_map(|(word, whole)| Some((find(text, word, *whole)?, *word)));
            // Of those at the same place the first keyword counts: `min_by_key` returns the first of equal ones.
            let (_, word) = found.min_by_key(|(place, _)| *place)?;
            Some((format!("{id} {title}"), word.to_owned()))
        };
        (!hidden).then(|| self.filters.iter().filter_map(matches).collect())
    }
}

/// The first place of a word in a text of lower case letters and blanks.
fn find(text: &str, word: &str, whole: bool) -> Option<usize> {
    let is_letter = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphabetic);
    (0..text.len()).find(|&at| {
        let bounded =
            (at == 0 || !is_letter(text.as_bytes().get(at - 1))) && !is_letter(text.as_bytes().get(at + word.len()));
        text[at..].starts_with(word) && (!whole || bounded)
    })
}

fn one_of<T: Copy>(random: &mut fastrand::Rng, choices: &[T]) -> T {
    choices[random.usize(..choices.len())]
}

async fn authors(db: &Database) -> Vec<Author> {
    let mut authors = Vec::new();
    for number in 0..12 {
        let domain = ["", "@one.example", "@two.example", "@three.example"][number % 4];
        authors.push(Author { account: db.account(&format!("author{number}{domain}")).await });
    }
    authors
}

async fn viewer(db: &Database, number: usize, authors: &[Author], random: &mut fastrand::Rng) -> (Person, Viewer) {
    let mut known = Viewer { privileged: random.bool(), ..Viewer::default() };
    let new = db.person(&format!("viewer{number}")).role(if known.privileged { 1 << 20 } else { 0 });
    let person = if random.u8(..3) == 0 {
        let chosen = random.choose_multiple(LANGUAGES, 2);
        let new = new.chosen_languages(&chosen);
        known.languages = Some(chosen);
        new.await
    } else {
        new.await
    };
    let me = person.account_id;
    for author in authors {
        let other = author.account.account_id;
        match random.u8(..16) {
            0 => {
                db.block(me, other).await;
                known.hidden_people.insert(other);
            }
            1 => {
                db.mute(me, other).await;
                known.hidden_people.insert(other);
            }
            2 => {
                db.block(other, me).await;
                known.hidden_authors.insert(other);
            }
            3 => db.mute(other, me).await,
            4 => db.mute_for(me, other, -60.0).await,
            _ => {}
        }
    }
    if random.u8(..5) == 0 {
        let domain = one_of(random, &["one.example", "two.example"]);
        db.block_domain(me, domain).await;
        known.hidden_domains.insert(domain.to_owned());
    }
    for filter in 0..random.usize(..4) {
        let title = format!("{number}/{filter}");
        let keywords: Vec<_> = (0..random.usize(1..4)).map(|_| (one_of(random, &WORDS), random.bool())).collect();
        let new = db.filter(me, &title);
        let new = keywords
            .iter()
            .fold(new, |new, (word, whole)| if *whole { new.whole_word(word) } else { new.keyword(word) });
        known.filters.push((new.await, title, keywords));
    }
    (person, known)
}

/// The filters that matched, with what they matched.
fn results(status: &Value) -> Vec<Match> {
    let results = status["filtered"].as_array().expect("results");
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    let of = |result: &Value| {
        let filter = &result["filter"];
        (format!("{} {}", text(&filter["id"]), text(&filter["title"])), text(&result["keyword_matches"][0]))
    };
    results.iter().map(of).collect()
}

#[tokio::test]
async fn every_viewer_gets_exactly_what_a_simple_model_says() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let stage = Stage::start().await;
    stage.db.setting("local_live_feed_access", "--- disabled\n").await;
    let authors = authors(&stage.db).await;
    let mut viewers = Vec::new();
    for number in 0..VIEWERS {
        let (person, known) = viewer(&stage.db, number, &authors, &mut random).await;
        viewers.push((stage.both(&person, "public").await, known));
    }
    let mut burst = Vec::new();
    let mut expected: Vec<Vec<(String, Vec<Match>)>> = viewers.iter().map(|_| Vec::new()).collect();
    for id in 1..=STATUSES {
        let author = &authors[random.usize(..authors.len())];
        let mentioned: Vec<_> = (0..random.usize(..3)).map(|_| &authors[random.usize(..authors.len())]).collect();
        let words: Vec<_> = (0..random.usize(..6)).map(|_| one_of(&mut random, &WORDS)).collect();
        let text = words.join(" ");
        let language = one_of(&mut random, &LANGUAGES);
        let status = status(id, &author.account).content(&format!("<p>{text}</p>")).language(language);
        let status = mentioned.iter().fold(status, |status, one| status.mention(&one.account));
        let mentions: Vec<_> = mentioned.iter().map(|one| one.account.account_id).collect();
        for ((_, known), expected) in viewers.iter().zip(&mut expected) {
            let results = known.expects(&status, author, &mentions, &text);
            expected.extend(results.map(|results| (id.to_string(), results)));
        }
        burst.push(update(&status));
    }
    burst.push(event("end", json!({"id": "end", "filtered": []})));
    stage.redis.publish_all("timeline:public", burst).await;
    for (number, ((both, _), expected)) in viewers.iter_mut().zip(&mut expected).enumerate() {
        expected.push(("end".to_owned(), Vec::new()));
        for expected in expected {
            let status = both.next().await.json();
            let id = status["id"].as_str().expect("an id").to_owned();
            assert_eq!((id, results(&status)), *expected, "for viewer {number}; seed {seed}");
        }
    }
    assert_eq!(stage.failed_screenings().await, 0.0);
}
