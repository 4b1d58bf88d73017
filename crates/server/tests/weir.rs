//! The program as its operator meets it: output, exit codes, signals.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use testkit::wait::LIMIT;

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

/// What came of a program that ends by itself: its exit code, what it printed, and its complaints.
fn run(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    finish(weir(folder, args))
}

fn finish(mut command: Command) -> (Option<i32>, String, String) {
    let mut child = command.spawn().expect("runs");
    let out = read(child.stdout.take().expect("standard output"));
    let err = read(child.stderr.take().expect("standard error"));
    let status = ended(&mut child);
    if status.is_none() {
        drop(child.kill());
    }
    let text = |reader: thread::JoinHandle<String>| reader.join().expect("it was read");
    let (out, err) = (text(out), text(err));
    let status = status.unwrap_or_else(|| panic!("it runs on:\n{out}{err}"));
    (status.code(), out, err)
}

fn read(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("is read");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Waits for the end of a program, but not for ever.
fn ended(child: &mut Child) -> Option<ExitStatus> {
    let end = Instant::now() + LIMIT;
    loop {
        let status = child.try_wait().expect("our own child can be asked");
        if status.is_some() || Instant::now() > end {
            return status;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// A running node, killed when the test ends early.
struct Running {
    child: Child,
    log: Receiver<String>,
    first: String,
}

impl Running {
    fn start(folder: &Path, args: &[&str]) -> Self {
        let everywhere = [
            "--rtmp.listen",
            "127.0.0.1:0",
            "--http.listen",
            "127.0.0.1:0",
        ];
        let mut child = weir(folder, &[args, &everywhere].concat())
            .spawn()
            .expect("starts");
        let lines = BufReader::new(child.stderr.take().expect("standard error")).lines();
        let (line, log) = channel();
        // Ends with the program, or with the test.
        thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .try_for_each(|text| line.send(text))
        });
        let mut running = Self {
            child,
            log,
            first: String::new(),
        };
        running.first = running.line();
        running
    }

    /// The next line of the log; empty at its end.
    fn line(&mut self) -> String {
        match self.log.recv_timeout(LIMIT) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => String::new(),
            Err(RecvTimeoutError::Timeout) => panic!("waited in vain for a line of the log"),
        }
    }

    /// The next line that has `part` in it.
    fn wait_for(&mut self, part: &str) -> String {
        loop {
            let line = self.line();
            assert!(!line.is_empty(), "the log ended without {part:?}");
            if line.contains(part) {
                return line;
            }
        }
    }

    fn address(&self, name: &str) -> SocketAddr {
        let (_, rest) = self
            .first
            .split_once(&format!("{name} 127.0.0.1:"))
            .expect("an address");
        let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
        SocketAddr::from(([127, 0, 0, 1], port.parse().expect("a port")))
    }

    fn get(&self, path: &str) -> String {
        self.ask("GET", path)
    }

    fn ask(&self, method: &str, path: &str) -> String {
        let mut socket = TcpStream::connect(self.address("http")).expect("connects");
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).expect("sends");
        socket.set_read_timeout(Some(LIMIT)).expect("can be set");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("answers");
        answer
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .expect("a process");
        kill_process(id, signal).expect("is there");
    }

    fn end(mut self) -> Option<i32> {
        ended(&mut self.child).expect("it ends").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn check_prints_values_and_where_they_came_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = "[publish]\ngrace = 5\n[auth.static]\n\"live/*\" = \"sesame\"\n";
    std::fs::write(folder.path().join("weir.toml"), file).expect("writes");
    let args = [
        "check",
        "--config",
        "weir.toml",
        "--role",
        "origin",
        "-set",
        "rtmp.listen=:0",
    ];
    let mut command = weir(folder.path(), &args);
    command.env("WEIR_EGRESS__COALESCE", "40ms");
    let (code, text, err) = finish(command);
    assert_eq!(code, Some(0), "{err}");
    for expected in [
        ("grace = \"5s\"", "weir.toml:2"),
        ("role = \"origin\"", "flag --role"),
        ("listen = \":0\"", "flag --set"),
        ("coalesce = \"40ms\"", "environment WEIR_EGRESS__COALESCE"),
        ("silence = \"3s\"", "default"),
        ("static.\"live/*\" = \"********\"", "weir.toml:4"),
    ] {
        let found = text.lines().any(|line| {
            line.split_once(" # ")
                .is_some_and(|(value, origin)| (value.trim(), origin) == expected)
        });
        assert!(found, "{expected:?} in\n{text}");
    }
    assert!(!text.contains("sesame"));
    // What it prints is a configuration again, up to the secrets.
    std::fs::write(folder.path().join("again.toml"), text.as_bytes()).expect("writes");
    let (code, _, err) = run(folder.path(), &["check", "--config", "again.toml"]);
    assert_eq!(code, Some(0), "{err}");
}

#[test]
fn wrong_configuration_and_wrong_usage_exit_with_2() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("weir.toml"), "[rtmp]\nlitsen = ':1'\n").expect("writes");
    for args in [
        ["check", "--config", "weir.toml"].as_slice(),
        &["--config", "weir.toml"],
    ] {
        let (code, out, err) = run(folder.path(), args);
        assert_eq!(code, Some(2), "{args:?}");
        assert_eq!(out, "");
        assert_eq!(
            err,
            "weir.toml:2: rtmp.litsen: unknown key; did you mean rtmp.listen?\n"
        );
    }
    for args in [
        ["--frobnicate"].as_slice(),
        &["fly"],
        &["--config", "absent.toml"],
    ] {
        let (code, _, err) = run(folder.path(), args);
        assert_eq!(code, Some(2), "{args:?}");
        assert!(!err.is_empty());
    }
}

