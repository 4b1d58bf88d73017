//! The command lines of loads of HLS.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::options::{MediaOptions, PlaceOptions, ServerOptions, WindowOptions};
use crate::parse;

/// What is made of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    Ll,
    Fmp4,
    Ts,
}

impl Mode {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ll => "ll",
            Self::Fmp4 => "fmp4",
            Self::Ts => "ts",
        }
    }
}

/// Which server is measured, and what it makes of a stream.
#[derive(Args)]
pub(crate) struct SiteOptions {
    #[command(flatten)]
    pub(crate) server: ServerOptions,
    /// What a weir that is started makes of a stream
    #[arg(long, default_value = "ll")]
    pub(crate) mode: Mode,
    /// The media playlist of the stream at --url: `http://127.0.0.1:8080/live/bench/media.m3u8`
    #[arg(long, requires = "url")]
    pub(crate) playlist: Option<String>,
}

#[derive(Args)]
pub(crate) struct HlsCommand {
    #[arg(long, default_value_t = 200)]
    pub(crate) pollers: usize,
    /// In turn with an nginx that serves the same segments as files: medians and their ratio
    #[arg(long, conflicts_with_all = ["url", "shelf"])]
    pub(crate) pair: bool,
    /// How often each of a pair is measured
    #[arg(long, default_value_t = 3)]
    pub(crate) runs: usize,
    /// A folder for the segments at the end of a run; `--server nginx` serves those that are in it
    #[arg(long)]
    pub(crate) shelf: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) site: SiteOptions,
    #[command(flatten)]
    pub(crate) media: MediaOptions,
    #[command(flatten)]
    pub(crate) window: WindowOptions,
    #[command(flatten)]
    pub(crate) place: PlaceOptions,
}

#[derive(Args)]
pub(crate) struct ReloadsCommand {
    /// Requests that wait for the same part
    #[arg(long, default_value_t = 20_000)]
    pub(crate) waiting: usize,
    /// By HTTP/2: so many connections share the requests
    #[arg(long)]
    pub(crate) http2: bool,
    #[arg(long, default_value_t = 200, requires = "http2")]
    pub(crate) connections: usize,
    /// Parts that are waited for
    #[arg(long, default_value_t = 20)]
    pub(crate) parts: usize,
    /// How many parts ahead is asked for: all requests have to be there before it is
    #[arg(long, default_value_t = 6)]
    pub(crate) ahead: u32,
    /// A part counts if all requests were sent so long before it came
    #[arg(long, default_value = "300ms", value_parser = parse::duration)]
    pub(crate) quiet: Duration,
    /// In turn with the bare loop, which gives the same answer to the same number of sockets
    #[arg(long, conflicts_with_all = ["url", "http2"])]
    pub(crate) pair: bool,
    /// How often each of a pair is measured
    #[arg(long, default_value_t = 3)]
    pub(crate) runs: usize,
    /// From the first publish to the first request
    #[arg(long, default_value = "3s", value_parser = parse::duration)]
    pub(crate) settle: Duration,
    #[command(flatten)]
    pub(crate) site: SiteOptions,
    #[command(flatten)]
    pub(crate) media: MediaOptions,
    #[command(flatten)]
    pub(crate) place: PlaceOptions,
}

#[derive(Args)]
pub(crate) struct ReloadsFloorCommand {
    /// A file with the bytes of the answer, its head included
    #[arg(long)]
    pub(crate) answer: PathBuf,
    /// It answers once so many wait
    #[arg(long)]
    pub(crate) waiting: usize,
    /// And then so long after the last of them asked
    #[arg(long, default_value = "500ms", value_parser = parse::duration)]
    pub(crate) after: Duration,
}

/// What a poller of a packaged stream asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Follow {
    /// The playlist of each part
    Parts,
    /// The playlist of each segment
    Segments,
}

#[derive(Args)]
pub(crate) struct PackagingCommand {
    #[arg(long, default_value_t = 100)]
    pub(crate) streams: usize,
    /// What the one poller of each stream asks for; it fetches no media
    #[arg(long, default_value = "parts")]
    pub(crate) follow: Follow,
    /// From the first publish to the first window: what is kept of a stream should be full
    #[arg(long, default_value = "45s", value_parser = parse::duration)]
    pub(crate) settle: Duration,
    /// From the first poller to the second window
    #[arg(long, default_value = "30s", value_parser = parse::duration)]
    pub(crate) warm_up: Duration,
    /// Length of each of the two windows in seconds
    #[arg(long, default_value = "20", value_parser = parse::duration)]
    pub(crate) seconds: Duration,
    #[command(flatten)]
    pub(crate) site: SiteOptions,
    #[command(flatten)]
    pub(crate) media: MediaOptions,
    #[command(flatten)]
    pub(crate) place: PlaceOptions,
}
