//! Stopping a pod: all preStop hooks at once, SIGTERM to the containers, then to the sidecars in reverse order, each when
//! what was started after it is gone; SIGKILL when the grace period is over.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{PATIENCE, Pod, Running};
use crate::exec::{Process, Progress};

/// How a container ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The container's name.
    pub name: String,
    /// Exit code; 128 + N after signal N.
    pub code: i32,
    /// Whether SIGKILL was needed.
    pub killed: bool,
    /// Why its preStop hook failed, if it did.
    pub hook_failure: Option<String>,
    /// From the start of the deletion to SIGTERM.
    pub terminated: Duration,
    /// From the start of the deletion to the end.
    pub gone: Duration,
    /// All that it wrote.
    pub output: Progress,
}

impl Pod<'_> {
    /// Stops the pod and tells how, in the order in which the containers ended.
    pub fn stop(self) -> Vec<Ended> {
        let grace = Duration::from_secs(self.manifest.spec.termination_grace_period_seconds);
        let (began, pod) = (Instant::now(), &self);
        let mut ended = std::thread::scope(|scope| {
            let all = self.sidecars.iter().chain(&self.containers).enumerate();
            let stopping: Vec<_> = all
                .map(|(index, running)| {
                    let later = self.started_after(index);
                    scope.spawn(move || pod.end(running, &later, began, grace))
                })
                .collect();
            stopping.into_iter().filter_map(|thread| thread.join().ok()).collect::<Vec<_>>()
        });
        ended.sort_by_key(|ended| ended.gone);
        ended
    }

    /// The processes that must be gone before SIGTERM goes to a sidecar: all containers and the sidecars after it.
    /// A container waits for nobody.
    fn started_after(&self, index: usize) -> Vec<&Process> {
        if index >= self.sidecars.len() {
            return Vec::new();
        }
        self.sidecars.iter().skip(index + 1).chain(&self.containers).map(|running| &running.process).collect()
    }

    fn end(&self, running: &Running, later: &[&Process], began: Instant, grace: Duration) -> Ended {
        let process = &running.process;
        let left = || grace.saturating_sub(began.elapsed());
        let hook = running.spec.lifecycle.pre_stop.as_ref().map(|hook| self.act(running, hook, left()));
        for other in later {
            let _ = other.wait_exit(left());
        }
        let terminated = began.elapsed();
        process.signal(Signal::SIGTERM);
        let mut code = process.wait_exit(left());
        let killed = code.is_none();
        if killed {
            process.signal(Signal::SIGKILL);
            code = process.wait_exit(PATIENCE);
        }
        let output = process.progress();
        let gone = output.ended.map_or_else(|| began.elapsed(), |at| at.saturating_duration_since(began));
        Ended {
            name: running.spec.name.clone(),
            code: code.unwrap_or(-1),
            killed,
            hook_failure: hook.and_then(Result::err).map(|error| format!("{error:#}")),
            terminated,
            gone,
            output,
        }
    }
}