/// Those of docs/interface.md: whoever uses one finds out here, and not when the web takes its paths.
#[test]
fn no_app_has_a_reserved_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let reserved = "api,assets,debug,health,hls,login,logout,metrics,ready,static,stats,vod,watch";
    let apps = format!("rtmp.apps={reserved}");
    let (code, _, err) = run(folder.path(), &["check", "--set", &apps]);
    assert_eq!(code, Some(2), "{err}");
    for app in reserved.split(',') {
        assert!(
            err.contains(&format!("the app {app:?} is reserved")),
            "{err}"
        );
    }
}

#[test]
fn version_and_help_are_fine() {
    let folder = tempfile::tempdir().expect("a folder");
    for args in [["--version"], ["-version"], ["-V"]] {
        let (code, out, _) = run(folder.path(), &args);
        assert_eq!(code, Some(0));
        assert_eq!(out, format!("weir {}\n", env!("CARGO_PKG_VERSION")));
    }
    let (code, out, _) = run(folder.path(), &["--help"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("check") && out.contains("--config") && !out.contains("reference"));
}

#[test]
fn serves_and_drains() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut weir = Running::start(folder.path(), &[]);
    for part in [
        "weir serves",
        env!("CARGO_PKG_VERSION"),
        "role=\"all\"",
        "node=",
        "defaults, flags",
    ] {
        assert!(weir.first.contains(part), "{part} in {}", weir.first);
    }
    TcpStream::connect(weir.address("rtmp")).expect("listens");

    let health = weir.get("/health");
    let body = health.split_once("\r\n\r\n").expect("a body").1;
    let health: serde_json::Value = serde_json::from_str(body).expect("json");
    assert_eq!(health["status"], "ok");
    assert_eq!(health["activeStreams"], 0);
    let kept = std::fs::read_to_string(folder.path().join("data/node-id")).expect("is kept");
    assert_eq!(health["nodeId"], kept.trim());
    assert!(weir.get("/ready").starts_with("HTTP/1.1 200"));
    let metrics = weir.get("/metrics");
    assert!(metrics.contains("weir_build_info{"), "{metrics}");
    assert!(metrics.contains("weir_uptime_seconds "), "{metrics}");

    weir.signal(Signal::TERM);
    weir.wait_for("draining");
    weir.wait_for("weir ended");
    assert_eq!(weir.end(), Some(0));

    // The name stays.
    let weir = Running::start(folder.path(), &[]);
    assert!(weir.first.contains(kept.trim()), "{}", weir.first);
}

#[test]
fn a_signal_after_an_order_to_leave_cuts_nothing_short() {
    let folder = tempfile::tempdir().expect("a folder");
    // In a cluster that is out of reach: a node alone leaves at once.
    let cluster = [
        "--directory.kind",
        "etcd",
        "--directory.endpoints",
        "http://127.0.0.1:1",
        "--relay.secret",
        "not so secret here",
        "--relay.listen",
        "127.0.0.1:0",
        "--node.id",
        "n-1",
        "--node.drain_delay",
        "300ms",
    ];
    let mut weir = Running::start(folder.path(), &cluster);
    let ordered = weir.ask("POST", "/api/v1/nodes/n-1/drain");
    assert!(ordered.starts_with("HTTP/1.1 2"), "{ordered}");
    weir.wait_for("draining;");
    weir.signal(Signal::TERM);
    weir.wait_for("weir ended");
    assert_eq!(weir.end(), Some(0));
}

#[test]
fn logs_json_lines() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut weir = Running::start(folder.path(), &["--log.format", "json", "--node.id", "n-1"]);
    let first: serde_json::Value = serde_json::from_str(&weir.first).expect("json");
    assert_eq!(first["message"], "weir serves");
    assert_eq!(first["node"], "n-1");
    assert_eq!(first["level"], "INFO");
    weir.signal(Signal::INT);
    let last = weir.wait_for("weir ended");
    serde_json::from_str::<serde_json::Value>(&last).expect("json");
    assert_eq!(weir.end(), Some(0));
}

