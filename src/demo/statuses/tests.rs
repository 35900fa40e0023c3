use std::collections::HashSet;
use std::time::{Duration, UNIX_EPOCH};

use super::*;

/// 2026-01-02T03:04:05.678Z
const START: Duration = Duration::from_millis(1_767_323_045_678);

fn events(seed: u64, rounds: u32) -> Vec<Post> {
    let mut cast = Cast::new(seed);
    (0..rounds).flat_map(|round| cast.next(UNIX_EPOCH + START + Duration::from_millis(250) * round)).collect()
}

fn of_kind<'a>(posts: &'a [Post], event: &str) -> Vec<&'a Post> {
    posts.iter().filter(|post| post.event == event).collect()
}

fn id(status: &Value) -> u64 {
    status["id"].as_str().expect("an id is a string").parse().expect("an id is a number")
}

fn assert_keys(object: &Value, keys: &str) {
    for key in keys.split_whitespace() {
        assert!(object.get(key).is_some(), "no {key} in {object}");
    }
}

const STATUS_KEYS: &str = "id uri url created_at edited_at account content language visibility sensitive spoiler_text \
    media_attachments mentions tags emojis reblogs_count favourites_count replies_count in_reply_to_id \
    in_reply_to_account_id reblog poll card";
const ACCOUNT_KEYS: &str = "id username acct url uri display_name note avatar avatar_static header header_static locked \
    fields emojis bot group discoverable created_at last_status_at statuses_count followers_count following_count";

#[test]
fn every_status_has_the_keys_that_mastodon_documents() {
    let mut seen = [0; 3];
    for post in events(1, 2_000).iter().filter(|post| post.event.ends_with("update")) {
        let status = &post.payload;
        assert_keys(status, STATUS_KEYS);
        assert_keys(&status["account"], ACCOUNT_KEYS);
        for media in status["media_attachments"].as_array().expect("an array") {
            assert_keys(media, "id type url preview_url remote_url meta description blurhash");
            seen[0] += 1;
        }
        if status["poll"].is_object() {
            assert_keys(&status["poll"], "id expires_at expired multiple votes_count voters_count options emojis");
            seen[1] += 1;
        }
        if status["card"].is_object() {
            assert_keys(&status["card"], "url title description type provider_name html image");
            seen[2] += 1;
        }
    }
    assert!(seen.iter().all(|&count| count > 50), "too few media, polls or cards: {seen:?}");
}

#[test]
fn every_notification_has_the_keys_that_mastodon_documents_and_goes_to_the_viewer_alone() {
    let posts = events(2, 2_000);
    let notifications = of_kind(&posts, "notification");
    for post in &notifications {
        assert_eq!(post.channels, ["timeline:1:notifications"]);
        assert_keys(&post.payload, "id type created_at account");
        assert_eq!(post.payload.get("status").is_some(), post.payload["type"] != "follow", "{}", post.payload);
    }
    let kinds: HashSet<_> = notifications.iter().filter_map(|post| post.payload["type"].as_str()).collect();
    assert_eq!(kinds, HashSet::from(["mention", "follow", "favourite", "reblog"]));
}

#[test]
fn ids_of_new_statuses_ascend_also_when_the_clock_stands_still() {
    let mut cast = Cast::new(3);
    let posts: Vec<Post> = (0..500).flat_map(|_| cast.next(UNIX_EPOCH + START)).collect();
    let mut last = 0;
    for post in of_kind(&posts, "update").iter().filter(|post| post.payload.get("filtered").is_none()) {
        assert!(id(&post.payload) > last);
        last = id(&post.payload);
    }
    assert!(last > 1_767_323_045_678 << 16);
}

#[test]
fn the_same_seed_and_times_give_the_same_events_and_another_seed_others() {
    assert_eq!(events(4, 300), events(4, 300));
    assert_ne!(events(4, 300), events(5, 300));
}

