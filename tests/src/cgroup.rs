//! Control groups: the limits of CPU and memory that a container runs under.
//!
//! One controller a group, as tests need them. Version 1 where the machine mounts the controller so, else version 2; the
//! group goes with its owner, and what a killed process left behind is removed by the next one that makes something.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::leftovers::{self, CGROUPS};

/// What is limited.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Controller {
    /// Processor time.
    Cpu,
    /// Memory.
    Memory,
}

/// A group that processes are started in; see [`crate::exec::Container`].
#[derive(Debug)]
pub struct Cgroup {
    path: PathBuf,
    version: Version,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Version {
    One,
    Two,
}

/// The period over which processor time is counted, which is the kubelet's.
const PERIOD: Duration = Duration::from_millis(100);

impl Cgroup {
    /// At most `share` of one processor.
    pub fn of_cpu(label: &str, share: f64) -> Result<Self> {
        let group = Self::new(label, Controller::Cpu)?;
        let (quota, period) = (PERIOD.mul_f64(share).as_micros(), PERIOD.as_micros());
        match group.version {
            Version::One => {
                group.write("cpu.cfs_period_us", &period.to_string())?;
                group.write("cpu.cfs_quota_us", &quota.to_string())?;
            }
            Version::Two => group.write("cpu.max", &format!("{quota} {period}"))?,
        }
        Ok(group)
    }

    /// At most so many bytes, and no swap.
    pub fn of_memory(label: &str, bytes: u64) -> Result<Self> {
        let group = Self::new(label, Controller::Memory)?;
        let limit = match group.version {
            Version::One => "memory.limit_in_bytes",
            Version::Two => "memory.max",
        };
        group.write(limit, &bytes.to_string())?;
        Ok(group)
    }

    fn new(label: &str, controller: Controller) -> Result<Self> {
        let name = match controller {
            Controller::Cpu => "cpu",
            Controller::Memory => "memory",
        };
        let mounted = Path::new(CGROUPS).join(name);
        let (parent, version) = if mounted.is_dir() {
            (mounted, Version::One)
        } else if Path::new(CGROUPS).join("cgroup.controllers").is_file() {
            let control = Path::new(CGROUPS).join("cgroup.subtree_control");
            std::fs::write(&control, format!("+{name}"))
                .with_context(|| format!("cannot have the controller {name} by {}", control.display()))?;
            (PathBuf::from(CGROUPS), Version::Two)
        } else {
            bail!("no controller {name} under {CGROUPS}: mount control groups, version 1 or 2");
        };
        let path = parent.join(leftovers::name(label));
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path, version })
    }

    /// Its directory.
    pub fn path(&self) -> PathBuf {
        self.path.clone()
    }

    /// How often the kernel killed a process of the group for memory.
    pub fn kills(&self) -> Result<u64> {
        let file = match self.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        self.number(file, "oom_kill")
    }

    /// How often the group had to wait for its next period of processor time.
    pub fn throttled(&self) -> Result<u64> {
        self.number("cpu.stat", "nr_throttled")
    }

    /// The number behind `key` in a file of lines `key number`.
    fn number(&self, file: &str, key: &str) -> Result<u64> {
        let path = self.path.join(file);
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        let value = line.with_context(|| format!("{}: no {key} in {text:?}", path.display()))?;
        value.trim().parse().with_context(|| format!("{}: {key} is {value:?}", path.display()))
    }

    fn write(&self, file: &str, value: &str) -> Result<()> {
        let path = self.path.join(file);
        std::fs::write(&path, value).with_context(|| format!("cannot write {value} to {}", path.display()))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // It can be removed when its last process is gone, so it has to be dropped after what runs in it.
        let _ = std::fs::remove_dir(&self.path);
    }
}
