//! The commands: each a load on a server, and what it says about it.

use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde::Serialize;

use crate::bench::{self, Load, Players, Publishers};
use crate::check::Findings;
use crate::chunk::kind;
use crate::options::{
    BurstCommand, ChurnCommand, ClipCommand, FloorCommand, FloorServerCommand, PairCommand,
    PlayCommand, PublishCommand, PublishersCommand, RunCommand, StreamsCommand,
};
use crate::report::{Report, Times};
use crate::server::{Kind, Server, Setup, Spec};
use crate::swarm::{Reading, Task};
use crate::{floor, stats, system};

fn print(report: &Report, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(report)?);
    } else {
        println!("{report}");
    }
    Ok(())
}

pub(crate) fn clip(command: &ClipCommand) -> Result<()> {
    let clip = command.media.load_clip()?;
    let count = |kind| clip.tags.iter().filter(|tag| tag.kind == kind).count() as f64;
    let seconds = f64::from(clip.cycle_ms) / 1000.0;
    println!(
        "{seconds} s, {:.3} Mbit/s, {:.1} video and {:.1} audio tags a second, {} tags stamped",
        clip.bytes_per_second() * 8.0 / 1e6,
        count(kind::VIDEO) / seconds,
        count(kind::AUDIO) / seconds,
        clip.tags.iter().filter(|tag| tag.stamp.is_some()).count(),
    );
    if let Some(path) = &command.output {
        std::fs::write(path, clip.to_flv())?;
    }
    Ok(())
}

pub(crate) fn publish(command: &PublishCommand) -> Result<()> {
    let server = Server::found(&command.url, None)?;
    let load = Load {
        streams: command.streams,
        ..command.media.load([0, 1])?
    };
    let publishers = Publishers::start(&server, &load)?;
    let begin = Instant::now();
    while command.seconds.is_zero() || begin.elapsed() < command.seconds {
        thread::sleep(Duration::from_millis(100));
        if publishers.progress.live.load(Relaxed) == 0 {
            bail!("all publishers are gone");
        }
    }
    let progress = &publishers.progress;
    println!(
        "{} streams, {} tags, {:.3} MB; sent late {}, worst {:.1} ms; left out {}, lost {}",
        load.streams,
        progress.tags.load(Relaxed),
        progress.payload_bytes.load(Relaxed) as f64 / 1e6,
        progress.late.load(Relaxed),
        progress.worst_late_us.load(Relaxed) as f64 / 1000.0,
        progress.left_out.load(Relaxed),
        progress.disconnects.load(Relaxed),
    );
    Ok(())
}

pub(crate) fn play(command: &PlayCommand) -> Result<()> {
    let _setup = command.place.setup(&command.media)?;
    let server = Server::found(&command.url, None)?;
    let mut load = Load {
        streams: command.streams,
        ..command.media.load(command.place.cores())?
    };
    command.player.apply(&mut load);
    command.window.apply(&mut load);
    let players = Players::start(&server, &load)?;
    players.wait(load.players);
    thread::sleep(load.warm_up);
    // Nobody publishes here; the window reads the counters of a group of none.
    let nobody = Publishers::none();
    let mut report = bench::window(&server, &load, &nobody, Some(&players));
    report.what = "play".into();
    players.stop(&mut report)?;
    print(&report, command.place.json)
}

pub(crate) fn run(command: &RunCommand) -> Result<()> {
    let setup = command.place.setup(&command.media)?;
    let mut load = command.media.load(command.place.cores())?;
    command.player.apply(&mut load);
    command.window.apply(&mut load);
    let server = command.server.start(&setup)?;
    print(&bench::measure(&server, &load)?, command.place.json)
}

pub(crate) fn floor(command: &FloorCommand) -> Result<()> {
    let setup = command.place.setup(&command.media)?;
    let mut load = command.media.load(command.place.cores())?;
    command.player.apply(&mut load);
    command.window.apply(&mut load);
    let nagle = if command.nagle { ",nagle" } else { "" };
    let spec: Spec = format!("floor:coalesce={}{nagle}", command.coalesce).parse()?;
    let server = Server::start(&spec, &setup)?;
    print(&bench::measure(&server, &load)?, command.place.json)
}

pub(crate) fn floor_server(command: &FloorServerCommand) -> Result<()> {
    let plan = floor::Plan {
        coalesce: command.coalesce,
        nagle: command.nagle,
        chunk_size: command.chunk_size,
    };
    let clip = command.media.load_clip()?;
    floor::serve(&plan, &clip)
}

/// Medians of one side of a pair.
#[derive(Serialize)]
struct Side {
    server: String,
    cpu_seconds_per_gb: f64,
    core_share: f64,
    latency_p50_ms: f64,
    latency_p99_ms: f64,
    kib_per_player: f64,
    connect_to_play_p50_ms: f64,
    first_keyframe_p50_ms: f64,
    switches_per_second: f64,
    delivered: f64,
    clean: bool,
}

