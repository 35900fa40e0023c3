use proptest::prelude::*;
use regex::Regex;
use serde_json::{Value, json};

use super::*;

fn filter(id: i64, keywords: &[(&str, bool)]) -> CustomFilter {
    let keywords = keywords.iter().map(|&(text, whole_word)| Keyword { text: text.into(), whole_word }).collect();
    let (title, context) = (format!("title {id}"), vec!["home".into()]);
    CustomFilter { id, title, context, expires_at: None, action: FilterAction::Warn, keywords }
}

fn results(set: &FilterSet, text: &str) -> Value {
    serde_json::from_str(&set.results(&FoldedText::new(text.into()), 0)).unwrap()
}

/// What one filter with these keywords reports.
fn found(keywords: &[(&str, bool)], text: &str) -> Option<String> {
    let results = results(&FilterSet::new(vec![filter(1, keywords)]), text);
    let results = results.as_array().unwrap();
    assert!(results.len() <= 1);
    results.first().map(|result| result["keyword_matches"][0].as_str().unwrap().to_owned())
}

fn part(keyword: &str, text: &str) -> Option<String> {
    found(&[(keyword, false)], text)
}

fn word(keyword: &str, text: &str) -> Option<String> {
    found(&[(keyword, true)], text)
}

#[test]
fn a_result_has_the_shape_of_mastodons_api() {
    let set = FilterSet::new(vec![CustomFilter {
        id: i64::MAX,
        title: "\"Über\"\n".into(),
        context: vec!["home".into(), "a\"b".into()],
        expires_at: Some(Expiry { text: "2026-01-02T03:04:05.678Z".into(), unix_millis: 1_767_323_045_678 }),
        action: FilterAction::Hide,
        keywords: vec![Keyword { text: "\"x\"".into(), whole_word: true }],
    }]);
    let expected = json!([{
        "filter": {
            "id": "9223372036854775807", "title": "\"Über\"\n", "context": ["home", "a\"b"],
            "expires_at": "2026-01-02T03:04:05.678Z", "filter_action": "hide",
        },
        "keyword_matches": ["\"X\""],
        "status_matches": null,
    }]);
    assert_eq!(results(&set, "an \"X\"!"), expected);
}

#[test]
fn a_filter_that_never_expires_says_null() {
    let results = results(&FilterSet::new(vec![filter(1, &[("a", false)])]), "a");
    assert_eq!(results[0]["filter"]["expires_at"], Value::Null);
    assert_eq!(results[0]["filter"]["filter_action"], "warn");
}

#[test]
fn actions_are_numbered_from_zero() {
    let names: Vec<_> = [0, 1, 2, 3, -1].into_iter().map(|action| FilterAction::from_db(action).name()).collect();
    assert_eq!(names, ["warn", "hide", "blur", "warn", "warn"]);
}

#[test]
fn the_results_of_several_filters_are_in_ascending_order_of_ids() {
    let set = FilterSet::new(vec![filter(30, &[("a", false)]), filter(4, &[("b", false)]), filter(5, &[("z", false)])]);
    let results = results(&set, "a b");
    let ids: Vec<_> = results.as_array().unwrap().iter().map(|result| &result["filter"]["id"]).collect();
    assert_eq!(ids, ["4", "30"]);
}

#[test]
fn a_filter_without_keywords_never_matches() {
    let set = FilterSet::new(vec![filter(1, &[])]);
    assert!(set.is_empty());
    assert_eq!(results(&set, "anything"), json!([]));
    assert_eq!(results(&FilterSet::new(vec![]), ""), json!([]));
}

#[test]
fn a_set_with_keywords_is_not_empty() {
    assert!(!FilterSet::new(vec![filter(1, &[]), filter(2, &[("a", false)])]).is_empty());
}

#[test]
fn the_result_of_no_match_is_shared() {
    let text = FoldedText::new("text".into());
    let without = FilterSet::default().results(&text, 0);
    let unmatched = FilterSet::new(vec![filter(1, &[("z", false)])]).results(&text, 0);
    assert_eq!(&*without, "[]");
    assert!(Arc::ptr_eq(&without, &unmatched));
}

#[test]
fn an_expired_filter_does_not_apply() {
    let mut expiring = filter(1, &[("a", false)]);
    expiring.expires_at = Some(Expiry { text: "1970-01-01T00:00:01.000Z".into(), unix_millis: 1000 });
    let set = FilterSet::new(vec![expiring]);
    let text = FoldedText::new("a".into());
    assert_ne!(&*set.results(&text, 999), "[]");
    assert_eq!(&*set.results(&text, 1000), "[]");
}

