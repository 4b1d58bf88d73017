//! Etcd as the contract wants it: each node behind a network of its own.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::sleep;

use super::directory::contract::{Backend, LEASE};
use super::directory::{Config, Directory, DirectoryKind, Etcd, NodeId, Options};
use super::process;
use super::proxy::Proxy;

pub(crate) struct Cluster {
    etcd: tokio::sync::Mutex<process::Etcd>,
    networks: Mutex<HashMap<String, Proxy>>,
}

/// The configuration of a node that finds etcd at these endpoints.
pub(crate) fn config(endpoints: Vec<String>) -> Config {
    Config {
        kind: DirectoryKind::Etcd,
        endpoints,
        lease_ttl: LEASE,
        ..Config::default()
    }
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        // Shown where a test fails.
        let _ = tracing_subscriber::fmt()
            .with_test_writer()
            .with_max_level(tracing_subscriber::filter::LevelFilter::INFO)
            .try_init();
        let etcd = process::Etcd::start().await;
        Self {
            etcd: tokio::sync::Mutex::new(etcd),
            networks: Mutex::default(),
        }
    }

    /// The etcd behind it.
    pub(crate) fn etcd(&mut self) -> &mut process::Etcd {
        self.etcd.get_mut()
    }

    fn all(&self, each: impl Fn(&Proxy)) {
        self.networks
            .lock()
            .expect("a lock")
            .values()
            .for_each(each);
    }

    /// How many connections a node has.
    pub(crate) fn connections(&self, node: &str) -> usize {
        self.networks
            .lock()
            .expect("a lock")
            .get(node)
            .expect("joined")
            .connections()
    }
}

impl Backend for Cluster {
    fn join(&self, node: &str, options: Options) -> Arc<dyn Directory> {
        let address = self.etcd.try_lock().expect("nobody is at it").address;
        let mut networks = self.networks.lock().expect("a lock");
        let network = networks
            .entry(node.to_owned())
            .or_insert_with(|| Proxy::start(address));
        let config = config(vec![format!("http://{}", network.address)]);
        assert_eq!(config.problems(), []);
        let id = NodeId::parse(node).expect("a name");
        Etcd::join(
            config,
            id,
            Options {
                lease_ttl: LEASE,
                ..options
            },
        )
    }

    fn cut<'a>(&'a self, node: &'a str, cut: bool) -> BoxFuture<'a, ()> {
        self.networks
            .lock()
            .expect("a lock")
            .get(node)
            .expect("joined")
            .cut(cut);
        async {}.boxed()
    }

    fn expire<'a>(&'a self, _: &'a str) -> BoxFuture<'a, ()> {
        // It does so by itself, and each case waits for what comes of it.
        async {}.boxed()
    }

    fn stop(&self, stopped: bool) -> BoxFuture<'_, ()> {
        async move {
            let mut etcd = self.etcd.lock().await;
            match stopped {
                true => etcd.stop(),
                false => {
                    etcd.run().await;
                    etcd.ready(None).await;
                    let address = etcd.address;
                    self.all(|network| network.retarget(address));
                }
            }
        }
        .boxed()
    }

    fn stall<'a>(&'a self, _: &'a [&'a str]) -> BoxFuture<'a, ()> {
        async {
            let etcd = self.etcd.lock().await;
            etcd.pause(true);
            sleep(LEASE + Duration::from_secs(2)).await;
            etcd.pause(false);
        }
        .boxed()
    }

    fn compact(&self) -> BoxFuture<'_, ()> {
        async {
            let etcd = self.etcd.lock().await;
            let mut admin = etcd.admin().await;
            let answer = admin.get("x", None).await.expect("answers");
            let revision = answer.header().expect("a header").revision();
            admin.compact(revision, None).await.expect("compacts");
        }
        .boxed()
    }

    fn back_up(&self) -> BoxFuture<'_, ()> {
        async {
            self.stop(true).await;
            {
                let etcd = self.etcd.lock().await;
                copy(&etcd.data(), &etcd.folder().join("backup"));
            }
            self.stop(false).await;
        }
        .boxed()
    }

    fn restore(&self) -> BoxFuture<'_, ()> {
        async {
            self.stop(true).await;
            {
                let etcd = self.etcd.lock().await;
                std::fs::remove_dir_all(etcd.data()).expect("removes");
                copy(&etcd.folder().join("backup"), &etcd.data());
            }
            self.stop(false).await;
        }
        .boxed()
    }
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(done.expect("cp").success());
}
