//! What the documents say, held against the program.

use flodgatt::{config::VARIABLES, telemetry::Metrics};

fn document(name: &str) -> String {
    let path = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_readme_lists_the_variables_of_the_program_with_their_defaults_and_meanings() {
    let mut table = String::from("| variable | default | meaning |\n|---|---|---|\n");
    for variable in VARIABLES {
        let default = if variable.default.is_empty() { "–" } else { variable.default };
        table.push_str(&format!("| `{}` | {default} | {} |\n", variable.name, variable.meaning));
    }
    assert!(document("README.md").contains(&table), "README.md should contain this table:\n{table}");
}

#[test]
fn the_changelog_is_open_for_what_comes_next() {
    assert!(document("CHANGELOG.md").contains("\n## Unreleased\n"));
}

#[test]
fn every_file_that_a_document_links_to_is_there() {
    for name in ["README.md", "ARCHITECTURE.md"] {
        let text = document(name);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
            let path = format!("{}/{target}", env!("CARGO_MANIFEST_DIR"));
            assert!(std::path::Path::new(&path).exists(), "{name} links to {target}, which is not there");
        }
    }
}

#[test]
fn every_metric_says_what_it_counts() {
    let page = Metrics::default().page();
    let typed = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    for name in typed.filter_map(|rest| rest.split(' ').next()) {
        let help = page.lines().find_map(|line| line.strip_prefix(&format!("# HELP {name} ")));
        assert!(help.is_some_and(|help| help.len() > 10), "{name} has no HELP");
    }
}
