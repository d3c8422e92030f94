//! A webhook as a process of its own on the first core, which nobody else of us uses.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use tests::exec::{self, Process};

/// The server's core.
const CORE: usize = 0;

/// Moves us to the other cores, where there are any.
pub(crate) fn leave_the_first_core() -> Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    let mut others = CpuSet::new();
    for core in (0..cores).filter(|core| *core != CORE || cores == 1) {
        others.set(core)?;
    }
    sched_setaffinity(Pid::from_raw(0), &others).context("cannot choose cores")
}

/// Starts a program on the first core. It dies with us.
pub(crate) fn start(name: &str, program: Command) -> Result<Process> {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &CORE.to_string(), "setpriv", "--pdeathsig", "KILL", "--"]);
    command.arg(program.get_program()).args(program.get_args());
    for (key, value) in program.get_envs() {
        command.env(key, value.unwrap_or_default());
    }
    exec::spawn(name, command)
}

/// Ports that are free now.
pub(crate) fn free_ports<const COUNT: usize>() -> Result<[u16; COUNT]> {
    let listeners: Vec<_> = (0..COUNT).map(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))).collect();
    let mut ports = [0; COUNT];
    for (port, listener) in ports.iter_mut().zip(listeners) {
        *port = listener?.local_addr()?.port();
    }
    Ok(ports)
}

/// An address of this machine.
pub(crate) fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Processor time that it has used, of user and kernel.
pub(crate) fn processor_time(process: &Process) -> Result<Duration> {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", process.pid())).context("its statistics")?;
    let (_, fields) = text.rsplit_once(')').context("/proc/PID/stat")?;
    // utime and stime are fields 14 and 15; the first after the name is 3.
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    // USER_HZ is 100 on every Linux.
    Ok(Duration::from_millis(ticks * 10))
}

/// A line of /proc/PID/status in KiB, such as VmRSS.
pub(crate) fn memory(process: &Process, line: &str) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).context("its status")?;
    let found = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':'));
    let number =
        found.and_then(|found| found.split_whitespace().next()).with_context(|| format!("no {line}"))?;
    number.parse().with_context(|| format!("{line} is no number"))
}
