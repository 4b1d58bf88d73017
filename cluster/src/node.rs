//! A node as a process.

mod metrics;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

pub use self::metrics::sum;
use serde_json::Value;
use tempfile::TempDir;
use testkit::wait::within;
use testkit::{Output, Program};

use crate::http::{self, Request};
use crate::service::Service;
use crate::{Answer, Log, Options, Place, weir};

/// The first line of a log once everything listens.
const SERVES: &str = "weir serves";

/// A node. It is killed when this is dropped.
#[derive(Debug)]
pub struct Node {
    /// Where it serves RTMP.
    pub rtmp: SocketAddr,
    /// Where it serves RTMPS, if it does.
    pub rtmps: Option<SocketAddr>,
    /// Where it answers HTTP.
    pub http: SocketAddr,
    /// Where it answers HTTPS, if it does.
    pub https: Option<SocketAddr>,
    /// Where other nodes find it, if they do.
    pub relay: Option<SocketAddr>,
    /// What it logs, over all its lives.
    pub log: Log,
    service: Service,
    options: Options,
    folder: TempDir,
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

    pub(crate) async fn launch(options: Options) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        share(folder.path());
        let place = options.place();
        let listen = ["rtmp", "http"].map(|name| format!("{name}.listen={}:0", place.address()));
        let service = Service::new(place, weir(), folder.path().to_owned());
        service.launch(arguments(&options, folder.path(), &listen, &[]));
        let first = served(&service, 1).await;
        let address = |name| address(&first, name);
        Self {
            rtmp: address("rtmp").unwrap_or_else(|| panic!("no RTMP in {first}")),
            rtmps: address("rtmps"),
            http: address("http").unwrap_or_else(|| panic!("no HTTP in {first}")),
            https: address("https"),
            relay: address("relay"),
            log: service.log.clone(),
            service,
            options,
            folder,
        }
    }

    /// Starts it again after its end, with the same data at the same addresses, and waits until it
    /// serves.
    ///
    /// # Panics
    /// When it still runs, or does not start.
    pub async fn restart(&self) {
        let count = self.log.count(SERVES);
        self.relaunch();
        served(&self.service, count + 1).await;
    }

    /// The same, without waiting until it serves.
    ///
    /// # Panics
    /// When it still runs.
    pub fn relaunch(&self) {
        let relay = self.relay.map(|relay| ("relay", relay));
        let rtmps = self.rtmps.map(|rtmps| ("rtmps", rtmps));
        let listen = [("rtmp", self.rtmp), ("http", self.http)];
        let https = self.https.map(|https| ("https", https));
        let listen = listen.into_iter().chain(relay).chain(rtmps).chain(https);
        let listen: Vec<_> = listen
            .map(|(name, address)| format!("{name}.listen={address}"))
            .collect();
        self.service
            .launch(arguments(&self.options, self.folder.path(), &[], &listen));
    }

    /// What it is called, by itself and others.
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// Where it runs.
    pub fn place(&self) -> &Place {
        &self.service.place
    }

    /// The URL of a stream: `live/cam`.
    pub fn url(&self, stream: &str) -> String {
        format!("rtmp://{}/{stream}", self.rtmp)
    }

    /// The URL of a stream as FLV over HTTP.
    pub fn flv(&self, stream: &str) -> String {
        format!("http://{}/{stream}.flv", self.http)
    }

    /// A folder that lives as long as this, where everybody may write.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process.
    ///
    /// # Panics
    /// When it has ended.
    pub fn pid(&self) -> u32 {
        self.service.pid().expect("the node runs")
    }

    /// Whether it runs; one that is paused does.
    pub fn is_running(&self) -> bool {
        self.service.is_running()
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.service.is_paused()
    }

    /// What it answers at `path`.
    ///
    /// # Panics
    /// When it does not.
    pub async fn get(&self, path: &str) -> Answer {
        let answer = within(path, self.try_get(path)).await;
        answer.unwrap_or_else(|| panic!("an answer at {path}; the log:\n{}", self.log.text()))
    }

    /// What it answers at `path`, while it may be about to end.
    pub async fn try_get(&self, path: &str) -> Option<Answer> {
        self.ask(Request::get(path)).await
    }

    /// What it answers to a `POST` of JSON.
    ///
    /// # Panics
    /// When it does not.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let body = body.to_string();
        let answer = self.ask(Request::post(path, &body)).await;
        answer.unwrap_or_else(|| panic!("an answer at {path}; the log:\n{}", self.log.text()))
    }

    /// What the command `weir` says with these arguments, if it asks this node.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn weir(&self, arguments: &[&str]) -> Output {
        let mut command = self.place().command(weir());
        command
            .args(arguments)
            .env("WEIR_API", format!("http://{}", self.http));
        if let Some(key) = self.admin_key() {
            command.env("WEIR_API_KEY", key);
        }
        Program::spawn(command).ended().await
    }

    /// What its API wants to be shown, if anything.
    pub fn admin_key(&self) -> Option<&str> {
        self.options.admin_key.as_deref()
    }

    async fn ask(&self, request: Request<'_>) -> Option<Answer> {
        let bearer = self.admin_key();
        http::ask(self.http, Request { bearer, ..request }).await
    }

    /// Waits until so many plays were accepted since the start.
    ///
    /// # Panics
    /// When it takes too long.
    pub async fn plays(&self, count: usize) {
        self.log.wait("plays", count).await;
    }

    /// Ends it as a loss of power would, and waits for that.
    pub async fn kill(&self) {
        self.service.kill().await;
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.service.terminate();
    }

    /// Holds it where it is with all its sockets, as a machine that swaps or a virtual one that
    /// moves.
    pub async fn pause(&self) {
        self.service.pause().await;
    }

    /// Lets it go on after a pause.
    pub fn resume(&self) {
        self.service.resume();
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it takes too long.
    pub async fn ended(&mut self) -> ExitStatus {
        self.gone(testkit::wait::LIMIT).await
    }

    /// Waits for its end, no longer than `limit`.
    ///
    /// # Panics
    /// When it takes too long.
    pub async fn gone(&self, limit: Duration) -> ExitStatus {
        let ended = tokio::time::timeout(limit, self.service.ended()).await;
        let ended = ended.unwrap_or_else(|_| {
            let log = self.log.text();
            panic!("{} has not ended within {limit:?}:\n{log}", self.name())
        });
        ended.expect("it was started")
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

/// What a node is started with: what a test says goes over `before`, and `after` over that.
fn arguments(
    options: &Options,
    folder: &Path,
    before: &[String],
    after: &[String],
) -> Vec<OsString> {
    let data = options.data.clone().unwrap_or_else(|| folder.join("data"));
    let data = format!("node.data_dir={}", data.display());
    let settings = before.iter().chain([&data]).chain(&options.settings);
    settings
        .chain(after)
        .flat_map(|setting| ["--set".into(), setting.into()])
        .collect()
}

/// Waits for the line that a node writes when it serves, for the `count`th time.
async fn served(service: &Service, count: usize) -> Value {
    tokio::select! {
        first = service.log.wait(SERVES, count) => first,
        ended = service.ended() => {
            // Its last words may still be on their way.
            tokio::time::sleep(Duration::from_millis(100)).await;
            panic!("weir ended at once: {ended:?}\n{}", service.log.text());
        }
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
