//! Doing what was said.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use futures::FutureExt;
use tempfile::TempDir;
use testkit::{Clip, Recipe};
use weir_cluster::{Cluster, FfmpegEncoder, Link, Log, Viewer, ViewerOptions};

use super::verb::{Action, Verb};

/// Pause of an encoder or a viewer before it comes back.
const PAUSE: Duration = Duration::from_millis(500);
/// What a drain takes at most, as nodes are set by default.
const LEAVING: Duration = Duration::from_secs(45);

/// A cluster and those who use it.
pub(crate) struct Stage {
    cluster: Arc<Cluster>,
    /// By stream key.
    pub(crate) encoders: BTreeMap<String, FfmpegEncoder>,
    /// By stream key.
    pub(crate) viewers: BTreeMap<String, Vec<Viewer>>,
    /// What is published, where there is no build folder to keep it in.
    clips: Option<TempDir>,
}

impl Stage {
    pub(crate) fn new(cluster: Arc<Cluster>) -> Self {
        Self {
            cluster,
            encoders: BTreeMap::new(),
            viewers: BTreeMap::new(),
            clips: None,
        }
    }

    /// Does it, and says how it went.
    pub(crate) async fn act(&mut self, verb: Verb) {
        // The runner panics where a test would; a person may go on. The panic has said why.
        match AssertUnwindSafe(self.try_to(verb)).catch_unwind().await {
            Ok(Ok(said)) if said.is_empty() => println!("done"),
            Ok(Ok(said)) => println!("{said}"),
            Ok(Err(error)) => println!("{error:#}"),
            Err(_) => println!("that failed"),
        }
    }

    async fn try_to(&mut self, verb: Verb) -> anyhow::Result<String> {
        let cluster = self.cluster.clone();
        match verb {
            Verb::Process(action, name) => process(&cluster, action, &name).await?,
            Verb::Drain(name) => {
                node(&cluster, &name)?;
                let answer = cluster.drain(&name).await;
                return Ok(format!("{} {}", answer.status, answer.body));
            }
            Verb::Partition(one, other) => self.link(&one, &other, Link::CUT)?,
            Verb::Heal(one, other) => self.link(&one, &other, Link::default())?,
            Verb::HealAll => cluster.heal_all(),
            Verb::Slow {
                one,
                other,
                delay,
                loss,
            } => self.link(&one, &other, Link::slow(delay, loss))?,
            Verb::Publish(key) => self.publish(&key)?,
            Verb::Unpublish(key) => {
                let gone = self.encoders.remove(&key);
                gone.context("nobody publishes that")?;
            }
            Verb::Watch(key, at) => self.watch(key, at.as_deref())?,
            Verb::Unwatch(key) => {
                let gone = self.viewers.remove(&key);
                gone.context("nobody watches that")?;
            }
            Verb::Get(name, path) => {
                let answer = node(&cluster, &name)?.try_get(&path).await;
                let answer = answer.context("no answer")?;
                return Ok(format!("{} {}", answer.status, answer.body));
            }
            Verb::Keys => return keys(&cluster).await,
            Verb::Log(name, count) => return Ok(log(&cluster, &name)?.tail(count)),
            Verb::Sleep(time) => tokio::time::sleep(time).await,
            Verb::Nothing | Verb::Help | Verb::Quit | Verb::Table => {}
        }
        Ok(String::new())
    }

    fn link(&self, one: &str, other: &str, link: Link) -> anyhow::Result<()> {
        if !self.cluster.network().is_isolated() {
            bail!("there are no cables: start with --isolated");
        }
        for name in [one, other] {
            if !self.cluster.has_place(name) {
                bail!("there is no {name}");
            }
        }
        self.cluster.link(one, other, link);
        Ok(())
    }

    /// Publishes a test picture.
    pub(crate) fn publish(&mut self, key: &str) -> anyhow::Result<()> {
        if self.encoders.contains_key(key) {
            bail!("it is published already");
        }
        weir_cluster::find("ffmpeg").map_err(anyhow::Error::msg)?;
        let clip = self.clip()?;
        let place = self.cluster.place("encoder");
        let url = self.cluster.balancer().ingest_url(key);
        let encoder = FfmpegEncoder::start(&place, &clip.file, &[&url], PAUSE);
        self.encoders.insert(key.to_owned(), encoder);
        Ok(())
    }

