//! The commands that ask a running node, as their user meets them.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use testkit::{Clip, Publisher, Recipe, sent};

/// The program, in a folder of its own, without the environment of whoever runs the test.
fn weir(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(args).current_dir(folder).env_clear();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Exit code, what was printed, and what there was to complain about.
fn said(mut command: Command) -> (Option<i32>, String, String) {
    let output = command.output().expect("runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// A running node, killed when the test ends early.
struct Node {
    child: Child,
    folder: tempfile::TempDir,
    rtmp: SocketAddr,
    http: SocketAddr,
}

impl Node {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let args = [
            "--rtmp.listen",
            "127.0.0.1:0",
            "--http.listen",
            "127.0.0.1:0",
            "--node.id",
            "node-1",
        ];
        let args = [more, &args].concat();
        let mut child = weir(folder.path(), &args).spawn().expect("starts");
        let mut log = BufReader::new(child.stderr.take().expect("standard error"));
        let mut first = String::new();
        log.read_line(&mut first).expect("a line");
        // Nobody reads on, but it must not wait for that.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        let address = |name: &str| {
            let (_, rest) = first
                .split_once(&format!("{name} 127.0.0.1:"))
                .unwrap_or_else(|| panic!("no address in {first:?}"));
            let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
            SocketAddr::from(([127, 0, 0, 1], port.parse().expect("a port")))
        };
        Self {
            rtmp: address("rtmp"),
            http: address("http"),
            child,
            folder,
        }
    }

    fn ask(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let mut command = weir(self.folder.path(), args);
        command.env("WEIR_API", format!("http://{}", self.http));
        said(command)
    }

    fn asked(&self, args: &[&str]) -> String {
        let (code, out, err) = self.ask(args);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{args:?}");
        out
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn where_nobody_listens_the_sentence_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address").to_string();
    drop(free);
    for args in [&["status"][..], &["drain"], &["why", "cam"]] {
        let (code, out, err) = said(weir(folder.path(), &[args, &["--api", &address]].concat()));
        assert_eq!((code, out.as_str()), (Some(1), ""), "{args:?}: {err}");
        assert!(err.contains(&address) && err.contains("--api URL"), "{err}");
    }
    // Something else answers there.
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("an address").to_string();
    let answering = std::thread::spawn(move || {
        let (mut socket, _) = other.accept().expect("a peer");
        BufReader::new(socket.try_clone().expect("a socket"))
            .lines()
            .map_while(Result::ok)
            .find(String::is_empty);
        let answer = "HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nnope";
        socket.write_all(answer.as_bytes()).expect("answers");
    });
    let (code, _, err) = said(weir(folder.path(), &["nodes", "--api", &address]));
    assert_eq!(code, Some(1));
    assert!(err.contains("is it a node of Weir?"), "{err}");
    answering.join().expect("answered");
}

#[test]
fn a_port_that_is_not_the_api_s_is_named_as_such() {
    let node = Node::start();
    let rtmp = node.rtmp.to_string();
    for args in [
        &["status"][..],
        &["nodes"],
        &["streams"],
        &["why", "live/cam"],
    ] {
        let (code, out, err) = node.ask(&[args, &["--api", &rtmp]].concat());
        assert_eq!((code, out.as_str()), (Some(1), ""), "{args:?}: {err}");
        assert!(
            err.starts_with("error: ") && err.contains(&rtmp) && err.contains("--api URL"),
            "{err}"
        );
        assert_eq!(err.lines().count(), 1, "{err}");
    }
}

#[test]
fn wrong_usage_is_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    for args in [
        &["why"][..],
        &["stop"],
        &["warm", "cam"],
        &["warm", "cam", "--edges", "many"],
        &["warm", "cam", "--edges", "1", "--until", "soon"],
        &["nodes", "--frobnicate"],
        &["nodes", "--api", "https://node:8080"],
        &["nodes", "--api", "http://"],
        &["nodes", "--api", "127.0.0.1:99999"],
        &["status", "--api", "http://[::1"],
    ] {
        let (code, out, err) = said(weir(folder.path(), args));
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}: {err}");
        assert!(err.starts_with("error: "), "{args:?}: {err}");
    }
}

