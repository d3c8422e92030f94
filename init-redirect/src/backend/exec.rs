//! Other programs: the only module that starts any. A program gets a text, has a bounded time, and inherits the capabilities
//! that installing rules needs, since a process that is not root would otherwise lose them.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::capability;

/// Where programs are looked for when the environment does not say it.
const DIRECTORIES: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// How long a program may take. Waiting for a lock has a bound of its own, far below this one.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program to run.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) arguments: Vec<&'static str>,
    /// The whole of its environment, besides the language of its messages.
    pub(super) environment: Vec<(&'static str, &'static str)>,
}

/// How a program ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) output: String,
    /// What it said on standard error, in one line.
    pub(super) message: String,
}

/// A program could not be run to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{} cannot be started: {}", .0.display(), .1)]
    NotStarted(PathBuf, io::Error),
    #[error("{path} did not end within {seconds} seconds", path = .0.display(), seconds = PATIENCE.as_secs())]
    TooSlow(PathBuf),
    #[error("{} cannot be waited for: {}", .0.display(), .1)]
    Lost(PathBuf, io::Error),
}

/// A program's path, if it is installed.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let directories = std::env::var_os("PATH").unwrap_or_else(|| DIRECTORIES.into());
    std::env::split_paths(&directories).map(|directory| directory.join(name)).find(|path| path.is_file())
}

impl Program {
    /// Runs it to its end, with a text as its standard input.
    pub(super) fn run(&self, input: &str) -> Result<Ended, Error> {
        let lost = |error| Error::Lost(self.path.clone(), error);
        // Where that fails the program says better than we could what it was not allowed to do.
        let _ = capability::bequeath();
        let mut child = self.start().map_err(|error| Error::NotStarted(self.path.clone(), error))?;
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id is a positive pid_t"));
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (ended, end) = channel::<()>();
        let (output, message, in_time) = thread::scope(|scope| {
            let watch = scope.spawn(move || watch(pid, &end));
            // A program that ends early says why; that it did not read everything is no news.
            scope.spawn(move || stdin.map(|mut pipe| pipe.write_all(input.as_bytes())));
            let message = scope.spawn(move || text(stderr));
            let output = text(stdout);
            let waited = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
            drop(ended);
            let joined = |_| io::Error::other("a thread of ours ended early");
            let in_time = watch.join().map_err(joined)?;
            waited.map_err(io::Error::from)?;
            Ok((output?, message.join().map_err(joined)??, in_time))
        })
        .map_err(lost)?;
        let status = child.wait().map_err(lost)?;
        if in_time {
            Ok(Ended { status, output, message: one_line(&message) })
        } else {
            Err(Error::TooSlow(self.path.clone()))
        }
    }

    fn start(&self) -> io::Result<Child> {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).env_clear().env("LC_ALL", "C").env("PATH", DIRECTORIES);
        command.envs(self.environment.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    }

    pub(super) fn name(&self) -> String {
        self.path.file_name().unwrap_or(Path::new("").as_os_str()).to_string_lossy().into_owned()
    }
}

/// Ends the process when its time is over; true when it ended by itself. It stays a zombie until we return, so its number
/// cannot have become another's.
fn watch(pid: Pid, end: &Receiver<()>) -> bool {
    let in_time = end.recv_timeout(PATIENCE) != Err(RecvTimeoutError::Timeout);
    if !in_time {
        // It may have ended this very moment.
        let _ = kill(pid, Signal::SIGKILL);
    }
    in_time
}

fn text(pipe: Option<impl Read>) -> io::Result<String> {
    let mut bytes = Vec::new();
    pipe.map(|mut pipe| pipe.read_to_end(&mut bytes)).transpose()?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}
