//! That the source is built in the layers which the documentation of `src/lib.rs` names, and keeps the rules of the house.

#[path = "layers/source.rs"]
mod source;
#[path = "layers/table.rs"]
mod table;

use std::{
    fs,
    path::{Path, PathBuf},
};

use source::Source;
use table::Table;

/// Longer files are to be split by subject.
const MOST_LINES: usize = 450;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files below a folder, by their path in it.
fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = root().join(folder);
    let mut found = Vec::new();
    let mut folders = vec![folder.clone()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(&folder).unwrap().to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty(), "{} has no files", folder.display());
    found
}

fn table() -> Table {
    Table::read(&fs::read_to_string(root().join("src/lib.rs")).unwrap())
}

/// What one file imports against the table, in words.
fn violations(table: &Table, path: &Path, text: &str) -> Vec<String> {
    let source = Source::read(path, text);
    let Some(module) = source.top_module() else { return Vec::new() };
    let imported = source.imports();
    let wrong = imported.iter().filter(|other| **other != module && !table.allows(&module, other));
    wrong.map(|other| format!("{}: {module} must not know {other}", path.display())).collect()
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let table = table();
    let wrong: Vec<String> = files("src").iter().flat_map(|(path, text)| violations(&table, path, text)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_table_names_every_module() {
    let mut declared: Vec<String> = fs::read_to_string(root().join("src/lib.rs"))
        .unwrap()
        .lines()
        .filter_map(|line| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned()))
        .collect();
    declared.sort();
    let mut named = table().modules();
    named.sort();
    assert_eq!(named, declared);
}

#[test]
fn an_import_against_the_table_is_found_however_it_is_written() {
    let table = table();
    for text in [
        "use crate::store::Store;",
        "use crate::{domain::{Channel, Event}, store};",
        "use crate::{\n    domain::Channel,\n    hub::Hub, // a comment, with commas\n    store::{self, Store},\n};",
        "fn f() -> crate::store::Store { todo() }",
        "use super::super::store;",
        "use super::{super::store::Store, State};",
        "mod inner { use super::super::super::store; }",
        "pub(in crate::hub) fn f(_: &crate::store::Store) {}",
        "use crate::*;",
    ] {
        assert_eq!(violations(&table, Path::new("hub/state.rs"), text).len(), 1, "{text}");
    }
}

#[test]
fn what_the_table_allows_is_no_violation() {
    let table = table();
    for text in [
        "use crate::{domain::{store, Channel}, telemetry::Metrics, hub::Hub};",
        "use super::{Hub, store};",
        "mod tests { use super::super::store; }",
        "// use crate::store;\n/* crate::store */ /// crate::store\nconst A: &str = \"crate::store\";",
        "const A: &str = r#\"\"crate::store\"#; const B: char = '\"'; fn c<'a>(_: &'a str) {}",
        "pub(crate) fn f() {}",
    ] {
        assert_eq!(violations(&table, Path::new("hub/state.rs"), text), [""; 0], "{text}");
    }
}

#[test]
fn siblings_lower_layers_and_unnamed_modules_are_not_allowed() {
    let table = table();
    for (module, other) in [
        ("hub", "store"),
        ("lifecycle", "telemetry"),
        ("session", "upstream"),
        ("http", "delivery"),
        ("relay", "session"),
    ] {
        assert!(!table.allows(module, other), "{module} → {other}");
        assert!(!table.allows(other, module), "{other} → {module}");
    }
    assert!(!table.allows("domain", "lifecycle") && table.allows("lifecycle", "domain"));
    assert!(table.allows("delivery", "store") && table.allows("http", "session") && table.allows("app", "relay"));
}

#[test]
fn files_are_short() {
    for folder in ["src", "tests"] {
        for (path, text) in files(folder) {
            let lines = text.lines().count();
            assert!(lines <= MOST_LINES, "{folder}/{} has {lines} lines", path.display());
        }
    }
}

#[test]
fn nothing_is_unwrapped_but_in_tests() {
    for (path, text) in files("src") {
        let source = Source::read(&path, &text);
        assert!(!source.program_calls("unwrap"), "{} unwraps", path.display());
    }
    let found = |text: &str| Source::read(Path::new("hub.rs"), text).program_calls("unwrap");
    assert!(found("fn f() { a.unwrap() }") && found("#[cfg(test)] mod tests {} fn f() { a.unwrap(); }"));
    assert!(!found("#[cfg(test)]\nmod tests { fn f() { a.unwrap(); } } fn g() { a.unwrap_or(\".unwrap()\") }"));
}

#[test]
fn nothing_is_left_for_later() {
    let words = ["todo", "unimplemented", "dbg", "ignore"];
    let found = |path: &Path, text: &str| -> Vec<&str> {
        let source = Source::read(path, text);
        words.into_iter().filter(|word| source.has_macro_or_attribute(word)).collect()
    };
    for folder in ["src", "tests"] {
        for (path, text) in files(folder) {
            assert_eq!(found(&path, &text), [""; 0], "{folder}/{}", path.display());
        }
    }
    let text = "#[ignore] fn f() { todo!(); } #[ignore = \"slow\"] fn g() { unimplemented!(\"x\"); dbg!(1) }";
    assert_eq!(found(Path::new("a.rs"), text), words);
    assert!(found(Path::new("a.rs"), "//! ```ignore\nfn todo() -> bool { ignore != todo }").is_empty());
}
