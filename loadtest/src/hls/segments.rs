//! What serving segments costs: a weir that makes them, or an nginx that has them as files.

use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use super::Site;
use super::options::HlsCommand;
use super::pollers::{Plan, Pollers};
use super::report::{Cost, Segments};
use super::scout::Scout;
use super::shelf::Shelf;
use crate::bench::{Load, Publishers};
use crate::meter::Meter;
use crate::report::Times;
use crate::server::{Kind, Setup};
use crate::swarm::window;
use crate::{net, stats, system};

pub(crate) fn measure(command: &HlsCommand) -> Result<()> {
    let setup = command.place.setup(&command.media)?;
    let mut load = command.media.load(command.place.cores())?;
    command.window.apply(&mut load);
    if command.pair {
        return pair(command, &setup, &load);
    }
    let shelf = command.shelf.as_deref();
    let spec = &command.site.server.server;
    let report = if spec.kind == Kind::Nginx {
        let folder =
            shelf.context("which segments? --shelf FOLDER, which a run with weir fills")?;
        files(command, &setup, &load, &Shelf::open(folder)?)?
    } else {
        live(command, &setup, &load, shelf)?.0
    };
    print(&report, command.place.json)
}

/// A stream that is published, and packaged while it is served.
fn live(
    command: &HlsCommand,
    setup: &Setup,
    load: &Load,
    shelf: Option<&Path>,
) -> Result<(Segments, Option<Shelf>)> {
    let site = Site::start(&command.site, setup)?;
    let publishers = Publishers::start(&site.server, load)?;
    let scout = Scout::follow(&site.authority, &site.playlist(0, 1))?;
    thread::sleep(load.settle);
    let meter = Meter::start(&site.server, load.cores);
    thread::sleep(load.window);
    let idle = meter.stop().core_share();
    publishers.progress.late.store(0, Relaxed);
    let mut report = window_of(command, &site, &scout, load)?;
    report.late += publishers.progress.late.load(Relaxed);
    report.idle_share = idle;
    if report.gigabytes > 0.0 {
        let serving = report.cost.cpu_seconds - idle * report.cost.seconds;
        report.serving_cpu_seconds_per_gb = serving / report.gigabytes;
    }
    let shelf = shelf.map(|folder| site.keep(folder)).transpose()?;
    Ok((report, shelf))
}

/// The same segments as files.
fn files(command: &HlsCommand, setup: &Setup, load: &Load, shelf: &Shelf) -> Result<Segments> {
    let site = Site::files(&command.site, setup, shelf)?;
    let scout = Scout::turn(&site.authority, shelf)?;
    let mut report = window_of(command, &site, &scout, load)?;
    report.serving_cpu_seconds_per_gb = report.cpu_seconds_per_gb;
    Ok(report)
}

fn window_of(command: &HlsCommand, site: &Site, scout: &Scout, load: &Load) -> Result<Segments> {
    let resident = || {
        site.server
            .pid
            .map(system::usage)
            .unwrap_or_default()
            .resident_kib
    };
    let before = resident();
    let pollers = Pollers::start(Plan {
        address: net::resolve(&site.authority)?,
        authority: site.authority.clone(),
        playlist: site.playlist(0, 1),
        newest: scout.newest.clone(),
        pollers: command.pollers,
        every: scout.every,
    })?;
    // All have had their first turn by then.
    thread::sleep(scout.every + load.warm_up);
    let progress = &pollers.progress;
    let changes = scout.newest.changes.load(Relaxed);
    progress.window.store(window::OPEN, Relaxed);
    let (meter, bytes) = (
        Meter::start(&site.server, load.cores),
        progress.bytes.load(Relaxed),
    );
    thread::sleep(load.window);
    let gigabytes = (progress.bytes.load(Relaxed) - bytes) as f64 / 1e9;
    let cost = Cost::from(meter.stop());
    progress.window.store(window::CLOSED, Relaxed);
    let grown = resident() as f64 - before as f64;
    let new_segments = scout.newest.changes.load(Relaxed) - changes;
    let mut findings = pollers.stop()?;
    let failures = scout.newest.failures.load(Relaxed);
    if failures > 0 {
        findings
            .errors
            .insert("the scout has no playlist".into(), failures);
    }
    Ok(Segments {
        server: site.server.name.clone(),
        mode: command.site.mode.as_str(),
        pollers: command.pollers,
        segment_seconds: scout.every.as_secs_f64(),
        gigabytes,
        cpu_seconds_per_gb: if gigabytes > 0.0 {
            cost.cpu_seconds / gigabytes
        } else {
            0.0
        },
        cost,
        segment: Times::from(&findings.segment),
        playlist: Times::from(&findings.playlist),
        kib_per_poller: grown / command.pollers.max(1) as f64,
        overruns: findings.overruns,
        late: findings.late,
        new_segments,
        errors: findings.errors,
        ..Segments::default()
    })
}