#[test]
fn the_leftmost_match_is_reported_whichever_keyword_it_is_of() {
    assert_eq!(found(&[("dog", false), ("cat", false)], "a cat and a dog").unwrap(), "cat");
    assert_eq!(found(&[("bc", false), ("abcd", false)], "abcd").unwrap(), "abcd");
    assert_eq!(found(&[("cd", true), ("xabcd", true), ("bcd", false)], "xabcde bcd cd").unwrap(), "bcd");
}

#[test]
fn of_keywords_that_match_at_the_same_place_the_first_is_reported() {
    assert_eq!(found(&[("ab", false), ("abc", false)], "abc").unwrap(), "ab");
    assert_eq!(found(&[("abc", false), ("ab", false)], "abc").unwrap(), "abc");
    assert_eq!(found(&[("ab", true), ("abc", false)], "abc").unwrap(), "abc");
}

#[test]
fn a_match_that_ends_later_may_begin_earlier_than_those_of_all_filters() {
    let set = FilterSet::new(vec![filter(1, &[("b", false), ("abbbbc", false)]), filter(2, &[("b", false)])]);
    let results = results(&set, "abbbbc");
    assert_eq!(results[0]["keyword_matches"], json!(["abbbbc"]));
    assert_eq!(results[1]["keyword_matches"], json!(["b"]));
}

#[test]
fn the_match_is_reported_as_the_text_spells_it() {
    assert_eq!(part("cAT", "two Cats").unwrap(), "Cat");
    // Here folding changes the length in UTF-8: ɐ has 2 bytes, its upper case Ɐ 3.
    assert_eq!(part("ⱯX", "ɐɐxɐ").unwrap(), "ɐx");
    assert_eq!(part("ɐy", "ɐⱯY").unwrap(), "ⱯY");
    assert_eq!(part("y", "ɐⱯɐ Yɐ").unwrap(), "Y");
}

#[test]
fn keywords_are_no_expressions() {
    assert_eq!(part("a.c", "abc a.c").unwrap(), "a.c");
    assert_eq!(part("(x|y)*", "xy"), None);
    assert_eq!(part("\\b", "a \\B").unwrap(), "\\B");
}

#[test]
fn a_whole_word_has_no_word_character_beside_it() {
    for text in ["cat", "a cat.", "(Cat)", "cat's", "@cat", "cat-dog", "a\ncat\n", "😀cat😀", "concat cat"] {
        assert_eq!(word("CAT", text).map(|found| found.to_lowercase()).as_deref(), Some("cat"), "{text}");
    }
    for text in
        ["cats", "concat", "_cat", "cat_", "1cat", "cat2", "écat", "caté", "catт", "cat\u{301}", "cat٣", "字cat"]
    {
        assert_eq!(word("cat", text), None, "{text}");
    }
}

#[test]
fn a_word_boundary_stands_only_beside_word_characters() {
    assert_eq!(word("#cat", "x#cat").unwrap(), "#cat");
    assert_eq!(word("#cat", "x#cats"), None);
    assert_eq!(word("c++", "c+++").unwrap(), "c++");
    assert_eq!(word("c++", "xc++"), None);
    assert_eq!(word("c++", "c++x").unwrap(), "c++");
    assert_eq!(word("😀", "x😀x").unwrap(), "😀");
    assert_eq!(word("été", "l'ÉTÉ!").unwrap(), "ÉTÉ");
    assert_eq!(word("été", "tétés"), None);
}

#[test]
fn a_part_of_a_word_is_found_if_whole_words_are_not_asked_for() {
    assert_eq!(part("cat", "concatenate").unwrap(), "cat");
}

#[test]
fn case_is_ignored_as_ecmascript_ignores_it() {
    let same = ["kK", "éÉ", "µμ", "µΜ", "σς", "ςΣ", "ǆǅ", "ǅǄ", "ÿŸ", "яЯ", "ⅳⅣ", "ⓐⒶ", "ɐⱯ", "\u{345}ι"];
    let different = [
        "k\u{212a}",
        "K\u{212a}",
        "sſ",
        "Sſ",
        "ßẞ",
        "iı",
        "Iı",
        "iİ",
        "ᾳᾼ",
        "å\u{212b}",
        "Å\u{212b}",
        "ω\u{2126}",
        "𐐀𐐨",
        "\u{390}\u{1fd3}",
        "eé",
        "aａ",
    ];
    let pair = |pair: &'static str| {
        let mut characters = pair.chars();
        (characters.next().unwrap().to_string(), characters.next().unwrap().to_string())
    };
    for (one, other) in same.map(pair) {
        assert_eq!(part(&one, &other), Some(other.clone()), "{one} and {other}");
        assert_eq!(part(&other, &one), Some(one.clone()), "{other} and {one}");
    }
    for (one, other) in different.map(pair) {
        assert_eq!((part(&one, &other), part(&other, &one)), (None, None), "{one} and {other}");
    }
}

