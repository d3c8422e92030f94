//! The proxy's own calls, made by a child of this process that is the proxy's user and group: the kernel looks at who opened
//! a socket.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::errno::Errno;

use super::call::{self, not_sent};
use super::claim::{Because, Claim, Kind};
use super::tracker::Flow;
use super::{Expected, Verifier};
use crate::capability;
use crate::options::{Family, Owner};

/// The kernel's own link to this program, which needs no permission on the directories of its path.
const OURSELVES: &str = "/proc/self/exe";

/// The hidden subcommand that the child runs.
pub const COMMAND: &str = "call";

/// Proves that what the proxy sends is not captured.
pub(super) fn verify(verifier: &mut Verifier<'_>, family: Family, destination: SocketAddr) {
    let claim = Claim::new(Kind::ProxyExempt, family, destination);
    let owner = verifier.options.proxy;
    let called =
        verifier.flow(destination).map_err(not_sent).and_then(|flow| call_as(owner, flow).map(|()| flow));
    match called {
        Ok(flow) => verifier.judge(claim, flow, Expected::Direct),
        Err(because) => verifier.verdict.unproven(claim, because),
    }
}

fn call_as(owner: Owner, flow: Flow) -> Result<(), Because> {
    let spawned = capability::with_identity(|| {
        let mut command = Command::new(OURSELVES);
        command.env_clear().arg(COMMAND).args([flow.source, flow.destination].map(|end| end.to_string()));
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
        Ok(0) => Ok(()),
        Ok(errno) => Err(not_sent(Errno::from_raw(errno))),
        Err(_) => Err(Because::new("no-child", "the process that is to call says nothing")),
    }
}

/// What the child does: it calls, and prints the number of the error, 0 for none.
pub fn call(source: SocketAddr, destination: SocketAddr) -> std::io::Result<()> {
    let errno = call::begin(Flow { source, destination }).err().map_or(0, |errno| errno as i32);
    writeln!(std::io::stdout(), "{errno}")
}
