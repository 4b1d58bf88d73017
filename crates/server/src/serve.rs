//! A node from its start to its end.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context, bail};
use node::Node;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use crate::identity::Identity;
use crate::layers::{Loaded, Sources};
use crate::log::{self, Release};
use crate::source::NodeSource;
use crate::{check, metrics, reload, resources};

/// What a drain may take beyond the time that the node gives its peers.
const DRAIN_SLACK: Duration = Duration::from_secs(5);
/// Blocking work under way at the end is not waited for longer.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// Runs a node until it is told to stop.
pub(crate) fn serve(sources: &Sources, loaded: &Loaded) -> ExitCode {
    let release = log::install(&loaded.settings.own.log);
    match runtime().and_then(|runtime| {
        let ended = runtime.block_on(run(sources, loaded, release));
        runtime.shutdown_timeout(SHUTDOWN);
        ended
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(error = format!("{error:#}"), "weir failed");
            ExitCode::FAILURE
        }
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let workers = available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("weir")
        .enable_all()
        .build()
        .context("cannot start threads")
}

async fn run(sources: &Sources, loaded: &Loaded, release: Release) -> anyhow::Result<()> {
    // First, so that a signal during the start is not lost.
    let mut signals = Signals::listen()?;
    let role = loaded.settings.node.node.role.name();
    resources::raise_file_limit(loaded.settings.node.limits.connections);
    let metrics = metrics::install(role)?;
    tokio::spawn(metrics::upkeep(metrics.clone()));

    // The name is this node's for as long as it runs.
    let (node, _name) = start_node(loaded).await?;
    let source = NodeSource {
        node: node.clone(),
        role,
        metrics,
        admin_key: loaded.settings.node.auth.admin_key.clone(),
    };
    let web = web::Server::start(&loaded.settings.web, Arc::new(source))?;

    release.after(|| {
        let addresses = node.addresses().iter().chain(web.addresses());
        let addresses: Vec<_> = addresses
            .map(|(name, address)| format!("{name} {address}"))
            .collect();
        info!(
            version = env!("CARGO_PKG_VERSION"),
            role,
            node = node.id(),
            configuration = loaded.sources(),
            listening = addresses.join(", "),
            "weir serves"
        );
    });
    for note in check::notes(&loaded.settings) {
        warn!("{note}");
    }

    let was_ordered = tokio::select! {
        () = signals.stop(|| reload::reload(sources, loaded)) => false,
        () = node.leave_ordered() => true,
        () = node.ended() => bail!("the node has failed; see the log above"),
    };
    info!("draining; a second signal stops at once");
    let config = &loaded.settings.node.node;
    let leave = async {
        let limit = config.drain_timeout.saturating_add(DRAIN_SLACK);
        let farewell = config.farewell();
        let elsewhere = async {
            tokio::time::sleep(farewell.delay).await;
            web.leave(farewell.window);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            drained = tokio::time::timeout(limit, node.drain()) => if drained.is_err() {
                warn!("the drain took too long");
            },
            () = elsewhere => {}
        }
        // Until here, /ready said why there is no new work.
        web.stop().await;
    };
    let stop = async {
        if was_ordered {
            // Asks for what is under way: whatever ordered the drain, a service manager signals as well.
            signals.stop(|| ()).await;
        }
        signals.stop(|| ()).await;
    };
    tokio::select! {
        () = leave => info!("weir ended"),
        () = stop => warn!("weir stops at once"),
    }
    Ok(())
}

/// Starts the node under the name that it was given, or that it had before.
async fn start_node(loaded: &Loaded) -> anyhow::Result<(Node, Option<Identity>)> {
    let mut config = loaded.settings.node.clone();
    let data_dir = config.node.data_dir.clone();
    let mut name = None;
    if config.node.id.is_none() {
        name = own_name(&data_dir);
        if let Some(name) = &mut name {
            config.node.id = name.kept()?;
        }
        if let Some(problem) = config.problems().first() {
            bail!(
                "{}/node-id: {}; remove the file or set node.id",
                data_dir.display(),
                problem.what
            );
        }
    }
    let known = config.node.id.is_some();
    let node = Node::start(config).await?;
    if let Some(name) = &mut name
        && !known
        && let Err(error) = name.keep(node.id())
    {
        warn_of_another_name(&error);
    }
    Ok((node, name))
}

/// The name that is kept for this node; `None`, after a warning, where it must do without.
fn own_name(data_dir: &Path) -> Option<Identity> {
    match Identity::lock(data_dir) {
        Ok(Some(name)) => return Some(name),
        Ok(None) => warn!(
            data_dir = %data_dir.display(),
            "another node runs with this node.data_dir; this one goes by a name of its own until \
             it ends: give each a folder of its own"
        ),
        Err(error) => warn_of_another_name(&error),
    }
    None
}

fn warn_of_another_name(error: &anyhow::Error) {
    warn!(
        error = format!("{error:#}"),
        "the node's name will be another after a restart"
    );
}

/// The signals that a node follows.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen to signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Returns when told to stop; until then calls `hangup` on each SIGHUP.
    async fn stop(&mut self, mut hangup: impl FnMut()) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => hangup(),
            }
        }
    }
}
