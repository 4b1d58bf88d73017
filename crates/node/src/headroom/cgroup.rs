//! What the control groups that a process is in may use (cgroup v2; each group binds those within).

use std::path::{Path, PathBuf};

const ROOT: &str = "/sys/fs/cgroup";

/// The folders of our group and of those around it, as far as they are seen from in here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Groups(Vec<PathBuf>);

impl Groups {
    pub(super) fn find(read: impl Fn(&Path) -> Option<String>) -> Groups {
        let own = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
        // The line of version 2; others are of version 1.
        let Some(own) = own.lines().find_map(|line| line.strip_prefix("0::/")) else {
            return Groups::default();
        };
        let folder = Path::new(ROOT).join(own);
        let folders = folder.ancestors().take_while(|up| up.starts_with(ROOT));
        Groups(folders.map(Path::to_owned).collect())
    }

    /// How many processors they may use at a time.
    pub(super) fn quota(&self, read: impl Fn(&Path) -> Option<String>) -> Option<f64> {
        let quotas = self.0.iter().filter_map(|folder| {
            let text = read(&folder.join("cpu.max"))?;
            let (quota, period) = text.trim().split_once(' ')?;
            let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
            (quota > 0.0 && period > 0.0).then_some(quota / period)
        });
        quotas.min_by(f64::total_cmp)
    }

    /// The memory in use, and the limit, of the group that has used the greatest share.
    pub(super) fn memory(&self, read: impl Fn(&Path) -> Option<String>) -> Option<(u64, u64)> {
        let number = |file: &Path| read(file)?.trim().parse::<u64>().ok();
        let groups = self.0.iter().filter_map(|folder| {
            // Beyond the one processes are slowed down, beyond the other ended.
            let limits = ["memory.high", "memory.max"].map(|limit| number(&folder.join(limit)));
            let limit = limits.into_iter().flatten().min()?;
            let used = number(&folder.join("memory.current"))?;
            // Files that were read and are kept in case: they make room when it is needed.
            let kept = read(&folder.join("memory.stat")).and_then(|text| inactive_files(&text));
            Some((used.saturating_sub(kept.unwrap_or(0)), limit))
        });
        let share = |(used, limit): &(u64, u64)| *used as f64 / (*limit).max(1) as f64;
        groups.max_by(|one, other| share(one).total_cmp(&share(other)))
    }
}

fn inactive_files(stat: &str) -> Option<u64> {
    let mut lines = stat.lines();
    lines.find_map(|line| line.strip_prefix("inactive_file ")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn files<'a>(
        files: &'a [(&'a str, &'a str)],
    ) -> impl Fn(&Path) -> Option<String> + Copy + use<'a> {
        move |path| {
            let files: HashMap<_, _> = files.iter().copied().collect();
            files.get(path.to_str()?).map(|text| (*text).to_owned())
        }
    }

    #[test]
    fn the_tightest_group_around_us_binds() {
        let read = files(&[
            ("/proc/self/cgroup", "1:cpu:/old\n0::/pod/weir\n"),
            ("/sys/fs/cgroup/pod/weir/cpu.max", "max 100000\n"),
            ("/sys/fs/cgroup/pod/cpu.max", "150000 100000\n"),
            ("/sys/fs/cgroup/pod/weir/memory.max", "4000\n"),
            ("/sys/fs/cgroup/pod/weir/memory.current", "1000\n"),
            ("/sys/fs/cgroup/pod/memory.max", "2000\n"),
            ("/sys/fs/cgroup/pod/memory.high", "max\n"),
            ("/sys/fs/cgroup/pod/memory.current", "1500\n"),
            (
                "/sys/fs/cgroup/pod/memory.stat",
                "anon 1\ninactive_file 300\nfile 9\n",
            ),
        ]);
        let groups = Groups::find(read);
        assert_eq!(groups.quota(read), Some(1.5));
        assert_eq!(groups.memory(read), Some((1200, 2000)));
    }

    #[test]
    fn in_a_container_the_group_is_the_root() {
        let read = files(&[
            ("/proc/self/cgroup", "0::/\n"),
            ("/sys/fs/cgroup/cpu.max", "50000 100000\n"),
            ("/sys/fs/cgroup/memory.max", "max\n"),
            ("/sys/fs/cgroup/memory.high", "1000\n"),
            ("/sys/fs/cgroup/memory.current", "700\n"),
        ]);
        let groups = Groups::find(read);
        assert_eq!(groups.quota(read), Some(0.5));
        assert_eq!(groups.memory(read), Some((700, 1000)));
    }

    #[test]
    fn where_there_are_no_limits_there_are_none() {
        for own in ["", "4:memory:/job\n", "0::/weir\n"] {
            let own = [("/proc/self/cgroup", own)];
            let groups = Groups::find(files(&own));
            assert_eq!(groups.quota(files(&own)), None);
            assert_eq!(groups.memory(files(&own)), None);
        }
        let odd = [
            ("/proc/self/cgroup", "0::/\n"),
            ("/sys/fs/cgroup/cpu.max", "0 0\n"),
            ("/sys/fs/cgroup/memory.max", "lots\n"),
        ];
        assert_eq!(Groups::find(files(&odd)).quota(files(&odd)), None);
        assert_eq!(Groups::find(files(&odd)).memory(files(&odd)), None);
    }
}
