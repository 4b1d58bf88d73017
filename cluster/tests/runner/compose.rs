//! The compose file, and what belongs to it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All queries of a dashboard.
fn queries(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(query)) = object.get("expr") {
                found.push(query.clone());
            }
            object.values().for_each(|value| queries(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| queries(value, found)),
        _ => {}
    }
}

/// The names of our metrics in a query.
fn metrics(query: &str) -> impl Iterator<Item = &str> {
    let words = query.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    words.filter(|word| word.starts_with("weir_"))
}

#[test]
fn the_dashboard_asks_for_metrics_that_there_are_and_for_all_of_them() {
    let dashboard = text("compose/grafana/dashboards/weir.json");
    let dashboard: Value = serde_json::from_str(&dashboard).expect("JSON");
    let mut found = Vec::new();
    queries(&dashboard, &mut found);
    assert!(found.len() > 20, "{found:?}");

    let interface = text("../docs/interface.md");
    let (_, section) = interface.split_once("\n## Metrics\n").expect("a section");
    let (section, _) = section.split_once("\n## ").expect("another one");
    let promised: Vec<_> = metrics(section).filter(|name| *name != "weir_").collect();
    for query in &found {
        for name in metrics(query) {
            let name = name.trim_end_matches("_bucket");
            assert!(promised.contains(&name), "{name} of {query}");
        }
    }
    let shown: Vec<_> = found.iter().flat_map(|query| metrics(query)).collect();
    let missing = |name: &&str| {
        let shown = shown
            .iter()
            .any(|shown| shown.trim_end_matches("_bucket") == *name);
        // Totals of what is shown otherwise.
        let left_out = ["weir_connections_total", "weir_tags_total"];
        !shown && !left_out.contains(name)
    };
    let missing: Vec<_> = promised.into_iter().filter(missing).collect();
    assert_eq!(missing, [""; 0], "a panel shows it");
}

#[test]
fn what_goes_between_nodes_is_not_shown_as_what_viewers_get() {
    let dashboard = text("compose/grafana/dashboards/weir.json");
    let dashboard: Value = serde_json::from_str(&dashboard).expect("JSON");
    let mut found = Vec::new();
    queries(&dashboard, &mut found);
    let counts_both = [
        "weir_egress_bytes_total",
        "weir_ingress_bytes_total",
        "weir_delivery_seconds_bucket",
    ];
    let of_both = |query: &&String| metrics(query).any(|name| counts_both.contains(&name));
    let of_both: Vec<_> = found.iter().filter(of_both).collect();
    assert!(of_both.len() >= 6, "{of_both:?}");
    for query in of_both {
        let says_which = ["protocol!=\"relay\"", "protocol=\"relay\""];
        assert!(says_which.iter().any(|it| query.contains(it)), "{query}");
    }
}

#[test]
fn a_drained_node_stays_away_and_the_api_is_for_this_machine() {
    let compose = text("compose/compose.yaml");
    let (_, node) = compose.split_once("\nx-node: &node\n").expect("nodes");
    let (node, _) = node.split_once("\n\n").expect("an end");
    assert!(node.contains("\n  restart: on-failure\n"), "{node}");
    let http = compose.lines().filter(|line| line.contains(":8080\""));
    let http: Vec<_> = http.map(str::trim).collect();
    assert_eq!(http, ["- \"${HTTP_ADDRESS:-127.0.0.1}:8080:8080\""]);
}

#[test]
fn the_balancer_understands_its_configuration_and_knows_all_nodes() {
    let path = file("compose/haproxy.cfg");
    let checked = Command::new("haproxy")
        .arg("-c")
        .arg("-f")
        .arg(path)
        .output();
    let checked = checked.expect("haproxy has to be installed: scripts/setup does it");
    assert!(
        checked.status.success(),
        "{}",
        String::from_utf8_lossy(&checked.stderr)
    );
    let compose = text("compose/compose.yaml");
    for node in ["o1", "o2", "e1", "e2"] {
        assert!(compose.contains(&format!("WEIR_NODE__ID: {node}\n")));
        assert!(text("compose/haproxy.cfg").contains(&format!("server {node} {node}:1935\n")));
        assert!(text("compose/prometheus.yaml").contains(&format!("{node}:8080")));
    }
}
