//! The meters on the bare loops, which neither lose nor delay anything.

use std::process::Command;

use serde_json::Value;

fn run(arguments: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir-loadtest"));
    let output = command.args(arguments).arg("--json").output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn every_tag_of_the_bare_loop_reaches_its_players() {
    let report = run(&[
        "floor",
        "--coalesce",
        "10ms",
        "--players",
        "5",
        "--sample",
        "2",
        "--rate",
        "600k",
        "--settle",
        "0",
        "--warm-up",
        "500ms",
        "--seconds",
        "2",
    ]);
    for clean in ["missing", "reordered", "corrupt", "failed", "disconnects"] {
        assert_eq!(report[clean], 0, "{clean}: {report}");
    }
    assert_eq!(report["playing"], 5);
    assert!(
        report["latency"]["samples"].as_u64().unwrap() > 200,
        "{report}"
    );
    let delivered = report["delivered"].as_f64().unwrap();
    assert!((0.8..1.2).contains(&delivered), "{report}");
}

#[test]
fn all_who_wait_have_the_answer_of_the_bare_loop() {
    let report = run(&[
        "reloads",
        "--server",
        "floor",
        "--waiting",
        "300",
        "--parts",
        "2",
        "--quiet",
        "50ms",
    ]);
    for clean in ["different", "unanswered", "crowded"] {
        assert_eq!(report[clean], 0, "{clean}: {report}");
    }
    assert_eq!(report["errors"], serde_json::json!({}));
    assert_eq!(report["parts"], 2);
    assert!(report["answer_bytes"].as_u64().unwrap() > 1000, "{report}");
    assert!(report["release_p50_ms"].as_f64().unwrap() > 0.0, "{report}");
}
