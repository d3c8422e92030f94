//! What the machine has to be like, and what of it a reader of the figures wants to know.

use std::fs;

use anyhow::{Context, Result, ensure};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::measures;
use crate::process;

/// The processor of the proxies.
pub(crate) const PROXY: usize = 0;
/// The processor of load and application.
const LOAD: usize = 1;

/// Moves this process to its processor and takes the descriptors that it may have. Before any thread is made.
pub(crate) fn prepare() -> Result<()> {
    let mut own = CpuSet::new();
    own.set(LOAD)?;
    sched_setaffinity(Pid::from_raw(0), &own).context("cannot choose a processor: two are needed")?;
    let (_, limit) = getrlimit(Resource::RLIMIT_NOFILE)?;
    ensure!(
        limit >= measures::memory::DESCRIPTORS,
        "{limit} descriptors are allowed and {} needed: raise the hard limit (ulimit -Hn)",
        measures::memory::DESCRIPTORS
    );
    setrlimit(Resource::RLIMIT_NOFILE, limit, limit).context("cannot raise the limit of descriptors")
}

/// How busy it is.
pub(crate) fn load() -> Result<f64> {
    process::load_average()
}

/// Names and settings.
pub(crate) fn description() -> Result<Value> {
    let read = |path: &str| {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
        anyhow::Ok(text)
    };
    let cpuinfo = read("/proc/cpuinfo")?;
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    Ok(json!({
        "processors": cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
        "model": model.map(|(_, name)| name),
        "kernel": read("/proc/sys/kernel/osrelease")?.trim(),
        "tcp_tw_reuse": read("/proc/sys/net/ipv4/tcp_tw_reuse")?.trim(),
    }))
}
