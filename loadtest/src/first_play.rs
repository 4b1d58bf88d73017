//! The first play of a stream at an edge, which has to fetch it, and the second.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::bench::{Players, Publishers};
use crate::check::Findings;
use crate::cluster::Cluster;
use crate::options::FirstPlayCommand;
use crate::report::Times;
use crate::swarm::Reading;

/// From the last cold play to the first warm one: what the cold ones were sent is on its way.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Serialize)]
struct FirstPlay {
    server: String,
    /// `None` for one that was found.
    edge_core: Option<usize>,
    streams: usize,
    rate: u64,
    settle_seconds: f64,
    /// `None` at once.
    gap_ms: Option<f64>,
    cold: Plays,
    warm: Plays,
    sent_late: u64,
}

/// One play of each stream.
#[derive(Serialize)]
struct Plays {
    play_to_answer: Times,
    play_to_keyframe: Times,
    without_keyframe: u64,
    errors: Vec<String>,
}

pub(crate) fn measure(command: &FirstPlayCommand) -> Result<()> {
    let setup = command.place.setup(&command.media)?;
    let mut load = command.media.load(command.place.cores())?;
    load.streams = command.streams;
    load.players = command.streams;
    load.reading = Reading::Every(Duration::from_millis(50));
    let gap = Some(command.gap).filter(|gap| !command.at_once && !gap.is_zero());
    (load.ramp, load.in_flight) = match gap {
        Some(gap) => (1.0 / gap.as_secs_f64(), 1),
        None => (1e9, command.streams),
    };
    let core = command.edge_core.unwrap_or(command.place.server_core);
    let (cluster, edge_core) = match (&command.publish_to, &command.play_from) {
        (Some(origin), Some(edge)) => (Cluster::found(origin, edge)?, None),
        _ => (
            Cluster::start(&command.server, &command.etcd, &setup, core)?,
            Some(core),
        ),
    };

    let publishers = Publishers::start(&cluster.origin, &load)?;
    thread::sleep(command.settle);
    publishers.progress.late.store(0, Relaxed);
    let cold = Players::joined(&cluster.edge, &load)?;
    thread::sleep(PAUSE);
    // The first players stay, and with them what the edge has.
    let warm = Players::joined(&cluster.edge, &load)?;
    let sent_late = publishers.progress.late.load(Relaxed);
    let report = FirstPlay {
        server: cluster.edge.name.clone(),
        edge_core,
        streams: command.streams,
        rate: load.rate,
        settle_seconds: command.settle.as_secs_f64(),
        gap_ms: gap.map(|gap| gap.as_secs_f64() * 1000.0),
        cold: Plays::of(cold.findings()?, command.streams),
        warm: Plays::of(warm.findings()?, command.streams),
        sent_late,
    };
    if command.place.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}");
    }
    Ok(())
}

impl Plays {
    fn of(findings: Findings, streams: usize) -> Self {
        Self {
            play_to_answer: Times::from(&findings.answer),
            play_to_keyframe: Times::from(&findings.picture),
            without_keyframe: (streams as u64).saturating_sub(findings.picture.total()),
            errors: findings.errors,
        }
    }
}

impl fmt::Display for FirstPlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<26} {} streams, ", self.server, self.streams)?;
        match self.gap_ms {
            Some(gap) => write!(f, "one every {gap} ms")?,
            None => f.write_str("all at once")?,
        }
        if let Some(core) = self.edge_core {
            write!(f, ", edge on core {core}")?;
        }
        write!(f, " | cold: {} | warm: {}", self.cold, self.warm)?;
        if self.sent_late > 0 {
            write!(f, " | SENT LATE {}", self.sent_late)?;
        }
        Ok(())
    }
}

impl fmt::Display for Plays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            play_to_answer,
            play_to_keyframe,
            without_keyframe,
            errors,
        } = self;
        write!(
            f,
            "play {play_to_answer}, first keyframe {play_to_keyframe}, without {without_keyframe} {errors:?}"
        )
    }
}
