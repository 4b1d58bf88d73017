//! What a measurement says, for people and for programs.

use std::fmt;

use serde::Serialize;

use crate::check::Findings;
use crate::stats::Histogram;

/// Percentiles in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Times {
    pub(crate) samples: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

impl From<&Histogram> for Times {
    fn from(histogram: &Histogram) -> Self {
        Self {
            samples: histogram.total(),
            p50_ms: histogram.ms(0.5),
            p99_ms: histogram.ms(0.99),
            max_ms: histogram.max() as f64 / 1000.0,
        }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.samples {
            0 => f.write_str("-"),
            _ => write!(
                f,
                "{:.1}/{:.1} ms (max {:.0})",
                self.p50_ms, self.p99_ms, self.max_ms
            ),
        }
    }
}

/// More than this of a core for others, and the figures are not to be trusted.
pub(crate) const DISTURBED: f64 = 0.08;

/// One measuring window.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) server: String,
    pub(crate) what: String,
    pub(crate) players: u64,
    pub(crate) streams: u64,
    pub(crate) rate: u64,
    pub(crate) read: String,
    pub(crate) seconds: f64,
    pub(crate) playing: u64,
    pub(crate) failed: u64,
    pub(crate) disconnects: u64,
    /// Bytes the players received in the window, in 10⁹.
    pub(crate) gigabytes: f64,
    /// Of the bytes the clip's rate promises.
    pub(crate) delivered: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) cpu_seconds_per_gb: f64,
    /// CPU seconds of the server per second.
    pub(crate) core_share: f64,
    /// CPU seconds of this tool per second: near 1, it measures itself.
    pub(crate) own_share: f64,
    /// What others took of a core that was to be ours alone, the worse of the two.
    pub(crate) others_share: f64,
    pub(crate) switches_per_second: f64,
    pub(crate) resident_kib_before: u64,
    pub(crate) resident_kib_after: u64,
    pub(crate) kib_per_player: f64,
    pub(crate) kib_per_publisher: f64,
    pub(crate) descriptors: u64,
    pub(crate) latency: Times,
    pub(crate) connect_to_play: Times,
    pub(crate) first_keyframe: Times,
    pub(crate) tags: u64,
    /// Tags more than 500 ms old when they came.
    pub(crate) late: u64,
    pub(crate) missing: u64,
    pub(crate) reordered: u64,
    pub(crate) corrupt: u64,
    /// The longest time any player received nothing.
    pub(crate) worst_gap_ms: u32,
    /// How far the player that received least is behind the one that received most.
    pub(crate) spread_ms: f64,
    pub(crate) published_tags: u64,
    pub(crate) sent_late: u64,
    pub(crate) worst_send_ms: f64,
    pub(crate) left_out: u64,
    pub(crate) publisher_disconnects: u64,
    pub(crate) errors: Vec<String>,
}

impl Report {
    /// Takes over what the players found.
    pub(crate) fn players(&mut self, findings: &Findings) {
        self.latency = Times::from(&findings.latency);
        self.connect_to_play = Times::from(&findings.connect);
        self.first_keyframe = Times::from(&findings.keyframe);
        self.tags = findings.tags;
        self.late = findings.late;
        self.missing = findings.missing;
        self.reordered = findings.reordered;
        self.corrupt = findings.corrupt;
        self.worst_gap_ms = findings.worst_gap_ms;
        let spread = findings.most_bytes - findings.least_bytes.unwrap_or(findings.most_bytes);
        self.spread_ms = spread as f64 * 8000.0 / self.rate.max(1) as f64;
        self.errors.clone_from(&findings.errors);
    }

    /// Whether every tag of every player arrived whole and in time.
    pub(crate) fn is_clean(&self) -> bool {
        self.missing + self.reordered + self.corrupt + self.late == 0
            && self.failed + self.disconnects + self.publisher_disconnects + self.left_out == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<26} {:<12}", self.server, self.what)?;
        if self.cpu_seconds > 0.0 {
            write!(f, " {:.1} % core |", self.core_share * 100.0)?;
            // Where streams outnumber players, the work is not in what is delivered.
            if self.players >= self.streams {
                write!(f, " {:.3} CPU-s/GB |", self.cpu_seconds_per_gb)?;
            }
        }
        if self.players > 0 {
            write!(f, " latency {} |", self.latency)?;
            write!(
                f,
                " {}/{} players {}",
                self.playing, self.players, self.read
            )?;
            write!(
                f,
                ", {:.3} GB, {:.2} % delivered",
                self.gigabytes,
                self.delivered * 100.0
            )?;
            write!(
                f,
                ", gap {} ms, spread {:.0} ms |",
                self.worst_gap_ms, self.spread_ms
            )?;
            write!(
                f,
                " play {} key {} |",
                self.connect_to_play, self.first_keyframe
            )?;
            write!(f, " {:.1} KiB/player", self.kib_per_player)?;
        }
        if self.kib_per_publisher > 0.0 {
            write!(f, " {:.1} KiB/publisher", self.kib_per_publisher)?;
        }
        write!(
            f,
            " {:.0} switches/s, own core {:.0} %",
            self.switches_per_second,
            self.own_share * 100.0
        )?;
        if self.sent_late > 0 {
            write!(
                f,
                " | SENT LATE {} of {}, worst {:.0} ms",
                self.sent_late, self.published_tags, self.worst_send_ms
            )?;
        }
        if self.others_share > DISTURBED {
            write!(
                f,
                " | DISTURBED: others took {:.0} % of a core",
                self.others_share * 100.0
            )?;
        }
        if !self.is_clean() {
            f.write_str(" | NOT CLEAN:")?;
            for (what, count) in [
                ("late", self.late),
                ("missing", self.missing),
                ("reordered", self.reordered),
                ("corrupt", self.corrupt),
                ("failed", self.failed),
                ("disconnects", self.disconnects),
                ("publishers lost", self.publisher_disconnects),
                ("left out", self.left_out),
            ] {
                if count > 0 {
                    write!(f, " {what} {count}")?;
                }
            }
        }
        for error in &self.errors {
            write!(f, "\n    {error}")?;
        }
        Ok(())
    }
}
