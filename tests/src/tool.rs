//! Programs of the machine that the kit needs. One that is missing is a failure which names the Debian package.

use std::io;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// Runs a tool to its end; `package` is the Debian package that a machine without it needs.
pub fn run(package: &str, command: &mut Command) -> Result<Output> {
    let output = match command.stdin(Stdio::null()).output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!("{} is missing: install Debian's package {package}", command.get_program().display())
        }
        other => other.with_context(|| format!("cannot run {command:?}"))?,
    };
    if !output.status.success() {
        bail!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output)
}
