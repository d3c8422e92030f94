//! Time and memory of processes in a pod's namespace.

use std::io::{Read, Write, pipe};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tests::netns::{Netns, Switch};

/// Sorted durations.
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn median(&self) -> Duration {
        self.0.get(self.0.len() / 2).copied().unwrap_or_default()
    }

    pub(crate) fn least(&self) -> Duration {
        self.0.first().copied().unwrap_or_default()
    }
}

/// Runs processes, in a fresh pod each time, and wants all of them to succeed.
pub(crate) fn times(runs: usize, work: impl Fn(&Netns) -> Result<Vec<Output>>) -> Result<Times> {
    let mut switch = Switch::new("node")?;
    let mut times = Vec::new();
    for _ in 0..runs {
        let pod = switch.attach("pod")?;
        let begun = Instant::now();
        let outputs = work(&pod.netns)?;
        times.push(begun.elapsed());
        for output in outputs {
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    times.sort();
    Ok(Times(times))
}

/// The most memory that a program has had when it writes its log, its last act, in KiB. The parent's own memory counts in what
/// the kernel says of an ended child (getrusage), so the program is asked while it lives: its standard error is a full pipe.
pub(crate) fn peak_memory(mut command: Command) -> Result<u64> {
    let mut switch = Switch::new("node")?;
    let pod = switch.attach("pod")?;
    let (mut reader, mut writer) = pipe().context("a pipe")?;
    let size = nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_GETPIPE_SZ).context("a pipe's size")?;
    writer.write_all(&vec![b'\n'; usize::try_from(size)?]).context("filling a pipe")?;
    command.stdout(Stdio::null()).stderr(writer);
    let mut child = pod.netns.run(|| command.spawn())?.context("starting the program")?;
    drop(command);
    let process = PathBuf::from(format!("/proc/{}", child.id()));
    // The number of the call that it is in, and the call's first argument, which is a descriptor: write(2, ...).
    while !std::fs::read_to_string(process.join("syscall"))?.starts_with("1 0x2 ") {
        if let Some(status) = child.try_wait()? {
            bail!("it ended before its log: {status}");
        }
        std::thread::yield_now();
    }
    let status = std::fs::read_to_string(process.join("status"))?;
    let mut log = Vec::new();
    reader.read_to_end(&mut log)?;
    ensure!(child.wait()?.success(), "{}", String::from_utf8_lossy(&log).trim());
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|line| line.split_whitespace().next()).context("no VmHWM")?;
    peak.parse().context("VmHWM is no number")
}