    fn clip(&mut self) -> anyhow::Result<Clip> {
        if testkit::try_target().is_some() {
            return Ok(Clip::of(Recipe::LONG));
        }
        let folder = match self.clips.take() {
            Some(folder) => folder,
            None => tempfile::tempdir().context("no folder for what is published")?,
        };
        let folder = self.clips.insert(folder);
        Ok(Clip::made_in(folder.path(), Recipe::LONG))
    }

    fn watch(&mut self, key: String, at: Option<&str>) -> anyhow::Result<()> {
        let url = match at {
            Some(name) => node(&self.cluster, name)?.url(&key),
            None => self.cluster.balancer().url(&key),
        };
        let viewer = ViewerOptions::new(&url).reconnects(PAUSE).start();
        self.viewers.entry(key).or_default().push(viewer);
        Ok(())
    }
}

fn node<'a>(cluster: &'a Cluster, name: &str) -> anyhow::Result<&'a weir_cluster::Node> {
    cluster
        .find(name)
        .with_context(|| format!("there is no node {name}"))
}

/// The members of the etcd that a name means.
fn members(cluster: &Cluster, name: &str) -> Vec<usize> {
    let size = cluster.try_etcd().map_or(0, weir_cluster::Etcd::size);
    let meant = |member: &usize| name == "etcd" || name == format!("etcd{member}");
    (0..size).filter(meant).collect()
}

async fn process(cluster: &Cluster, action: Action, name: &str) -> anyhow::Result<()> {
    if name == "balancer" {
        return balancer(cluster, action).await;
    }
    let members = members(cluster, name);
    if !members.is_empty() {
        for member in members.iter().copied() {
            etcd(cluster.etcd(), action, member).await;
        }
        // Only together have they a leader.
        if action == Action::Restart {
            cluster.etcd().restart_all().await;
        }
        return Ok(());
    }
    let node = node(cluster, name)?;
    match action {
        Action::Kill => node.kill().await,
        Action::Stop => node.terminate(),
        Action::Pause => node.pause().await,
        Action::Continue => node.resume(),
        Action::Restart => {
            // One that is paused would not hear it.
            node.resume();
            node.terminate();
            if node.is_running() {
                node.gone(LEAVING).await;
            }
            node.restart().await;
        }
    }
    Ok(())
}

async fn balancer(cluster: &Cluster, action: Action) -> anyhow::Result<()> {
    let balancer = cluster.balancer();
    match action {
        Action::Kill | Action::Stop => balancer.kill().await,
        Action::Restart => {
            balancer.kill().await;
            balancer.restart().await;
        }
        Action::Pause | Action::Continue => bail!("a balancer is not paused here"),
    }
    Ok(())
}

async fn etcd(etcd: &weir_cluster::Etcd, action: Action, member: usize) {
    match action {
        Action::Kill => etcd.kill(member).await,
        Action::Stop | Action::Restart => etcd.stop(member).await,
        Action::Pause => etcd.pause(member).await,
        Action::Continue => etcd.resume(member),
    }
}

fn log<'a>(cluster: &'a Cluster, name: &str) -> anyhow::Result<&'a Log> {
    if name == "balancer" {
        return Ok(cluster.balancer().log());
    }
    match members(cluster, name).first() {
        Some(&member) => Ok(cluster.etcd().log(member)),
        None => Ok(&node(cluster, name)?.log),
    }
}

async fn keys(cluster: &Cluster) -> anyhow::Result<String> {
    cluster.try_etcd().context("there is no directory")?;
    let keys = cluster.directory("").await.map_err(anyhow::Error::msg)?;
    let lines = keys.iter().map(|key| format!("{} {}", key.key, key.value));
    Ok(lines.collect::<Vec<_>>().join("\n"))
}
