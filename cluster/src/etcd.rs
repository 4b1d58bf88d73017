//! A real etcd, of one member or several.

mod gateway;
mod snapshot;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde_json::json;
use tempfile::TempDir;
use testkit::wait::until;

pub use self::gateway::KeyValue;
pub use self::snapshot::Snapshot;
use crate::process::demand;
use crate::service::Service;
use crate::{Log, Network, Place};

/// The members of an etcd. They are killed when this is dropped.
///
/// A member's number begins at 0. Where the key-value store itself is asked, any member that
/// answers will do.
#[derive(Debug)]
pub struct Etcd {
    members: Vec<Member>,
    /// The token of this generation; what is restored from a snapshot begins another.
    generation: Mutex<u32>,
    folder: TempDir,
}

#[derive(Debug)]
struct Member {
    name: String,
    client: SocketAddr,
    peer: SocketAddr,
    service: Service,
}

impl Etcd {
    /// Starts so many members at places of `network`, and waits until they have a leader.
    ///
    /// # Panics
    /// When etcd is not installed, or does not come up.
    pub async fn start(network: &Network, members: usize) -> Self {
        demand("etcd");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let member = |number| {
            let name = format!("etcd{number}");
            let place = network.place(&name);
            let service = Service::new(place, "etcd", folder.path().to_owned());
            Member {
                client: service.place.listen(2379),
                peer: service.place.listen(2380),
                service,
                name,
            }
        };
        let etcd = Self {
            members: (0..members).map(member).collect(),
            generation: Mutex::new(0),
            folder,
        };
        etcd.launch_all();
        etcd.ready().await;
        etcd
    }

    /// The same on the loopback network.
    ///
    /// # Panics
    /// When etcd is not installed, or does not come up.
    pub async fn alone(members: usize) -> Self {
        Self::start(&Network::loopback(), members).await
    }

    /// How many members it has, running or not.
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// Where clients find it: `http://127.64.0.2:2379`, …
    pub fn endpoints(&self) -> Vec<String> {
        let members = self.members.iter();
        members
            .map(|member| format!("http://{}", member.client))
            .collect()
    }

    /// Where a member runs.
    pub fn place(&self, member: usize) -> &Place {
        &self.members[member].service.place
    }

    /// What a member logs.
    pub fn log(&self, member: usize) -> &Log {
        &self.members[member].service.log
    }

    /// Whether a member runs; one that is paused does.
    pub fn is_running(&self, member: usize) -> bool {
        self.members[member].service.is_running()
    }

    /// Whether a member is paused.
    pub fn is_paused(&self, member: usize) -> bool {
        self.members[member].service.is_paused()
    }

    /// Ends a member as a loss of power would, and waits for that.
    pub async fn kill(&self, member: usize) {
        self.members[member].service.kill().await;
    }

    /// Ends all members as a loss of power would.
    pub async fn kill_all(&self) {
        for member in &self.members {
            member.service.kill().await;
        }
    }

    /// Stops a member in order, and waits for its end.
    pub async fn stop(&self, member: usize) {
        let service = &self.members[member].service;
        // One that is paused would not hear it.
        service.resume();
        service.terminate();
        service.ended().await;
    }

    /// Stops all members in order.
    pub async fn stop_all(&self) {
        for member in 0..self.size() {
            self.stop(member).await;
        }
    }

    /// Holds a member where it is, with all its sockets.
    pub async fn pause(&self, member: usize) {
        self.members[member].service.pause().await;
    }

    /// Holds all members where they are.
    pub async fn pause_all(&self) {
        for member in &self.members {
            member.service.pause().await;
        }
    }

    /// Lets all members go on that are paused.
    pub fn resume_all(&self) {
        for member in &self.members {
            member.service.resume();
        }
    }

    /// Lets a member go on after a pause.
    pub fn resume(&self, member: usize) {
        self.members[member].service.resume();
    }

    /// Starts a member again after its end, with its data, and waits until it answers.
    ///
    /// # Panics
    /// When it still runs, or does not come up.
    pub async fn restart(&self, member: usize) {
        self.launch(member);
        self.member_ready(member).await;
    }

    /// Starts all members again that have ended, and waits until they answer.
    ///
    /// # Panics
    /// When one does not come up.
    pub async fn restart_all(&self) {
        self.launch_all();
        self.ready().await;
    }

    fn launch_all(&self) {
        for number in 0..self.size() {
            if !self.is_running(number) {
                self.launch(number);
            }
        }
    }

    fn launch(&self, number: usize) {
        let member = &self.members[number];
        member.service.launch(self.arguments(member));
    }

    fn arguments(&self, member: &Member) -> Vec<OsString> {
        let (client, peer) = (url(member.client), url(member.peer));
        let data = self.data(member).into_os_string();
        let cluster = self.initial_cluster();
        let mut arguments: Vec<OsString> = vec!["--data-dir".into(), data];
        let options = [
            ("--name", member.name.as_str()),
            ("--listen-client-urls", &client),
            ("--advertise-client-urls", &client),
            ("--listen-peer-urls", &peer),
            ("--initial-advertise-peer-urls", &peer),
            ("--initial-cluster", &cluster),
            ("--initial-cluster-token", &self.token()),
            ("--logger", "zap"),
        ];
        for (name, value) in options {
            arguments.extend([name.into(), value.into()]);
        }
        // The machine does not lose power in a test, and its disk is slow when others use it.
        arguments.push("--unsafe-no-fsync".into());
        if self.size() == 1 {
            // Whoever is alone need not wait for long before it leads.
            arguments.extend(["--heartbeat-interval", "20"].map(Into::into));
            arguments.extend(["--election-timeout", "200"].map(Into::into));
        }
        arguments
    }

    fn initial_cluster(&self) -> String {
        let members = self.members.iter();
        let members = members.map(|member| format!("{}={}", member.name, url(member.peer)));
        members.collect::<Vec<_>>().join(",")
    }

    fn token(&self) -> String {
        let generation = self
            .generation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        format!("{}-{generation}", self.folder.path().display())
    }

    /// Where a member of this generation keeps its data.
    fn data(&self, member: &Member) -> PathBuf {
        let generation = self
            .generation
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.folder
            .path()
            .join(format!("{}-{generation}", member.name))
    }

    /// Waits until all members answer.
    ///
    /// # Panics
    /// When one does not.
    pub async fn ready(&self) {
        for member in 0..self.size() {
            self.member_ready(member).await;
        }
    }

    async fn member_ready(&self, number: usize) {
        let member = &self.members[number];
        let what = format!("{} to answer", member.name);
        until(&what, async || {
            assert!(
                member.service.is_running(),
                "etcd ended:\n{}",
                member.service.log.tail(20)
            );
            // A linearizable read: it takes a leader.
            let probe = json!({ "key": "AA==" });
            let answer = gateway::call(member.client, "kv/range", &probe).await;
            answer.ok().map(drop)
        })
        .await;
    }
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}
