//! The demo: the main job without a cluster. Network namespaces stand in for pods and a scripted API server for
//! Kubernetes; everything else is real: the injector and its Deployment's manifest, the webhook call over TLS, the patched
//! pods' containers with their users and capabilities, the rules in the kernel, the traffic.
//!
//! It is a report and a check in one: the first fact that is not as it should be ends it with an exit code of 1. Whatever
//! it made is gone when it ends, also on Ctrl-C and SIGTERM.

mod calls;
mod control_plane;
mod evidence;
mod pods;
mod report;
mod rules;
mod story;

use std::process::ExitCode;

use anyhow::{Context, Result};
use tests::exec;
use tokio::signal::unix::{SignalKind, signal};

/// The shell's code for a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    match supervise() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("\nThe demo FAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Tells the story on a thread of its own. A signal kills what runs; then the story fails, and its values clean up as they
/// do whenever it ends.
fn supervise() -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut terminate, mut interrupt) = runtime
        .block_on(async {
            Ok::<_, std::io::Error>((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
        })
        .context("cannot handle signals")?;
    let (end, ended) = tokio::sync::oneshot::channel();
    let storyteller = std::thread::spawn(move || {
        let result = story::tell();
        let _ = end.send(());
        result
    });
    let interrupted = runtime.block_on(async {
        tokio::select! {
            _ = ended => false,
            _ = terminate.recv() => true,
            _ = interrupt.recv() => true,
        }
    });
    if interrupted {
        exec::interrupt();
    }
    let result = storyteller.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    if interrupted {
        eprintln!("\nInterrupted: everything that the demo made is gone.");
        return Ok(ExitCode::from(INTERRUPTED));
    }
    result.map(|()| ExitCode::SUCCESS)
}