impl Side {
    fn of(reports: &[Report]) -> Self {
        let median = |of: fn(&Report) -> f64| stats::median(reports.iter().map(of));
        Self {
            server: reports
                .first()
                .map(|report| report.server.clone())
                .unwrap_or_default(),
            cpu_seconds_per_gb: median(|report| report.cpu_seconds_per_gb),
            core_share: median(|report| report.core_share),
            latency_p50_ms: median(|report| report.latency.p50_ms),
            latency_p99_ms: median(|report| report.latency.p99_ms),
            kib_per_player: median(|report| report.kib_per_player),
            connect_to_play_p50_ms: median(|report| report.connect_to_play.p50_ms),
            first_keyframe_p50_ms: median(|report| report.first_keyframe.p50_ms),
            switches_per_second: median(|report| report.switches_per_second),
            delivered: median(|report| report.delivered),
            clean: reports.iter().all(Report::is_clean),
        }
    }
}

#[derive(Serialize)]
struct Comparison {
    a: Side,
    b: Side,
    runs: usize,
    /// CPU seconds per gigabyte of `a` in those of `b`: the ratio of the medians.
    cpu_ratio: f64,
    /// The same run by run: a run's ratio is free of what changed between runs.
    cpu_ratio_of_runs: Vec<f64>,
    latency_p99_ratio: f64,
}

pub(crate) fn pair(command: &PairCommand) -> Result<()> {
    let setup = command.place.setup(&command.media)?;
    let mut load = command.media.load(command.place.cores())?;
    command.player.apply(&mut load);
    command.window.apply(&mut load);
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..command.runs {
        for (spec, reports) in [(&command.a, &mut a), (&command.b, &mut b)] {
            let report = measured(spec, &setup, &load)?;
            print(&report, command.place.json)?;
            reports.push(report);
        }
    }
    let ratio = |a: f64, b: f64| if b > 0.0 { a / b } else { 0.0 };
    let by_run = a.iter().zip(&b);
    let by_run = by_run.map(|(a, b)| ratio(a.cpu_seconds_per_gb, b.cpu_seconds_per_gb));
    let cpu_ratio_of_runs: Vec<f64> = by_run.collect();
    let (a, b) = (Side::of(&a), Side::of(&b));
    let comparison = Comparison {
        cpu_ratio: ratio(a.cpu_seconds_per_gb, b.cpu_seconds_per_gb),
        cpu_ratio_of_runs,
        latency_p99_ratio: ratio(a.latency_p99_ms, b.latency_p99_ms),
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
            "median {:<24} {:.3} CPU-s/GB, {:.1} % core, latency {:.1}/{:.1} ms, {:.1} KiB/player, play {:.1} ms, key {:.1} ms{}",
            side.server,
            side.cpu_seconds_per_gb,
            side.core_share * 100.0,
            side.latency_p50_ms,
            side.latency_p99_ms,
            side.kib_per_player,
            side.connect_to_play_p50_ms,
            side.first_keyframe_p50_ms,
            if side.clean { "" } else { " NOT CLEAN" },
        );
    }
    println!(
        "ratio a/b: CPU {:.3} (by run {:.3?}), latency p99 {:.2}",
        comparison.cpu_ratio, comparison.cpu_ratio_of_runs, comparison.latency_p99_ratio
    );
    Ok(())
}

fn measured(spec: &Spec, setup: &Setup, load: &Load) -> Result<Report> {
    let server = Server::start(spec, setup)?;
    bench::measure(&server, load)
}

#[derive(Serialize)]
struct Burst {
    server: String,
    joins: usize,
    rounds: usize,
    connect_to_play: Times,
    first_keyframe: Times,
    without_keyframe: u64,
    errors: Vec<String>,
}

pub(crate) fn burst(command: &BurstCommand) -> Result<()> {
    let setup = command.place.setup(&command.media)?;
    let server = command.server.start(&setup)?;
    let mut load = command.media.load(command.place.cores())?;
    let publishers = Publishers::start(&server, &load)?;
    // A GOP and a half, so that whatever caches has something to give.
    thread::sleep(load.settle);
    load.players = command.players;
    load.reading = Reading::Every(Duration::from_millis(50));
    let residents = Players::start(&server, &load)?;
    residents.wait(load.players);

    load.players = command.joins;
    load.in_flight = command.joins;
    load.ramp = 1e9;
    load.reading = Reading::AtOnce;
    let mut sum = Findings::default();
    for round in 0..command.rounds {
        // Not always at the same place of a GOP.
        thread::sleep(Duration::from_millis(1300 + 370 * (round as u64 % 5)));
        sum.merge(Players::joined(&server, &load)?.findings()?);
    }
    let expected = (command.joins * command.rounds) as u64;
    let burst = Burst {
        server: server.name.clone(),
        joins: command.joins,
        rounds: command.rounds,
        connect_to_play: Times::from(&sum.connect),
        first_keyframe: Times::from(&sum.keyframe),
        without_keyframe: expected.saturating_sub(sum.keyframe.total()),
        errors: sum.errors,
    };
    drop(publishers);
    residents.stop(&mut Report::default())?;
    if command.place.json {
        println!("{}", serde_json::to_string(&burst)?);
    } else {
        println!(
            "{:<26} {} rounds of {} joins: play {}, first keyframe {}, without {} {:?}",
            burst.server,
            burst.rounds,
            burst.joins,
            burst.connect_to_play,
            burst.first_keyframe,
            burst.without_keyframe,
            burst.errors
        );
    }
    Ok(())
}

