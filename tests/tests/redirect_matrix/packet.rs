//! A packet of the table, and what was seen of it.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use tests::lab::{APP, PROXY};
use tests::peer::{Exchange, Landing};

/// An address family.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Family {
    V4,
    V6,
}

/// Written as `SENDER [udp|icmp] > HOST[:PORT]`.
pub(crate) struct Packet {
    pub(crate) sender: Sender,
    pub(crate) protocol: Protocol,
    pub(crate) host: String,
    pub(crate) port: u16,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
    Icmp,
}

/// Who sends it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Sender {
    /// A process of the pod with this uid and gid.
    Pod(u32, u32),
    /// As [`Sender::Pod`], for the proxy, from the loopback address of its inbound leg.
    Loopback,
    /// The host that the pod's default route leads to.
    Remote,
    /// What is behind the pod's second interface.
    Guest,
}

/// What was seen of a packet.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Seen {
    /// As in the table.
    pub(crate) cell: String,
    original: Option<SocketAddr>,
    /// Own address of who was reached.
    local: Option<SocketAddr>,
    /// Of the sender, as who was reached sees it; its port is the kernel's choice.
    peer: Option<IpAddr>,
}

impl Seen {
    /// An ICMP echo, or anything that did not land.
    pub(crate) fn only(cell: &str) -> Self {
        Self { cell: cell.to_owned(), original: None, local: None, peer: None }
    }

    /// Of a UDP packet.
    pub(crate) fn datagram(landing: &Landing) -> Self {
        Self::at(landing.label.clone(), landing)
    }

    /// Of a TCP connection. `*` marks a listener for captured connections that was reached directly, `!` another one that was
    /// reached by translation.
    pub(crate) fn exchange(exchange: &Exchange) -> Self {
        match exchange.error.as_deref() {
            Some("ConnectionRefused") => return Self::only("x"),
            Some(error) => return Self::only(error),
            None => {}
        }
        let landing = exchange.landing().expect("an answer of a server of the network");
        let captures = matches!(landing.label.as_str(), "O" | "I" | "D");
        let as_meant =
            if captures { landing.original == Some(exchange.target) } else { landing.original.is_none() };
        let mark = match (captures, as_meant) {
            (_, true) => "",
            (true, false) => "*",
            (false, false) => "!",
        };
        Self::at(landing.label.clone() + mark, &landing)
    }

    fn at(cell: String, landing: &Landing) -> Self {
        Self { cell, original: landing.original, local: Some(landing.local), peer: Some(landing.peer.ip()) }
    }
}

impl FromStr for Packet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (from, to) = text.split_once(" > ").ok_or("no >")?;
        let (sender, protocol) = match from.split_once(' ') {
            None => (from, Protocol::Tcp),
            Some((sender, "udp")) => (sender, Protocol::Udp),
            Some((sender, "icmp")) => (sender, Protocol::Icmp),
            Some(_) => return Err(format!("{from}: no protocol")),
        };
        let (host, port) = match to.split_once(':') {
            None => (to, 0),
            Some((host, port)) => (host, port.parse().map_err(|_| format!("{port}: no port"))?),
        };
        Ok(Self { sender: sender.parse()?, protocol, host: host.to_owned(), port })
    }
}

impl FromStr for Sender {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "app" => Self::Pod(APP.0, APP.1),
            "root" => Self::Pod(0, 0),
            "proxy" => Self::Pod(PROXY.0, PROXY.1),
            "proxy-lo" => Self::Loopback,
            "remote" => Self::Remote,
            "guest" => Self::Guest,
            other => {
                let ids = other.split_once(':').and_then(|(uid, gid)| Some((uid.parse(), gid.parse().ok()?)));
                match ids {
                    Some((Ok(uid), gid)) => Self::Pod(uid, gid),
                    _ => return Err(format!("{other}: no sender")),
                }
            }
        })
    }
}
