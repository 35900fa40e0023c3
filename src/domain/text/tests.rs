use proptest::prelude::*;

use super::*;

/// The searchable text of a content, without the blank line before it.
fn content(html: &str) -> String {
    let text = searchable(&StatusTexts { content: html.into(), ..StatusTexts::default() });
    text.strip_prefix("\n\n").expect("the spoiler's blank line should be there").to_owned()
}

fn check(table: &[(&str, &str)]) {
    for (html, text) in table {
        assert_eq!(content(html), *text, "{html}");
    }
}

/// The content as it is read from HTML that is too long to be parsed as a whole.
fn simplified(html: &str) -> String {
    fragment::text_content(&without_markup(&with_line_feeds(html)))
}

#[test]
fn the_texts_are_joined_by_blank_lines_in_their_order() {
    let texts = StatusTexts {
        spoiler: "cw".into(),
        content: "<p>content</p>".into(),
        options: vec!["yes".into(), "<b>no</b>".into()],
        descriptions: vec!["a cat".into(), "a dog &amp; a cow".into()],
    };
    assert_eq!(searchable(&texts), "cw\n\ncontent\n\nyes\n\nno\n\na cat\n\na dog & a cow");
}

#[test]
fn an_empty_spoiler_leaves_its_blank_line() {
    assert_eq!(searchable(&StatusTexts::default()), "\n\n");
}

#[test]
fn the_spoiler_is_plain_text() {
    let texts =
        StatusTexts { spoiler: "a <b> &amp; <br></p><p>\r".into(), content: "c".into(), ..StatusTexts::default() };
    assert_eq!(searchable(&texts), "a <b> &amp; <br></p><p>\r\n\nc");
}

#[test]
fn line_breaks_become_line_feeds() {
    check(&[
        ("a<br>b<br/>c<br />d<br \n\t/>e", "a\nb\nc\nd\ne"),
        ("a<br\u{a0}>b<br\u{feff}/>c<br\u{2028}>d", "a\nb\nc\nd"),
        ("a<BR>b<br class=\"x\">c<br / >d</br>e<br\u{85}>f", "abcdef"),
    ]);
}

#[test]
fn a_paragraph_after_another_makes_a_blank_line() {
    check(&[
        ("<p>a</p><p>b</p><p>c</p>", "a\n\nb\n\nc"),
        ("<p>a</p> <p>b</p>", "a b"),
        ("<p>a</p><p class=\"x\">b</p><P>c</P><P>d</P>", "abcd"),
    ]);
}

#[test]
fn words_join_across_tags_and_white_space_stays() {
    check(&[
        ("hash<b>tag</b>s", "hashtags"),
        ("<span>a</span><div>b</div><ul><li>c</li><li>d</li></ul>", "abcd"),
        ("  a \n\t b  ", "  a \n\t b  "),
        ("a\r\nb\rc", "a\nb\nc"),
    ]);
}

#[test]
fn entities_are_decoded_as_html_has_them() {
    check(&[
        ("&lt;b&gt; &amp;amp; &quot;&#39;&#x27;", "<b> &amp; \"''"),
        ("&copy &notit; &nosuch; & AT&T", "© ¬it; &nosuch; & AT&T"),
        ("&#128;&#0;&#xD800;&nbsp;", "€\u{fffd}\u{fffd}\u{a0}"),
        ("&lt;br&gt;&lt;script&gt;", "<br><script>"),
    ]);
}

#[test]
fn the_text_of_scripts_and_styles_counts_as_it_stands() {
    check(&[
        ("<script>a &amp; <b>b</b></script>c", "a &amp; <b>b</b>c"),
        ("<style>p { }</style>", "p { }"),
        ("<textarea>a<b>&amp;</textarea>", "a<b>&"),
        ("<title>t</title>", "t"),
    ]);
}

#[test]
fn scripting_is_off() {
    check(&[("<noscript><b>a</b></noscript>", "a")]);
}

#[test]
fn templates_and_comments_do_not_count() {
    check(&[
        ("a<template>b<p>c<template>d</template>e</template>f", "af"),
        ("a<!-- b -->c<!-->d<!doctype html>e<?pi f?>g</ h>i", "acdegi"),
        ("a<!-- b", "a"),
        ("a</template>b", "ab"),
        ("<template shadowrootmode=\"open\">a</template>b", "b"),
    ]);
}

#[test]
fn the_context_is_a_template_in_which_table_parts_may_stand() {
    check(&[
        ("<td>a</td><td>b</td>", "ab"),
        ("<tr>a<td>b", "ba"),
        ("<table>a<tr><td>b</table>c", "abc"),
        ("<body>a</body><html>b", "ab"),
    ]);
}

#[test]
fn misnested_elements_lose_no_text() {
    check(&[
        ("<b>a<p>b</b>c</p>", "abc"),
        ("<a><blockquote><p>1<p>2<ul>3</a>4<pre>5", "12345"),
        ("<a>1<a>2<b>3</a>4", "1234"),
        ("a < b <3 c <= d", "a < b <3 c <= d"),
    ]);
}