#[test]
fn a_hangup_reads_the_configuration_again_and_a_broken_one_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("weir.toml");
    std::fs::write(&file, "[publish]\ngrace = 5\n").expect("writes");
    let mut weir = Running::start(folder.path(), &["--config", "weir.toml"]);

    std::fs::write(&file, "[publish]\ngrace = 6\n").expect("writes");
    weir.signal(Signal::HUP);
    assert!(
        weir.wait_for("configuration read again")
            .contains("publish.grace")
    );

    std::fs::write(&file, "[publish]\ngraze = 6\n").expect("writes");
    weir.signal(Signal::HUP);
    assert!(
        weir.wait_for("stays in force")
            .contains("did you mean publish.grace?")
    );
    assert!(weir.get("/health").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_taken_address_fails_with_1_and_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let weir = Running::start(folder.path(), &[]);
    for name in ["rtmp", "http"] {
        let taken = weir.address(name).to_string();
        let mut args = vec![
            "--rtmp.listen",
            "127.0.0.1:0",
            "--http.listen",
            "127.0.0.1:0",
        ];
        let key = format!("--{name}.listen");
        args.extend([key.as_str(), taken.as_str()]);
        let (code, _, err) = run(folder.path(), &args);
        assert_eq!(code, Some(1), "{err}");
        assert!(err.contains(&taken), "{err}");
        assert!(err.contains(&format!("{name}.listen: cannot")), "{err}");
        assert!(
            err.contains(&format!("--set {name}.listen=127.0.0.1:")),
            "{err}"
        );
        assert_eq!(err.matches("in use").count(), 1, "{err}");
    }
}

#[test]
fn two_nodes_in_one_folder_have_two_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = Running::start(folder.path(), &[]);
    let mut second = Running::start(folder.path(), &[]);
    let kept = std::fs::read_to_string(folder.path().join("data/node-id")).expect("is kept");
    assert!(first.first.contains(kept.trim()), "{}", first.first);
    assert!(!second.first.contains(kept.trim()), "{}", second.first);
    second.wait_for("another node runs with this node.data_dir");
}

#[test]
fn a_kept_name_that_is_none_is_not_used() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("data")).expect("makes");
    std::fs::write(folder.path().join("data/node-id"), "a b\n").expect("writes");
    let (code, _, err) = run(
        folder.path(),
        &["--rtmp.listen", "127.0.0.1:0", "--http.listen="],
    );
    assert_eq!(code, Some(1));
    assert!(err.contains("node-id") && err.contains("a b"), "{err}");
}

/// Waits for what a peer and the node have to say to each other.
fn wait<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(work)
}

#[test]
fn the_log_says_why_a_play_was_refused_and_that_a_stop_cut_a_publisher() {
    let folder = tempfile::tempdir().expect("a folder");
    let tokens = r#"auth.static={ "live/*" = { publish = "in" }, "live/shut" = "both" }"#;
    let mut weir = Running::start(folder.path(), &["--set", tokens, "--play.wait", "50ms"]);
    let rtmp = weir.address("rtmp");
    wait(async {
        for (name, key, why) in [
            ("shut", "live/shut", "needs a token"),
            ("shut?token=no", "live/shut", "not right"),
            ("absent/", "live/absent", "within 50ms"),
        ] {
            let mut peer = testkit::Peer::connect(rtmp, "live").await;
            let stream = peer.create_stream().await;
            peer.command("play", stream, &[name.into()]).await;
            let line = weir.wait_for("play refused");
            for part in ["INFO", key, why] {
                assert!(line.contains(part), "{part} in {line}");
            }
        }
        let mut peer = testkit::Peer::connect(rtmp, "live").await;
        let stream = peer.create_stream().await;
        let name = "cam?token=in";
        peer.command("publish", stream, &[name.into(), "live".into()])
            .await;
        peer.status("NetStream.Publish.Start").await;
        weir.signal(Signal::TERM);
        let line = weir.wait_for("publish ended");
        assert!(line.contains("shutting down"), "{line}");
    });
}

#[test]
fn plain_rtmp_at_the_port_of_rtmps_is_told_from_other_failures() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = testkit::certificate::write(folder.path(), "localhost");
    let (cert, key) = (files.certificate.display(), files.key.display());
    let (cert, key) = (format!("tls.cert={cert}"), format!("tls.key={key}"));
    let args = [
        "--rtmps.listen=127.0.0.1:0",
        "--set",
        cert.as_str(),
        "--set",
        key.as_str(),
    ];
    let mut weir = Running::start(folder.path(), &args);
    let mut socket = TcpStream::connect(weir.address("rtmps")).expect("connects");
    socket
        .write_all(&[&[3][..], &[0; 1536]].concat())
        .expect("sends");
    let line = weir.wait_for("TLS failed");
    assert!(line.contains("this looks like plain RTMP"), "{line}");
}
