//! What a stretch of time cost: the server, this tool, and others on their cores.

use std::time::Instant;

use crate::server::Server;
use crate::system;

/// A stretch that has begun.
pub(crate) struct Meter {
    pids: Vec<u32>,
    cores: [usize; 2],
    begin: Instant,
    cpu: f64,
    own: f64,
    busy: [(f64, f64); 2],
}

/// One that is over.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    /// Of this tool.
    pub(crate) own_seconds: f64,
    /// What others took of a core that was to be ours alone, the worse of the two.
    pub(crate) others_share: f64,
}

impl Meter {
    /// Of a server and its children as of now, on the first of these cores; we are on the second.
    pub(crate) fn start(server: &Server, cores: [usize; 2]) -> Self {
        let pids = server.pid.map(system::family).unwrap_or_default();
        Self {
            begin: Instant::now(),
            cpu: system::cpu_seconds(&pids),
            own: own_seconds(),
            busy: cores.map(system::core_seconds),
            pids,
            cores,
        }
    }

    pub(crate) fn stop(&self) -> Measured {
        let seconds = self.begin.elapsed().as_secs_f64();
        let cpu_seconds = system::cpu_seconds(&self.pids) - self.cpu;
        let own_seconds = own_seconds() - self.own;
        let after = self.cores.map(system::core_seconds);
        let ours = [cpu_seconds, own_seconds];
        let others = self.busy.iter().zip(&after).zip(ours);
        let others = others.map(|((before, after), ours)| {
            let (busy, stolen) = (after.0 - before.0, after.1 - before.1);
            ((busy - ours).max(0.0) + stolen) / seconds
        });
        Measured {
            seconds,
            cpu_seconds,
            own_seconds,
            others_share: others.fold(0.0, f64::max),
        }
    }
}

impl Measured {
    pub(crate) fn core_share(&self) -> f64 {
        self.cpu_seconds / self.seconds
    }

    pub(crate) fn own_share(&self) -> f64 {
        self.own_seconds / self.seconds
    }
}

fn own_seconds() -> f64 {
    system::cpu_seconds(&[std::process::id()])
}
