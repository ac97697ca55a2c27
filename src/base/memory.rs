//! What the system did to this process and its children for want of memory.

use std::path::{Path, PathBuf};

use crate::base::fsx;

/// How many processes of this process's control group were killed because it had no more memory; `None` where nobody counts.
///
/// A program whose child was killed may end well all the same, with half of its output.
pub fn kills() -> Option<u64> {
    let groups = fsx::read_to_string(Path::new("/proc/self/cgroup")).ok()?;
    counter(&groups).and_then(|path| fsx::read_to_string(&path).ok()).and_then(|text| count(&text))
}

/// The file that counts, of the group that has the memory.
fn counter(groups: &str) -> Option<PathBuf> {
    let group = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?.trim_start_matches('/'));
        let root = Path::new("/sys/fs/cgroup");
        match controllers {
            "" => Some((1, root.join(path).join("memory.events"))),
            list if list.split(',').any(|name| name == "memory") => {
                Some((0, root.join("memory").join(path).join("memory.oom_control")))
            }
            _ => None,
        }
    };
    // Where both versions are in use, memory belongs to the one that names it.
    groups.lines().filter_map(group).min().map(|(_, path)| path)
}

fn count(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_found_in_both_versions() {
        let first = "8:pids:/\n4:memory:/slurm_n1/job_16/task_0\n0::/\n";
        assert_eq!(
            counter(first).unwrap(),
            Path::new("/sys/fs/cgroup/memory/slurm_n1/job_16/task_0/memory.oom_control")
        );
        let second = "0::/system.slice/job_16\n";
        assert_eq!(counter(second).unwrap(), Path::new("/sys/fs/cgroup/system.slice/job_16/memory.events"));
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), Some(3));
        assert_eq!(count("low 0\nhigh 0\nmax 3\noom 1\noom_kill 0\noom_group_kill 0\n"), Some(0));
        assert_eq!(counter("1:cpu:/\n"), None);
    }
}
