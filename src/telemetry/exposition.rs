//! From OpenMetrics, which the metrics library writes, to Prometheus's text format 0.0.4, which the Node server wrote.

/// Rewrites a page: a counter's `HELP` and `TYPE` bear the name of its samples, with `_total`, and there is no `# EOF`.
pub(super) fn text_0_0_4(open_metrics: &str) -> String {
    let counters: Vec<&str> =
        open_metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut page = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines().filter(|line| *line != "# EOF") {
        match metadata(line) {
            Some((keyword, name, rest)) if counters.contains(&name) => {
                page.push_str(&format!("# {keyword} {name}_total {rest}"));
            }
            _ => page.push_str(line),
        }
        page.push('\n');
    }
    page
}

fn metadata(line: &str) -> Option<(&str, &str, &str)> {
    let (keyword, rest) = line.strip_prefix("# ")?.split_once(' ')?;
    let (name, rest) = rest.split_once(' ')?;
    matches!(keyword, "HELP" | "TYPE").then_some((keyword, name, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_declared_by_the_name_of_its_samples() {
        let open_metrics = "# HELP sent Messages.\n# TYPE sent counter\nsent_total 3\n# EOF\n";
        assert_eq!(text_0_0_4(open_metrics), "# HELP sent_total Messages.\n# TYPE sent_total counter\nsent_total 3\n");
    }

    #[test]
    fn a_gauge_stays_as_it_is() {
        let open_metrics = "# HELP idle Idle.\n# TYPE idle gauge\nidle 3\n# EOF\n";
        assert_eq!(text_0_0_4(open_metrics), "# HELP idle Idle.\n# TYPE idle gauge\nidle 3\n");
    }
}
