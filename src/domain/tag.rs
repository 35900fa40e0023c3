//! Hashtags, spelled as Mastodon spells them in the names of its channels.

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// The spelling of a hashtag that Mastodon uses as its name: how wide, how high and how accented it was written does
/// not count.
///
/// In this order, as Mastodon's normaliser does it: Unicode NFKC; lower case, each character for itself (`Σ` is always
/// `σ`); Latin letters with a diacritic to ASCII, if Unicode has them as one character from U+00E0 to U+017F; then all
/// characters go that cannot be part of a hashtag. Nothing may be left: the result is then empty. Not idempotent in
/// general, as removal may bring characters together that NFKC would compose.
pub fn normalise(tag: &str) -> String {
    tag.nfkc().flat_map(char::to_lowercase).map(fold_to_ascii).filter(|&c| is_kept(c)).collect()
}

/// Folds a lower-case Latin letter with a diacritic, or with a stroke, to its ASCII letter; `ß`, `þ`, `æ`, `œ` stay.
///
/// Unicode's decompositions give the letter, but for those in which the stroke is part of the letter.
fn fold_to_ascii(letter: char) -> char {
    match letter {
        'ð' | 'đ' => 'd',
        'ħ' => 'h',
        'ı' => 'i',
        'ĸ' => 'k',
        'ł' => 'l',
        'ŋ' => 'n',
        'ø' => 'o',
        'ŧ' => 't',
        '\u{e0}'..='\u{17f}' => std::iter::once(letter).nfd().next().filter(char::is_ascii_lowercase).unwrap_or(letter),
        _ => letter,
    }
}

/// What Mastodon leaves in a hashtag: Ruby's `[[:alnum:]]` (Unicode's Alphabetic, and decimal numbers), Thai vowel and
/// tone marks, the low line, and the middle dots and the non-joiner that stand inside words.
fn is_kept(c: char) -> bool {
    c.is_alphabetic()
        || matches!(c, '_' | '\u{b7}' | '\u{30fb}' | '\u{200c}' | '\u{e47}'..='\u{e4e}')
        || c.general_category() == GeneralCategory::DecimalNumber
}

#[cfg(test)]
mod tests;
