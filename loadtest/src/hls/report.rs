//! What the loads of HLS say, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::meter::Measured;
use crate::report::{DISTURBED, Times};

/// What a stretch of time cost, as it is reported.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Cost {
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    /// CPU seconds of the server per second.
    pub(crate) core_share: f64,
    /// CPU seconds of this tool per second: near 1, it measures itself.
    pub(crate) own_share: f64,
    pub(crate) others_share: f64,
}

impl From<Measured> for Cost {
    fn from(measured: Measured) -> Self {
        Self {
            seconds: measured.seconds,
            cpu_seconds: measured.cpu_seconds,
            core_share: measured.core_share(),
            own_share: measured.own_share(),
            others_share: measured.others_share,
        }
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| share * 100.0;
        let (core, own) = (percent(self.core_share), percent(self.own_share));
        write!(f, "{core:.1} % core, own core {own:.0} %")?;
        if self.others_share > DISTURBED {
            let others = percent(self.others_share);
            write!(f, " | DISTURBED: others took {others:.0} % of a core")?;
        }
        Ok(())
    }
}

/// Errors, and how often each was seen.
pub(crate) type Errors = BTreeMap<String, u64>;

/// One window of pollers.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Segments {
    pub(crate) server: String,
    pub(crate) mode: &'static str,
    pub(crate) pollers: usize,
    pub(crate) segment_seconds: f64,
    /// Bytes the pollers received in the window, in 10⁹.
    pub(crate) gigabytes: f64,
    pub(crate) cpu_seconds_per_gb: f64,
    /// Without what the server used before the first poller came: taking the stream, and packaging it.
    pub(crate) serving_cpu_seconds_per_gb: f64,
    /// Of the core, before the first poller came.
    pub(crate) idle_share: f64,
    pub(crate) cost: Cost,
    pub(crate) segment: Times,
    pub(crate) playlist: Times,
    pub(crate) kib_per_poller: f64,
    /// Turns that began while the answer to the one before was still on its way.
    pub(crate) overruns: u64,
    /// Turns that this tool began too late, and tags that it sent too late.
    pub(crate) late: u64,
    /// How often there was a new segment.
    pub(crate) new_segments: u64,
    pub(crate) errors: Errors,
}

impl Segments {
    pub(crate) fn is_clean(&self) -> bool {
        self.errors.is_empty() && self.overruns == 0
    }
}

impl fmt::Display for Segments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<22} {:<4} {:.3} CPU-s/GB ({:.3} of it for serving; idle {:.1} % core) | {} | \
             segment {}, playlist {} | {} pollers, {} segments, {:.3} GB | {:.1} KiB/poller",
            self.server,
            self.mode,
            self.cpu_seconds_per_gb,
            self.serving_cpu_seconds_per_gb,
            self.idle_share * 100.0,
            self.cost,
            self.segment,
            self.playlist,
            self.pollers,
            self.segment.samples,
            self.gigabytes,
            self.kib_per_poller,
        )?;
        if self.late > 0 {
            write!(f, " | LATE {}", self.late)?;
        }
        if self.overruns > 0 {
            write!(f, " | NOT CLEAN: {} turns left out", self.overruns)?;
        }
        errors(f, &self.errors)
    }
}

/// What all who waited saw.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Reloads {
    pub(crate) server: String,
    pub(crate) protocol: &'static str,
    pub(crate) waiting: usize,
    pub(crate) connections: usize,
    /// Parts that count.
    pub(crate) parts: usize,
    /// Parts that do not: they came before all had asked for long enough.
    pub(crate) crowded: usize,
    pub(crate) answer_bytes: usize,
    /// From the first byte of any answer to the last byte of the last.
    pub(crate) release_p50_ms: f64,
    pub(crate) release_max_ms: f64,
    /// Processor time of this tool in releases, in their length: near 1, it measures itself.
    pub(crate) own_share: f64,
    /// Processor time of the server, from at most 20 ms before a release to its end.
    pub(crate) release_cpu_ms: f64,
    /// What it takes of a core while all wait, and other parts come.
    pub(crate) waiting_share: f64,
    /// Of all of it, connections aside: taking the requests too.
    pub(crate) cpu_us_per_reload: f64,
    pub(crate) kib_per_waiting: f64,
    pub(crate) resident_kib_before: u64,
    pub(crate) resident_kib_after: u64,
    pub(crate) different: usize,
    pub(crate) unanswered: usize,
    pub(crate) errors: Errors,
    #[serde(skip)]
    pub(crate) answer: Vec<u8>,
}

impl Reloads {
    pub(crate) fn is_clean(&self) -> bool {
        self.errors.is_empty() && self.different + self.unanswered == 0 && self.parts > 0
    }
}

impl fmt::Display for Reloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<22} {} {} waiting on {} connections | release {:.1} ms (max {:.1}), {} parts, own core {:.0} % | \
             {:.0} CPU-ms, {:.1} CPU-us/reload, {:.1} % core while they wait | {:.1} KiB/request | \
             answers of {} bytes",
            self.server,
            self.protocol,
            self.waiting,
            self.connections,
            self.release_p50_ms,
            self.release_max_ms,
            self.parts,
            self.own_share * 100.0,
            self.release_cpu_ms,
            self.cpu_us_per_reload,
            self.waiting_share * 100.0,
            self.kib_per_waiting,
            self.answer_bytes,
        )?;
        if self.crowded > 0 {
            write!(f, " | {} parts left out: they came too early", self.crowded)?;
        }
        if self.different + self.unanswered > 0 {
            let (different, unanswered) = (self.different, self.unanswered);
            write!(
                f,
                " | NOT CLEAN: {different} different, {unanswered} without an answer"
            )?;
        }
        errors(f, &self.errors)
    }
}

/// One line for each kind of error.
pub(crate) fn errors(f: &mut fmt::Formatter<'_>, errors: &Errors) -> fmt::Result {
    for (error, count) in errors {
        write!(f, "\n    NOT CLEAN: {count} × {error}")?;
    }
    Ok(())
}
