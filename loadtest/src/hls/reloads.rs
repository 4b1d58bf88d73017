//! Blocking reloads: how long it takes until all who wait for a part have their playlist.

use std::io::Write as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::http2::Http2;
use super::options::ReloadsCommand;
use super::playlist::Playlist;
use super::report::Reloads;
use super::scout::Scout;
use super::waiters::{Round, Waiters};
use super::wire::{Http1, Protocol};
use super::{Site, bell};
use crate::bench::Publishers;
use crate::http::Fetcher;
use crate::server::{Kind, Server, Setup};
use crate::{net, stats, system};

/// A part that is asked for comes within this, or never.
const PATIENCE: Duration = Duration::from_secs(20);

/// Descriptors that are for something else.
const SPARE: u64 = 64;

pub(crate) fn measure(command: &ReloadsCommand) -> Result<()> {
    ensure!(
        command.waiting > 0 && command.parts > 0,
        "nobody waits for anything"
    );
    let setup = command.place.setup(&command.media)?;
    if command.pair {
        return pair(command, &setup);
    }
    let report = match command.site.server.server.kind {
        Kind::Floor => floor(command, &setup, &specimen())?,
        _ => live(command, &setup)?,
    };
    print(&report, command.place.json)
}

fn live(command: &ReloadsCommand, setup: &Setup) -> Result<Reloads> {
    let load = command.media.load(command.place.cores())?;
    let site = Site::start(&command.site, setup)?;
    let _publishers = Publishers::start(&site.server, &load)?;
    let path = site.playlist(0, 1);
    drop(Scout::follow(&site.authority, &path)?);
    thread::sleep(command.settle);
    let text = Fetcher::new(&site.authority).fetch(&path)?;
    rounds(command, &site.server, &site.authority, &path, &text)
}

fn floor(command: &ReloadsCommand, setup: &Setup, answer: &[u8]) -> Result<Reloads> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(answer)?;
    file.flush()?;
    let path: &Path = file.path();
    let server = bell::start(path, command.waiting, setup)?;
    let authority = server.target.authority.clone();
    rounds(
        command,
        &server,
        &authority,
        "/live/bench/media.m3u8",
        b"#EXTM3U\n",
    )
}

/// Lets all wait for part after part, beginning behind the playlist that is known.
fn rounds(
    command: &ReloadsCommand,
    server: &Server,
    authority: &str,
    path: &str,
    text: &[u8],
) -> Result<Reloads> {
    let pids = server.pid.map(system::family).unwrap_or_default();
    let resident = || system::resident_kib(&pids);
    let before = resident();
    let address = net::resolve(authority)?;
    let (connections, at_a_time) = match command.http2 {
        true => (
            command.connections.max(1),
            command.waiting / command.connections.max(1),
        ),
        false => (command.waiting, 1),
    };
    ensure!(at_a_time > 0, "fewer requests than connections");
    let descriptors = system::raise_descriptor_limit();
    ensure!(
        connections as u64 + SPARE <= descriptors,
        "{connections} connections need more than the {descriptors} descriptors that a process may have here"
    );
    let mut protocol = || -> Box<dyn Protocol> {
        match command.http2 {
            true => Box::new(Http2::new(at_a_time)),
            false => Box::new(Http1::default()),
        }
    };
    let mut waiters = Waiters::connect(address, connections, at_a_time, &mut protocol)?;
    let mut playlist = Playlist::parse(&String::from_utf8_lossy(text))?;
    let (mut counted, mut crowded, mut cpu, mut release_cpu) = (Vec::new(), 0, 0.0, 0.0);
    let mut report = Reloads {
        server: server.name.clone(),
        protocol: if command.http2 { "HTTP/2" } else { "HTTP/1.1" },
        waiting: waiters.places(),
        connections,
        resident_kib_before: before,
        ..Reloads::default()
    };
    let (mut reloads, mut waiting_shares) = (0, Vec::new());
    // The first finds buffers and tables at their smallest, and is not counted.
    for number in 0..=command.parts {
        let asked = playlist.ahead(command.ahead).of(path);
        let begin = system::cpu_seconds(&pids);
        let mut looks = Looks::default();
        let mut look = || looks.push(resident(), system::cpu_seconds(&pids));
        let round = waiters.round(authority, &asked, PATIENCE, command.quiet / 2, &mut look)?;
        let end = system::cpu_seconds(&pids);
        ensure!(
            !round.body.is_empty(),
            "nobody was answered: {:?}",
            waiters.errors
        );
        playlist = Playlist::parse(&String::from_utf8_lossy(&round.body))?;
        report.unanswered += round.asked - round.answered;
        report.resident_kib_after = report.resident_kib_after.max(looks.resident_kib);
        if number == 0 {
            continue;
        }
        if round.quiet.is_none_or(|quiet| quiet < command.quiet) {
            crowded += 1;
            continue;
        }
        // Who asks too late for a version that is no longer kept has the newest; here nobody did.
        report.different += round.different;
        reloads += round.answered;
        cpu += end - begin;
        release_cpu += end - looks.last.map_or(begin, |(_, cpu)| cpu);
        waiting_shares.push(looks.share());
        counted.push(round);
    }
    let count = counted.len().max(1) as f64;
    let ms = |round: &Round| round.release.as_secs_f64() * 1000.0;
    let sum = |of: fn(&Round) -> Duration| counted.iter().map(of).sum::<Duration>().as_secs_f64();
    report.parts = counted.len();
    report.crowded = crowded;
    report.release_p50_ms = stats::median(counted.iter().map(ms));
    report.release_max_ms = counted.iter().map(ms).fold(0.0, f64::max);
    report.own_share = sum(|round| round.own) / sum(|round| round.release).max(1e-9);
    report.release_cpu_ms = release_cpu * 1000.0 / count;
    report.waiting_share = stats::median(waiting_shares);
    report.cpu_us_per_reload = cpu * 1e6 / reloads.max(1) as f64;
    let grown = report.resident_kib_after as f64 - before as f64;
    report.kib_per_waiting = grown.max(0.0) / waiters.places().max(1) as f64;
    report.errors = std::mem::take(&mut waiters.errors);
    if let Some(round) = counted.pop() {
        report.answer_bytes = round.body.len();
        report.answer = round.whole;
    }
    Ok(report)
}

