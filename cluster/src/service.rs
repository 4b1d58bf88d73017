//! A program of a cluster that is started, stopped and started again.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::Signal;

use crate::process::Process;
use crate::{Log, Place};

/// A program that may be running, what it logs over all its lives, and how to start it.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) place: Place,
    pub(crate) log: Log,
    program: OsString,
    folder: PathBuf,
    process: Mutex<Option<Arc<Process>>>,
    paused: Mutex<bool>,
}

impl Service {
    /// A program that will run at `place`, in `folder`.
    pub(crate) fn new(place: Place, program: impl Into<OsString>, folder: PathBuf) -> Self {
        Self {
            place,
            log: Log::default(),
            program: program.into(),
            folder,
            process: Mutex::default(),
            paused: Mutex::default(),
        }
    }

    /// Starts it.
    ///
    /// # Panics
    /// When it runs.
    pub(crate) fn launch<A: Into<OsString>>(&self, arguments: impl IntoIterator<Item = A>) {
        assert!(!self.is_running(), "{:?} runs", self.program);
        let mut command = self.place.command(&self.program);
        command.args(arguments.into_iter().map(Into::into));
        // Whoever runs the tests may have settings of their own.
        let ours = |name: &OsString| {
            let name = name.to_string_lossy();
            name == "RUST_LOG" || name.starts_with("WEIR_") || name.starts_with("ETCD_")
        };
        for (name, _) in std::env::vars_os().filter(|(name, _)| ours(name)) {
            command.env_remove(name);
        }
        command.current_dir(&self.folder);
        *self.paused() = false;
        *self.process() = Some(Arc::new(Process::start(command, &self.log)));
    }

    fn process(&self) -> MutexGuard<'_, Option<Arc<Process>>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn paused(&self) -> MutexGuard<'_, bool> {
        self.paused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn current(&self) -> Option<Arc<Process>> {
        self.process().clone()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.current().is_some_and(|process| process.is_running())
    }

    /// Whether it was told to stand still.
    pub(crate) fn is_paused(&self) -> bool {
        self.is_running() && *self.paused()
    }

    /// The number of its process, if it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        let process = self.current().filter(|process| process.is_running());
        process.map(|process| process.pid())
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        if let Some(process) = self.current() {
            process.signal(Signal::TERM);
        }
    }

    /// Ends it as a loss of power would, and waits for that.
    pub(crate) async fn kill(&self) {
        if let Some(process) = self.current() {
            process.kill().await;
        }
    }

    /// Sends SIGSTOP, and waits until it stands.
    pub(crate) async fn pause(&self) {
        if let Some(process) = self.current() {
            *self.paused() = true;
            process.pause().await;
        }
    }

    /// Sends SIGCONT.
    pub(crate) fn resume(&self) {
        if let Some(process) = self.current() {
            *self.paused() = false;
            process.signal(Signal::CONT);
        }
    }

    /// Waits for its end; `None` if it was never started.
    pub(crate) async fn ended(&self) -> Option<ExitStatus> {
        Some(self.current()?.ended().await)
    }
}
