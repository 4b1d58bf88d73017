//! What packaging costs: the same streams with one poller each and without.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::Site;
use super::follower::{Followers, Plan};
use super::options::{Follow, PackagingCommand};
use super::playlist::{self, Playlist};
use super::report::{Cost, Errors, errors};
use crate::bench::{Load, Publishers};
use crate::http::Fetcher;
use crate::meter::Meter;
use crate::{net, system};

#[derive(Clone, Debug, Default, Serialize)]
struct Packaging {
    server: String,
    mode: &'static str,
    streams: usize,
    rate: u64,
    /// Streams whose poller had a playlist.
    followed: u64,
    playlists_per_second: f64,
    /// Nobody asks.
    ingest: Cost,
    /// Everything is packaged.
    packaged: Cost,
    /// The difference, of a core.
    packaging_share: f64,
    /// Resident memory of each stream, in all, and what packaging added.
    kib_per_stream: f64,
    kib_added: f64,
    /// What one playlist lists: all its segments together, and how long they are.
    window_kib: f64,
    window_seconds: f64,
    /// Resident memory of each stream in the bytes of its window.
    of_window: f64,
    sent_late: u64,
    errors: Errors,
}

pub(crate) fn measure(command: &PackagingCommand) -> Result<()> {
    let setup = command.place.setup(&command.media)?;
    let load = Load {
        streams: command.streams,
        ..command.media.load(command.place.cores())?
    };
    let site = Site::start(&command.site, &setup)?;
    let resident = || {
        let kib = site
            .server
            .pid
            .map(system::usage)
            .unwrap_or_default()
            .resident_kib;
        kib as f64
    };
    let idle = resident();
    let publishers = Publishers::start(&site.server, &load)?;
    thread::sleep(command.settle);
    publishers.progress.late.store(0, Relaxed);
    let meter = Meter::start(&site.server, load.cores);
    thread::sleep(command.seconds);
    let ingest = Cost::from(meter.stop());
    let before = resident();

    let paths = (0..command.streams).map(|index| site.playlist(index, command.streams));
    let paths: Vec<String> = paths.collect();
    let followers = Followers::start(Plan {
        address: net::resolve(&site.authority)?,
        authority: site.authority.clone(),
        paths: paths.clone(),
        parts: command.follow == Follow::Parts,
    })?;
    thread::sleep(command.warm_up);
    let progress = &followers.progress;
    let (meter, playlists) = (
        Meter::start(&site.server, load.cores),
        progress.playlists.load(Relaxed),
    );
    thread::sleep(command.seconds);
    let packaged = Cost::from(meter.stop());
    let playlists = progress.playlists.load(Relaxed) - playlists;
    let after = resident();
    let followed = progress.following.load(Relaxed);
    let errors = followers.stop()?;
    let (window, window_seconds) = match paths.first() {
        Some(path) => listed(&site.authority, path)?,
        None => (0, 0.0),
    };
    let streams = command.streams.max(1) as f64;
    let kib_per_stream = (after - idle) / streams;
    let window_kib = window as f64 / 1024.0;
    let report = Packaging {
        server: site.server.name.clone(),
        mode: command.site.mode.as_str(),
        streams: command.streams,
        rate: load.rate,
        followed,
        playlists_per_second: playlists as f64 / packaged.seconds,
        packaging_share: packaged.core_share - ingest.core_share,
        ingest,
        packaged,
        kib_per_stream,
        kib_added: (after - before) / streams,
        window_kib,
        window_seconds,
        of_window: kib_per_stream / window_kib.max(1e-9),
        sent_late: publishers.progress.late.load(Relaxed),
        errors,
    };
    if command.place.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}");
    }
    Ok(())
}

/// The bytes and the seconds of the segments that a playlist lists.
fn listed(authority: &str, path: &str) -> Result<(usize, f64)> {
    let mut fetcher = Fetcher::new(authority);
    let text = fetcher.fetch(path)?;
    let playlist = Playlist::parse(&String::from_utf8_lossy(&text))?;
    let (mut bytes, mut time) = (0, Duration::ZERO);
    for segment in &playlist.segments {
        let path = playlist::resolve(path, &segment.uri);
        bytes += fetcher.fetch(&path)?.len();
        time += Duration::from_secs_f64(segment.seconds);
    }
    Ok((bytes, time.as_secs_f64()))
}

impl fmt::Display for Packaging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<22} {} streams of {:.2} Mbit/s, nobody asks: {}",
            self.server,
            self.streams,
            self.rate as f64 / 1e6,
            self.ingest
        )?;
        writeln!(
            f,
            "{:<22} {} of them packaged ({}), {:.0} playlists/s: {}",
            self.server, self.followed, self.mode, self.playlists_per_second, self.packaged
        )?;
        write!(
            f,
            "packaging {:.1} % core | {:.0} KiB/stream, {:.0} of it added by packaging; \
             window of {:.1} s {:.0} KiB: {:.2} of it",
            self.packaging_share * 100.0,
            self.kib_per_stream,
            self.kib_added,
            self.window_seconds,
            self.window_kib,
            self.of_window,
        )?;
        if self.sent_late > 0 {
            write!(f, " | SENT LATE {}", self.sent_late)?;
        }
        if self.followed < self.streams as u64 {
            let missing = self.streams as u64 - self.followed;
            write!(f, " | NOT CLEAN: {missing} streams without a playlist")?;
        }
        errors(f, &self.errors)
    }
}