/// The server, looked at while all wait.
#[derive(Default)]
struct Looks {
    resident_kib: u64,
    /// When, and how much processor time it had used.
    first: Option<(Instant, f64)>,
    last: Option<(Instant, f64)>,
}

impl Looks {
    fn push(&mut self, resident_kib: u64, cpu: f64) {
        let now = (Instant::now(), cpu);
        self.resident_kib = self.resident_kib.max(resident_kib);
        self.first.get_or_insert(now);
        self.last = Some(now);
    }

    fn share(&self) -> f64 {
        match (self.first, self.last) {
            (Some((begin, before)), Some((end, after))) if end > begin => {
                (after - before) / (end - begin).as_secs_f64()
            }
            _ => 0.0,
        }
    }
}

fn pair(command: &ReloadsCommand, setup: &Setup) -> Result<()> {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..command.runs {
        let report = live(command, setup)?;
        print(&report, command.place.json)?;
        ensure!(
            !report.answer.is_empty(),
            "no part counts: more --ahead, or less --waiting"
        );
        let bare = floor(command, setup, &report.answer)?;
        print(&bare, command.place.json)?;
        a.push(report);
        b.push(bare);
    }
    let median = |of: &[Reloads]| stats::median(of.iter().map(|report| report.release_p50_ms));
    let by_run = a.iter().zip(&b);
    let by_run = by_run.map(|(a, b)| a.release_p50_ms / b.release_p50_ms.max(1e-9));
    let by_run: Vec<f64> = by_run.collect();
    let (ours, bare) = (median(&a), median(&b));
    let ratio = ours / bare.max(1e-9);
    let kib = stats::median(a.iter().map(|report| report.kib_per_waiting));
    if command.place.json {
        let result = serde_json::json!({
            "release_p50_ms": [ours, bare], "ratio": ratio, "ratio_of_runs": by_run,
            "kib_per_waiting": kib, "runs": command.runs,
            "clean": a.iter().chain(&b).all(Reloads::is_clean),
        });
        println!("{result}");
    } else {
        println!(
            "release {ours:.1} ms, bare loop {bare:.1} ms: ratio {ratio:.2} (by run {by_run:.2?}), {kib:.1} KiB/request{}",
            match a.iter().chain(&b).all(Reloads::is_clean) {
                true => "",
                false => " NOT CLEAN",
            }
        );
    }
    Ok(())
}

fn print(report: &Reloads, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(report)?);
    } else {
        println!("{report}");
    }
    Ok(())
}

/// An answer like a playlist of low latency, for a bare loop alone.
fn specimen() -> Vec<u8> {
    let mut body = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:4\n\
        #EXT-X-PART-INF:PART-TARGET=0.200000\n#EXT-X-MEDIA-SEQUENCE:1000\n"
        .to_owned();
    for number in 1000..1010 {
        if number > 1003 {
            for part in 0..10 {
                let part = format!("1750000000000.2a-{number}.{part}.m4s");
                body += &format!("#EXT-X-PART:DURATION=0.200000,URI=\"{part}\"\n");
            }
        }
        body += &format!("#EXTINF:2.000000,\n1750000000000.2a-{number}.m4s\n");
    }
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
    [head, body].concat().into_bytes()
}