/// Medians of one side.
#[derive(Serialize)]
struct Side {
    server: String,
    cpu_seconds_per_gb: f64,
    serving_cpu_seconds_per_gb: f64,
    core_share: f64,
    segment_p50_ms: f64,
    segment_p99_ms: f64,
    kib_per_poller: f64,
    clean: bool,
}

#[derive(Serialize)]
struct Comparison {
    a: Side,
    b: Side,
    runs: usize,
    /// CPU seconds per gigabyte of `a` in those of `b`: the ratio of the medians.
    cpu_ratio: f64,
    cpu_ratio_of_runs: Vec<f64>,
    /// The same without what taking and packaging the stream costs.
    serving_ratio: f64,
    serving_ratio_of_runs: Vec<f64>,
    segment_p99_ratio: f64,
}

impl Side {
    fn of(reports: &[Segments]) -> Self {
        let median = |of: fn(&Segments) -> f64| stats::median(reports.iter().map(of));
        let name = reports.first().map(|report| report.server.clone());
        Self {
            server: name.unwrap_or_default(),
            cpu_seconds_per_gb: median(|report| report.cpu_seconds_per_gb),
            serving_cpu_seconds_per_gb: median(|report| report.serving_cpu_seconds_per_gb),
            core_share: median(|report| report.cost.core_share),
            segment_p50_ms: median(|report| report.segment.p50_ms),
            segment_p99_ms: median(|report| report.segment.p99_ms),
            kib_per_poller: median(|report| report.kib_per_poller),
            clean: reports.iter().all(Segments::is_clean),
        }
    }
}

fn pair(command: &HlsCommand, setup: &Setup, load: &Load) -> Result<()> {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..command.runs {
        let folder = tempfile::tempdir()?;
        let (report, shelf) = live(command, setup, load, Some(folder.path()))?;
        print(&report, command.place.json)?;
        a.push(report);
        let shelf = shelf.context("no segments were kept")?;
        // The server is gone; what it left to be done by the kernel should be too.
        thread::sleep(Duration::from_millis(500));
        let report = files(command, setup, load, &shelf)?;
        print(&report, command.place.json)?;
        b.push(report);
    }
    let ratio = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
    let by_run = |of: fn(&Segments) -> f64| {
        let runs = a.iter().zip(&b);
        runs.map(|(a, b)| ratio(of(a), of(b))).collect()
    };
    let cpu_ratio_of_runs = by_run(|report| report.cpu_seconds_per_gb);
    let serving_ratio_of_runs = by_run(|report| report.serving_cpu_seconds_per_gb);
    let (a, b) = (Side::of(&a), Side::of(&b));
    let comparison = Comparison {
        cpu_ratio: ratio(a.cpu_seconds_per_gb, b.cpu_seconds_per_gb),
        cpu_ratio_of_runs,
        serving_ratio: ratio(a.serving_cpu_seconds_per_gb, b.serving_cpu_seconds_per_gb),
        serving_ratio_of_runs,
        segment_p99_ratio: ratio(a.segment_p99_ms, b.segment_p99_ms),
        a,
        b,
        runs: command.runs,
    };
    if command.place.json {
        println!("{}", serde_json::to_string(&comparison)?);
        return Ok(());
    }
    for side in [&comparison.a, &comparison.b] {
        println!(
            "median {:<22} {:.3} CPU-s/GB, {:.3} for serving, {:.1} % core, segment {:.1}/{:.1} ms, {:.1} KiB/poller{}",
            side.server,
            side.cpu_seconds_per_gb,
            side.serving_cpu_seconds_per_gb,
            side.core_share * 100.0,
            side.segment_p50_ms,
            side.segment_p99_ms,
            side.kib_per_poller,
            if side.clean { "" } else { " NOT CLEAN" },
        );
    }
    println!(
        "ratio a/b: CPU {:.3} (by run {:.3?}), serving alone {:.3} (by run {:.3?}), segment p99 {:.2}",
        comparison.cpu_ratio,
        comparison.cpu_ratio_of_runs,
        comparison.serving_ratio,
        comparison.serving_ratio_of_runs,
        comparison.segment_p99_ratio
    );
    Ok(())
}

fn print(report: &Segments, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(report)?);
    } else {
        println!("{report}");
    }
    Ok(())
}
