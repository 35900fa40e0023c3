//! Files of variables, read as Node's dotenv reads them.
//!
//! Mastodon's `.env.production` is written by hand and read by several programs. Libraries for Rust expand `$` in
//! values, and give up on lines such as `NAME=Mastodon <mail@example.com>`; both would change what a file means that
//! has worked with the Node server.

/// Names and values.
type Variables = Vec<(String, String)>;

/// Numbers of lines, from 1 on, and what is wrong there.
type Problems = Vec<(usize, &'static str)>;

/// The variables of a file, and what of it is not as it should be.
pub(super) fn read(bytes: &[u8]) -> (Variables, Problems) {
    let (variables, mut problems) = parse(&String::from_utf8_lossy(bytes));
    if let Err(error) = std::str::from_utf8(bytes) {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        problems.push((line, "is not UTF-8; what is not is replaced by U+FFFD"));
    }
    problems.sort_unstable();
    (variables, problems)
}

/// The variables of a file. What is no assignment is passed over. The last one of a name counts.
fn parse(text: &str) -> (Variables, Problems) {
    let (mut variables, mut problems) = (Variables::new(), Problems::new());
    // Editors of other systems mark UTF-8 so.
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let number = 1 + text[..text.len() - rest.len()].matches('\n').count();
        let (line, following) = rest.split_once('\n').unwrap_or((rest, ""));
        rest = following;
        let Some((name, value)) = assignment(line) else {
            if !matches!(line.trim_start().chars().next(), None | Some('#')) {
                problems.push((number, "is no assignment, and is passed over"));
            }
            continue;
        };
        let value = match quoted(value, following) {
            Some((value, after)) => {
                rest = after;
                value
            }
            None => {
                if value.starts_with(['\'', '"', '`']) {
                    problems.push((number, "has a quote that does not close; it is taken as part of the value"));
                }
                value.split('#').next().unwrap_or_default().trim().to_owned()
            }
        };
        variables.retain(|(known, _)| known != name);
        variables.push((name.to_owned(), value));
    }
    (variables, problems)
}

fn assignment(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").map_or(line, str::trim_start);
    let (name, value) = line.split_once('=')?;
    let name = name.trim_end();
    let valid = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    valid.then_some((name, value.trim_start_matches([' ', '\t'])))
}

/// A value in quotes, which may span lines, and what follows the line on which it ends.
fn quoted<'a>(value: &str, following: &'a str) -> Option<(String, &'a str)> {
    let quote = value.chars().next().filter(|first| matches!(first, '\'' | '"' | '`'))?;
    let mut inner = value[1..].to_owned();
    let mut rest = following;
    let end = loop {
        match closing(&inner, quote) {
            Some(end) => break end,
            None if rest.is_empty() => return None,
            None => {
                let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
                inner.push('\n');
                inner.push_str(line);
                rest = after;
            }
        }
    };
    inner.truncate(end);
    let value = if quote == '"' { inner.replace("\\n", "\n").replace("\\r", "\r") } else { inner };
    Some((value, rest))
}

/// Where the quote closes: at the first one that no backslash precedes.
fn closing(text: &str, quote: char) -> Option<usize> {
    text.match_indices(quote).map(|(place, _)| place).find(|place| !text[..*place].ends_with('\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Variables {
        read(text.as_bytes()).0
    }

    fn problems(bytes: &[u8]) -> Vec<(usize, &'static str)> {
        let problems = read(bytes).1.into_iter();
        problems.map(|(line, what)| (line, what.split([',', ';']).next().unwrap_or_default())).collect()
    }

    fn value(text: &str) -> Option<String> {
        parse(text).into_iter().next_back().map(|(_, value)| value)
    }

    #[test]
    fn a_value_without_quotes_goes_to_the_end_of_the_line_or_a_comment() {
        assert_eq!(value("A= b c  # comment").as_deref(), Some("b c"));
        assert_eq!(value("A=Mastodon <mail@example.com>").as_deref(), Some("Mastodon <mail@example.com>"));
        assert_eq!(value("A=").as_deref(), Some(""));
    }

    #[test]
    fn dollar_signs_mean_nothing() {
        assert_eq!(value("A=pa$$word$HOME").as_deref(), Some("pa$$word$HOME"));
    }

    #[test]
    fn quotes_keep_spaces_hashes_and_lines() {
        assert_eq!(value("A=' b # c '").as_deref(), Some(" b # c "));
        assert_eq!(value("A=\"b\nc\"\n").as_deref(), Some("b\nc"));
        assert_eq!(value("A=`it's`").as_deref(), Some("it's"));
    }

    #[test]
    fn only_double_quotes_know_escapes() {
        assert_eq!(value(r#"A="b\nc""#).as_deref(), Some("b\nc"));
        assert_eq!(value(r"A='b\nc'").as_deref(), Some(r"b\nc"));
    }

    #[test]
    fn a_quote_that_does_not_close_is_part_of_the_value() {
        assert_eq!(parse("A='b\nC=d"), [("A".to_owned(), "'b".to_owned()), ("C".to_owned(), "d".to_owned())]);
    }

    #[test]
    fn what_is_no_assignment_is_passed_over() {
        assert_eq!(parse("# comment\n\nrubbish\n=x\nexport A=b\r\n"), [("A".to_owned(), "b".to_owned())]);
    }

    #[test]
    fn what_is_not_as_it_should_be_is_told_by_line() {
        let file = b"# comment\r\n\r\nA='b\nc'\r\nrubbish\n  =x\nB='d\nC=e\nD=\xff\n  # comment\nexport E\n";
        let (no, open) = ("is no assignment", "has a quote that does not close");
        assert_eq!(problems(file), [(5, no), (6, no), (7, open), (9, "is not UTF-8"), (11, no)]);
        let names: Vec<String> = read(file).0.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["A", "B", "C", "D"], "the rest is kept");
    }

    #[test]
    fn a_mark_of_utf_8_at_the_beginning_is_no_problem() {
        assert_eq!(read("\u{feff}A=b\n".as_bytes()), (vec![("A".to_owned(), "b".to_owned())], vec![]));
    }

    #[test]
    fn the_last_assignment_counts() {
        assert_eq!(parse("A=1\nA=2"), [("A".to_owned(), "2".to_owned())]);
    }
}
