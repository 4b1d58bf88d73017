//! The command `weir-cluster`, as its user meets it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(60);

/// The command in a folder that is no build's.
fn installed(folder: &Path) -> Command {
    let own = folder.join("weir-cluster");
    std::fs::copy(env!("CARGO_BIN_EXE_weir-cluster"), &own).expect("a copy");
    let mut command = Command::new(own);
    command
        .env_remove("WEIR_BIN")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

#[tokio::test]
async fn it_publishes_wherever_it_stands() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = installed(folder.path());
    let arguments = ["--etcd", "0", "--origins", "1", "--edges", "0"];
    command
        .env("WEIR_BIN", weir_cluster::weir())
        .args(arguments);
    let mut running = command.args(["--publish", "1"]).spawn().expect("runs");
    let mut typed = running.stdin.take().expect("a pipe");
    let mut lines = BufReader::new(running.stdout.take().expect("a pipe")).lines();
    let published = async {
        loop {
            let look = b"get o1 /api/v1/streams/live/test1\nsleep 0.1\n";
            typed.write_all(look).await.expect("it reads");
            while let Some(line) = lines.next_line().await.expect("text") {
                if line.starts_with("200 ") && line.contains("\"live\"") {
                    return;
                }
                if line == "done" {
                    break;
                }
            }
        }
    };
    timeout(LIMIT, published).await.expect("a stream");
    typed.write_all(b"quit\n").await.expect("it reads");
    let ended = timeout(LIMIT, running.wait_with_output()).await;
    let ended = ended.expect("an end").expect("its own child");
    let complaints = String::from_utf8_lossy(&ended.stderr);
    assert!(
        ended.status.success() && complaints.is_empty(),
        "{complaints}"
    );
}

#[tokio::test]
async fn what_it_lacks_is_said_in_a_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let set: &[&str] = &["--etcd", "0", "--edges", "0"];
    for (variables, more, said) in [
        (&[][..], &[][..], "WEIR_BIN"),
        (&[("WEIR_BIN", "/no/such/weir")], &[], "/no/such/weir"),
        (
            &[("WEIR_BIN", "/bin/false"), ("PATH", "/no/such/folder")],
            &["--publish", "1"],
            "setpriv has to be installed",
        ),
        (&[("WEIR_BIN", "/bin/false")], &[], "ended at once"),
    ] {
        let mut command = installed(folder.path());
        command
            .envs(variables.iter().copied())
            .args([set, more].concat());
        let ended = timeout(LIMIT, command.output()).await;
        let ended = ended.expect("an end").expect("runs");
        let complaint = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(1), "{complaint}");
        assert!(
            complaint.starts_with("weir-cluster: ") && complaint.contains(said),
            "{complaint}"
        );
        assert!(!complaint.contains("panicked"), "{complaint}");
    }
}
