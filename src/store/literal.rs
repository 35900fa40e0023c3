//! Values inside statements.
//!
//! Statements are sent by the simple query protocol, complete in one message: behind PgBouncer in transaction mode a
//! prepared statement, also an unnamed one, can be bound on another connection than it was parsed on, and one message
//! is one round trip. What varies must then stand in the statement's text. So that nothing a client or a remote server
//! sends can be more than a value, little is ever written as it is: digits of numbers, and in texts the letters, digits,
//! hyphens and underscores that Mastodon's tokens are made of. Everything else is the hexadecimal digits of a character.

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

/// A text. PostgreSQL has no NUL in texts: callers must know that there is none.
///
/// It must be a plain constant. The result of a function such as `convert_from` has a collation of its own, "C", and an
/// index on a column with the database's collation cannot serve a comparison with it.
pub(super) fn text(text: &str) -> String {
    let mut literal = String::from("E'");
    for character in text.chars() {
        write_character(&mut literal, character);
    }
    literal.push('\'');
    literal
}

/// A `text[]`: one constant, which PostgreSQL reads and plans with in less time than many.
pub(super) fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let mut literal = String::from("E'{");
    for (place, text) in texts.into_iter().enumerate() {
        literal.push_str(if place > 0 { ",\"" } else { "\"" });
        for character in text.chars() {
            // Inside an array, these stand behind a backslash (PostgreSQL documentation, "Array Input and Output Syntax").
            if matches!(character, '"' | '\\') {
                write_character(&mut literal, '\\');
            }
            write_character(&mut literal, character);
        }
        literal.push('"');
    }
    literal.push_str("}'::text[]");
    literal
}

/// Writes what stands for a character between the quotes of a constant with escapes.
fn write_character(literal: &mut String, character: char) {
    let code = u32::from(character);
    let written = match character {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' => {
            literal.push(character);
            Ok(())
        }
        '\0'..='\u{ffff}' => write!(literal, "\\u{code:04x}"),
        _ => write!(literal, "\\U{code:08x}"),
    };
    written.expect("writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_as_numbers() {
        assert_eq!(ids([1, -2, i64::MAX]), "'{1,-2,9223372036854775807}'::bigint[]");
        assert_eq!(ids([]), "'{}'::bigint[]");
    }

    /// What stands between the quotes of a text or an array, without its letters, digits, hyphens and underscores.
    fn rest(inside: &str) -> String {
        inside.chars().filter(|one| !one.is_ascii_alphanumeric() && !['-', '_'].contains(one)).collect()
    }

    #[test]
    fn nothing_of_a_text_but_letters_digits_and_escapes_enters_a_statement() {
        let all: String = (1..0x1_1000).filter_map(char::from_u32).collect();
        let literal = text(&all);
        let inside = literal.strip_prefix("E'").and_then(|rest| rest.strip_suffix('\'')).expect("it is wrapped");
        assert!(rest(inside).chars().all(|one| one == '\\'));
        for escape in inside.split('\\').skip(1) {
            let digits = if escape.starts_with('U') { 8 } else { 4 };
            assert!(escape.starts_with(['u', 'U']), "{escape}");
            assert!(escape[1..=digits].bytes().all(|byte| byte.is_ascii_hexdigit()), "{escape}");
        }
    }

    #[test]
    fn a_token_as_mastodon_makes_it_is_written_as_it_is() {
        let token = "ZA-Yj3aBD8U8Cm7lKUp-lm9O9BmDgdhHzDeqsY8tlL0";
        assert_eq!(text(token), format!("E'{token}'"));
        assert_eq!(texts([token, "b_2"]), format!("E'{{\"{token}\",\"b_2\"}}'::text[]"));
    }

    #[test]
    fn characters_beyond_the_basic_plane_are_written_with_eight_digits() {
        assert_eq!(text(" é🦆"), r"E'\u0020\u00e9\U0001f986'");
    }

    #[test]
    fn what_is_special_in_an_array_is_escaped_in_it() {
        assert_eq!(texts([]), "E'{}'::text[]");
        assert_eq!(texts(["", "NULL", "a"]), r#"E'{"","NULL","a"}'::text[]"#);
        let literal = texts([r#"""\\"#, r#"{,}'"a"#, r"\"]);
        let inside = literal.strip_prefix("E'{").and_then(|rest| rest.strip_suffix("}'::text[]")).expect("an array");
        assert_eq!(rest(inside).replace('\\', ""), r#""","","""#);
        let (quote, backslash) = (r"\u005c\u0022", r"\u005c\u005c");
        let second = format!(r"\u007b\u002c\u007d\u0027{quote}a");
        assert_eq!(inside, format!(r#""{quote}{quote}{backslash}{backslash}","{second}","{backslash}""#));
    }
}
