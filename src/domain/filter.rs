//! Custom filters: what an account does not want to read, or wants to be warned of.

use std::sync::{Arc, LazyLock};

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use super::json::quote;

/// A row of `custom_filters` with its keywords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomFilter {
    /// `id`.
    pub id: i64,
    /// `phrase`, which is the title.
    pub title: String,
    /// `context`: where the account wants it applied (`home`, `public`, …). Told to clients, of no effect here.
    pub context: Vec<String>,
    /// `expires_at`: from when on it does not apply; `None` for never.
    pub expires_at: Option<Expiry>,
    /// `action`: what clients shall do.
    pub action: FilterAction,
    /// The rows of `custom_filter_keywords`, in row order. A filter without keywords never matches.
    pub keywords: Vec<Keyword>,
}

/// When a filter ceases to apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// As clients get it: ISO 8601 in UTC with milliseconds, `2026-01-02T03:04:05.678Z`.
    pub text: String,
    /// The same moment in milliseconds since 1970.
    pub unix_millis: i64,
}

/// A row of `custom_filter_keywords`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyword {
    /// `keyword`: what to look for, in any case.
    pub text: String,
    /// `whole_word`: where the keyword begins or ends with a word character, none may stand next to it.
    pub whole_word: bool,
}

/// What clients shall do with a status that a filter matches. The server sends it in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterAction {
    /// Show the filter's title, and the status on demand.
    Warn,
    /// Do not show the status.
    Hide,
    /// Blur the status's media.
    Blur,
}

impl FilterAction {
    /// Reads `custom_filters.action`. A number that Mastodon does not use yet is taken for its default, a warning.
    pub fn from_db(action: i32) -> Self {
        match action {
            1 => Self::Hide,
            2 => Self::Blur,
            _ => Self::Warn,
        }
    }

    /// The name in Mastodon's API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Hide => "hide",
            Self::Blur => "blur",
        }
    }
}

/// The text of a status in which filters search, together with its form in which case makes no difference. Made once
/// per event, for the filters of all viewers.
#[derive(Clone, Debug)]
pub struct FoldedText {
    original: String,
    folded: String,
    /// Offsets in `folded` and in `original` after each character that has another length in UTF-8 when folded.
    shifts: Vec<(usize, usize)>,
}

impl FoldedText {
    /// Folds a text.
    pub fn new(original: String) -> Self {
        let mut folded = String::with_capacity(original.len());
        let mut shifts = Vec::new();
        for (at, character) in original.char_indices() {
            let other = fold(character);
            folded.push(other);
            if other.len_utf8() != character.len_utf8() {
                shifts.push((folded.len(), at + character.len_utf8()));
            }
        }
        Self { original, folded, shifts }
    }

    /// The original spelling of a part of the folded text.
    fn original(&self, found: &Found) -> &str {
        &self.original[self.original_offset(found.start)..self.original_offset(found.end)]
    }

    fn original_offset(&self, offset: usize) -> usize {
        let shifts_before = self.shifts.partition_point(|&(folded, _)| folded <= offset);
        let (folded, original) = shifts_before.checked_sub(1).map_or((0, 0), |last| self.shifts[last]);
        original + (offset - folded)
    }

    /// Whether the characters next to a match leave it a whole word, on the sides where that is asked for.
    fn is_bounded(&self, found: &Found, bounds: Bounds) -> bool {
        let before = || self.folded[..found.start].chars().next_back();
        let after = || self.folded[found.end..].chars().next();
        !(bounds.before && before().is_some_and(is_word_character)
            || bounds.after && after().is_some_and(is_word_character))
    }
}

/// A place in a folded text, in bytes, where a keyword was found.
#[derive(Clone, Copy, Debug)]
struct Found {
    start: usize,
    end: usize,
    keyword: usize,
}

/// On which sides of a keyword no word character may stand.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    before: bool,
    after: bool,
}

impl Bounds {
    fn of(keyword: &Keyword) -> Self {
        let is_word = |end: Option<char>| keyword.whole_word && end.is_some_and(is_word_character);
        let mut characters = keyword.text.chars();
        Self { before: is_word(characters.clone().next()), after: is_word(characters.next_back()) }
    }
}

/// The custom filters of one account, ready to be applied. Without filters it allocates nothing.
#[derive(Debug, Default)]
pub struct FilterSet {
    filters: Box<[CompiledFilter]>,
    /// All keywords, by filter and then in row order.
    keywords: Box<[CompiledKeyword]>,
    /// Finds the keywords, folded and by their index, at every place, overlapping ones too. `None` without keywords.
    automaton: Option<AhoCorasick>,
    /// The length of the longest keyword, in bytes when folded.
    longest: usize,
}

#[derive(Debug)]
struct CompiledFilter {
    /// Its result as JSON, up to the matched keyword.
    head: Box<str>,
    expires_at: Option<i64>,
}

#[derive(Debug)]
struct CompiledKeyword {
    filter: u32,
    bounds: Bounds,
}

/// How many occurrences of keywords are looked at in one text. Only keywords that are parts of each other and a text made
/// for them come to more; what comes after is not found. So the time per status stays bounded (some 10 ms).
const MAX_OCCURRENCES: usize = 1 << 20;

/// The result if nothing matches, which is the most frequent one.
static NO_RESULTS: LazyLock<Arc<str>> = LazyLock::new(|| "[]".into());

