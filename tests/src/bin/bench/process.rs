//! What a process has used, as the kernel tells.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

/// The processor time of all its threads. One that ended before is left out; those of proxies do not end.
///
/// In nanoseconds, where `utime` and `stime` are the same sum in hundredths of a second.
pub(crate) fn processor_time(pid: u32) -> Result<Duration> {
    let tasks = format!("/proc/{pid}/task");
    let mut sum = Duration::ZERO;
    for task in fs::read_dir(&tasks).with_context(|| format!("cannot list {tasks}"))? {
        let path = task?.path().join("schedstat");
        // A thread may end in between.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        sum += run_time(&text).with_context(|| format!("{}: {text:?}", path.display()))?;
    }
    Ok(sum)
}

/// Its proportional share of memory, in KiB: what is mapped by several counts in parts.
pub(crate) fn memory(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    kibibytes(&text, "Pss:").with_context(|| format!("{path} has no line Pss"))
}

/// The most that was resident, in KiB, since it was last forgotten.
pub(crate) fn peak(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    kibibytes(&text, "VmHWM:").with_context(|| format!("{path} has no line VmHWM"))
}

/// Forgets it, and gives what is resident now.
pub(crate) fn forget_peak(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/clear_refs");
    // The number is the kernel's name of the peak.
    fs::write(&path, "5").with_context(|| format!("cannot write to {path}"))?;
    peak(pid)
}

/// The one-minute load average of the machine.
pub(crate) fn load_average() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg").context("cannot read /proc/loadavg")?;
    let first = text.split(' ').next().and_then(|number| number.parse().ok());
    first.context("/proc/loadavg has another format")
}

/// A file's size in MiB.
pub(crate) fn size(path: &Path) -> Result<f64> {
    let metadata = path.metadata().with_context(|| format!("cannot look at {}", path.display()))?;
    Ok(metadata.len() as f64 / f64::from(1 << 20))
}

/// The first number is the time on a processor in nanoseconds, the second that of waiting for one.
fn run_time(schedstat: &str) -> Option<Duration> {
    schedstat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

fn kibibytes(table: &str, name: &str) -> Option<u64> {
    let line = table.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Duration, kibibytes, run_time};

    #[test]
    fn what_the_kernel_writes_is_understood() {
        assert_eq!(run_time("1500000 20 3\n"), Some(Duration::from_micros(1500)));
        let rollup = "5581-7ffd ---p 00000000 00:00 0    [rollup]\nRss:     5120 kB\nPss:     4242 kB\nPss_Dirty:  1 kB\n";
        assert_eq!(kibibytes(rollup, "Pss:"), Some(4242));
        for bad in ["", "\n", "x 1 2", "-1 2 3"] {
            assert_eq!(run_time(bad), None, "{bad}");
        }
        for bad in ["", "Pss_Anon: 1 kB\n", "Pss: many kB\n", "Pss: 1 MB\n"] {
            assert_eq!(kibibytes(bad, "Pss:"), None, "{bad}");
        }
    }

    #[test]
    fn this_process_has_used_something() {
        assert!(super::processor_time(std::process::id()).unwrap() > Duration::ZERO);
        assert!(super::memory(std::process::id()).unwrap() > 0);
        let before = super::forget_peak(std::process::id()).unwrap();
        assert!(before > 0 && super::peak(std::process::id()).unwrap() >= before);
    }
}