#[test]
fn folding_never_makes_or_unmakes_a_word_character() {
    for character in '\0'..=char::MAX {
        assert_eq!(is_word_character(character), is_word_character(fold(character)), "{character:?}");
    }
}

static WORD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^[\p{L}\p{M}\p{N}_]$").unwrap());

#[test]
fn word_characters_are_letters_marks_numbers_and_the_low_line() {
    // Old blocks only: the crates need not know the same version of Unicode.
    for character in ('\0'..='\u{52f}').chain("ⅳ²½字ⓐ\u{200d}\u{2019}・ー\u{20dd}٣😀𐐀".chars()) {
        assert_eq!(is_word_character(character), WORD.is_match(&character.to_string()), "{character:?}");
    }
}

#[test]
fn an_empty_keyword_matches_everything_at_its_beginning() {
    for whole_word in [false, true] {
        assert_eq!(found(&[("", whole_word)], "").unwrap(), "");
        assert_eq!(found(&[("", whole_word), ("é", false)], "éé").unwrap(), "");
        assert_eq!(found(&[("é", false), ("", whole_word)], "éé").unwrap(), "é");
    }
}

#[test]
fn a_text_that_is_made_of_occurrences_is_not_searched_for_ever() {
    let parts: Vec<String> = (1..=100).map(|length| "a".repeat(length)).collect();
    let parts: Vec<(&str, bool)> = parts.iter().map(|part| (part.as_str(), true)).collect();
    let set = FilterSet::new(vec![filter(1, &parts), filter(2, &[("x", false)])]);
    let found = |length: usize| results(&set, &format!("{} x", "a".repeat(length)));
    assert_eq!(found(MAX_OCCURRENCES / 100)[0]["keyword_matches"], json!(["x"]));
    assert_eq!(found(MAX_OCCURRENCES / 100 + 200), json!([]));
}

/// The expression of a filter, tried place by place and keyword by keyword; an implementation that owes nothing to the
/// one under test.
fn reference(keywords: &[(String, bool)], text: &str) -> Option<String> {
    let text: Vec<char> = text.chars().collect();
    let is_word = |c: Option<&char>| c.is_some_and(|c| WORD.is_match(&c.to_string()));
    let canonical = |c: &char| {
        let upper: Vec<u16> = c.to_string().to_uppercase().encode_utf16().collect();
        let as_it_is = c.to_string().encode_utf16().collect::<Vec<_>>();
        let falls_into_ascii = as_it_is[0] >= 128 && upper[0] < 128;
        if upper.len() != 1 || as_it_is.len() != 1 || falls_into_ascii { as_it_is } else { upper }
    };
    for start in 0..=text.len() {
        for (keyword, whole_word) in keywords {
            let keyword: Vec<char> = keyword.chars().collect();
            let Some(here) = text[start..].get(..keyword.len()) else { continue };
            let before = start.checked_sub(1).and_then(|at| text.get(at));
            let after = text.get(start + keyword.len());
            let is_bounded =
                !(is_word(keyword.first()) && is_word(before) || is_word(keyword.last()) && is_word(after));
            if here.iter().map(canonical).eq(keyword.iter().map(canonical)) && (is_bounded || !whole_word) {
                return Some(here.iter().collect());
            }
        }
    }
    None
}

const LETTERS: &str = "abAB_ kK\u{212a}ſsSßẞµμΜσςΣıİiIɐⱯéÉ\u{301}😀𐐀𐐨字1#-";

fn letters(lengths: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    let letters: Vec<char> = LETTERS.chars().collect();
    prop::collection::vec(prop::sample::select(letters), lengths).prop_map(String::from_iter)
}

fn keywords() -> impl Strategy<Value = Vec<(String, bool)>> {
    prop::collection::vec((letters(0..4), any::<bool>()), 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn results_are_those_of_the_reference(
        filters in prop::collection::vec(keywords(), 0..4),
        text in letters(0..24),
    ) {
        let set = FilterSet::new((0..).zip(&filters).map(|(id, keywords)| {
            let borrowed: Vec<_> = keywords.iter().map(|(text, whole)| (text.as_str(), *whole)).collect();
            filter(id, &borrowed)
        }).collect());
        let expected: Vec<_> = (0..).zip(&filters)
            .filter_map(|(id, keywords)| Some((i64::to_string(&id), reference(keywords, &text)?)))
            .collect();
        let results = results(&set, &text);
        let actual: Vec<_> = results.as_array().unwrap().iter().map(|result| {
            let string = |value: &Value| value.as_str().unwrap().to_owned();
            (string(&result["filter"]["id"]), string(&result["keyword_matches"][0]))
        }).collect();
        prop_assert_eq!(actual, expected);
    }
}
