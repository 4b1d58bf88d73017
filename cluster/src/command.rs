//! The command: it starts a cluster, shows it, and does what it is told.

mod act;
mod sample;
mod screen;
mod table;
mod verb;

use std::io::BufRead;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use weir_cluster::{Cluster, Network};

use self::act::Stage;
use self::sample::Sampler;
use self::screen::Screen;
use self::verb::{HELP, Verb};

const REFRESH: Duration = Duration::from_secs(1);

/// A cluster on this machine: etcd, nodes and a balancer as processes, a table of what they do, and
/// verbs (type `help`) to break them.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// Members of the etcd; 0 is none, and nodes that know nothing of each other.
    #[arg(long, default_value_t = 1)]
    etcd: usize,
    /// Origins: o1, o2, …
    #[arg(long, default_value_t = 2)]
    origins: usize,
    /// Edges: e1, e2, …
    #[arg(long, default_value_t = 2)]
    edges: usize,
    /// Nodes that are both: n1, n2, …
    #[arg(long, default_value_t = 0)]
    nodes: usize,
    /// Give every part a network of its own, so that cables can be cut (as root).
    #[arg(long)]
    isolated: bool,
    /// Publish so many test pictures by ffmpeg: live/test1, …
    #[arg(long, default_value_t = 0)]
    publish: usize,
    /// A setting for all nodes.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    // Before anything is started that they would leave behind.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let cluster = start(&arguments).await?;
    let mut stage = Stage::new(cluster.clone());
    for number in 1..=arguments.publish {
        stage.publish(&format!("live/test{number}"))?;
    }
    let screen = Screen::open(table::height(&cluster));
    let mut sampler = Sampler::default();
    let mut lines = stdin();
    let mut ticks = interval(REFRESH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    println!("type `help` for what can be done");
    loop {
        tokio::select! {
            _ = ticks.tick(), if screen.is_live() => {
                let sample = sampler.take(&cluster).await;
                screen.draw(&table::lines(&cluster, &stage, &sample));
            }
            line = lines.recv() => match line.as_deref().map(Verb::parse) {
                None | Some(Ok(Verb::Quit)) => break,
                Some(Ok(Verb::Nothing)) => {}
                Some(Ok(Verb::Help)) => println!("{HELP}"),
                Some(Ok(Verb::Table)) => {
                    let sample = sampler.take(&cluster).await;
                    println!("{}", table::lines(&cluster, &stage, &sample).join("\n"));
                }
                Some(Ok(verb)) => stage.act(verb).await,
                Some(Err(error)) => println!("{error}"),
            },
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
        }
    }
    Ok(())
}

async fn start(arguments: &Arguments) -> anyhow::Result<Arc<Cluster>> {
    anyhow::ensure!(
        arguments.edges == 0 || arguments.etcd > 0,
        "an edge needs a directory: --etcd 1, or --edges 0"
    );
    let mut builder = Cluster::builder()
        .etcd(arguments.etcd)
        .origins(arguments.origins)
        .edges(arguments.edges)
        .nodes(arguments.nodes)
        .balanced();
    if arguments.isolated {
        let network = Network::isolated().context("the network cannot be isolated")?;
        builder = builder.network(network);
    }
    for setting in &arguments.set {
        builder = builder.set(setting);
    }
    needs(arguments)?;
    println!("starting …");
    Ok(Arc::new(builder.start().await))
}

/// What is missing is better said before anything runs.
fn needs(arguments: &Arguments) -> anyhow::Result<()> {
    weir_cluster::try_weir().map_err(anyhow::Error::msg)?;
    let needed = [
        ("setpriv", true),
        ("haproxy", true),
        ("etcd", arguments.etcd > 0),
        ("ffmpeg", arguments.publish > 0),
    ];
    for (program, _) in needed.into_iter().filter(|(_, is_needed)| *is_needed) {
        weir_cluster::find(program).map_err(anyhow::Error::msg)?;
    }
    Ok(())
}

/// Lines that are typed. In a thread: who waits for a terminal cannot be told to stop.
fn stdin() -> mpsc::UnboundedReceiver<String> {
    let (typed, lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if line.map_or(true, |line| typed.send(line).is_err()) {
                return;
            }
        }
    });
    lines
}
