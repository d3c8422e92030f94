//! What a container runtime's init is: it turns itself into the process that its one argument describes (`exec::Spec` as
//! JSON). Whatever fails before the program runs is told on standard error, with the exit code of a container that could
//! not be started.

use std::process::ExitCode;

use anyhow::{Context, Result};
use tests::exec;

fn main() -> ExitCode {
    let error = match run() {
        Err(error) => error,
        Ok(never) => match never {},
    };
    eprintln!("pod-exec: {error:#}");
    ExitCode::from(exec::START_ERROR)
}

fn run() -> Result<std::convert::Infallible> {
    let argument =
        std::env::args().nth(1).context("one argument is needed: the process's description as JSON")?;
    let spec = serde_json::from_str(&argument).context("the argument is not the description of a process")?;
    exec::enter(&spec)
}
