//! A process that ends with its guard.

use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use testkit::wait::{until, within};
use tokio::process::Command;
use tokio::sync::watch;

use crate::Log;

/// Whoever was killed is gone within this, unless the machine itself is in trouble.
const DYING: Timespec = Timespec {
    tv_sec: 5,
    tv_nsec: 0,
};

/// A running process. It is killed when this is dropped, and gone after that.
#[derive(Debug)]
pub(crate) struct Process {
    pid: u32,
    /// Signals go here and not to the number, which another process may have by now.
    handle: OwnedFd,
    status: watch::Receiver<Option<ExitStatus>>,
}

impl Process {
    /// Starts a command; what it writes to standard error goes to `log`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub(crate) fn start(mut command: Command, log: &Log) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let program = command.as_std().get_program().to_owned();
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{program:?} can be started: {error}"));
        let pid = child.id().expect("a process that was just started");
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let number = number.expect("a process has a number");
        let handle = pidfd_open(number, PidfdFlags::empty()).expect("our own child has a handle");
        log.follow(child.stderr.take().expect("a pipe"));
        let (ended, status) = watch::channel(None);
        tokio::spawn(async move {
            let status = child.wait().await.expect("our own child can be awaited");
            ended.send_replace(Some(status));
        });
        Self {
            pid,
            handle,
            status,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn is_running(&self) -> bool {
        self.status.borrow().is_none()
    }

    /// Sends a signal; one that has ended does not hear it.
    pub(crate) fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.handle, signal);
    }

    /// Waits for its end.
    pub(crate) async fn ended(&self) -> ExitStatus {
        let mut status = self.status.clone();
        let ended = status.wait_for(Option::is_some).await;
        ended.expect("its end is told").expect("it has ended")
    }

    /// Ends it as a loss of power would, and waits for that.
    pub(crate) async fn kill(&self) {
        self.signal(Signal::KILL);
        within("the end of a killed process", self.ended()).await;
    }

    /// Holds it where it is, with all its sockets, and waits until it stands.
    pub(crate) async fn pause(&self) {
        self.signal(Signal::STOP);
        let what = format!("process {} to stand still", self.pid);
        until(&what, async || {
            (!self.is_running() || self.stands()).then_some(())
        })
        .await;
    }

    fn stands(&self) -> bool {
        // "12 (weir) T …": the name may hold anything but is the last thing in parentheses.
        let state = std::fs::read_to_string(format!("/proc/{}/stat", self.pid));
        state.is_ok_and(|state| {
            state
                .rsplit(") ")
                .next()
                .is_some_and(|of| of.starts_with('T'))
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_running() {
            return;
        }
        self.signal(Signal::KILL);
        // Until then it holds its ports, and writes into folders that are about to be removed.
        let mut ends = [PollFd::new(&self.handle, PollFlags::IN)];
        let _ = poll(&mut ends, Some(&DYING));
    }
}

/// What a program does not need long for, such as setting up a network.
///
/// # Panics
/// When it fails.
pub(crate) fn run(command: &mut std::process::Command) -> String {
    let output = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{:?} can be started: {error}", command.get_program()));
    assert!(
        output.status.success(),
        "{command:?} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Panics when a program is missing: that must not look like a fault of the node.
pub(crate) fn demand(program: &str) {
    if let Err(missing) = find(program) {
        panic!("{missing}");
    }
}

/// Whether a program that a cluster is made of is installed.
///
/// # Errors
/// What to do where it is not.
pub fn find(program: &str) -> Result<(), String> {
    // Where system programs are is not in everybody's path.
    let folders = std::env::var_os("PATH").unwrap_or_default();
    match std::env::split_paths(&folders).any(|folder| folder.join(program).is_file()) {
        true => Ok(()),
        false => Err(format!(
            "{program} has to be installed: scripts/setup does it (and /usr/sbin has to be in the path)"
        )),
    }
}
