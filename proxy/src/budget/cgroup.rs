//! The memory that this process's control group may take, and what it takes now; version 1 and 2, and a container's own
//! view of both.
//!
//! Finding the group is a pure function of two files of /proc. A limit may be set above the own group (a pod's), so all groups
//! that can be seen from here are looked at, and the tightest one counts, with its own usage.

use std::fs;
use std::path::{Path, PathBuf};

/// What version 1 shows for "no limit" is the greatest multiple of a page; nothing near it is a machine's memory.
const UNLIMITED: u64 = 1 << 60;

/// The control group that limits this process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Group {
    version: Version,
    directory: PathBuf,
    limit: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Version {
    One,
    Two,
}

impl Version {
    fn limit_file(self) -> &'static str {
        match self {
            Self::One => "memory.limit_in_bytes",
            Self::Two => "memory.max",
        }
    }

    fn usage_file(self) -> &'static str {
        match self {
            Self::One => "memory.usage_in_bytes",
            Self::Two => "memory.current",
        }
    }

    /// File pages that nobody uses; the kernel takes them back before it kills.
    fn reclaimable(self) -> &'static str {
        match self {
            Self::One => "total_inactive_file",
            Self::Two => "inactive_file",
        }
    }
}

impl Group {
    /// None where nothing is limited, or nothing can be seen.
    pub(super) fn of_this_process() -> Option<Self> {
        let membership = fs::read_to_string("/proc/self/cgroup").ok()?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        Self::tightest(&membership, &mounts)
    }

    fn tightest(membership: &str, mounts: &str) -> Option<Self> {
        let groups = candidates(membership, mounts).into_iter().filter_map(|(version, directory)| {
            let limit = number(&directory.join(version.limit_file()))?;
            (limit < UNLIMITED).then_some(Self { version, directory, limit })
        });
        groups.min_by_key(|group| group.limit)
    }

    /// In bytes.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// In bytes, with file pages only where somebody uses them.
    pub(super) fn used(&self) -> Option<u64> {
        let used = number(&self.directory.join(self.version.usage_file()))?;
        let statistics = fs::read_to_string(self.directory.join("memory.stat")).unwrap_or_default();
        let key = self.version.reclaimable();
        let line = statistics.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        Some(used.saturating_sub(line.and_then(|number| number.parse().ok()).unwrap_or(0)))
    }
}

/// `max` of version 2 is no number, and so no limit.
fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// Directories of the own group and those above it, as far as they are mounted here; version 1 first, since where both are
/// mounted it has the controller.
fn candidates(membership: &str, mounts: &str) -> Vec<(Version, PathBuf)> {
    for version in [Version::One, Version::Two] {
        let Some(own) = own_group(version, membership) else { continue };
        let Some((root, point)) = mounts.lines().find_map(|line| mount(version, line)) else { continue };
        // With a namespace of its own a container's group is `/`, and without one a runtime mounts the group itself: in both
        // cases the directory is the mount point. A group that is not below what is mounted is seen at the mount point at best.
        let below = own.strip_prefix(root).unwrap_or(Path::new(""));
        let above = below.ancestors().map(|group| (version, Path::new(point).join(group))).collect();
        return above;
    }
    Vec::new()
}

/// The path in `/proc/PID/cgroup` (cgroups(7)): lines `ID:CONTROLLERS:PATH`, without controllers for version 2.
fn own_group(version: Version, membership: &str) -> Option<&Path> {
    membership.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let is_it = match version {
            Version::One => controllers.split(',').any(|controller| controller == "memory"),
            Version::Two => controllers.is_empty(),
        };
        is_it.then_some(Path::new(path))
    })
}

