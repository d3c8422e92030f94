//! What the machine has to be like, and what of it a reader of the figures wants to know.

use std::fs;
use std::process::Command;

use ::tests::netns::Netns;
use ::tests::tool;
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

/// The priority of everything that is measured: before whatever else runs on the machine.
const NICE: &str = "-20";
/// By default Linux shares processors out among sessions first, and looks at priorities only within one.
const SESSION: &str = "/proc/self/autogroup";

const CONGESTION_CONTROL: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

/// Gives the session its priority back.
pub(crate) struct Prepared {
    session: Option<String>,
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if let Some(nice) = &self.session {
            let _ = fs::write(SESSION, nice);
        }
    }
}

/// Moves this process to its processor, before others, and takes the descriptors that it may have. Before any thread is made.
pub(crate) fn prepare() -> Result<Prepared> {
    let mut own = CpuSet::new();
    own.set(LOAD)?;
    sched_setaffinity(Pid::from_raw(0), &own).context("cannot choose a processor: two are needed")?;
    let (_, limit) = getrlimit(Resource::RLIMIT_NOFILE)?;
    ensure!(
        limit >= measures::memory::DESCRIPTORS,
        "{limit} descriptors are allowed and {} needed: raise the hard limit (ulimit -Hn)",
        measures::memory::DESCRIPTORS
    );
    setrlimit(Resource::RLIMIT_NOFILE, limit, limit).context("cannot raise the limit of descriptors")?;
    let own = std::process::id().to_string();
    tool::run("bsdutils", Command::new("renice").args(["-n", NICE, "-p", &own]))?;
    let session = fs::read_to_string(SESSION).ok().and_then(|text| session_nice(&text).map(str::to_owned));
    if session.is_some() {
        fs::write(SESSION, NICE).with_context(|| format!("cannot write to {SESSION}"))?;
    }
    Ok(Prepared { session })
}

/// The kernel shows `/autogroup-NUMBER nice NICE`.
fn session_nice(autogroup: &str) -> Option<&str> {
    autogroup.trim().rsplit_once(" nice ").map(|(_, nice)| nice)
}

/// How busy it is.
pub(crate) fn load() -> Result<f64> {
    process::load_average()
}

/// Gives a namespace this congestion control, if one was asked for; a new one has the machine's.
pub(crate) fn control_congestion(netns: &Netns, name: Option<&str>) -> Result<()> {
    let Some(name) = name else { return Ok(()) };
    netns
        .run(|| fs::write(CONGESTION_CONTROL, name))?
        .with_context(|| format!("{name:?} is none of tcp_available_congestion_control"))
}

/// Names and settings, as they are in a namespace where it is measured.
pub(crate) fn description(netns: &Netns) -> Result<Value> {
    let read = |path: &str| {
        let text = netns.run(|| fs::read_to_string(path))?.with_context(|| format!("cannot read {path}"))?;
        anyhow::Ok(text)
    };
    let cpuinfo = read("/proc/cpuinfo")?;
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    Ok(json!({
        "processors": cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
        "model": model.map(|(_, name)| name),
        "kernel": read("/proc/sys/kernel/osrelease")?.trim(),
        "tcp_congestion_control": read(CONGESTION_CONTROL)?.trim(),
        "tcp_tw_reuse": read("/proc/sys/net/ipv4/tcp_tw_reuse")?.trim(),
    }))
}

#[cfg(test)]
mod tests {
    use super::session_nice;

    #[test]
    fn what_the_kernel_writes_is_understood() {
        assert_eq!(session_nice("/autogroup-4711 nice -5\n"), Some("-5"));
        assert_eq!(session_nice(""), None);
    }
}
