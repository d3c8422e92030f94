//! The proxy's own calls, made by a child of this process that is the proxy's user and group: the kernel looks at who opened
//! a socket.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::errno::Errno;

use super::claim::{Because, Claim, Kind};
use super::tracker::Call;
use super::{Expected, Verifier, outbound};
use crate::capability;
use crate::options::{Family, Owner};

/// The kernel's own link to this program, which needs no permission on the directories of its path.
const OURSELVES: &str = "/proc/self/exe";

/// The hidden subcommand that the child runs.
pub const COMMAND: &str = "call";

/// Proves that what the proxy sends is not captured.
pub(super) fn verify(verifier: &mut Verifier<'_>, family: Family, destination: SocketAddr) {
    let claim = Claim::new(Kind::ProxyExempt, family, destination);
    match call_as(verifier.options.proxy, destination) {
        Ok(call) => {
            verifier.calls.push(call);
            verifier.judge(claim, call, Expected::Direct);
        }
        Err(because) => verifier.verdict.unproven(claim, because),
    }
}

fn call_as(owner: Owner, destination: SocketAddr) -> Result<Call, Because> {
    let spawned = capability::with_identity(|| {
        let mut command = Command::new(OURSELVES);
        command.env_clear().arg(COMMAND).arg(destination.to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.uid(owner.uid).gid(owner.gid).spawn()
    });
    let failed = |error: std::io::Error| {
        let message = format!("no process of uid {} and gid {} could call: {error}", owner.uid, owner.gid);
        Because::new("no-child", message)
    };
    let mut child = match spawned {
        Ok(spawned) => spawned.map_err(failed)?,
        Err(error) => return Err(Because::new("capability-missing", error.to_string())),
    };
    let mut line = String::new();
    // Its output ends when it does.
    let read = child.stdout.take().map(|output| BufReader::new(output).read_line(&mut line));
    child.wait().map_err(failed)?;
    read.transpose().map_err(failed)?;
    match line.trim().parse() {
        Ok(source_port) => Ok(Call { source_port, destination }),
        Err(_) => {
            Err(Because::new("not-sent", format!("the proxy's packet cannot be sent: {}", line.trim())))
        }
    }
}

/// What the child does: it calls, and prints the port that it calls from.
pub fn call(destination: SocketAddr) -> std::io::Result<()> {
    let mut output = std::io::stdout();
    match outbound::call(destination) {
        Ok((_client, call)) => writeln!(output, "{}", call.source_port),
        Err(Errno::EPERM) => writeln!(output, "another rule of the pod's refuses it"),
        Err(errno) => writeln!(output, "{errno}"),
    }
}
