use proptest::prelude::*;

use super::*;

fn value(text: &str) -> Value<'_> {
    parse(text).unwrap_or_else(|| panic!("{text} should be JSON"))
}

fn text(json: &str) -> String {
    value(json).text().unwrap().into_owned()
}

#[test]
fn what_ecmascript_parses_is_json() {
    for json in [" null\n", "\t\r1", "1e999", "-1E-999", "0.10", "\"\\ud800\"", "{\"\\udc00\":1}", "\"\u{2028}\u{7f}\""]
    {
        assert!(parse(json).is_some(), "{json}");
    }
}

#[test]
fn what_ecmascript_refuses_is_no_json() {
    let refused = [
        "",
        " ",
        "\u{feff}1",
        "1 2",
        "{}x",
        "NaN",
        "Infinity",
        "undefined",
        "nul",
        "01",
        "1.",
        ".5",
        "+1",
        "-",
        "1e",
        "'a'",
        "\"a",
        "\"\n\"",
        "\"\t\"",
        "\"\u{0}\"",
        "\"\\x41\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "[1,]",
        "[,1]",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\"}",
        "{1:2}",
        "[1",
        "]",
        "\u{a0}1",
        "// no\n1",
    ];
    for json in refused {
        assert!(parse(json).is_none(), "{json:?}");
        assert!(parse_object(json).is_none(), "{json:?}");
    }
}

#[test]
fn deep_nesting_is_neither_refused_nor_a_danger_to_the_stack() {
    for depth in [400, 100_000] {
        let arrays = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(value(&arrays).elements().unwrap().len(), 1);
        let objects = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let inner = value(&objects).object().unwrap().get("a").unwrap();
        assert_eq!(inner.raw().len(), objects.len() - "{\"a\":}".len());
    }
}

#[test]
fn raw_is_the_trimmed_text_as_it_stood() {
    assert_eq!(value(" \n[ 1.50 , \"\\u0041\" ]\t").raw(), "[ 1.50 , \"\\u0041\" ]");
    assert_eq!(value("{ \"a\" : 1.50 }").object().unwrap().get("a").unwrap().raw(), "1.50");
    assert_eq!(value("[ 1E2 ,2]").elements().unwrap()[0].raw(), "1E2");
}

