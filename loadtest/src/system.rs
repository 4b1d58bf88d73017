//! What the kernel says about a process, and what this process asks of the kernel.

use std::collections::HashMap;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Resource, Rlimit};
use rustix::thread::CpuSet;

/// Nanoseconds of the wall clock, as stamped into tags.
pub(crate) fn wall_ns() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64)
}

/// As many descriptors as we may have; children inherit it.
pub(crate) fn raise_descriptor_limit() -> u64 {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Refused only where the limit is already as wanted.
    let _ = rustix::process::setrlimit(Resource::Nofile, wanted);
    rustix::process::getrlimit(Resource::Nofile)
        .current
        .unwrap_or(u64::MAX)
}

/// Keeps this thread, and those it will start, on one core. A machine without it is left alone.
pub(crate) fn pin(core: usize) {
    if core
        < std::thread::available_parallelism()
            .map_or(1, usize::from)
            .max(2)
    {
        let mut set = CpuSet::new();
        set.set(core);
        let _ = rustix::thread::sched_setaffinity(None, &set);
    }
}

/// Lets this thread go first: a meter that waits for the drains would measure itself.
pub(crate) fn go_first() {
    let _ = rustix::process::setpriority_process(None, -10);
}

/// Priority over what else runs on this machine, given back when dropped.
///
/// A desktop or development kernel shares the CPU between sessions first (sched(7), autogroup), so
/// that a thread's own priority counts for nothing against another session.
pub(crate) struct Urgency(());

const AUTOGROUP: &str = "/proc/self/autogroup";

impl Urgency {
    pub(crate) fn claim() -> Self {
        // Without the right to, or without autogroups, things stay as they are.
        let _ = fs::write(AUTOGROUP, "-15");
        Self(())
    }
}

impl Drop for Urgency {
    fn drop(&mut self) {
        let _ = fs::write(AUTOGROUP, "0");
    }
}

/// Seconds that any process has spent on a core, and seconds the host kept it from us.
pub(crate) fn core_seconds(core: usize) -> (f64, f64) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let name = format!("cpu{core} ");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(&name))
        .unwrap_or_default();
    let ticks: Vec<f64> = line
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let tick = |index: usize| ticks.get(index).copied().unwrap_or(0.0);
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    // user nice system idle iowait irq softirq steal
    let busy = tick(0) + tick(1) + tick(2) + tick(5) + tick(6);
    (busy / per_second, tick(7) / per_second)
}

/// What a process and its children have used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_kib: u64,
    pub(crate) switches: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
}

/// Adds up a process and all its descendants; nothing of one that is gone.
pub(crate) fn usage(pid: u32) -> Usage {
    let mut sum = Usage::default();
    for pid in family(pid) {
        let Some(stat) = stat(pid) else { continue };
        sum.cpu_seconds += stat.cpu_seconds;
        sum.threads += stat.threads;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        sum.resident_kib += number_after(&status, "VmRSS:");
        sum.descriptors += entries(&format!("/proc/{pid}/fd"));
        if let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) {
            for task in tasks.flatten() {
                let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
                sum.switches += number_after(&status, "\nvoluntary_ctxt_switches:");
                sum.switches += number_after(&status, "nonvoluntary_ctxt_switches:");
            }
        }
    }
    sum
}

/// The CPU seconds alone, of a process and its children: cheap enough to read at a window's edge.
pub(crate) fn cpu_seconds(pids: &[u32]) -> f64 {
    pids.iter()
        .filter_map(|pid| stat(*pid))
        .map(|stat| stat.cpu_seconds)
        .sum()
}

/// The resident memory alone, of these processes.
pub(crate) fn resident_kib(pids: &[u32]) -> u64 {
    let of = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    pids.iter()
        .map(|pid| number_after(&of(pid), "VmRSS:"))
        .sum()
}

fn entries(folder: &str) -> u64 {
    fs::read_dir(folder).map_or(0, |entries| entries.count() as u64)
}

fn number_after(text: &str, name: &str) -> u64 {
    text.split_once(name)
        .and_then(|(_, rest)| rest.split_whitespace().next())
        .and_then(|word| word.parse().ok())
        .unwrap_or(0)
}

struct Stat {
    parent: u32,
    cpu_seconds: f64,
    threads: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in brackets may hold spaces; the numbers behind it count from field 3.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |index: usize| {
        fields
            .get(index - 3)
            .and_then(|text| text.parse::<u64>().ok())
    };
    let ticks = field(14)? + field(15)?;
    let per_second = rustix::param::clock_ticks_per_second() as f64;
    Some(Stat {
        parent: field(4)? as u32,
        cpu_seconds: ticks as f64 / per_second,
        threads: field(20)?,
    })
}

/// A process and its descendants.
pub(crate) fn family(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        if let Some(stat) = stat(pid) {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        found.extend(children.remove(&pid).unwrap_or_default());
        next += 1;
    }
    found
}

/// Asks a process to end.
pub(crate) fn terminate(pid: u32) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_sees_its_own_use() {
        let usage = usage(std::process::id());
        assert!(usage.resident_kib > 500 && usage.threads >= 1 && usage.descriptors >= 3);
        assert!(usage.switches > 0);
        assert_eq!(number_after("VmRSS:\t  1234 kB\n", "VmRSS:"), 1234);
        assert_eq!(
            family(std::process::id()).first(),
            Some(&std::process::id())
        );
    }
}
