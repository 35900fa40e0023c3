//! JSON as ECMAScript's `JSON.parse` accepts it, read shallowly.
//!
//! A text is checked once, and only its outermost level is taken apart, on demand. So there is no limit to nesting,
//! numbers keep their digits, and what nobody asks for is never decoded. Lone surrogate escapes are accepted, and of
//! equal keys the last one counts.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// A piece of JSON text that is known to be one JSON value, not yet read.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a>(&'a str);

/// The entries of a JSON object in the order of the text, their values not yet read.
#[derive(Clone, Debug)]
pub struct Object<'a>(Vec<(&'a str, Value<'a>)>);

/// Checks that a text is one JSON value (RFC 8259, as ECMAScript's `JSON.parse` reads it), with nothing but JSON's white
/// space around it. `None` if it is not; a byte order mark, `NaN` or raw control characters in strings are not JSON.
pub fn parse(text: &str) -> Option<Value<'_>> {
    serde_json::from_str::<&RawValue>(text).ok().map(Value::of)
}

/// Checks that a text is one JSON object, as [`parse`] does, and takes it apart in the same pass.
pub fn parse_object(text: &str) -> Option<Object<'_>> {
    serde_json::from_str(text).ok()
}

/// Writes a text as a JSON string, quotation marks included.
pub fn quote(text: &str) -> String {
    // Texts that are JSON themselves have a quotation mark in every tenth place or so.
    let mut quoted = Vec::with_capacity(text.len() + text.len() / 8 + 2);
    serde_json::to_writer(&mut quoted, text).expect("every str is a JSON string");
    String::from_utf8(quoted).expect("JSON is UTF-8")
}

impl<'a> Value<'a> {
    fn of(raw: &'a RawValue) -> Self {
        Self(raw.get())
    }

    /// The value's text as it stood, without white space around it.
    pub fn raw(self) -> &'a str {
        self.0
    }

    /// Whether this is `null`.
    pub fn is_null(self) -> bool {
        self.first() == b'n'
    }

    /// Whether this is a string.
    pub fn is_string(self) -> bool {
        self.first() == b'"'
    }

    /// Whether this is a number.
    pub fn is_number(self) -> bool {
        matches!(self.first(), b'-' | b'0'..=b'9')
    }

    /// Whether this is an array.
    pub fn is_array(self) -> bool {
        self.first() == b'['
    }

    /// Whether this is an object.
    pub fn is_object(self) -> bool {
        self.first() == b'{'
    }

    /// Whether ECMAScript calls the value true: all but `null`, `false`, the empty string and numbers that are zero as
    /// 64-bit floating point numbers (`-0`, `0.0`, `1e-999`).
    pub fn is_truthy(self) -> bool {
        match self.first() {
            b'n' | b'f' => false,
            b'"' => self.0.len() > 2,
            b'-' | b'0'..=b'9' => self.0.parse() != Ok(0f64),
            _ => true,
        }
    }

    /// The decoded string, lone surrogates as U+FFFD; `None` if this is no string.
    pub fn text(self) -> Option<Cow<'a, str>> {
        self.is_string().then(|| match unquoted(self.0) {
            plain if !plain.contains('\\') => Cow::Borrowed(plain),
            escaped => Cow::Owned(unescape(escaped)),
        })
    }

    /// The elements of an array; `None` if this is no array.
    pub fn elements(self) -> Option<Vec<Value<'a>>> {
        self.is_array().then(|| {
            let elements: Vec<&RawValue> = serde_json::from_str(self.0).expect("the array was checked by parse");
            elements.into_iter().map(Self::of).collect()
        })
    }

    /// The entries of an object; `None` if this is no object.
    pub fn object(self) -> Option<Object<'a>> {
        self.is_object().then(|| serde_json::from_str(self.0).expect("the object was checked by parse"))
    }

    /// The 64-bit integer that a string or a number stands for.
    ///
    /// A string is read as PostgreSQL reads a `bigint`: ASCII white space, a sign or none, decimal digits, ASCII white
    /// space. A number counts by its exact value: `1e2` and `5.0` are integers, `5.5` and `1e-999` are not. `None` for what
    /// is out of range, and for anything else.
    pub fn integer(self) -> Option<i64> {
        if self.is_number() {
            return integral(self.0);
        }
        let is_space = |c: char| matches!(c, ' ' | '\t'..='\r');
        self.text()?.trim_matches(is_space).parse().ok()
    }

    fn first(self) -> u8 {
        *self.0.as_bytes().first().expect("a JSON value is never empty")
    }
}

