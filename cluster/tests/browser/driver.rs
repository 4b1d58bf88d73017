//! Chromium, driven by a script in Node.js.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep, timeout};

/// What the driver does not do within this it does not do.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a page is looked at.
const LOOK: Duration = Duration::from_millis(100);

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// A browser. It ends when this is dropped.
pub(crate) struct Browser {
    process: Child,
    talk: Mutex<Talk>,
    _alone: MutexGuard<'static, ()>,
}

struct Talk {
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

/// A page in it.
pub(crate) struct Page<'a> {
    browser: &'a Browser,
    number: u64,
}

/// How large a page is, and in which colours.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) width: u32,
    pub(crate) dark: bool,
}

impl Shape {
    pub(crate) const DESK: Self = Self {
        width: 1280,
        dark: false,
    };
    pub(crate) const PHONE: Self = Self {
        width: 390,
        dark: true,
    };
}

impl Browser {
    /// Starts one, once no other test has any.
    pub(crate) async fn start() -> Self {
        let alone = ONE_AT_A_TIME.lock().await;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
        let installed = folder.join("node_modules/playwright-core");
        assert!(
            installed.is_dir(),
            "what drives the browser has to be installed: scripts/setup does it"
        );
        let mut process = Command::new("node")
            .arg(folder.join("drive.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Node.js can be started: scripts/setup installs it");
        let input = process.stdin.take().expect("a pipe");
        let output = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let mut talk = Talk { input, output };
        talk.hear().await;
        Self {
            process,
            talk: Mutex::new(talk),
            _alone: alone,
        }
    }

    /// Opens a page.
    pub(crate) async fn open(&self, url: &str, shape: Shape) -> Page<'_> {
        let Shape { width, dark } = shape;
        let command = json!({ "open": url, "width": width, "dark": dark });
        let number = self.ask(&command).await;
        Page {
            browser: self,
            number: number.as_u64().expect("the number of a page"),
        }
    }

    async fn ask(&self, command: &Value) -> Value {
        let mut talk = self.talk.lock().await;
        let line = format!("{command}\n");
        let said = talk.input.write_all(line.as_bytes()).await;
        said.expect("the driver listens");
        talk.hear().await
    }

    /// Ends it, and waits until it has removed what it had written.
    pub(crate) async fn close(mut self) {
        drop(self.talk.into_inner().input);
        let ended = timeout(PATIENCE, self.process.wait()).await;
        let status = ended.expect("the browser ends").expect("our own child");
        assert!(status.success(), "the driver ended with {status}");
    }
}

impl Talk {
    async fn hear(&mut self) -> Value {
        let line = timeout(PATIENCE, self.output.next_line()).await;
        let line = line.expect("the driver answers in time").expect("a text");
        let line = line.expect("the driver has not ended: see what it says above");
        let answer: Value = serde_json::from_str(&line).expect("a line of JSON");
        if let Some(error) = answer.get("error") {
            panic!("the browser: {error}");
        }
        answer["ok"].clone()
    }
}

impl Page<'_> {
    /// What an expression is there.
    pub(crate) async fn look(&self, expression: &str) -> Value {
        let command = json!({ "page": self.number, "look": expression });
        self.browser.ask(&command).await
    }

    /// Runs a script from a file.
    pub(crate) async fn run(&self, file: &str) {
        let command = json!({ "page": self.number, "script": file });
        self.browser.ask(&command).await;
    }

    /// Waits until an expression is true there.
    pub(crate) async fn until(&self, expression: &str, limit: Duration) {
        let end = Instant::now() + limit;
        while self.look(expression).await != json!(true) {
            assert!(
                Instant::now() < end,
                "waited {limit:?} in vain for {expression}: {}",
                self.look("window.weir?.figures()").await
            );
            sleep(LOOK).await;
        }
    }

    /// Writes a picture of the page for people to look at, into a folder of the build.
    pub(crate) async fn picture(&self, name: &str) {
        let folder = testkit::target().join("browser");
        std::fs::create_dir_all(&folder).expect("the build folder can be written");
        let file = folder.join(format!("{name}.png"));
        let command = json!({ "page": self.number, "picture": file });
        self.browser.ask(&command).await;
    }

    /// Closes it; what scripts and the console complained about.
    pub(crate) async fn close(self) -> Vec<String> {
        let command = json!({ "page": self.number, "close": true });
        let problems = self.browser.ask(&command).await;
        let problems = problems.as_array().into_iter().flatten();
        problems
            .filter_map(|problem| problem.as_str().map(str::to_owned))
            .collect()
    }
}