#[test]
fn each_value_is_of_one_kind() {
    let kinds: [fn(Value<'static>) -> bool; 5] =
        [Value::is_null, Value::is_string, Value::is_number, Value::is_array, Value::is_object];
    for (at, json) in ["null", "\"n\"", "-1", "[1]", "{}"].into_iter().enumerate() {
        let found: Vec<_> = kinds.iter().map(|is| is(value(json))).collect();
        let wanted: Vec<_> = (0..5).map(|kind| kind == at).collect();
        assert_eq!(found, wanted, "{json}");
    }
    assert!(kinds.iter().all(|is| !is(value("true")) && !is(value("false"))));
}

#[test]
fn truth_is_that_of_ecmascript() {
    for json in ["null", "false", "0", "-0", "0.0", "0e5", "-0.00E+7", "1e-999", "\"\""] {
        assert!(!value(json).is_truthy(), "{json}");
    }
    for json in ["true", "1", "-1", "1e999", "0.1", "5e-324", "\" \"", "\"0\"", "\"\\u0000\"", "[]", "{}"] {
        assert!(value(json).is_truthy(), "{json}");
    }
}

#[test]
fn only_strings_have_text() {
    for json in ["1", "null", "true", "[\"a\"]", "{}"] {
        assert_eq!(value(json).text(), None, "{json}");
    }
}

#[test]
fn a_string_without_escapes_is_borrowed() {
    assert!(matches!(value("\"Zażółć\"").text(), Some(Cow::Borrowed("Zażółć"))));
}

#[test]
fn escapes_are_decoded() {
    assert_eq!(text(r#""\"\\\/\b\f\n\r\t""#), "\"\\/\u{8}\u{c}\n\r\t");
    assert_eq!(text(r#""a\u00e9\u00E9é\u0000z""#), "aééé\0z");
    assert_eq!(text(r#""\ud83d\ude00\uD83D\uDE00""#), "😀😀");
    assert_eq!(text(r#""\\u0041\\\u0041""#), "\\u0041\\A");
}

#[test]
fn each_lone_surrogate_becomes_one_replacement_character() {
    assert_eq!(text(r#""\ud800""#), "\u{fffd}");
    assert_eq!(text(r#""a\udc00b""#), "a\u{fffd}b");
    assert_eq!(text(r#""\ud800\ud800\udc00""#), "\u{fffd}\u{10000}");
    assert_eq!(text(r#""\udc00\ud800""#), "\u{fffd}\u{fffd}");
    assert_eq!(text(r#""\ud800\u0041""#), "\u{fffd}A");
    assert_eq!(text(r#""\ud800\n""#), "\u{fffd}\n");
}

#[test]
fn the_last_of_equal_keys_counts() {
    let object = value(r#"{"a":1,"b":2,"a":3,"\u0062":4}"#).object().unwrap();
    assert_eq!(object.get("a").unwrap().raw(), "3");
    assert_eq!(object.get("b").unwrap().raw(), "4");
}

#[test]
fn a_key_is_found_by_its_decoded_name_and_whatever_its_value() {
    let object = value(r#"{"\u0066iltered":null,"Filtered":1,"\ud800":2,"a\"b":3}"#).object().unwrap();
    assert!(object.contains("filtered"));
    assert!(object.get("filtered").unwrap().is_null());
    assert!(!object.contains("filter") && !object.contains("\\u0066iltered") && !object.contains(""));
    assert_eq!(object.get("a\"b").unwrap().raw(), "3");
}

#[test]
fn only_arrays_have_elements_and_only_objects_have_keys() {
    for json in ["1", "null", "\"[]\""] {
        assert!(value(json).elements().is_none() && value(json).object().is_none(), "{json}");
    }
    assert!(value("{}").elements().is_none() && value("[]").object().is_none());
    assert!(value(" [ ] ").elements().unwrap().is_empty());
    assert!(!value("{ }").object().unwrap().contains("a"));
}

#[test]
fn strings_are_integers_as_postgresql_reads_them() {
    let table = [
        ("\"123\"", Some(123)),
        ("\" 123 \"", Some(123)),
        ("\"\\t\\n\\u000b\\f\\r7\\r\"", Some(7)),
        ("\"0123\"", Some(123)),
        ("\"+5\"", Some(5)),
        ("\"-5\"", Some(-5)),
        ("\"9223372036854775807\"", Some(i64::MAX)),
        ("\"-9223372036854775808\"", Some(i64::MIN)),
        ("\"9223372036854775808\"", None),
        ("\"\"", None),
        ("\" \"", None),
        ("\"+\"", None),
        ("\"- 5\"", None),
        ("\"1 2\"", None),
        ("\"1e2\"", None),
        ("\"1.0\"", None),
        ("\"0x10\"", None),
        ("\"\u{a0}5\"", None),
        ("\"5\\u0000\"", None),
        ("\"٣\"", None),
    ];
    for (json, integer) in table {
        assert_eq!(value(json).integer(), integer, "{json}");
    }
}

#[test]
fn numbers_are_integers_by_their_exact_value() {
    let table = [
        ("0", Some(0)),
        ("-0.0e999", Some(0)),
        ("0e99999999999999999999", Some(0)),
        ("42", Some(42)),
        ("-42", Some(-42)),
        ("9007199254740993", Some(9_007_199_254_740_993)),
        ("9223372036854775807", Some(i64::MAX)),
        ("-9223372036854775808", Some(i64::MIN)),
        ("9223372036854775808", None),
        ("1e2", Some(100)),
        ("1E+18", Some(1_000_000_000_000_000_000)),
        ("1e19", None),
        ("5.0", Some(5)),
        ("1.50e1", Some(15)),
        ("120e-1", Some(12)),
        ("5.5", None),
        ("5e-1", None),
        ("1e-999", None),
        ("1e999", None),
        ("1e99999999999999999999", None),
        ("1e-99999999999999999999", None),
        ("1e9223372036854775807", None),
        ("10e-9223372036854775808", None),
    ];
    for (json, integer) in table {
        assert_eq!(value(json).integer(), integer, "{json}");
    }
}

#[test]
fn nothing_but_strings_and_numbers_is_an_integer() {
    for json in ["null", "true", "[1]", "{}"] {
        assert_eq!(value(json).integer(), None, "{json}");
    }
}

proptest! {
    #[test]
    fn an_object_is_the_same_in_one_pass_and_in_two(text in r#"[ \n]?\{?[ :,"a1{}\[\]\\u]{0,10}\}?[ x]?"#) {
        let entries = |object: Object<'_>| object.0.iter().map(|(key, value)| format!("{key}:{}", value.0)).collect::<Vec<_>>();
        prop_assert_eq!(parse_object(&text).map(entries), parse(&text).and_then(Value::object).map(entries));
    }

    #[test]
    fn quote_and_text_are_inverse(original: String) {
        let quoted = quote(&original);
        prop_assert_eq!(text(&quoted), original);
    }

    #[test]
    fn strings_decode_as_serde_json_decodes_them(inside in r#"(\\u[0-9a-fA-F]{4}|\\["\\/bfnrt]|[a-z😀é])*"#) {
        let json = format!("\"{inside}\"");
        let decoded = text(&json);
        if let Ok(expected) = serde_json::from_str::<String>(&json) {
            prop_assert_eq!(decoded, expected);
        } else {
            prop_assert!(decoded.contains(char::REPLACEMENT_CHARACTER));
        }
    }

    #[test]
    fn every_integer_is_read_back(integer: i64, zeros in 0usize..4) {
        let scaled = format!("{integer}{}e-{zeros}", "0".repeat(zeros));
        for json in [integer.to_string(), format!("\"{integer}\""), format!("{integer}.0"), scaled] {
            prop_assert_eq!(value(&json).integer(), Some(integer));
        }
    }
}
