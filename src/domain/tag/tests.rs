use proptest::prelude::*;

use super::*;

fn check(table: &[(&str, &str)]) {
    for (tag, normalised) in table {
        assert_eq!(normalise(tag), *normalised, "{tag}");
    }
}

#[test]
fn compatibility_forms_become_the_plain_ones() {
    check(&[
        ("Ｒｕｓｔ１", "rust1"),
        ("㎏", "kg"),
        ("ﬁn", "fin"),
        ("x²", "x2"),
        ("Ⅳ", "iv"),
        ("ｶﾞ", "ガ"),
        ("ſtraſſe", "strasse"),
        ("K", "k"),
        ("Ω", "ω"),
        ("한글", "한글"),
    ]);
}

#[test]
fn letters_become_lower_case_each_for_itself() {
    check(&[("RUST", "rust"), ("ΟΔΟΣ", "οδοσ"), ("ΣΑΣ", "σασ"), ("ς", "ς"), ("ẞ", "ß"), ("ЖУК", "жук"), ("𐐀", "𐐨")]);
    check(&[("İstanbul", "istanbul"), ("ISPARTA", "isparta"), ("ılık", "ilik")]);
}

#[test]
fn latin_letters_with_a_diacritic_become_ascii() {
    check(&[
        ("ÀÁÂÃÄÅ", "aaaaaa"),
        ("àáâãäå", "aaaaaa"),
        ("Çç", "cc"),
        ("ÑñÝýÿŸ", "nnyyyy"),
        ("Łódź", "lodz"),
        ("ĶķŤťŽž", "kkttzz"),
        ("Ðđ", "dd"),
        ("Ħħ", "hh"),
        ("ĸ", "k"),
        ("Ŋŋ", "nn"),
        ("Øø", "oo"),
        ("Ŧŧ", "tt"),
        ("ĳ", "ij"),
    ]);
}

#[test]
fn every_letter_of_the_range_becomes_ascii_but_for_those_without_a_base_letter() {
    let others: String = ('\u{e0}'..='\u{17f}').filter(|c| !normalise(&c.to_string()).is_ascii()).collect();
    // The dotted l and the n after an apostrophe are two characters after NFKC, both of which are kept.
    assert_eq!(others, "æþĿŀŉŒœ");
    check(&[("ŀ", "l·"), ("ŉ", "ʼn"), ("÷", "")]);
}

#[test]
fn ligatures_and_letters_beyond_the_range_stay() {
    check(&[("Straße", "straße"), ("Þór", "þor"), ("Æsir", "æsir"), ("Œuvre", "œuvre")]);
    check(&[("Việt", "việt"), ("ƒ", "ƒ"), ("Ș", "ș"), ("Ǆ", "dz")]);
}

#[test]
fn combining_marks_are_composed_or_removed_unless_alphabetic() {
    check(&[
        ("e\u{301}", "e"),
        ("e\u{301}\u{302}", "e"),
        ("e\u{302}\u{301}", "ế"),
        ("x\u{301}y", "xy"),
        ("q\u{307}\u{323}", "q"),
        ("Vie\u{302}\u{323}t", "việt"),
    ]);
    check(&[("हिन्दी", "हिनदी"), ("ภาษาไทย", "ภาษาไทย"), ("குறள்", "குறள")]);
}

#[test]
fn thai_marks_and_inner_dots_stay() {
    for c in '\u{e47}'..='\u{e4e}' {
        assert_eq!(normalise(&format!("ก{c}ก")), format!("ก{c}ก"));
    }
    check(&[
        ("a_b", "a_b"),
        ("col·lecció", "col·leccio"),
        ("ア・イ", "ア・イ"),
        ("می\u{200c}خواهم", "می\u{200c}خواهم"),
    ]);
    check(&[("a\u{200d}b", "ab"), ("ก\u{e4f}", "ก")]);
}

#[test]
fn numbers_stay_if_they_are_decimal_digits_or_alphabetic() {
    check(&[("2026", "2026"), ("٣", "٣"), ("१", "१"), ("〇", "〇"), ("𒐀", "𒐀"), ("፩", ""), ("৴", "")]);
}

#[test]
fn everything_else_is_removed() {
    check(&[
        ("#rust", "rust"),
        ("c++", "c"),
        ("foo bar", "foobar"),
        ("a-b.c/d:e\0", "abcde"),
        ("I❤️🦀", "i"),
        ("\u{fffd}a", "a"),
    ]);
}

#[test]
fn a_tag_may_be_emptied() {
    check(&[("", ""), ("#", ""), ("🦀 !", ""), ("\u{301}", "")]);
}

#[test]
fn a_long_tag_takes_time_in_proportion_to_its_length() {
    for unit in ["É", "\u{301}\u{323}", "ᄀ", "\u{fdfa}", "🦀"] {
        let long = unit.repeat(100_000 / unit.len());
        let start = std::time::Instant::now();
        normalise(&long);
        assert!(start.elapsed().as_secs() < 5, "{unit}: {:?}", start.elapsed());
    }
}

proptest! {
    #[test]
    fn what_holds_no_removable_character_is_settled_at_once(
        tag in any::<String>().prop_map(|tag| tag.nfkc().filter(|&c| is_kept(c)).collect::<String>()),
    ) {
        let once = normalise(&tag);
        prop_assert_eq!(normalise(&once), once);
    }

    #[test]
    fn only_what_belongs_to_hashtags_is_left(tag: String) {
        prop_assert!(normalise(&tag).chars().all(is_kept));
    }

    #[test]
    fn case_width_and_composition_make_no_difference(tag in "[A-Za-zÀ-ſ0-9_]*") {
        let settled = normalise(&tag);
        let decomposed: String = tag.nfd().collect();
        prop_assert_eq!(normalise(&decomposed), settled.clone());
        prop_assert_eq!(normalise(&tag.to_ascii_uppercase()), settled.clone());
        prop_assert_eq!(normalise(&settled), settled);
    }
}
