//! A run: a server, its publishers, its players, and a window in which all is measured.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::check::Findings;
use crate::clip::Clip;
use crate::meter::{Measured, Meter};
use crate::report::Report;
use crate::server::Server;
use crate::swarm::{self, Reading, Task, window};
use crate::{net, publish, system};

/// How long publishers and players may take to begin.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(120);

/// The load, whatever the server.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) clip: Arc<Clip>,
    pub(crate) rate: u64,
    pub(crate) players: usize,
    pub(crate) streams: usize,
    /// How many players look at what they receive.
    pub(crate) sample: usize,
    pub(crate) reading: Reading,
    pub(crate) ramp: f64,
    pub(crate) in_flight: usize,
    pub(crate) settle: Duration,
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
    pub(crate) publish_chunk: usize,
    pub(crate) batch: Duration,
    /// The cores of the server and of this tool, where others may disturb them.
    pub(crate) cores: [usize; 2],
}

/// Publishers at work; stopped when dropped.
pub(crate) struct Publishers {
    pub(crate) progress: Arc<publish::Progress>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Publishers {
    /// Somebody else publishes.
    pub(crate) fn none() -> Self {
        Self {
            progress: Arc::default(),
            thread: None,
        }
    }

    /// Starts publishers, and waits until all are live; none for a server that sends by itself.
    pub(crate) fn start(server: &Server, load: &Load) -> Result<Self> {
        if server.raw.is_some() {
            return Ok(Self::none());
        }
        let progress = Arc::new(publish::Progress::default());
        let plan = publish::Plan {
            target: server.target.clone(),
            address: net::resolve(&server.target.authority)?,
            streams: load.streams,
            ramp: 500.0,
            clip: load.clip.clone(),
            chunk_size: load.publish_chunk,
            batch: load.batch,
        };
        let shared = progress.clone();
        let thread = thread::Builder::new()
            .name("publishers".into())
            .spawn(move || publish::run(&plan, &shared))?;
        let publishers = Self {
            progress,
            thread: Some(thread),
        };
        let begin = Instant::now();
        while publishers.progress.live.load(Relaxed) < load.streams as u64 {
            if begin.elapsed() > BEGIN_TIMEOUT || publishers.progress.failed.load(Relaxed) > 0 {
                bail!(
                    "only {} of {} publish",
                    publishers.progress.live.load(Relaxed),
                    load.streams
                );
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(publishers)
    }
}

impl Drop for Publishers {
    fn drop(&mut self) {
        self.progress.stop.store(true, Relaxed);
        if let Some(Err(error)) = self.thread.take().and_then(|thread| thread.join().ok()) {
            eprintln!("publishers: {error:#}");
        }
    }
}

/// Players at work, those that look in a thread of their own: so the others do not delay what
/// they measure.
pub(crate) struct Players {
    groups: Vec<(Arc<swarm::Progress>, JoinHandle<Result<Findings>>)>,
}

impl Players {
    pub(crate) fn start(server: &Server, load: &Load) -> Result<Self> {
        let address = net::resolve(server.players_go_to())?;
        let sample = load.sample.min(load.players);
        let mut groups = Vec::new();
        for (players, task, reading) in [
            (sample, Task::Check, Reading::AtOnce),
            (load.players - sample, Task::Drain, load.reading),
        ] {
            if players > 0 {
                let share = players as f64 / load.players as f64;
                let mut plan = plan(server, address, load, players, task);
                plan.reading = reading;
                // Those who look join all along the ramp.
                plan.ramp = (load.ramp * share).max(0.5);
                groups.push(spawn(plan)?);
            }
        }
        Ok(Self { groups })
    }

    /// A group with a task that ends by itself.
    pub(crate) fn task(server: &Server, load: &Load, task: Task) -> Result<Findings> {
        let address = net::resolve(server.players_go_to())?;
        let (progress, thread) = spawn(plan(server, address, load, load.players, task))?;
        let mut said = Instant::now();
        while !thread.is_finished() {
            thread::sleep(Duration::from_millis(20));
            if said.elapsed() > Duration::from_secs(10) {
                said = Instant::now();
                eprintln!("  {} came and left", progress.left.load(Relaxed));
            }
        }
        join(thread)
    }

    /// Players who come for the first keyframe, and stay; waits until all have one, or no more get any.
    pub(crate) fn joined(server: &Server, load: &Load) -> Result<Self> {
        let address = net::resolve(server.players_go_to())?;
        let group = spawn(plan(server, address, load, load.players, Task::Join))?;
        let players = Self {
            groups: vec![group],
        };
        let patience = swarm::SETUP_TIMEOUT + Duration::from_secs(5);
        let patience = patience + Duration::from_secs_f64(1.0 / load.ramp);
        let (mut before, mut since) = (0, Instant::now());
        loop {
            let here = players.sum(|progress| progress.joined.load(Relaxed)) + players.lost();
            let is_over = players.groups.iter().any(|group| group.1.is_finished());
            if here >= load.players as u64 || is_over || since.elapsed() > patience {
                return Ok(players);
            }
            if here > before {
                (before, since) = (here, Instant::now());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn sum(&self, of: impl Fn(&swarm::Progress) -> u64) -> u64 {
        self.groups.iter().map(|(progress, _)| of(progress)).sum()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.sum(|progress| progress.bytes.load(Relaxed))
    }

    pub(crate) fn playing(&self) -> u64 {
        self.sum(|progress| progress.playing.load(Relaxed))
    }

    fn lost(&self) -> u64 {
        self.sum(|progress| progress.failed.load(Relaxed) + progress.disconnects.load(Relaxed))
    }

    /// Waits until all of them play or have failed.
    pub(crate) fn wait(&self, players: usize) {
        let begin = Instant::now();
        let here = || self.playing() + self.lost();
        while here() < players as u64 && begin.elapsed() < BEGIN_TIMEOUT {
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn window(&self, phase: u8) {
        for (progress, _) in &self.groups {
            progress.window.store(phase, Relaxed);
        }
    }

    /// Stops them, and says what they found.
    pub(crate) fn stop(self, report: &mut Report) -> Result<()> {
        report.failed += self.sum(|progress| progress.failed.load(Relaxed));
        report.disconnects += self.sum(|progress| progress.disconnects.load(Relaxed));
        report.players(&self.findings()?);
        Ok(())
    }

    /// Stops them: what they found, for those who make no report of it.
    pub(crate) fn findings(self) -> Result<Findings> {
        for (progress, _) in &self.groups {
            progress.stop.store(true, Relaxed);
        }
        let mut findings = Findings::default();
        for (_, thread) in self.groups {
            findings.merge(join(thread)?);
        }
        Ok(findings)
    }
}

fn plan(
    server: &Server,
    address: SocketAddr,
    load: &Load,
    players: usize,
    task: Task,
) -> swarm::Plan {
    swarm::Plan {
        target: server.target.clone(),
        address,
        raw: server.raw,
        flv: server.flv.clone(),
        players,
        streams: load.streams,
        ramp: load.ramp,
        in_flight: load.in_flight,
        reading: load.reading,
        task,
    }
}

fn spawn(plan: swarm::Plan) -> Result<(Arc<swarm::Progress>, JoinHandle<Result<Findings>>)> {
    let progress = Arc::new(swarm::Progress::default());
    let shared = progress.clone();
    let thread = thread::Builder::new()
        .name("players".into())
        .spawn(move || swarm::run(&plan, &shared))?;
    Ok((progress, thread))
}

fn join(thread: JoinHandle<Result<Findings>>) -> Result<Findings> {
    thread
        .join()
        .unwrap_or_else(|_| bail!("the players' thread panicked"))
}

/// Measures a server under a load.
pub(crate) fn measure(server: &Server, load: &Load) -> Result<Report> {
    let publishers = Publishers::start(server, load)?;
    thread::sleep(load.settle);
    let before = server.pid.map(system::usage).unwrap_or_default();
    let players = Players::start(server, load)?;
    players.wait(load.players);
    thread::sleep(load.warm_up);
    let mut report = window(server, load, &publishers, Some(&players));
    report.resident_kib_before = before.resident_kib;
    let grown = report.resident_kib_after as f64 - before.resident_kib as f64;
    report.kib_per_player = grown / (report.playing.max(1)) as f64;
    players.stop(&mut report)?;
    Ok(report)
}

/// Measures one window, with players or without.
pub(crate) fn window(
    server: &Server,
    load: &Load,
    publishers: &Publishers,
    players: Option<&Players>,
) -> Report {
    let bytes = || players.map_or(0, Players::bytes);
    let phase = |phase| players.inspect(|players| players.window(phase));
    let publishing = &publishers.progress;

    let before = server.pid.map(system::usage).unwrap_or_default();
    publishing.late.store(0, Relaxed);
    publishing.worst_late_us.store(0, Relaxed);
    phase(window::OPEN);
    let tags_before = publishing.tags.load(Relaxed);
    let (meter, bytes_before) = (Meter::start(server, load.cores), bytes());
    thread::sleep(load.window);
    let gigabytes = (bytes() - bytes_before) as f64 / 1e9;
    let measured = meter.stop();
    let Measured {
        seconds,
        cpu_seconds,
        ..
    } = measured;
    phase(window::CLOSED);
    let published_tags = publishing.tags.load(Relaxed) - tags_before;
    let after = server.pid.map(system::usage).unwrap_or_default();
    // The swarm sees the edge at its next turn.
    thread::sleep(Duration::from_millis(100));

    let playing = players.map_or(0, Players::playing);
    let promised = load.clip.bytes_per_second() * seconds * playing as f64 / 1e9;
    Report {
        server: server.name.clone(),
        what: "run".into(),
        players: if players.is_some() {
            load.players as u64
        } else {
            0
        },
        streams: load.streams as u64,
        rate: load.rate,
        read: match load.reading {
            Reading::AtOnce => "at-once".into(),
            Reading::Every(interval) => format!("every:{}ms", interval.as_millis()),
        },
        seconds,
        playing,
        gigabytes,
        delivered: if promised > 0.0 {
            gigabytes / promised
        } else {
            0.0
        },
        cpu_seconds,
        cpu_seconds_per_gb: if gigabytes > 0.0 {
            cpu_seconds / gigabytes
        } else {
            0.0
        },
        core_share: measured.core_share(),
        own_share: measured.own_share(),
        others_share: measured.others_share,
        switches_per_second: after.switches.saturating_sub(before.switches) as f64 / seconds,
        resident_kib_after: after.resident_kib,
        descriptors: after.descriptors,
        published_tags,
        sent_late: publishing.late.load(Relaxed),
        worst_send_ms: publishing.worst_late_us.load(Relaxed) as f64 / 1000.0,
        left_out: publishing.left_out.load(Relaxed),
        publisher_disconnects: publishing.disconnects.load(Relaxed),
        ..Report::default()
    }
}
