//! The fourth rule: in which text keywords are looked for.

use serde_json::json;

use crate::{
    support::statuses::Status,
    table::{Case, check, html, plain},
};

/// Each status with a text that is to be found in it, or not.
async fn check_texts(table: Vec<(Status, &str, bool)>) {
    let keywords: Vec<_> = table.iter().map(|(_, text, _)| [(*text, false)]).collect();
    let cases = table.iter().zip(&keywords);
    let cases: Vec<_> = cases
        .map(|((status, text, found), keywords)| Case {
            keywords,
            status: status.clone(),
            expected: found.then_some(*text),
        })
        .collect();
    check(&cases).await;
}

async fn check_html(table: &[(&str, &str, bool)]) {
    check_texts(table.iter().map(|(content, text, found)| (html(content), *text, *found)).collect()).await;
}

#[tokio::test]
async fn spoiler_content_options_and_descriptions_are_joined_by_blank_lines() {
    let full = plain("the spoiler").content("the content").poll(&["option one", "option two"]);
    let full = full.picture("picture one").picture(None).picture("picture two");
    check_texts(vec![
        (full.clone(), "the spoiler\n\nthe content", true),
        (full.clone(), "the content\n\noption one\n\noption two", true),
        (full.clone(), "option two\n\npicture one", true),
        (full.clone(), "picture one\n\npicture two", true),
        (full.clone(), "picture two\n", false),
        (full, "\n\n\n", false),
        (plain("").content("the content"), "\n\nthe content", true),
        (plain("").content("the content"), "\n\n\nthe content", false),
        (plain("").content("the content").without("spoiler_text"), "\n\nthe content", true),
        (plain("").content("").picture("a picture"), "\n\n\n\na picture", true),
        (plain("").content("a").poll(&["", "b"]), "a\n\n\n\nb", true),
        (plain("spoiler"), "spoiler\n\n", true),
    ])
    .await;
}

#[tokio::test]
async fn nothing_else_of_a_status_is_looked_at() {
    let name = json!({"name": "heron", "url": "heron"});
    let account = json!({"id": "5", "username": "heron", "acct": "heron", "display_name": "heron", "note": "heron"});
    let reblog = plain("heron").content("heron");
    check_texts(vec![
        (html("").with("account", account), "heron", false),
        (html("").with("tags", json!([name])).with("emojis", json!([name])), "heron", false),
        (html("").with("card", json!({"title": "heron", "description": "heron"})), "heron", false),
        (html("").with("reblog", reblog.value().clone()), "heron", false),
        (html("").with("text", "heron").with("uri", "heron"), "heron", false),
        (html("").with("media_attachments", json!([{"url": "heron", "type": "heron"}])), "heron", false),
    ])
    .await;
}

#[tokio::test]
async fn the_spoiler_is_plain_text_and_all_else_is_html() {
    check_texts(vec![
        (plain("<b>a</b> &amp; b"), "<b>a</b> &amp; b", true),
        (plain("a<br>b"), "a<br>b", true),
        (html("<b>a</b> &amp; b"), "a & b", true),
        (html("").poll(&["<b>a</b> &amp; b"]), "a & b", true),
        (html("").picture("<b>a</b> &amp; b<br>c"), "a & b\nc", true),
        (plain("a<!--").content("b"), "b", true),
        (plain("<script>").content("b"), "<script>\n\nb", true),
    ])
    .await;
}

#[tokio::test]
async fn line_breaks_become_line_feeds_and_paragraphs_blank_lines() {
    check_html(&[
        ("a<br>b", "a\nb", true),
        ("a<br/>b", "a\nb", true),
        ("a<br />b", "a\nb", true),
        ("a<br \t\n\u{a0}/>b", "a\nb", true),
        ("a<br   >b", "a\nb", true),
        ("a<BR>b", "ab", true),
        ("a<br class=\"x\">b", "ab", true),
        ("a<br //>b", "ab", true),
        ("a<br><br />b", "a\n\nb", true),
        ("<p>a</p><p>b</p>", "a\n\nb", true),
        ("<p>a</p> <p>b</p>", "a b", true),
        ("<p>a</p><p class=\"x\">b</p>", "ab", true),
        ("<P>a</P><P>b</P>", "ab", true),
        ("<p>a</p><ul><li>b</li></ul>", "ab", true),
        ("<p>a</p><p>b</p>", "a\nb", false),
    ])
    .await;
}

#[tokio::test]
async fn words_join_across_tags_and_white_space_stays() {
    check_html(&[
        ("her<b>on</b>s", "herons", true),
        ("#<span>her</span><span>on</span>", "#heron", true),
        ("<a href=\"heron\">bird</a>", "heron", false),
        ("<a href=\"x\"><span class=\"invisible\">https://</span>walks.example</a>", "https://walks.example", true),
        ("a  \n\t b", "a  \n\t b", true),
        ("<div> a </div>b", " a b", true),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "ab", true),
        ("a &lt;b&gt; c", "a <b> c", true),
        ("a < b", "a < b", true),
    ])
    .await;
}

#[tokio::test]
async fn entities_are_decoded_as_html_has_them() {
    check_html(&[
        ("&amp;", "&", true),
        ("&amp;lt;", "&lt;", true),
        ("caf&eacute;", "café", true),
        ("&#104;&#x65;ron", "heron", true),
        ("a&nbsp;b", "a\u{a0}b", true),
        ("a&nbsp;b", "a b", false),
        ("&quot;a&#39;", "\"a'", true),
        ("&copy2026", "©2026", true),
        ("&unknown;", "&unknown;", true),
        ("&#128;", "€", true),
        ("&NotEqualTilde;", "≂̸", true),
        ("her&shy;on", "heron", false),
    ])
    .await;
}

#[tokio::test]
async fn script_and_style_text_counts_and_templates_and_comments_do_not() {
    check_html(&[
        ("a<script>var heron = \"<b>\";</script>", "avar heron = \"<b>\";", true),
        ("<style>.heron &amp; {}</style>", ".heron &amp; {}", true),
        ("a<template>heron</template>b", "heron", false),
        ("a<template>heron</template>b", "ab", true),
        ("a<!-- heron -->b", "heron", false),
        ("a<!-- heron -->b", "ab", true),
        ("a<!heron>b", "heron", false),
        ("a<?heron?>b", "ab", true),
        ("a<!-- heron", "heron", false),
        ("<textarea>heron &amp; <b></textarea>", "heron & <b>", true),
        ("<img alt=\"heron\">", "heron", false),
    ])
    .await;
}
