//! The memory limit that a container has: cgroup version 2 (`memory.max`) and 1 (`memory.limit_in_bytes`).

use std::fs;
use std::path::{Path, PathBuf};

/// Version 1 writes "no limit" as the greatest multiple of a page; nobody means so much.
const NO_LIMIT_BYTES_MIN: u64 = 1 << 60;

/// The tightest limit of the process' cgroup and those around it, bytes; `None` where there is none. Reads some small
/// files.
pub fn memory_limit_bytes() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    limit_of(Path::new("/sys/fs/cgroup"), &groups)
}

/// `groups` is the text of `/proc/self/cgroup`: `hierarchy:controllers:path` a line.
fn limit_of(root: &Path, groups: &str) -> Option<u64> {
    let lines = groups.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':');
        Some((fields.next()?, fields.next()?, fields.next()?))
    });
    let limits = lines.filter_map(|(hierarchy, controllers, path)| {
        if hierarchy == "0" {
            tightest(root.to_owned(), path, "memory.max")
        } else if controllers.split(',').any(|name| name == "memory") {
            tightest(root.join("memory"), path, "memory.limit_in_bytes")
        } else {
            None
        }
    });
    limits.min()
}

/// From the root down to `path`, which inside of a container may not be there: then the root alone counts.
fn tightest(root: PathBuf, path: &str, file: &str) -> Option<u64> {
    let mut folder = root;
    let mut limit = limit_in(&folder.join(file));
    for name in path.split('/').filter(|name| !name.is_empty() && *name != "..") {
        folder.push(name);
        limit = limit.into_iter().chain(limit_in(&folder.join(file))).min();
    }
    limit
}

fn limit_in(file: &Path) -> Option<u64> {
    let bytes = fs::read_to_string(file).ok()?.trim().parse().ok()?;
    (bytes < NO_LIMIT_BYTES_MIN).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Limits by path below the root.
    fn check(files: &[(&str, &str)], groups: &str, expected: Option<u64>) {
        let root = tempfile::tempdir().expect("a folder");
        for (path, text) in files {
            let file = root.path().join(path);
            fs::create_dir_all(file.parent().expect("a folder")).expect("folders");
            fs::write(file, text).expect("writing");
        }
        assert_eq!(limit_of(root.path(), groups), expected, "{files:?} {groups}");
    }

    #[test]
    fn the_tightest_limit_on_the_way_counts() {
        check(&[], "0::/", None);
        check(&[("memory.max", "max\n")], "0::/", None);
        check(&[("memory.max", "1000\n")], "0::/", Some(1000));
        // A path of the host that is not there inside of the container.
        check(&[("memory.max", "1000\n")], "0::/kubepods/pod1/c", Some(1000));
        check(&[("a/memory.max", "700"), ("a/b/memory.max", "900")], "0::/a/b", Some(700));
        check(&[("a/memory.max", "700"), ("a/b/memory.max", "max")], "0::/a/b", Some(700));
        let v1 = "12:cpu,cpuacct:/x\n5:memory:/docker/c\n1:name=systemd:/docker/c";
        check(&[("memory/memory.limit_in_bytes", "5000")], v1, Some(5000));
        let unlimited = ("memory/memory.limit_in_bytes", "9223372036854771712");
        check(&[unlimited], v1, None);
        check(&[unlimited, ("memory/docker/c/memory.limit_in_bytes", "4000")], v1, Some(4000));
    }
}