impl FilterSet {
    /// Compiles the filters of an account, in whatever order they come.
    pub fn new(mut filters: Vec<CustomFilter>) -> Self {
        filters.retain(|filter| !filter.keywords.is_empty());
        filters.sort_by_key(|filter| filter.id);
        let folded: Vec<String> =
            all_keywords(&filters).map(|(_, keyword)| keyword.text.chars().map(fold).collect()).collect();
        Self {
            keywords: all_keywords(&filters)
                .map(|(filter, keyword)| CompiledKeyword { filter, bounds: Bounds::of(keyword) })
                .collect(),
            automaton: (!folded.is_empty()).then(|| automaton(&folded)),
            longest: folded.iter().map(String::len).max().unwrap_or(0),
            filters: filters.iter().map(CompiledFilter::new).collect(),
        }
    }

    /// Whether there is no filter that could ever match.
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// What the key `filtered` of a status with this text holds for the account: an array in JSON, with one
    /// `FilterResult` of Mastodon's API for each filter that matches and has not expired, in ascending order of ids.
    ///
    /// Of the keywords of a filter the leftmost match is reported, of several that
    /// begin there the first keyword's, in the spelling of the text.
    pub fn results(&self, text: &FoldedText, now_unix_millis: i64) -> Arc<str> {
        let Some(automaton) = &self.automaton else { return NO_RESULTS.clone() };
        let mut results = String::new();
        for (filter, found) in self.filters.iter().zip(self.leftmost(automaton, text)) {
            let is_live = filter.expires_at.is_none_or(|expires_at| expires_at > now_unix_millis);
            if let Some(found) = found.filter(|_| is_live) {
                results.push_str(if results.is_empty() { "[" } else { "," });
                results.push_str(&filter.head);
                results.push_str(&quote(text.original(&found)));
                results.push_str(r#"],"status_matches":null}"#);
            }
        }
        if results.is_empty() {
            return NO_RESULTS.clone();
        }
        results.push(']');
        results.into()
    }

    /// For each filter its leftmost match, and of those the one of its first keyword. Empty if there is none at all.
    fn leftmost(&self, automaton: &AhoCorasick, text: &FoldedText) -> Vec<Option<Found>> {
        let mut best: Vec<Option<Found>> = Vec::new();
        let mut unmatched = self.filters.len();
        for place in automaton.find_overlapping_iter(&text.folded).take(MAX_OCCURRENCES) {
            let found = Found { start: place.start(), end: place.end(), keyword: place.pattern().as_usize() };
            if unmatched == 0 && self.is_settled(&best, found.end) {
                break;
            }
            let keyword = &self.keywords[found.keyword];
            let of_filter = best.get(keyword.filter as usize).copied().flatten();
            if of_filter.is_some_and(|best| (best.start, best.keyword) <= (found.start, found.keyword))
                || !text.is_bounded(&found, keyword.bounds)
            {
                continue;
            }
            best.resize(self.filters.len(), None);
            unmatched -= usize::from(of_filter.is_none());
            best[keyword.filter as usize] = Some(found);
        }
        best
    }

    /// Whether no match that ends here or later can begin as early as the best ones known.
    fn is_settled(&self, best: &[Option<Found>], end: usize) -> bool {
        best.iter().flatten().all(|best| best.start + self.longest < end)
    }
}

impl CompiledFilter {
    fn new(filter: &CustomFilter) -> Self {
        let context: Vec<String> = filter.context.iter().map(|context| quote(context)).collect();
        let expires_at = filter.expires_at.as_ref().map_or_else(|| "null".into(), |expiry| quote(&expiry.text));
        let head = format!(
            r#"{{"filter":{{"id":"{}","title":{},"context":[{}],"expires_at":{expires_at},"filter_action":"{}"}},"keyword_matches":["#,
            filter.id,
            quote(&filter.title),
            context.join(","),
            filter.action.name(),
        );
        Self { head: head.into(), expires_at: filter.expires_at.as_ref().map(|expiry| expiry.unix_millis) }
    }
}

/// The keywords of all filters, each with the index of its filter.
fn all_keywords(filters: &[CustomFilter]) -> impl Iterator<Item = (u32, &Keyword)> {
    (0..).zip(filters).flat_map(|(index, filter)| filter.keywords.iter().map(move |keyword| (index, keyword)))
}

/// An automaton that is small rather than fast: there is one for each connected account with filters.
fn automaton(folded: &[String]) -> AhoCorasick {
    AhoCorasick::builder()
        .kind(Some(AhoCorasickKind::ContiguousNFA))
        .prefilter(false)
        .dense_depth(0)
        .build(folded)
        .expect("the keywords of an account are far from the automaton's limit of 2^31 states")
}

/// A character as it is compared: case is ignored as by ECMAScript's regular expressions with the flag `i` and without
/// `u` (ECMA-262, `Canonicalize`).
///
/// That is its upper case, but for characters whose upper case is not one UTF-16 unit, or would turn them from non-ASCII
/// into ASCII. So `ß`, `ſ`, `ı`, `K` (Kelvin) and letters beyond the basic plane stand for themselves.
fn fold(character: char) -> char {
    if character.is_ascii() {
        return character.to_ascii_uppercase();
    }
    let mut upper = character.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(single), None) if single.len_utf16() == 1 && !single.is_ascii() => single,
        _ => character,
    }
}

/// Whether a character belongs to words: Unicode's letters, marks and numbers, and `_`. Folding does not change it.
fn is_word_character(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_alphanumeric() || character == '_';
    }
    let group = character.general_category_group();
    matches!(group, GeneralCategoryGroup::Letter | GeneralCategoryGroup::Mark | GeneralCategoryGroup::Number)
}

#[cfg(test)]
mod tests;