#[test]
fn a_public_status_goes_where_mastodon_publishes_it() {
    let posts = events(6, 2_000);
    for post in of_kind(&posts, "update").iter().filter(|post| post.payload.get("filtered").is_none()) {
        let status = &post.payload;
        let local = status["account"]["acct"] == status["account"]["username"];
        let answer = !status["in_reply_to_id"].is_null();
        let has = |channel: &str| post.channels.iter().any(|one| one == channel);
        assert_eq!(status["visibility"], "public");
        assert_eq!(has("timeline:public"), !answer, "{status}");
        assert_eq!(has("timeline:public:local"), !answer && local);
        assert_eq!(has("timeline:public:remote"), !answer && !local);
        let media = status["media_attachments"] != json!([]);
        assert_eq!(has("timeline:public:media"), media);
        assert_eq!(has("timeline:public:local:media"), media && local);
        assert_eq!(has("timeline:public:remote:media"), media && !local);
        for tag in status["tags"].as_array().expect("an array") {
            let channel = format!("timeline:hashtag:{}", tag["name"].as_str().expect("a name"));
            assert!(has(&channel));
            assert_eq!(has(&format!("{channel}:local")), local);
        }
    }
}

#[test]
fn what_goes_to_the_home_feed_is_rendered_for_the_viewer_and_nothing_else_is() {
    let posts = events(7, 2_000);
    for post in posts.iter().filter(|post| post.event.ends_with("update")) {
        let home = post.channels == ["timeline:1"];
        assert_eq!(post.payload.get("filtered"), home.then(|| json!([])).as_ref());
        assert!(home || !post.channels.contains(&"timeline:1".to_owned()));
    }
    assert!(posts.iter().any(|post| post.payload["reblog"].is_object()));
}

#[test]
fn edits_and_deletes_concern_statuses_published_before_on_the_same_channels() {
    let posts = events(8, 3_000);
    for (place, post) in posts.iter().enumerate() {
        let id = match post.event.as_str() {
            "status.update" => &post.payload["id"],
            "delete" => &post.payload,
            _ => continue,
        };
        let mut missing: HashSet<&String> = post.channels.iter().collect();
        for earlier in posts[..place].iter().filter(|earlier| &earlier.payload["id"] == id) {
            missing.retain(|channel| !earlier.channels.contains(channel));
        }
        assert!(missing.is_empty(), "{} on {missing:?} of a status not seen there", post.event);
    }
    assert!(of_kind(&posts, "status.update").len() > 50 && of_kind(&posts, "delete").len() > 50);
}

#[test]
fn a_deleted_status_is_never_heard_of_again() {
    let mut gone = HashSet::new();
    for post in events(9, 3_000) {
        match &post.payload {
            Value::String(id) => assert!(gone.insert(id.clone())),
            status => assert!(!gone.contains(&text(&status["id"])) && !gone.contains(&text(&status["reblog"]["id"]))),
        }
    }
}

#[test]
fn all_languages_are_spoken_and_texts_vary() {
    let posts = events(10, 3_000);
    let statuses = of_kind(&posts, "update");
    let languages: HashSet<_> = statuses.iter().filter_map(|post| post.payload["language"].as_str()).collect();
    assert_eq!(languages, HashSet::from(["en", "de", "fr", "ja", "es"]));
    let texts: HashSet<_> = statuses.iter().map(|post| text(&post.payload["content"])).collect();
    assert!(texts.len() > 500, "only {} texts", texts.len());
    assert!(texts.iter().all(|text| !text.contains("{n}") && !text.contains("{mention}")));
}

#[test]
fn everybody_can_find_something_to_say_in_each_of_their_languages() {
    for person in std::iter::once(&VIEWER).chain(PEOPLE) {
        for language in person.languages {
            assert!(LINES.iter().any(|line| line.language == *language), "{} in {language}", person.username);
            assert!(PHRASES.iter().any(|phrases| phrases.language == *language));
        }
        assert!(person.domain.is_empty() || person.domain.ends_with(".example"));
    }
}

#[test]
fn times_are_written_as_mastodon_writes_them() {
    assert_eq!(iso8601(UNIX_EPOCH + START), "2026-01-02T03:04:05.678Z");
    assert_eq!(iso8601(UNIX_EPOCH + Duration::from_secs(1_709_164_800)), "2024-02-29T00:00:00.000Z");
    assert_eq!(iso8601(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000Z");
}

#[test]
fn a_newcomer_sees_every_post_of_the_welcome_at_home_and_in_public() {
    let mut cast = Cast::new(7);
    let welcome: Vec<Post> = (0..100).flat_map(|_| cast.welcome(UNIX_EPOCH + START)).collect();
    let on = |channel: &str| welcome.iter().filter(|post| post.channels.iter().any(|one| one == channel)).count();
    assert_eq!([on(&format!("timeline:{VIEWER_ID}")), on("timeline:public")], [100, 100]);
    assert!(welcome.iter().all(|post| post.event == "update"));
}
