//! The command line.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Parser, Subcommand};

use crate::bench::Load;
use crate::clip::{Clip, STANDARD_RATE};
use crate::hls::options::{HlsCommand, PackagingCommand, ReloadsCommand, ReloadsFloorCommand};
use crate::server::{Server, Setup, Spec};
use crate::swarm::Reading;
use crate::system::Urgency;
use crate::{parse, system};

/// Puts load on a live media server, and measures what its players see.
#[derive(Parser)]
#[command(name = "weir-loadtest", version)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Describe the clip, or write it to an FLV file
    Clip(ClipCommand),
    /// Publish streams to a URL
    Publish(PublishCommand),
    /// Play a URL many times
    Play(PlayCommand),
    /// One publisher and many players: CPU per gigabyte, latency, memory
    Run(RunCommand),
    /// The same for a bare epoll loop: the price of the kernel
    Floor(FloorCommand),
    /// The bare loop itself
    #[command(hide = true)]
    FloorServer(FloorServerCommand),
    /// Two servers in turn, so many times: medians and their ratio
    Pair(PairCommand),
    /// Many join one stream at once: time to the first keyframe
    Burst(BurstCommand),
    /// The first plays of streams at an edge: time from `play` to the first keyframe
    FirstPlay(FirstPlayCommand),
    /// Many publishers: late tags, core share
    Publishers(PublishersCommand),
    /// Many streams of one player each: core share, with players and without
    Streams(StreamsCommand),
    /// Connect, play, leave, again and again: memory and descriptors
    Churn(ChurnCommand),
    /// Many pollers fetch the newest HLS segment: CPU per gigabyte, latency
    Hls(HlsCommand),
    /// Many wait for the next part of a stream: how long until all have its playlist
    Reloads(ReloadsCommand),
    /// The bare loop of reloads
    #[command(hide = true)]
    ReloadsFloor(ReloadsFloorCommand),
    /// Many streams, packaged and not: core share, memory of each
    Packaging(PackagingCommand),
}

/// What is published.
#[derive(Args, Clone)]
pub(crate) struct MediaOptions {
    /// Bits per second of the synthesised clip
    #[arg(long, default_value = STANDARD_RATE, value_parser = parse::rate)]
    pub(crate) rate: u64,
    /// An FLV file in place of the synthesised clip
    #[arg(long)]
    pub(crate) clip: Option<PathBuf>,
    /// Chunk size of the publishers
    #[arg(long, default_value_t = 4096)]
    pub(crate) publish_chunk: usize,
    /// Publishers write tags due within so much of each other together [default: 20ms for
    /// `publishers`, where the writes would keep this tool busier than the server; else 0]
    #[arg(long, value_parser = parse::duration)]
    pub(crate) batch: Option<Duration>,
}

/// How it is played.
#[derive(Args, Clone)]
pub(crate) struct PlayerOptions {
    #[arg(long, default_value_t = 1000)]
    pub(crate) players: usize,
    /// `at-once`, or `every:50ms`
    #[arg(long, default_value = "every:50ms")]
    pub(crate) read: Reading,
    /// New players per second, or `at-once`
    #[arg(long, default_value = "1000/s", value_parser = parse::ramp)]
    pub(crate) ramp: f64,
    /// Players that may be connecting at the same time
    #[arg(long, default_value_t = 256)]
    pub(crate) in_flight: usize,
    /// Players that look at every tag, and always read at once
    #[arg(long, default_value_t = 16)]
    pub(crate) sample: usize,
}

/// When it is measured.
#[derive(Args, Clone)]
pub(crate) struct WindowOptions {
    /// From the first publish to the first player
    #[arg(long, default_value = "3s", value_parser = parse::duration)]
    pub(crate) settle: Duration,
    /// From the last player's start to the window
    #[arg(long, default_value = "3s", value_parser = parse::duration)]
    pub(crate) warm_up: Duration,
    /// Length of the measuring window in seconds; whole GOPs of 2 s give the steadiest figures
    #[arg(long, default_value = "12", value_parser = parse::duration)]
    pub(crate) seconds: Duration,
}

