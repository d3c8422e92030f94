//! Names of what the kit makes on the machine, so that a process that was killed leaves nothing for long: whatever carries
//! the process id of one that is no more is removed by the next that makes something.

use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, umount2};
use tempfile::TempDir;

/// What the names of all namespaces and directories begin with, before the maker's process id.
pub const PREFIX: &str = "remora-t";

/// Where named network namespaces lie; `ip -n NAME` looks here.
pub(crate) const NAMESPACES: &str = "/run/netns";

/// Where control groups are mounted.
pub(crate) const CGROUPS: &str = "/sys/fs/cgroup";

/// A name that nobody else has; `label` is for the human who finds it.
pub(crate) fn name(label: &str) -> String {
    static SWEEP: Once = Once::new();
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    SWEEP.call_once(sweep);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("{PREFIX}{}-{number}-{label}", std::process::id())
}

/// An empty directory, removed when dropped.
pub fn directory(label: &str) -> Result<TempDir> {
    let prefix = format!("{}-", name(label));
    tempfile::Builder::new().prefix(&prefix).tempdir().context("cannot make a temporary directory")
}

/// Names of what process `pid` made and what is still there.
pub fn of(pid: u32) -> Vec<String> {
    all().into_iter().filter(|name| owner(name) == Some(pid)).collect()
}

/// Takes a named network namespace away. Best effort: it runs on the way out, where nobody could act on an error.
pub(crate) fn remove_namespace(path: &Path) {
    let _ = umount2(path, MntFlags::MNT_DETACH);
    let _ = std::fs::remove_file(path);
}

fn all() -> Vec<String> {
    let directories = places().map(std::fs::read_dir);
    let entries = directories.into_iter().flatten().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Where the kit makes something: namespaces, files, and control groups of either version.
fn places() -> [PathBuf; 5] {
    let cgroups = ["", "cpu", "memory"].map(|controller| Path::new(CGROUPS).join(controller));
    let [unified, cpu, memory] = cgroups;
    [NAMESPACES.into(), std::env::temp_dir(), unified, cpu, memory]
}

/// The process that made what has this name, if it is one of ours.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('-').next()?.parse().ok()
}

fn sweep() {
    for name in all() {
        if owner(&name).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let [namespace, directory, cgroups @ ..] = places().map(|place| place.join(&name));
            remove_namespace(&namespace);
            let _ = std::fs::remove_dir_all(directory);
            for cgroup in cgroups {
                // Its files are the kernel's; a group without processes goes as it is.
                let _ = std::fs::remove_dir(cgroup);
            }
        }
    }
}
