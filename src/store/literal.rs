//! Values inside statements.
//!
//! Statements are sent by the simple query protocol, complete in one message: behind PgBouncer in transaction mode a
//! prepared statement, also an unnamed one, can be bound on another connection than it was parsed on, and one message
//! is one round trip. What varies must then stand in the statement's text. So that nothing a client or a remote server
//! sends can be more than a value, only digits are ever written: numbers as they are, texts as the hexadecimal digits
//! of their UTF-8.

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

/// A `text`. PostgreSQL has no NUL in texts: callers must know that there is none.
pub(super) fn text(text: &str) -> String {
    let mut literal = String::from("convert_from(decode('");
    for byte in text.bytes() {
        write!(literal, "{byte:02x}").expect("writing to a string does not fail");
    }
    literal.push_str("','hex'),'UTF8')");
    literal
}

/// A parenthesised list of `text`, for `IN`.
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
    fn nothing_of_a_text_but_hexadecimal_digits_enters_a_statement() {
        let literal = text("'; DROP TABLE users; -- \\ é");
        let digits =
            literal.strip_prefix("convert_from(decode('").and_then(|rest| rest.strip_suffix("','hex'),'UTF8')"));
        assert!(digits.expect("the text is wrapped").bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
