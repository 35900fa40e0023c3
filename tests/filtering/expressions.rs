//! The fourth rule: how keywords match.

use crate::table::{Case, Keyword, check, plain};

/// Keyword, text, and what is found of a keyword that may stand within words.
async fn check_parts(table: &[(&str, &str, Option<&str>)]) {
    check_each(false, table).await;
}

async fn check_words(table: &[(&str, &str, Option<&str>)]) {
    check_each(true, table).await;
}

async fn check_each(whole_word: bool, table: &[(&str, &str, Option<&str>)]) {
    let keywords: Vec<_> = table.iter().map(|(keyword, ..)| [(*keyword, whole_word)]).collect();
    let cases = table.iter().zip(&keywords);
    let cases: Vec<_> = cases
        .map(|((_, text, expected), keywords)| Case { keywords, status: plain(text), expected: *expected })
        .collect();
    check(&cases).await;
}

#[tokio::test]
async fn keywords_match_anywhere_unless_whole_words_are_asked_for() {
    check_parts(&[
        ("heron", "a heron!", Some("heron")),
        ("heron", "Herons", Some("Heron")),
        ("ero", "heron", Some("ero")),
        ("heron", "her on", None),
        ("heron", "", None),
        ("her on", "her on", Some("her on")),
        ("her on", "her  on", None),
        ("her on", "her\non", None),
        ("🦆", "a🦆b", Some("🦆")),
        ("日本", "私は日本語", Some("日本")),
    ])
    .await;
}

#[tokio::test]
async fn keywords_are_no_expressions() {
    check_parts(&[
        ("h.ron", "heron", None),
        ("h.ron", "h.ron", Some("h.ron")),
        (".*", "anything", None),
        ("a|b", "a", None),
        ("a|b", "A|B", Some("A|B")),
        ("(a", "x(a", Some("(a")),
        ("[a-z]", "b", None),
        ("\\d", "5", None),
        ("\\", "a\\b", Some("\\")),
        ("$100", "it costs $100.", Some("$100")),
        ("^a", "a", None),
        ("a+", "aa", None),
        ("c++", "C++ is", Some("C++")),
        ("{1}", "a{1}", Some("{1}")),
        ("a/b", "a/b", Some("a/b")),
        ("#", "a#b", Some("#")),
    ])
    .await;
}

#[tokio::test]
async fn a_whole_word_has_no_word_character_beside_it() {
    check_words(&[
        ("heron", "a heron!", Some("heron")),
        ("heron", "HERON", Some("HERON")),
        ("heron", "herons", None),
        ("heron", "sheron", None),
        ("heron", "herons heron", Some("heron")),
        ("heron", "heron_", None),
        ("heron", "heron5", None),
        ("heron", "heron-house", Some("heron")),
        ("heron", "#heron", Some("heron")),
        ("her", "here, her", Some("her")),
        ("two herons", "two herons.", Some("two herons")),
        ("two herons", "two heronsx", None),
    ])
    .await;
}

#[tokio::test]
async fn a_word_boundary_stands_only_where_the_keyword_begins_or_ends_with_a_word_character() {
    check_words(&[
        ("#cat", "x#cat", Some("#cat")),
        ("#cat", "x#cats", None),
        ("c++", "c++11", Some("c++")),
        ("c++", "xc++", None),
        ("++", "a++b", Some("++")),
        (":)", "a:)b", Some(":)")),
        ("🦆", "a🦆b", Some("🦆")),
        (" cat ", "xcat cat catx", Some(" cat ")),
    ])
    .await;
}

