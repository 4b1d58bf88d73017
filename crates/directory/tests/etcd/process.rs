//! An etcd of our own. It ends with the test, however that ends.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use etcd_client::{Client, ConnectOptions};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

/// It has started after this.
const STARTED: Duration = Duration::from_secs(30);

/// A member of etcd, alone in its cluster.
pub(crate) struct Etcd {
    folder: TempDir,
    arguments: Vec<String>,
    scheme: &'static str,
    running: Option<Child>,
    /// It may be started anew at another address.
    moves: bool,
    /// What it was started with last, beside the arguments.
    more: Vec<String>,
    pub(crate) address: SocketAddr,
}

impl Etcd {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        let mut etcd = Self::prepare(&[], "http");
        etcd.run().await;
        etcd.ready(None).await;
        etcd
    }

    /// One that is not running yet.
    pub(crate) fn prepare(arguments: &[String], scheme: &'static str) -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            arguments: arguments.to_vec(),
            scheme,
            running: None,
            moves: false,
            more: Vec::new(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        }
    }

    /// Runs it with the data it has, at some address.
    pub(crate) async fn run(&mut self) {
        self.run_at(free(), &[]).await;
        self.moves = true;
    }

    /// Runs it with the data it has.
    pub(crate) async fn run_at(&mut self, address: SocketAddr, more: &[String]) {
        assert!(self.running.is_none(), "it runs already");
        (self.address, self.moves, self.more) = (address, false, more.to_vec());
        let url = format!("{}://{}", self.scheme, self.address);
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"));
        let log = log.expect("a log");
        // It dies with the thread of the test, also when nothing is dropped.
        let child = Command::new("setpriv")
            .args([
                "--pdeathsig",
                "KILL",
                "etcd",
                "--unsafe-no-fsync",
                "--logger",
                "zap",
            ])
            .args(["--heartbeat-interval", "20", "--election-timeout", "200"])
            .arg("--data-dir")
            .arg(self.data())
            .args([
                "--listen-client-urls",
                &url,
                "--advertise-client-urls",
                &url,
            ])
            .args(if more.is_empty() {
                &["--listen-peer-urls", "http://127.0.0.1:0"][..]
            } else {
                &[]
            })
            .args(&self.arguments)
            .args(more)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn();
        self.running = Some(child.expect("setpriv and etcd are installed: scripts/setup"));
    }

    /// Waits until it answers.
    pub(crate) async fn ready(&mut self, options: Option<ConnectOptions>) {
        let began = Instant::now();
        while began.elapsed() < STARTED {
            self.run_again_if_it_ended().await;
            if let Ok(Ok(mut client)) =
                timeout(Duration::from_secs(1), self.client(options.clone())).await
                && let Ok(Ok(_)) = timeout(Duration::from_secs(1), client.get("x", None)).await
            {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        panic!("etcd does not start:\n{log}");
    }

    /// Somebody else may have taken its address before it could.
    async fn run_again_if_it_ended(&mut self) {
        let ended = |child: &mut Child| child.try_wait().is_ok_and(|end| end.is_some());
        if !self.running.as_mut().is_some_and(ended) {
            return;
        }
        self.running = None;
        match self.moves {
            true => self.run().await,
            false => {
                let more = self.more.clone();
                self.run_at(self.address, &more).await;
            }
        }
    }

    async fn client(&self, options: Option<ConnectOptions>) -> Result<Client, etcd_client::Error> {
        Client::connect([self.url()], options).await
    }

    /// Somebody who looks after it.
    pub(crate) async fn admin(&self) -> Client {
        self.client(None).await.expect("it answers")
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Where its data is.
    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    /// A folder that lives as long as this.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills it.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Lets it stand still, or go on.
    pub(crate) fn pause(&self, pause: bool) {
        let child = self.running.as_ref().expect("it runs");
        let pid = Pid::from_child(child);
        kill_process(pid, if pause { Signal::STOP } else { Signal::CONT }).expect("it runs");
        if pause {
            // Its threads stop one after the other: until then it may answer.
            waitpid(Some(pid), WaitOptions::UNTRACED).expect("it stands still");
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.stop();
    }
}

/// An address that was free a moment ago.
pub(crate) fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}
