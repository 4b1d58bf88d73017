//! How much memory is used, of how much.

use std::path::Path;

use super::cgroup::Groups;

/// Memory, and what bounds it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) used: u64,
    pub(super) limit: u64,
    pub(super) bound: Bound,
}

/// Whose bound it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Bound {
    Configured,
    /// The control group's, beyond which the system ends processes.
    Group,
    #[default]
    Machine,
}

impl Memory {
    pub(super) fn share(&self) -> f64 {
        if self.limit == 0 {
            return 0.0;
        }
        self.used as f64 / self.limit as f64
    }
}

/// Whatever is fullest of what bounds us. A configured bound of 0 is none.
pub(super) fn fullest(
    configured: u64,
    groups: &Groups,
    read: impl Fn(&Path) -> Option<String>,
) -> Memory {
    let field = |file: &str, name| kilobytes(&read(Path::new(file))?, name);
    let resident = field("/proc/self/status", "VmRSS:").unwrap_or(0);
    let configured = Memory {
        used: resident,
        limit: configured,
        bound: Bound::Configured,
    };
    // What others on the machine take is not there for us.
    let available = field("/proc/meminfo", "MemAvailable:");
    let machine = Memory {
        used: resident,
        limit: available.map_or(0, |available| resident.saturating_add(available)),
        bound: Bound::Machine,
    };
    let group = groups.memory(&read).map(|(used, limit)| Memory {
        used,
        limit,
        bound: Bound::Group,
    });
    let bounds = [Some(machine), group, Some(configured)];
    let fullest = |one: &Memory, other: &Memory| one.share().total_cmp(&other.share());
    bounds
        .into_iter()
        .flatten()
        .max_by(fullest)
        .unwrap_or_default()
}

/// A line such as `VmRSS:     1234 kB`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.split_whitespace().next()?.parse().ok()?;
    number.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100 MiB are ours, 900 more are to be had.
    fn proc(file: &Path) -> Option<String> {
        let text = match file.to_str()? {
            "/proc/self/status" => "Name:\tweir\nVmHWM:\t  204800 kB\nVmRSS:\t  102400 kB\n",
            "/proc/meminfo" => "MemTotal: 4096000 kB\nMemAvailable:    921600 kB\n",
            _ => return None,
        };
        Some(text.to_owned())
    }

    #[test]
    fn without_any_bound_it_is_what_the_machine_has_left() {
        let memory = fullest(0, &Groups::default(), proc);
        assert_eq!(memory.bound, Bound::Machine);
        assert!((memory.share() - 0.1).abs() < 1e-9);
    }

    #[test]
    fn the_fullest_bound_counts() {
        let tight = fullest(200 << 20, &Groups::default(), proc);
        assert_eq!((tight.bound, tight.share()), (Bound::Configured, 0.5));
        let wide = fullest(1 << 40, &Groups::default(), proc);
        assert_eq!(wide.bound, Bound::Machine);
        let grouped = |file: &Path| match file.to_str()? {
            "/proc/self/cgroup" => Some("0::/weir\n".to_owned()),
            "/sys/fs/cgroup/weir/memory.max" => Some("1000\n".to_owned()),
            "/sys/fs/cgroup/weir/memory.current" => Some("900\n".to_owned()),
            _ => proc(file),
        };
        let memory = fullest(200 << 20, &Groups::find(grouped), grouped);
        assert_eq!(
            (memory.bound, memory.used, memory.limit),
            (Bound::Group, 900, 1000)
        );
    }

    #[test]
    fn what_nobody_tells_is_no_bound() {
        assert_eq!(fullest(0, &Groups::default(), |_| None).share(), 0.0);
    }
}