/// Where servers are, and on which cores all runs.
#[derive(Args, Clone)]
pub(crate) struct PlaceOptions {
    /// The weir binary
    #[arg(long, default_value = "target/release/weir")]
    pub(crate) weir: PathBuf,
    /// The nginx binary, with the RTMP module in reach
    #[arg(long, default_value = "nginx")]
    pub(crate) nginx: PathBuf,
    /// The core of a server that is started
    #[arg(long, default_value_t = 0)]
    pub(crate) server_core: usize,
    /// The core of publishers and players
    #[arg(long, default_value_t = 1)]
    pub(crate) client_core: usize,
    /// Go before everything else that runs on this machine
    #[arg(long)]
    pub(crate) urgent: bool,
    /// Results as JSON, one object per line
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which server is measured.
#[derive(Args, Clone)]
pub(crate) struct ServerOptions {
    /// A server to start: `weir:coalesce=40ms`, `nginx`, `floor:coalesce=0`
    #[arg(long, default_value = "weir")]
    pub(crate) server: Spec,
    /// A server that runs, by the URL of a stream; with --server-pid or --server-cmd
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// Players ask it for FLV by HTTP, there: `127.0.0.1:8080`
    #[arg(long, requires = "url")]
    pub(crate) flv: Option<String>,
    /// The process of the server at --url, measured with its children
    #[arg(long, requires = "url")]
    pub(crate) server_pid: Option<u32>,
    /// A command that serves --url, started on --server-core
    #[arg(long, requires = "url", conflicts_with = "server_pid")]
    pub(crate) server_cmd: Option<String>,
}

#[derive(Args)]
pub(crate) struct ClipCommand {
    #[command(flatten)]
    pub(crate) media: MediaOptions,
    /// Where to write it
    #[arg(long)]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct PublishCommand {
    #[arg(long)]
    pub(crate) url: String,
    #[arg(long, default_value_t = 1)]
    pub(crate) streams: usize,
    /// How long; 0 goes on for ever
    #[arg(long, default_value = "0", value_parser = parse::duration)]
    pub(crate) seconds: Duration,
    #[command(flatten)]
    pub(crate) media: MediaOptions,
}

#[derive(Args)]
pub(crate) struct PlayCommand {
    #[arg(long)]
    pub(crate) url: String,
    /// The players are spread over `name_0`, `name_1`, …
    #[arg(long, default_value_t = 1)]
    pub(crate) streams: usize,
    #[command(flatten)]
    pub(crate) media: MediaOptions,
    #[command(flatten)]
    pub(crate) player: PlayerOptions,
    #[command(flatten)]
    pub(crate) window: WindowOptions,
    #[command(flatten)]
    pub(crate) place: PlaceOptions,
}

#[derive(Args)]
pub(crate) struct RunCommand {
    #[command(flatten)]
    pub(crate) server: ServerOptions,
    #[command(flatten)]
    pub(crate) media: MediaOptions,
    #[command(flatten)]
    pub(crate) player: PlayerOptions,
    #[command(flatten)]
    pub(crate) window: WindowOptions,
    #[command(flatten)]
    pub(crate) place: PlaceOptions,
}

#[derive(Args)]
pub(crate) struct FloorCommand {
    /// Tags gather so long before they are written; 0 writes each
    #[arg(long, default_value = "0")]
    pub(crate) coalesce: String,
    /// Leave Nagle's algorithm on
    #[arg(long)]
    pub(crate) nagle: bool,
    #[command(flatten)]
    pub(crate) media: MediaOptions,
    #[command(flatten)]
    pub(crate) player: PlayerOptions,
    #[command(flatten)]
    pub(crate) window: WindowOptions,
    #[command(flatten)]
    pub(crate) place: PlaceOptions,
}

#[derive(Args)]
pub(crate) struct FloorServerCommand {
    #[arg(long, default_value = "0", value_parser = parse::duration)]
    pub(crate) coalesce: Duration,
    #[arg(long)]
    pub(crate) nagle: bool,
    #[arg(long, default_value_t = 65_536)]
    pub(crate) chunk_size: usize,
    #[command(flatten)]
    pub(crate) media: MediaOptions,
}

#[derive(Args)]
pub(crate) struct PairCommand {
    #[arg(long)]
    pub(crate) a: Spec,
    #[arg(long)]
    pub(crate) b: Spec,
    #[arg(long, default_value_t = 3)]
    pub(crate) runs: usize,
    #[command(flatten)]
    pub(crate) media: MediaOptions,
    #[command(flatten)]
    pub(crate) player: PlayerOptions,
    #[command(flatten)]
    pub(crate) window: WindowOptions,
    #[command(flatten)]
    pub(crate) place: PlaceOptions,
}

#[derive(Args)]
pub(crate) struct BurstCommand {
    /// How many join at once
    #[arg(long, default_value_t = 500)]
    pub(crate) joins: usize,
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Players that are there already
    #[arg(long, default_value_t = 0)]
    pub(crate) players: usize,
    #[command(flatten)]
    pub(crate) server: ServerOptions,
    #[command(flatten)]
    pub(crate) media: MediaOptions,
    #[command(flatten)]
    pub(crate) place: PlaceOptions,
}

#[derive(Args)]
pub(crate) struct FirstPlayCommand {
    #[arg(long, default_value_t = 100)]
    pub(crate) streams: usize,
    /// From one play to the next, which also waits for the keyframe of the one before
    #[arg(long, default_value = "100ms", value_parser = parse::duration)]
    pub(crate) gap: Duration,
    /// Play all streams at the same moment
    #[arg(long, conflicts_with = "gap")]
    pub(crate) at_once: bool,
    /// From the first publish to the first play: so much of each stream is there to be fetched
    #[arg(long, default_value = "7s", value_parser = parse::duration)]
    pub(crate) settle: Duration,
    /// What the origin and the edge are: `weir`, with configuration keys for both
    #[arg(long, default_value = "weir")]
    pub(crate) server: Spec,
    /// The etcd binary
    #[arg(long, default_value = "etcd")]
    pub(crate) etcd: PathBuf,
    /// The core of the edge [default: that of the origin, --server-core]
    #[arg(long)]
    pub(crate) edge_core: Option<usize>,
    /// An origin that runs, by the URL of a stream
    #[arg(long, requires = "play_from")]
    pub(crate) publish_to: Option<String>,
    /// Its edge, likewise
    #[arg(long, requires = "publish_to")]
    pub(crate) play_from: Option<String>,
    #[command(flatten)]
    pub(crate) media: MediaOptions,
    #[command(flatten)]
    pub(crate) place: PlaceOptions,
}

#[derive(Args)]
pub(crate) struct PublishersCommand {
    #[arg(long, default_value_t = 2000)]
    pub(crate) count: usize,
    /// Players that look at every tag, spread over the streams
    #[arg(long, default_value_t = 20)]
    pub(crate) players: usize,
    #[command(flatten)]
    pub(crate) server: ServerOptions,
    #[command(flatten)]
    pub(crate) media: MediaOptions,
    #[command(flatten)]
    pub(crate) window: WindowOptions,
    #[command(flatten)]
    pub(crate) place: PlaceOptions,
}

#[derive(Args)]
pub(crate) struct StreamsCommand {
    #[arg(long, default_value_t = 200)]
    pub(crate) count: usize,
    #[command(flatten)]
    pub(crate) server: ServerOptions,
    #[command(flatten)]
    pub(crate) media: MediaOptions,
    #[arg(long, default_value = "every:50ms")]
    pub(crate) read: Reading,
    #[arg(long, default_value_t = 16)]
    pub(crate) sample: usize,
    #[command(flatten)]
    pub(crate) window: WindowOptions,
    #[command(flatten)]
    pub(crate) place: PlaceOptions,
}

#[derive(Args)]
pub(crate) struct ChurnCommand {
    #[arg(long, default_value_t = 100_000)]
    pub(crate) cycles: usize,
    /// Connections at the same time
    #[arg(long, default_value_t = 32)]
    pub(crate) parallel: usize,
    #[command(flatten)]
    pub(crate) server: ServerOptions,
    #[command(flatten)]
    pub(crate) media: MediaOptions,
    #[command(flatten)]
    pub(crate) place: PlaceOptions,
}

impl MediaOptions {
    pub(crate) fn load_clip(&self) -> Result<Arc<Clip>> {
        Ok(Arc::new(match &self.clip {
            Some(path) => Clip::load(path)?,
            None => Clip::synthesise(self.rate)?,
        }))
    }

