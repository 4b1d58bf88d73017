//! What an operator has in the safe, and what comes back from it.

use std::path::PathBuf;
use std::process::Command;
use std::sync::PoisonError;

use tempfile::TempDir;

use super::{Etcd, url};
use crate::process::{demand, run};

/// All that etcd held at a moment.
#[derive(Debug)]
pub struct Snapshot {
    file: PathBuf,
    _folder: TempDir,
}

impl Etcd {
    /// Saves all there is, from a member that runs.
    ///
    /// # Panics
    /// When none does, or etcdctl is not installed.
    pub async fn snapshot(&self) -> Snapshot {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("snapshot.db");
        let member = (0..self.size()).find(|&member| self.is_running(member));
        let member = &self.members[member.expect("a member that runs")];
        let mut command = etcdctl();
        command.args(["--endpoints", &url(member.client), "snapshot", "save"]);
        command.arg(&file);
        control(command).await;
        Snapshot {
            file,
            _folder: folder,
        }
    }

    /// Replaces everything by what was saved: stops all members and starts them with the old data,
    /// as a new etcd at the same addresses.
    ///
    /// # Panics
    /// When they do not come up, or etcdctl is not installed.
    pub async fn restore(&self, snapshot: &Snapshot) {
        self.stop_all().await;
        *self
            .generation
            .lock()
            .unwrap_or_else(PoisonError::into_inner) += 1;
        for member in &self.members {
            let mut command = etcdctl();
            command.args(["snapshot", "restore"]).arg(&snapshot.file);
            command.args(["--name", &member.name]);
            command.args(["--initial-cluster", &self.initial_cluster()]);
            command.args(["--initial-cluster-token", &self.token()]);
            command.args(["--initial-advertise-peer-urls", &url(member.peer)]);
            command.arg("--data-dir").arg(self.data(member));
            control(command).await;
        }
        self.restart_all().await;
    }
}

fn etcdctl() -> Command {
    demand("etcdctl");
    let mut command = Command::new("etcdctl");
    // Version 3.4 is asked for it; later ones know no other.
    command.env("ETCDCTL_API", "3");
    command
}

/// It takes a second, in which other things go on.
async fn control(mut command: Command) {
    let ended = tokio::task::spawn_blocking(move || run(&mut command));
    ended.await.expect("etcdctl does it");
}
