//! A running process whose output is kept and whose end is known, both as events to wait for.

use std::fmt;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

/// What is known of a process so far.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// Its exit code; 128 + N after signal N, as a kubelet reports it. The output is complete then.
    pub exit: Option<i32>,
    /// When it ended.
    pub ended: Option<Instant>,
}

/// From now on nothing is started, and what runs is killed: whoever waits for a process is told its end, and so everything
/// ends in the way in which it ends when something fails.
pub fn interrupt() {
    INTERRUPTED.store(true, Ordering::SeqCst);
    let mut live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
    for (pid, shared) in live.drain(..) {
        if let Some(shared) = shared.upgrade() {
            shared.signal(pid, Signal::SIGKILL);
        }
    }
}

/// An error once [`interrupt`] was called.
pub(super) fn check_interrupt() -> Result<()> {
    if INTERRUPTED.load(Ordering::SeqCst) {
        bail!("interrupted");
    }
    Ok(())
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static LIVE: Mutex<Vec<(u32, Weak<Shared>)>> = Mutex::new(Vec::new());

/// A process of ours. It is killed when dropped.
pub struct Process {
    name: String,
    pid: u32,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    progress: Mutex<Progress>,
    changed: Condvar,
}

impl Process {
    /// Watches over a child; its piped output is read.
    pub fn watch(name: &str, mut child: Child) -> Self {
        let shared = Arc::<Shared>::default();
        let pid = child.id();
        let streams = [
            child.stdout.take().map(|stream| shared.collect(stream, |progress| &mut progress.stdout)),
            child.stderr.take().map(|stream| shared.collect(stream, |progress| &mut progress.stderr)),
        ];
        let end = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in streams.into_iter().flatten() {
                let _ = stream.join();
            }
            // The process id stays taken until the lock is held: nobody can signal a stranger who got it next.
            let id = Id::Pid(Pid::from_raw(child.id().cast_signed()));
            let _ = waitid(id, WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
            let mut progress = end.lock();
            progress.ended = Some(Instant::now());
            progress.exit = Some(child.wait().map_or(-1, exit_code));
            end.changed.notify_all();
        });
        let mut live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
        live.retain(|(_, other)| other.strong_count() > 0);
        live.push((pid, Arc::downgrade(&shared)));
        drop(live);
        if INTERRUPTED.load(Ordering::SeqCst) {
            shared.signal(pid, Signal::SIGKILL);
        }
        Self { name: name.to_owned(), pid, shared }
    }

    /// The name that it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id on the host.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What is known now.
    pub fn progress(&self) -> Progress {
        self.shared.lock().clone()
    }

    /// Waits until `done` finds what it looks for. The error, after `patience` or when the process has ended without it,
    /// shows the process's output.
    pub fn wait_for<T>(
        &self,
        what: &str,
        patience: Duration,
        done: impl Fn(&Progress) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + patience;
        let mut progress = self.shared.lock();
        loop {
            if let Some(found) = done(&progress) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("{}: {what}: not within {patience:?}\n{progress}", self.name);
            }
            if let Some(code) = progress.exit {
                bail!("{}: {what}: it has ended with code {code}\n{progress}", self.name);
            }
            let waited = self.shared.changed.wait_timeout(progress, left);
            progress = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until it ends, at most so long; gives its exit code.
    pub fn wait_exit(&self, patience: Duration) -> Option<i32> {
        self.wait_for("exit", patience, |progress| progress.exit).ok()
    }

    /// Sends a signal, unless it has ended.
    pub fn signal(&self, signal: Signal) {
        self.shared.signal(self.pid, signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        let _ = self.wait_exit(Duration::from_secs(10));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signal(&self, pid: u32, signal: Signal) {
        let progress = self.lock();
        if progress.exit.is_none() {
            let _ = kill(Pid::from_raw(pid.cast_signed()), signal);
        }
    }

    fn collect(
        self: &Arc<Self>,
        mut stream: impl Read + Send + 'static,
        field: fn(&mut Progress) -> &mut String,
    ) -> std::thread::JoinHandle<()> {
        let shared = Arc::clone(self);
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
                field(&mut shared.lock()).push_str(&text);
                shared.changed.notify_all();
            }
        })
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            for line in text.lines() {
                writeln!(f, "  {name}: {line}")?;
            }
        }
        Ok(())
    }
}

fn exit_code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}
