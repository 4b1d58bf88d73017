//! Programs that end with their guard.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::wait::within;

/// A running program. It is killed when this is dropped.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    stdout: JoinHandle<String>,
    stderr: JoinHandle<String>,
}

/// What a program left behind.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Program {
    /// Starts `program` with these arguments, nothing on its standard input.
    ///
    /// # Panics
    /// When it is not installed.
    pub fn start<A: AsRef<OsStr>>(
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let mut command = Command::new(program);
        command.args(arguments);
        Self::spawn(command)
    }

    /// Starts a command.
    ///
    /// # Panics
    /// When it is not installed.
    pub fn spawn(mut command: Command) -> Self {
        let name = command
            .as_std()
            .get_program()
            .to_string_lossy()
            .into_owned();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command.kill_on_drop(true).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{name} has to be installed: {error}"));
        Self {
            stdout: collect(child.stdout.take()),
            stderr: collect(child.stderr.take()),
            name,
            child,
        }
    }

    /// Ends it as a loss of power would.
    pub async fn kill(mut self) {
        self.child
            .kill()
            .await
            .expect("our own child can be killed");
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("our own child can be asked")
            .is_none()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it runs on for too long.
    pub async fn ended(mut self) -> Output {
        let what = format!("the end of {}", self.name);
        let status = within(&what, self.child.wait())
            .await
            .expect("our own child can be awaited");
        let stdout = self.stdout.await.unwrap_or_default();
        Output {
            status,
            stdout,
            stderr: self.stderr.await.unwrap_or_default(),
        }
    }

    /// Waits for its end, which must be a good one, without a word of complaint.
    ///
    /// # Panics
    /// When it is not.
    pub async fn succeeded(self) -> String {
        let name = self.name.clone();
        let output = self.ended().await;
        let mut complaint = String::new();
        if !output.status.success() || !output.stderr.trim().is_empty() {
            let _ = write!(
                complaint,
                "{name} ended with {}: {}",
                output.status, output.stderr
            );
        }
        assert!(complaint.is_empty(), "{complaint}");
        output.stdout
    }
}

fn collect(pipe: Option<impl AsyncRead + Unpin + Send + 'static>) -> JoinHandle<String> {
    tokio::spawn(async move {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before an error is still worth reading.
            let _ = pipe.read_to_end(&mut bytes).await;
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
