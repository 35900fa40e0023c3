//! The query of a request.

use crate::domain::stream::is_false_text;

/// Decoded parameters, in their order.
#[derive(Debug)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes as the URL standard says for `application/x-www-form-urlencoded`; nothing fails.
    pub(super) fn parse(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// The first value.
    pub(super) fn first<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.values(name).next()
    }

    /// The value, if there is exactly one.
    pub(super) fn single<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        let mut values = self.values(name);
        values.next().filter(|_| values.next().is_none())
    }

    /// Whether a flag is set. A repeated one is.
    pub(super) fn is_true(&self, name: &str) -> bool {
        match (self.first(name), self.single(name)) {
            (None, _) => false,
            (Some(_), None) => true,
            (_, Some(value)) => !is_false_text(value),
        }
    }

    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_false_only_if_missing_empty_or_one_of_eight_words() {
        for value in ["", "0", "f", "F", "false", "FALSE", "off", "OFF"] {
            assert!(!Query::parse(&format!("flag={value}")).is_true("flag"), "{value}");
        }
        for value in ["1", "no", "False", "Off", "%20"] {
            assert!(Query::parse(&format!("flag={value}")).is_true("flag"), "{value}");
        }
        assert!(!Query::parse("other=1").is_true("flag"));
    }

    #[test]
    fn names_and_values_are_decoded() {
        let query = Query::parse("a+b%26=c%3Dd+e&%61=%C3%A4&=x&empty&also=");
        assert_eq!(query.single("a b&"), Some("c=d e"));
        assert_eq!(query.single("a"), Some("\u{e4}"));
        assert_eq!((query.single("empty"), query.single("also")), (Some(""), Some("")));
        assert_eq!((query.first("A"), query.first("x")), (None, None));
    }

    #[test]
    fn what_cannot_be_decoded_is_no_error() {
        let query = Query::parse("a=%zz%&b=%ff&c=%00&&=&d=%e2%82");
        assert_eq!((query.single("a"), query.single("b")), (Some("%zz%"), Some("\u{fffd}")));
        assert_eq!((query.single("c"), query.single("d")), (Some("\0"), Some("\u{fffd}")));
    }

    #[test]
    fn a_repeated_parameter_has_a_first_value_but_no_single_one() {
        let query = Query::parse("a=1&b=2&a=3");
        assert_eq!((query.first("a"), query.single("a")), (Some("1"), None));
        assert_eq!((query.first("b"), query.single("b")), (Some("2"), Some("2")));
    }

    #[test]
    fn a_repeated_flag_is_true() {
        assert!(Query::parse("flag=0&flag=0").is_true("flag"));
    }
}
