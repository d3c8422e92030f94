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

use clap::Parser;
use tests::exec;

/// The main job without a cluster, shown and checked. It takes a second, needs root, and leaves nothing
#[derive(Parser)]
struct Options {}

fn main() -> ExitCode {
    let Options {} = Options::parse();
    match exec::supervise(story::tell) {
        Ok(None) => {
            eprintln!("\nInterrupted: everything that the demo made is gone.");
            ExitCode::from(exec::INTERRUPTED)
        }
        Ok(Some(Ok(()))) => ExitCode::SUCCESS,
        Ok(Some(Err(error))) | Err(error) => {
            eprintln!("\nThe demo FAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}