/// Root and mount point of the file system of `version`, from a line of `/proc/PID/mountinfo` (proc_pid_mountinfo(5)).
fn mount(version: Version, line: &str) -> Option<(&str, &str)> {
    let (place, kind) = line.split_once(" - ")?;
    let mut place = place.split(' ').skip(3);
    let (root, point) = (place.next()?, place.next()?);
    let mut kind = kind.split(' ');
    let (file_system, options) = (kind.next()?, kind.nth(1)?);
    let is_it = match version {
        Version::One => {
            file_system == "cgroup" && options.split(',').any(|controller| controller == "memory")
        }
        Version::Two => file_system == "cgroup2",
    };
    is_it.then_some((root, point))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{Group, UNLIMITED, Version, candidates};

    const V1: &str = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory";
    const V1_BOUND: &str =
        "35 31 0:32 /kubepods/pod1/c1 /sys/fs/cgroup/memory ro master:9 - cgroup cgroup rw,memory";
    const V2: &str = "31 23 0:28 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate";
    const HYBRID: &str = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
    const OTHER: &str = "33 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct";

    fn seen(membership: &str, mounts: &[&str]) -> Vec<String> {
        let found = candidates(membership, &mounts.join("\n"));
        found.into_iter().map(|(_, path)| path.to_string_lossy().trim_end_matches('/').to_owned()).collect()
    }

    #[test]
    fn the_own_group_and_those_above_are_found() {
        for (membership, mounts, groups) in [
            ("0::/", &[V2][..], &["/sys/fs/cgroup"][..]),
            (
                "0::/kubepods/pod1",
                &[OTHER, V2],
                &["/sys/fs/cgroup/kubepods/pod1", "/sys/fs/cgroup/kubepods", "/sys/fs/cgroup"],
            ),
            (
                "4:memory:/a\n1:cpu,cpuacct:/b\n0::/c",
                &[OTHER, V1, HYBRID],
                &["/sys/fs/cgroup/memory/a", "/sys/fs/cgroup/memory"],
            ),
            ("4:memory:/kubepods/pod1/c1", &[V1_BOUND], &["/sys/fs/cgroup/memory"]),
            ("4:memory:/elsewhere", &[V1_BOUND], &["/sys/fs/cgroup/memory"]),
            ("4:memory:/", &[V1_BOUND], &["/sys/fs/cgroup/memory"]),
            ("4:memory:/a", &[OTHER], &[]),
            ("0::/../..", &[V2], &["/sys/fs/cgroup/../..", "/sys/fs/cgroup/..", "/sys/fs/cgroup"]),
        ] {
            assert_eq!(seen(membership, mounts), groups, "{membership:?} {mounts:?}");
        }
    }

    #[test]
    fn what_is_no_such_file_is_no_group() {
        for (membership, mounts) in
            [("", ""), ("x", V2), ("0::/", "x - y"), (":::", " - "), ("0::/", "a b - cgroup2")]
        {
            assert_eq!(candidates(membership, mounts), [], "{membership:?} {mounts:?}");
        }
    }

    fn write(directory: &Path, files: &[(&str, &str)]) {
        fs::create_dir_all(directory).unwrap();
        for (name, text) in files {
            fs::write(directory.join(name), text).unwrap();
        }
    }

    #[test]
    fn the_tightest_limit_counts_with_its_own_usage() {
        let root = tempfile::tempdir().unwrap();
        let line = V2.replace("/sys/fs/cgroup", root.path().to_str().unwrap());
        let own = root.path().join("pod/container");
        write(root.path(), &[("memory.max", "max\n")]);
        write(&own, &[("memory.max", "max\n"), ("memory.current", "1000\n")]);
        assert_eq!(Group::tightest("0::/pod/container", &line), None, "nothing is limited");
        write(
            &root.path().join("pod"),
            &[
                ("memory.max", "5000\n"),
                ("memory.current", "3000\n"),
                ("memory.stat", "anon 1\ninactive_file 700\nactive_file 9\n"),
            ],
        );
        let group = Group::tightest("0::/pod/container", &line).unwrap();
        assert_eq!((group.limit(), group.used()), (5000, Some(2300)));
        write(&own, &[("memory.max", "4000\n")]);
        let group = Group::tightest("0::/pod/container", &line).unwrap();
        assert_eq!((group.limit(), group.used()), (4000, Some(1000)));
    }

    #[test]
    fn version_1_has_its_own_names() {
        let root = tempfile::tempdir().unwrap();
        let line = V1.replace("/sys/fs/cgroup/memory", root.path().to_str().unwrap());
        write(root.path(), &[("memory.limit_in_bytes", "9223372036854771712\n")]);
        assert_eq!(Group::tightest("4:memory:/", &line), None);
        write(
            root.path(),
            &[
                ("memory.limit_in_bytes", "52428800\n"),
                ("memory.usage_in_bytes", "9000\n"),
                ("memory.stat", "inactive_file 1\ntotal_inactive_file 2000\n"),
            ],
        );
        let group = Group::tightest("4:memory:/", &line).unwrap();
        assert_eq!((group.version, group.limit(), group.used()), (Version::One, 52_428_800, Some(7000)));
        assert!(group.limit() < UNLIMITED);
    }
}
