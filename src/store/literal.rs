//! Values inside statements.
//!
//! Statements are sent by the simple query protocol, complete in one message: behind PgBouncer in transaction mode a
//! prepared statement, also an unnamed one, can be bound on another connection than it was parsed on, and one message
//! is one round trip. What varies must then stand in the statement's text. So that nothing a client or a remote server
//! sends can be more than a value, only digits are ever written: numbers as they are, texts as the hexadecimal digits
//! of their characters.

use std::fmt::Write;

/// A `bigint[]`.
pub(super) fn ids(ids: impl IntoIterator<Item = i64>) -> String {
    let mut literal = String::from("'{");
    for (place, id) in ids.into_iter().enumerate() {
        if place > 0 {
            literal.push(',');
        }
        write!(literal, "{id}").expect("writing to a string does not fail");
    }
    literal.push_str("}'::bigint[]");
    literal
}

/// A text, each character as an escape. PostgreSQL has no NUL in texts: callers must know that there is none.
///
/// It must be a plain constant. The result of a function such as `convert_from` has a collation of its own, "C", and an
/// index on a column with the database's collation cannot serve a comparison with it.
pub(super) fn text(text: &str) -> String {
    let mut literal = String::from("E'");
    for character in text.chars() {
        let code = u32::from(character);
        let written = if code <= 0xffff { write!(literal, "\\u{code:04x}") } else { write!(literal, "\\U{code:08x}") };
        written.expect("writing to a string does not fail");
    }
    literal.push('\'');
    literal
}

/// A parenthesised list of texts, for `IN`.
pub(super) fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let list: Vec<String> = texts.into_iter().map(text).collect();
    format!("({})", list.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_as_numbers() {
        assert_eq!(ids([1, -2, i64::MAX]), "'{1,-2,9223372036854775807}'::bigint[]");
        assert_eq!(ids([]), "'{}'::bigint[]");
    }

    #[test]
    fn nothing_of_a_text_but_escapes_of_hexadecimal_digits_enters_a_statement() {
        let literal = text("'; DROP TABLE users; -- \\ é🦆");
        let escapes = literal.strip_prefix("E'\\").and_then(|rest| rest.strip_suffix('\''));
        for escape in escapes.expect("the text is wrapped").split('\\') {
            let (kind, digits) = escape.split_at(1);
            assert_eq!(digits.len(), if kind == "u" { 4 } else { 8 }, "{escape}");
            assert!(digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{escape}");
        }
    }

    #[test]
    fn characters_beyond_the_basic_plane_are_written_with_eight_digits() {
        assert_eq!(text("aé🦆"), r"E'\u0061\u00e9\U0001f986'");
        assert_eq!(texts(["", "b"]), r"(E'',E'\u0062')");
    }
}
