//! The traffic: which pod calls which, by what protocol, and what both ends saw.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, bail};
use tests::netns::Node;
use tests::peer::{Exchange, Landing};
use tests::pod::Pod;

use crate::pods::{APPLICATION, ECHO_PORT, GREETING_PORT, HTTP_PORT};

/// What a client sends to an echo.
const MESSAGE: &str = "a message that comes back as it was";

/// A running pod of the demo.
pub(crate) struct Party<'a> {
    pub(crate) name: &'static str,
    pub(crate) pod: Pod<'a>,
    pub(crate) node: &'a Node,
    pub(crate) meshed: bool,
}

/// How a call is made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// The client speaks first and ends first; every byte comes back.
    Echo,
    /// The server speaks first.
    Greeting,
    /// A GET.
    Http,
}

/// A call that went well, and what was seen at its ends.
pub(crate) struct Call {
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
    pub(crate) kind: Kind,
    pub(crate) target: SocketAddr,
    /// The client's own address of the connection.
    pub(crate) local: SocketAddr,
    /// Who the server was called by, as it saw it; an echo does not tell.
    pub(crate) seen: Option<IpAddr>,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Echo, Self::Greeting, Self::Http];

    fn port(self) -> u16 {
        match self {
            Self::Echo => ECHO_PORT,
            Self::Greeting => GREETING_PORT,
            Self::Http => HTTP_PORT,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Echo => "echo",
            Self::Greeting => "server first",
            Self::Http => "HTTP",
        })
    }
}

/// Calls `to` from within the application's container of `from`.
pub(crate) fn call(from: &Party<'_>, to: &Party<'_>, kind: Kind, address: IpAddr) -> Result<Call> {
    let target = SocketAddr::new(address, kind.port());
    let what = format!("{} calls {} at {target} ({kind})", from.name, to.name);
    let text = target.to_string();
    let arguments: &[&str] = match kind {
        Kind::Echo => &["/application", "call", &text, "--send", MESSAGE],
        Kind::Greeting => &["/application", "call", &text],
        Kind::Http => &["/application", "call", &text, "--get", "/"],
    };
    let output = from.pod.exec(APPLICATION, arguments).with_context(|| what.clone())?;
    let exchange: Exchange =
        serde_json::from_str(&output.stdout).with_context(|| format!("{what}: {output}"))?;
    if let Some(error) = &exchange.error {
        bail!("{what}: {error}: {exchange:?}");
    }
    let seen = match kind {
        Kind::Echo if exchange.received == MESSAGE => None,
        Kind::Echo => bail!("{what}: sent {MESSAGE:?}, received {:?}", exchange.received),
        Kind::Greeting | Kind::Http => {
            Some(answered_by(&exchange, to, target).with_context(|| what.clone())?.peer.ip())
        }
    };
    let local = exchange.local.with_context(|| format!("{what}: no connection"))?;
    Ok(Call { from: from.name, to: to.name, kind, target, local, seen })
}

/// The answer must come from the server that was called, and have come to the address that was called.
fn answered_by(exchange: &Exchange, to: &Party<'_>, target: SocketAddr) -> Result<Landing> {
    let landing = exchange.landing()?;
    if landing.label != to.name || landing.local != target {
        bail!("answered by {} at {}", landing.label, landing.local);
    }
    Ok(landing)
}