    /// A load of one stream and nobody who plays it.
    pub(crate) fn load(&self, cores: [usize; 2]) -> Result<Load> {
        let clip = self.load_clip()?;
        let rate = if self.clip.is_some() {
            (clip.bytes_per_second() * 8.0) as u64
        } else {
            self.rate
        };
        Ok(Load {
            clip,
            rate,
            players: 0,
            streams: 1,
            sample: 0,
            reading: Reading::AtOnce,
            ramp: 1000.0,
            in_flight: 256,
            settle: Duration::from_secs(3),
            warm_up: Duration::from_secs(3),
            window: Duration::from_secs(12),
            publish_chunk: self.publish_chunk,
            batch: self.batch.unwrap_or_default(),
            cores,
        })
    }
}

impl PlayerOptions {
    pub(crate) fn apply(&self, load: &mut Load) {
        load.players = self.players;
        load.sample = self.sample;
        load.reading = self.read;
        load.ramp = self.ramp;
        load.in_flight = self.in_flight;
    }
}

impl WindowOptions {
    pub(crate) fn apply(&self, load: &mut Load) {
        load.settle = self.settle;
        load.warm_up = self.warm_up;
        load.window = self.seconds;
    }
}

impl PlaceOptions {
    pub(crate) fn cores(&self) -> [usize; 2] {
        [self.server_core, self.client_core]
    }

    /// Moves this process to its core, and says where servers are.
    pub(crate) fn setup(&self, media: &MediaOptions) -> Result<Setup> {
        if self.server_core == self.client_core {
            bail!(
                "the server and its load cannot share core {}",
                self.server_core
            );
        }
        system::pin(self.client_core);
        let mut clip = vec!["--rate".to_owned(), media.rate.to_string()];
        if let Some(path) = &media.clip {
            clip.extend(["--clip".to_owned(), path.display().to_string()]);
        }
        let urgency = self.urgent.then(Urgency::claim);
        Ok(Setup {
            _urgency: urgency.map(Arc::new),
            weir: self.weir.clone(),
            nginx: self.nginx.clone(),
            core: self.server_core,
            clip,
        })
    }
}

impl ServerOptions {
    pub(crate) fn start(&self, setup: &Setup) -> Result<Server> {
        let mut server = match (&self.url, &self.server_cmd) {
            (Some(url), Some(line)) => Server::command(line, url, setup)?,
            (Some(url), None) => Server::found(url, self.server_pid)?,
            (None, _) => return Server::start(&self.server, setup),
        };
        server.flv.clone_from(&self.flv);
        Ok(server)
    }
}
