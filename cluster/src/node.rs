//! A node as a process.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use testkit::wait::{until, within};
use tokio::process::{Child, Command};

use crate::{Answer, Log, http, weir};

/// How a node is started: settings as in `--set`.
#[derive(Debug, Clone)]
pub struct Options {
    settings: Vec<String>,
}

/// A running node. It is killed when this is dropped.
#[derive(Debug)]
pub struct Node {
    /// Where it serves RTMP.
    pub rtmp: SocketAddr,
    /// Where it serves RTMPS, if it does.
    pub rtmps: Option<SocketAddr>,
    /// Where it answers HTTP.
    pub http: SocketAddr,
    /// What it logs.
    pub log: Log,
    child: Child,
    folder: TempDir,
}

impl Default for Options {
    fn default() -> Self {
        let settings = [
            "rtmp.listen=127.0.0.1:0",
            "http.listen=127.0.0.1:0",
            "log.format=json",
            "log.level=info,weir_node=debug",
        ];
        Self {
            settings: settings.map(str::to_owned).into(),
        }
    }
}

impl Options {
    /// With `key=value`, over what was set before.
    #[must_use]
    pub fn set(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    /// Starts a node and waits until it serves.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(&self) -> Node {
        let folder = tempfile::tempdir().expect("a temporary folder");
        share(folder.path());
        let data = folder.path().join("data");
        let mut command = Command::new(weir());
        command.args(["--set", &format!("node.data_dir={}", data.display())]);
        command.args(self.settings.iter().flat_map(|setting| ["--set", setting]));
        // Whoever runs the tests may have settings of their own.
        let ours =
            |name: &OsString| name == "RUST_LOG" || name.to_string_lossy().starts_with("WEIR_");
        for (name, _) in std::env::vars_os().filter(|(name, _)| ours(name)) {
            command.env_remove(name);
        }
        command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().expect("weir can be started");
        let log = Log::read(child.stderr.take().expect("a pipe"));
        let first = tokio::select! {
            first = log.wait("weir serves", 1) => first,
            ended = child.wait() => {
                // Its last words may still be on their way.
                tokio::time::sleep(Duration::from_millis(100)).await;
                panic!("weir ended at once: {ended:?}\n{}", log.text());
            }
        };
        let address = |name| address(&first, name);
        Node {
            rtmp: address("rtmp").unwrap_or_else(|| panic!("no RTMP in {first}")),
            rtmps: address("rtmps"),
            http: address("http").unwrap_or_else(|| panic!("no HTTP in {first}")),
            log,
            child,
            folder,
        }
    }
}

impl Node {
    /// Starts a node with these settings over those that all tests have.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(settings: &[&str]) -> Self {
        let options = settings
            .iter()
            .fold(Options::default(), |options, setting| options.set(setting));
        options.start().await
    }

    /// The URL of a stream: `live/cam`.
    pub fn url(&self, stream: &str) -> String {
        format!("rtmp://{}/{stream}", self.rtmp)
    }

    /// A folder that lives as long as the node, where everybody may write.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process.
    ///
    /// # Panics
    /// When it has ended.
    pub fn pid(&self) -> u32 {
        self.child.id().expect("the node runs")
    }

    /// Its memory in KiB, as the kernel counts it.
    ///
    /// # Panics
    /// When it has ended.
    pub fn resident(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("the node runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("a count of memory");
        line.trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("a number")
    }

    /// What it answers at `path`.
    ///
    /// # Panics
    /// When it does not.
    pub async fn get(&self, path: &str) -> Answer {
        let answer = within(path, http::get(self.http, path)).await;
        answer.unwrap_or_else(|| panic!("an answer at {path}; the log:\n{}", self.log.text()))
    }

    /// What it answers at `path`, while it may be about to end.
    pub async fn try_get(&self, path: &str) -> Option<Answer> {
        http::get(self.http, path).await
    }

    /// The value of a metric, by its name and labels as they are printed; 0 if it is not there.
    ///
    /// # Panics
    /// When there are no metrics.
    pub async fn metric(&self, name: &str) -> f64 {
        let metrics = self.get("/metrics").await.body;
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// Waits until a metric has a value.
    ///
    /// # Panics
    /// When it takes too long.
    pub async fn metric_becomes(&self, name: &str, value: f64) {
        let what = format!("{name} = {value}");
        until(&what, async || {
            (self.metric(name).await == value).then_some(())
        })
        .await;
    }

    /// Waits until so many plays were accepted since the start.
    ///
    /// # Panics
    /// When it takes too long.
    pub async fn plays(&self, count: usize) {
        self.log.wait("plays", count).await;
    }

    /// Sends SIGTERM.
    ///
    /// # Panics
    /// When it has ended.
    pub fn terminate(&self) {
        let pid = i32::try_from(self.pid())
            .ok()
            .and_then(Pid::from_raw)
            .expect("a process has a number");
        kill_process(pid, Signal::TERM).expect("our own child can be told");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it takes too long.
    pub async fn ended(&mut self) -> ExitStatus {
        within("the end of the node", self.child.wait())
            .await
            .expect("our own child can be awaited")
    }

    /// Stops it as an operator does, and checks that it had nothing to complain about.
    ///
    /// # Panics
    /// When it had.
    pub async fn stopped(mut self) {
        assert_eq!(self.log.errors(), [""; 0], "the node complains");
        self.terminate();
        let status = self.ended().await;
        assert!(
            status.success(),
            "the node ended with {status}:\n{}",
            self.log.text()
        );
    }
}

/// The address of a protocol in the first line: `listening: "rtmp 127.0.0.1:1935, http …"`.
fn address(first: &Value, name: &str) -> Option<SocketAddr> {
    let list = first["listening"].as_str()?;
    let mut pairs = list.split(", ").filter_map(|pair| pair.split_once(' '));
    pairs
        .find(|pair| pair.0 == name)
        .and_then(|pair| pair.1.parse().ok())
}

/// Players that run as another user write there too.
fn share(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let all = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(folder, all).expect("our own folder can be shared");
}