#[test]
fn a_node_without_streams() {
    let node = Node::start();
    assert_eq!(node.asked(&["streams"]), "no streams\n");
    let nodes = node.asked(&["nodes"]);
    let [heading, row] = nodes.lines().collect::<Vec<_>>()[..] else {
        panic!("{nodes}")
    };
    assert!(heading.starts_with("NODE    ROLE  STATE"), "{nodes}");
    assert!(row.starts_with("node-1  all   ready"), "{nodes}");
    let status = node.asked(&["status"]);
    assert!(
        status.starts_with("node node-1 (all), version "),
        "{status}"
    );
    assert!(status.contains("ready for new work\n1 node, 0 streams (0 live), 0 viewers\n"));
    let json: Value = serde_json::from_str(&node.asked(&["nodes", "--json"])).expect("JSON");
    assert_eq!(json["nodes"][0]["id"], "node-1");
    // That is an answer, and nothing of that name: scripts see it by the code.
    for args in [&["why", "cam"][..], &["why", "cam", "--json"]] {
        let (code, why, err) = node.ask(args);
        assert_eq!((code, err.as_str()), (Some(1), ""), "{args:?}");
        let words = "Nobody publishes live/cam on node-1";
        assert!(why.contains(words), "{why}");
    }

    let (code, out, err) = node.ask(&["stop", "cam"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("nobody publishes live/cam"), "{err}");
    let (code, _, err) = node.ask(&["warm", "cam", "--edges", "1"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("alone"), "{err}");
    let (code, _, err) = node.ask(&["why", "live/a b"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("character"), "{err}");
}

#[tokio::test]
async fn a_stream_is_listed_explained_and_stopped() {
    let node = Node::start();
    let clip = Clip::of(Recipe::H264_AAC);
    let url = format!("rtmp://{}/live/cam", node.rtmp);
    let publisher = Publisher::start(&url, sent(&clip.tags, 99), 1.0).await;
    let publisher = publisher.expect("accepted");
    testkit::wait::until("both tracks", async || {
        let streams = node.asked(&["streams"]);
        (streams.contains("320x180") && streams.contains("aac")).then_some(())
    })
    .await;
    let streams = node.asked(&["streams"]);
    let row = streams.lines().nth(1).expect("a row");
    assert!(row.starts_with("live/cam  live   node-1"), "{streams}");
    let why = node.asked(&["why", "live/cam"]);
    assert!(
        why.starts_with("live/cam is live on node-1, avc1."),
        "{why}"
    );
    assert!(why.contains("path      node-1\n"), "{why}");
    assert_eq!(node.asked(&["stop", "cam"]), "live/cam is stopped\n");
    assert!(publisher.finished().await.is_err(), "it was told to go");
}

#[test]
fn a_node_with_a_key_wants_it() {
    let node = Node::start_with(&["--auth.admin_key", "sesame"]);
    let api = format!("http://{}", node.http);
    let with = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = weir(node.folder.path(), &[args, &["--api", &api]].concat());
        command.envs(variables.iter().copied());
        said(command)
    };
    for variables in [&[][..], &[("WEIR_API_KEY", "wrong")]] {
        let (code, out, err) = with(&["nodes"], variables);
        assert_eq!((code, out.as_str()), (Some(1), ""));
        assert!(
            err.contains("auth.admin_key") && err.contains("WEIR_API_KEY"),
            "{err}"
        );
    }
    assert_eq!(with(&["nodes", "--key", "sesame"], &[]).0, Some(0));
    for name in ["WEIR_API_KEY", "WEIR_AUTH__ADMIN_KEY"] {
        assert_eq!(with(&["status"], &[(name, "sesame")]).0, Some(0), "{name}");
    }
}

#[test]
fn a_node_whose_api_is_elsewhere_says_so() {
    let node = Node::start_with(&["--admin.listen", "127.0.0.1:0"]);
    for args in [
        &["status"][..],
        &["nodes"],
        &["streams"],
        &["why", "cam"],
        &["stop", "cam"],
        &["drain"],
    ] {
        let (code, out, err) = node.ask(args);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{args:?}: {err}");
        assert!(
            err.contains("has its API elsewhere") && err.contains("admin.listen"),
            "{args:?}: {err}"
        );
    }
}

#[test]
fn a_node_that_is_told_to_drain_ends_well() {
    let mut node = Node::start();
    let (code, _, err) = node.ask(&["drain", "node-2"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("there is node-1"), "{err}");
    assert_eq!(node.asked(&["drain"]), "node-1 is draining\n");
    let ended = node.child.wait().expect("ends");
    assert_eq!(ended.code(), Some(0));
}
