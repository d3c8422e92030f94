//! Starting processes: a container's (through the program `pod-exec`, which does what a runtime does between fork and
//! exec).
//!
//! It knows nothing of pods. Every container process dies with the process that started it, however that ends.

mod enter;
mod process;
mod supervise;

use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, mpsc};

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::binaries;

pub use enter::enter;
pub use process::{Process, Progress, interrupt};
pub use supervise::{INTERRUPTED, supervise};

/// What a container's process is to become; the only argument of `pod-exec`, as JSON.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Spec {
    /// The process that the container dies with.
    pub parent: i32,
    /// Where it runs.
    pub place: Place,
    /// User.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Bounding, permitted and effective set, by their kernel names in upper case, for example `CAP_NET_ADMIN`.
    pub capabilities: Vec<String>,
    /// `allowPrivilegeEscalation: false`.
    pub no_new_privileges: bool,
    /// The whole environment.
    pub environment: Vec<(String, String)>,
    /// The program's path in the container, and its arguments.
    pub arguments: Vec<String>,
}

/// Where a process runs.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub enum Place {
    /// In a container of its own.
    New(Container),
    /// In the container of a running process, as `kubectl exec` and exec hooks do.
    Join {
        /// The process.
        pid: u32,
    },
}

/// The surroundings of a container's process.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Container {
    /// The network namespace's file.
    pub netns: PathBuf,
    /// Directories of the control groups that it runs in, besides those of who starts it.
    pub cgroups: Vec<PathBuf>,
    /// How many descriptors a process of it may have, if not as many as who starts it.
    pub descriptors: Option<u64>,
    /// The processors that it may use, by number; all that who starts it may use, if empty.
    pub processors: Vec<usize>,
    /// Host name.
    pub hostname: String,
    /// An empty directory, private to this container, that its root is mounted on.
    pub root: PathBuf,
    /// Whether the root is read-only in the end; mounts have their own.
    pub read_only_root: bool,
    /// The image's files and the volumes, in the order in which they are to be mounted.
    pub mounts: Vec<Mount>,
}

/// A file or directory of the host that is seen in the container.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Mount {
    /// Its path on the host.
    pub source: PathBuf,
    /// Its absolute path in the container.
    pub target: PathBuf,
    /// Whether it is read-only there.
    pub read_only: bool,
}

impl Mount {
    /// The machine's own programs and libraries, at their places.
    pub fn machine() -> Vec<Self> {
        let places = ["/usr", "/bin", "/lib", "/lib64"].map(PathBuf::from);
        let places = places.into_iter().filter(|place| place.is_dir());
        places.map(|place| Self { source: place.clone(), target: place, read_only: true }).collect()
    }
}

/// The exit code of a container that could not be started, as container runtimes report it.
pub const START_ERROR: u8 = 128;

/// Starts a container's process; comes back when everything around it is built and the program is about to be executed,
/// or when that failed, which the process's output and exit code tell.
pub fn start(name: &str, spec: &Spec) -> Result<Process> {
    start_into(name, spec, Stdio::piped())
}

/// The same, with another standard output than one that is kept: for programs that write much.
pub fn start_into(name: &str, spec: &Spec, stdout: impl Into<Stdio>) -> Result<Process> {
    // The process's standard input is a pipe until then: its end is the event.
    let (mut built, building) = io::pipe().context("cannot make a pipe")?;
    let mut command = Command::new(binaries::pod_exec()?);
    command.arg(serde_json::to_string(spec)?).env_clear().stdin(building);
    let process = launch(name, command, stdout.into())?;
    io::copy(&mut built, &mut io::sink()).context("cannot wait for the container to be built")?;
    Ok(process)
}

/// Starts a program whose output is kept and whose input is empty.
pub fn spawn(name: &str, mut command: Command) -> Result<Process> {
    command.stdin(Stdio::null());
    launch(name, command, Stdio::piped())
}

/// Starts a program on a thread that lives as long as this process does: the parent-death signal, by which containers end
/// with us, is sent when the *thread* that made them ends.
fn launch(name: &str, mut command: Command, stdout: Stdio) -> Result<Process> {
    type Job = (Command, mpsc::Sender<io::Result<Child>>);
    static STARTER: LazyLock<mpsc::Sender<Job>> = LazyLock::new(|| {
        let (sender, jobs) = mpsc::channel::<Job>();
        std::thread::spawn(move || {
            for (mut command, reply) in jobs {
                let _ = reply.send(command.spawn());
            }
        });
        sender
    });
    process::check_interrupt()?;
    let (reply, child) = mpsc::channel();
    let program = command.get_program().to_owned();
    command.stdout(stdout).stderr(Stdio::piped());
    // A terminal's Ctrl-C is for us alone: containers end when we say so.
    command.process_group(0);
    STARTER.send((command, reply)).map_err(|_| anyhow!("the thread that starts processes is gone"))?;
    let child = child.recv()?.with_context(|| format!("cannot start {}", program.display()))?;
    Ok(Process::watch(name, child))
}