impl<'a> Object<'a> {
    /// The value of a key, the last one if the key is repeated.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.0.iter().rev().find(|(name, _)| is_key(name, key)).map(|(_, value)| *value)
    }

    /// Whether there is such a key, whatever its value.
    pub fn contains(&self, key: &str) -> bool {
        self.get(key).is_some()
    }
}

/// Whether a key, given with its quotation marks and escapes, is this one.
fn is_key(quoted: &str, key: &str) -> bool {
    let name = unquoted(quoted);
    if name.len() == key.len() {
        // An escape is longer than what it stands for.
        name == key && !key.contains('\\')
    } else {
        name.len() > key.len() && name.contains('\\') && unescape(name) == key
    }
}

fn unquoted(string: &str) -> &str {
    &string[1..string.len() - 1]
}

/// Decodes the inside of a JSON string that is known to be well-formed.
fn unescape(escaped: &str) -> String {
    let mut text = String::with_capacity(escaped.len());
    let mut rest = escaped;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let escape = rest.as_bytes()[at + 1];
        rest = &rest[at + 2..];
        match escape {
            b'b' => text.push('\u{8}'),
            b'f' => text.push('\u{c}'),
            b'n' => text.push('\n'),
            b'r' => text.push('\r'),
            b't' => text.push('\t'),
            b'u' => rest = push_escaped_character(&mut text, rest),
            itself => text.push(char::from(itself)),
        }
    }
    text.push_str(rest);
    text
}

/// Decodes the digits after `\u`, and a second escape if both make a surrogate pair; returns what comes after.
fn push_escaped_character<'a>(text: &mut String, rest: &'a str) -> &'a str {
    let (high, after) = code_unit(rest);
    if let Some(follower) = after.strip_prefix("\\u") {
        let (low, after_both) = code_unit(follower);
        if let Some(Ok(character)) = char::decode_utf16([high, low]).next()
            && character > '\u{ffff}'
        {
            text.push(character);
            return after_both;
        }
    }
    text.push(char::from_u32(high.into()).unwrap_or(char::REPLACEMENT_CHARACTER));
    after
}

fn code_unit(rest: &str) -> (u16, &str) {
    let (digits, after) = rest.split_at(4);
    (u16::from_str_radix(digits, 16).expect("parse checked the four digits"), after)
}

/// The exact value of a JSON number, if it is an integer of 64 bits.
fn integral(number: &str) -> Option<i64> {
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_end_matches('0');
    if matches!(significant, "" | "-") {
        return Some(0);
    }
    // What does not fit into 64 bits has either far too many digits or far too many zeros.
    let exponent: i64 = exponent.parse().ok()?;
    let zeros = exponent.checked_sub(fraction.len() as i64)?.checked_add((digits.len() - significant.len()) as i64)?;
    match usize::try_from(zeros) {
        Ok(zeros) if zeros < 20 => format!("{significant}{}", "0".repeat(zeros)).parse().ok(),
        _ => None,
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries)
    }
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    // Keys are taken unread too: decoded by serde_json, a lone surrogate in any of them would fail the whole object.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::with_capacity(32);
        while let Some((key, value)) = map.next_entry::<&RawValue, &RawValue>()? {
            entries.push((key.get(), Value::of(value)));
        }
        Ok(Object(entries))
    }
}

#[cfg(test)]
mod tests;
