//! What a process takes of the machine, as the kernel counts it; and what this one may take.

use std::fs;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::time::{ClockId, clock_gettime};

/// Descriptors of this process, which all tests share, for one that opens thousands.
pub(crate) struct Descriptors(u64);

/// Those that are given to such tests, and who waits for some.
static GIVEN: (Mutex<u64>, Condvar) = (Mutex::new(0), Condvar::new());

impl Descriptors {
    /// For all other tests.
    const RESERVED: u64 = 2_000;

    /// Waits until there are so many. No test may have more than there are.
    pub(crate) fn reserve(count: usize) -> Self {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit");
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("the limit is raised");
        let count = count as u64;
        assert!(count + Self::RESERVED <= hard, "{count} descriptors, where {hard} are the limit");
        let (given, returned) = &GIVEN;
        let given = given.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = returned.wait_while(given, |given| *given + count + Self::RESERVED > hard);
        *waited.unwrap_or_else(PoisonError::into_inner) += count;
        Self(count)
    }
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        let (given, returned) = &GIVEN;
        *given.lock().unwrap_or_else(PoisonError::into_inner) -= self.0;
        returned.notify_all();
    }
}

/// Open descriptors.
pub(crate) fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).expect("a running process").count()
}

/// Processor time of all threads. The scheduler counts nanoseconds, where /proc/PID/stat has hundredths of a second.
pub(crate) fn processor_time(pid: u32) -> Duration {
    tasks(pid, "schedstat").iter().map(|text| run_time(text)).sum()
}

/// Of the thread that asks.
pub(crate) fn own_processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("the clock").into()
}

/// The first number is the time on a processor.
fn run_time(schedstat: &str) -> Duration {
    let nanoseconds = schedstat.split(' ').next().and_then(|number| number.parse().ok());
    Duration::from_nanos(nanoseconds.expect("nanoseconds"))
}

/// How often a worker's thread has gone to sleep, and so been woken.
pub(crate) fn waits_of_workers(pid: u32) -> u64 {
    let waits = |status: String| {
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let is_worker = field("Name:").expect("a name").starts_with("worker-");
        is_worker.then(|| field("voluntary_ctxt_switches:")?.parse::<u64>().ok())
    };
    let workers: Vec<_> = tasks(pid, "status").into_iter().filter_map(waits).collect();
    assert!(!workers.is_empty(), "no thread has a worker's name");
    workers.into_iter().map(|waits| waits.expect("a number")).sum()
}

/// A file of each thread.
fn tasks(pid: u32, file: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("a running process");
    // A thread may end meanwhile.
    tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join(file)).ok()).collect()
}