#[test]
fn a_byte_order_mark_is_text() {
    check(&[("\u{feff}a", "\u{feff}a"), ("<script>a</script>\u{feff}b", "a\u{feff}b")]);
}

#[test]
fn a_comment_that_is_left_open_hides_what_follows_in_other_texts() {
    let texts = StatusTexts { options: vec!["<!--".into(), "b".into()], ..StatusTexts::default() };
    assert_eq!(searchable(&texts), "\n\n\n\n");
}

#[test]
fn simplified_html_gives_the_same_text_for_what_mastodon_lets_through() {
    for html in [
        "<p>a</p><p>b <a href=\"https://b.example/?q=&quot;&gt;\" class=\"x>y\" rel='z>'>c</a><br>d</p>",
        "&lt;b&gt; &amp;amp; &copy &nosuch; a < b <3 </",
        "<!-- a --><!-->b<!doctype html>c<?pi?>d</>e</ f>g",
        "&am<b>p;</b> <<b>script> \r<i></i>\n",
        "<b>a<p>b</b>c</p><blockquote>d</blockquote><ul><li>e</ul>",
    ] {
        assert_eq!(simplified(html), content(html), "{html}");
    }
}

#[test]
fn long_html_is_simplified() {
    let filling = "x".repeat(EXACT_BYTES - "<template>a</template>".len());
    assert_eq!(content(&format!("<template>a</template>{filling}")), filling);
    assert_eq!(content(&format!("<template>a</template>{filling}x")), format!("a{filling}x"));
}

#[test]
fn html_with_many_tags_is_simplified() {
    let tags = "<b>".repeat(EXACT_TAGS);
    assert_eq!(content(&format!("<template>a</template>{}", &tags[..3 * (EXACT_TAGS - 2)])), "");
    assert_eq!(content(&format!("<template>a</template>{tags}")), "a");
}

#[test]
fn hostile_html_is_read_in_linear_time_and_on_a_small_stack() {
    const LENGTH: usize = 1 << 18;
    let attributes: String = (0..LENGTH / 8).map(|number| format!(" a{number:x}")).collect();
    let mut hostile = vec![format!("<a{attributes}>"), format!("<a{}>", &attributes[..EXACT_BYTES - 10])];
    for unit in
        ["<b>", "<div>", "<p>", "<table>", "<a>", "&amp;", "<", "</p>", "<b></i>", "<!--", "<a =\">", "<br ", "\0"]
    {
        hostile.extend([unit.repeat(LENGTH / unit.len()), unit.repeat(EXACT_TAGS)]);
    }
    let read = move || {
        let start = std::time::Instant::now();
        for html in hostile {
            content(&html);
        }
        start.elapsed()
    };
    let elapsed = std::thread::Builder::new().stack_size(256 * 1024).spawn(read).unwrap().join().unwrap();
    // Quadratic time would be many minutes in an unoptimised build, which takes some seconds.
    assert!(elapsed.as_secs() < 60, "{elapsed:?}");
}

/// Pieces of HTML, nested and closed in any order.
fn soup(elements: &'static [&'static str], texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    let element = || prop::sample::select(elements);
    let piece = prop_oneof![
        element().prop_map(|name| format!("<{name}>")),
        element().prop_map(|name| format!("<{name} class=\"a>b\" encoding=text/html>")),
        element().prop_map(|name| format!("</{name}>")),
        prop::sample::select(texts).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

const ALLOWED: &[&str] = &[
    "p",
    "br",
    "span",
    "a",
    "del",
    "s",
    "blockquote",
    "b",
    "strong",
    "u",
    "i",
    "em",
    "code",
    "ul",
    "ol",
    "li",
    "ruby",
    "rt",
];
const OTHERS: &[&str] = &[
    "table",
    "tr",
    "td",
    "caption",
    "colgroup",
    "template",
    "script",
    "select",
    "option",
    "svg",
    "math",
    "annotation-xml",
    "foreignObject",
    "frameset",
    "body",
    "html",
    "form",
    "pre",
    "nobr",
    "a",
    "b",
    "p",
    "button",
    "title",
    "plaintext",
];
const TEXTS: &[&str] =
    &["x", " ", "\r", "\n", "&amp;", "&not", "&am", "p;", "&#0;", "<", "</", "<!-- c -->", "<!-->", "é"];

proptest! {
    #[test]
    fn simplifying_makes_no_difference_for_allowed_elements(html in soup(ALLOWED, TEXTS)) {
        prop_assert_eq!(simplified(&html), content(&html));
    }

    #[test]
    fn no_html_is_too_odd_to_be_read(html in soup(OTHERS, TEXTS)) {
        content(&html);
        simplified(&html);
    }

    #[test]
    fn text_without_markup_is_its_own_content(text in "[^<&\r\0]*") {
        prop_assert_eq!(content(&text), text);
    }

    #[test]
    fn escaped_text_is_what_it_was(text in "[^\r\0]*") {
        let html = text.replace('&', "&amp;").replace('<', "&lt;");
        prop_assert_eq!(simplified(&html), text.clone());
        prop_assert_eq!(content(&html), text);
    }
}