#[tokio::test]
async fn word_characters_are_letters_marks_numbers_and_the_low_line_of_all_scripts() {
    check_words(&[
        ("caf", "café", None),
        ("caf", "cafe\u{301}", None),
        ("cafe", "cafe\u{301}", None),
        ("été", "l'été.", Some("été")),
        ("été", "étés", None),
        ("été", "béété", None),
        ("дом", "дома", None),
        ("дом", "в дом!", Some("дом")),
        ("日本", "日本語", None),
        ("日本", "「日本」", Some("日本")),
        ("a", "a٣", None),
        ("a", "aⅧ", None),
        ("a", "a½", None),
        ("a", "𝒳a", None),
        ("a", "a\u{200d}", Some("a")),
        ("a", "a·b", Some("a")),
        ("a", "a‿b", Some("a")),
        ("é", "xé", None),
        ("é", "x é", Some("é")),
        ("a_", "a_b", None),
        ("a", "🦆a🦆", Some("a")),
    ])
    .await;
}

#[tokio::test]
async fn case_is_ignored_by_single_upper_case_characters() {
    check_parts(&[
        ("straße", "STRAßE", Some("STRAßE")),
        ("straße", "STRASSE", None),
        ("ÉTÉ", "été", Some("été")),
        ("дом", "ДОМ", Some("ДОМ")),
        ("µ", "μ", Some("μ")),
        ("μ", "µ", Some("µ")),
        ("Μ", "µ", Some("µ")),
        ("σ", "ς", Some("ς")),
        ("ς", "Σ", Some("Σ")),
        ("ǆ", "ǅ", Some("ǅ")),
        ("ÿ", "Ÿ", Some("Ÿ")),
        ("ⓐ", "Ⓐ", Some("Ⓐ")),
        ("ⅷ", "Ⅷ", Some("Ⅷ")),
        ("ά", "Ά", Some("Ά")),
    ])
    .await;
}

#[tokio::test]
async fn characters_without_a_single_upper_case_or_with_an_ascii_one_stand_for_themselves() {
    check_parts(&[
        ("k", "\u{212a}", None),
        ("\u{212a}", "k", None),
        ("\u{212a}", "\u{212a}", Some("\u{212a}")),
        ("å", "\u{212b}", None),
        ("s", "ſ", None),
        ("ſ", "S", None),
        ("ſ", "ſ", Some("ſ")),
        ("ß", "ẞ", None),
        ("ẞ", "ß", None),
        ("ss", "ß", None),
        ("ᾳ", "ᾼ", None),
        ("ᾳ", "ᾳ", Some("ᾳ")),
        ("i", "İ", None),
        ("i", "ı", None),
        ("ı", "I", None),
        ("ﬀ", "FF", None),
        ("𐐨", "𐐀", None),
        ("𐐀", "𐐀", Some("𐐀")),
        ("ω", "\u{2126}", None),
    ])
    .await;
}

#[tokio::test]
async fn the_leftmost_match_is_reported_as_the_text_spells_it_and_of_equal_ones_the_first_keywords() {
    let both = [("heron", false), ("Duck", true)];
    let prefixes = [("he", false), ("heron", false)];
    let reversed = [("heron", false), ("he", false)];
    let bounded = [("he", true), ("heron", false)];
    let overlapping = [("b c", false), ("a b", false)];
    let longer = [("ron and a d", false), ("heron", false)];
    let table: [(&[Keyword], &str, Option<&str>); 11] = [
        (&both, "a DUCK and a heron", Some("DUCK")),
        (&both, "ducks and a hERon, duck", Some("hERon")),
        (&both, "nothing", None),
        (&both, "heron heron", Some("heron")),
        (&prefixes, "Heron", Some("He")),
        (&reversed, "Heron", Some("Heron")),
        (&bounded, "heron", Some("heron")),
        (&bounded, "heron he", Some("heron")),
        (&overlapping, "a b c", Some("a b")),
        (&longer, "a heron and a duck", Some("heron")),
        (&[("é", false), ("µ", false)], "ﬀ Éµ", Some("É")),
    ];
    let cases = table.map(|(keywords, text, expected)| Case { keywords, status: plain(text), expected });
    check(&cases).await;
}
