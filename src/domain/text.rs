//! The text of a status, as custom filters search it.

mod fragment;

use std::{borrow::Cow, sync::LazyLock};

use regex::Regex;

use super::status::StatusTexts;

/// HTML of more bytes, or of more `<`, is not parsed as a whole: a parser that follows the HTML standard takes quadratic
/// time for deeply nested elements, and for one element with very many attributes.
const EXACT_BYTES: usize = 32 * 1024;
const EXACT_TAGS: usize = 1000;

/// The text in which custom filters search, as Mastodon's own streaming server puts it together.
///
/// It is the spoiler, which is plain text, then the content, the titles of poll options and the descriptions of media,
/// joined by blank lines. The spoiler and its blank line are there even if it is empty. All but the spoiler is HTML:
/// `<br>` is a line feed, `</p><p>` a blank line, and for the rest only the text content counts, with its white space and
/// without anything in the place of tags.
///
/// The text content is that of a fragment in a `template`, so table cells need no table. Text in scripts and styles
/// counts, text in nested templates and comments does not. HTML beyond 32 KiB or 1,000 tags is simplified instead of
/// parsed: markup is cut out piece by piece, without regard to what stands in what. The outcome is the same for what
/// Mastodon lets through, but for a line feed right after `<pre>`, which counts then. Of what it does not let through, text
/// in templates counts, entities in scripts are decoded, and text between table cells keeps its place.
pub fn searchable(texts: &StatusTexts) -> String {
    let pieces: Vec<&str> =
        [&texts.content].into_iter().chain(&texts.options).chain(&texts.descriptions).map(String::as_str).collect();
    let html = with_line_feeds(&pieces.join("\n\n"));
    let is_simplified = html.len() > EXACT_BYTES || html.matches('<').nth(EXACT_TAGS).is_some();
    let html = if is_simplified { without_markup(&html) } else { html };
    format!("{}\n\n{}", texts.spoiler, fragment::text_content(&html))
}

/// Replaces what separates lines. White space is ECMAScript's.
fn with_line_feeds(html: &str) -> String {
    static LINE_BREAK: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"<br[\s\u{feff}&&[^\u{85}]]*/?>").expect("the expression is valid"));
    LINE_BREAK.replace_all(html, "\n").replace("</p><p>", "\n\n")
}

/// Puts an empty comment in the place of comments, declarations and tags, so that only text and entities are left to be
/// parsed, and none come together from pieces.
fn without_markup(html: &str) -> String {
    static MARKUP: LazyLock<Regex> = LazyLock::new(|| {
        let comment = r"<!--(?:-?>|.*?(?:--!?>|\z))";
        let declaration = r"<(?:[!?]|/[^A-Za-z])[^>]*(?:>|\z)";
        let tag = r#"</?[A-Za-z](?:=\s*"[^"]*"|=\s*'[^']*'|[^>])*(?:>|\z)"#;
        Regex::new(&format!("(?s)(?:{comment}|</>|{declaration}|{tag})+")).expect("the expression is valid")
    });
    let mut text = String::with_capacity(html.len());
    let mut end = 0;
    for markup in MARKUP.find_iter(html) {
        text.push_str(&escaped(&html[end..markup.start()]));
        text.push_str("<!---->");
        end = markup.end();
    }
    text.push_str(&escaped(&html[end..]));
    text
}

fn escaped(text: &str) -> Cow<'_, str> {
    if text.contains('<') { text.replace('<', "&lt;").into() } else { text.into() }
}

#[cfg(test)]
mod tests;