pub(crate) fn publishers(command: &PublishersCommand) -> Result<()> {
    let setup = command.place.setup(&command.media)?;
    let server = command.server.start(&setup)?;
    ensure!(server.raw.is_none(), "the bare loop takes no publishers");
    let mut load = command.media.load(command.place.cores())?;
    command.window.apply(&mut load);
    load.streams = command.count;
    load.players = command.players;
    load.sample = command.players;
    load.batch = command.media.batch.unwrap_or(Duration::from_millis(20));
    let idle = server.pid.map(system::usage).unwrap_or_default();
    let mut report = bench::measure(&server, &load)?;
    report.what = format!("{} publish", command.count);
    let grown = report.resident_kib_before as f64 - idle.resident_kib as f64;
    report.kib_per_publisher = grown / command.count.max(1) as f64;
    print(&report, command.place.json)
}

pub(crate) fn streams(command: &StreamsCommand) -> Result<()> {
    let setup = command.place.setup(&command.media)?;
    let server = command.server.start(&setup)?;
    ensure!(server.raw.is_none(), "the bare loop has one stream");
    let mut load = command.media.load(command.place.cores())?;
    command.window.apply(&mut load);
    load.streams = command.count;
    load.players = command.count;
    load.sample = command.sample;
    load.reading = command.read;
    let publishers = Publishers::start(&server, &load)?;
    thread::sleep(load.settle);
    let mut ingest = bench::window(&server, &load, &publishers, None);
    ingest.what = "ingest".into();
    print(&ingest, command.place.json)?;

    let players = Players::start(&server, &load)?;
    players.wait(load.players);
    thread::sleep(load.warm_up);
    let mut report = bench::window(&server, &load, &publishers, Some(&players));
    report.what = format!("{} streams", command.count);
    report.resident_kib_before = ingest.resident_kib_after;
    let grown = report.resident_kib_after as f64 - ingest.resident_kib_after as f64;
    report.kib_per_player = grown / report.playing.max(1) as f64;
    players.stop(&mut report)?;
    print(&report, command.place.json)
}

#[derive(Serialize)]
struct Churn {
    server: String,
    cycles: usize,
    failed: usize,
    seconds: f64,
    cycles_per_second: f64,
    connect_to_play: Times,
    cpu_seconds: f64,
    resident_kib_idle: u64,
    /// After the first tenth, when pools and caches have their size.
    resident_kib_before: u64,
    resident_kib_after: u64,
    descriptors_before: u64,
    descriptors_after: u64,
    errors: Vec<String>,
}

pub(crate) fn churn(command: &ChurnCommand) -> Result<()> {
    let setup = command.place.setup(&command.media)?;
    let server = command.server.start(&setup)?;
    ensure!(
        server.raw.is_none() || command.server.server.kind != Kind::Floor,
        "the bare loop reuses no slots"
    );
    let mut load = command.media.load(command.place.cores())?;
    let _publishers = Publishers::start(&server, &load)?;
    thread::sleep(load.settle);
    load.players = command.parallel;
    load.in_flight = command.parallel;
    load.ramp = 1e9;
    let usage = || {
        // Goodbyes are still on their way.
        thread::sleep(Duration::from_secs(3));
        server.pid.map(system::usage).unwrap_or_default()
    };
    let idle = usage();
    let first = command.cycles / 10;
    Players::task(&server, &load, Task::Churn { cycles: first })?;
    let before = usage();
    let begin = Instant::now();
    let cycles = command.cycles - first;
    let findings = Players::task(&server, &load, Task::Churn { cycles })?;
    let seconds = begin.elapsed().as_secs_f64();
    let after = usage();
    let played = findings.connect.total() as usize;
    let churn = Churn {
        server: server.name.clone(),
        cycles: played,
        failed: cycles.saturating_sub(played),
        seconds,
        cycles_per_second: played as f64 / seconds,
        connect_to_play: Times::from(&findings.connect),
        cpu_seconds: after.cpu_seconds - before.cpu_seconds,
        resident_kib_idle: idle.resident_kib,
        resident_kib_before: before.resident_kib,
        resident_kib_after: after.resident_kib,
        descriptors_before: before.descriptors,
        descriptors_after: after.descriptors,
        errors: findings.errors,
    };
    if command.place.json {
        println!("{}", serde_json::to_string(&churn)?);
    } else {
        println!(
            "{:<26} {} cycles, {} failed, {:.0}/s, play {} | resident KiB idle {} after a tenth {} at the end {} | descriptors {} -> {} {:?}",
            churn.server,
            churn.cycles,
            churn.failed,
            churn.cycles_per_second,
            churn.connect_to_play,
            churn.resident_kib_idle,
            churn.resident_kib_before,
            churn.resident_kib_after,
            churn.descriptors_before,
            churn.descriptors_after,
            churn.errors,
        );
    }
    Ok(())
}
