//! What is to be redirected, as checked values: whoever holds an [`Options`] need not check anything again.
//!
//! It knows neither command lines nor rules; `args` makes it, `plan` reads it.

mod cidrs;
mod flag;
mod ids;
mod interfaces;
mod ports;

use std::fmt;

use serde::Serialize;

pub use cidrs::Cidrs;
pub use flag::Flag;
pub use ids::{IdRange, Ids};
pub use interfaces::{Interface, Interfaces};
pub use ports::{Port, PortRange, Ports};

/// Everything that decides which rules a pod gets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// Who is the proxy, and so never captured.
    pub proxy: Owner,
    /// What others send to the pod.
    pub inbound: Inbound,
    /// What the pod's processes send to others.
    pub outbound: Outbound,
    /// Who installs the rules.
    pub backend: BackendChoice,
}

/// The owner of a socket. Both ids have to match: an application may share one of them with the proxy by accident.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// Inbound part of the [`Options`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Inbound {
    /// Where the proxy accepts it.
    pub port: Port,
    /// Destination ports that are captured.
    pub include: Selection<Ports>,
    /// Destination ports that are not, although included.
    pub exclude: Ports,
}

/// Outbound part of the [`Options`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outbound {
    /// Where the proxy accepts it.
    pub port: Port,
    /// Destination ports that are captured whatever the address.
    pub include_ports: Ports,
    /// Destination ports that are never captured.
    pub exclude_ports: Ports,
    /// Destination addresses that are captured.
    pub include_cidrs: Selection<Cidrs>,
    /// Destination addresses that are never captured.
    pub exclude_cidrs: Cidrs,
}

/// An address family.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Family {
    /// IPv4.
    #[serde(rename = "ipv4")]
    V4,
    /// IPv6.
    #[serde(rename = "ipv6")]
    V6,
}

/// `*`, or exactly the listed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Selection<T> {
    /// All there are.
    All,
    /// These; an empty list means none.
    Only(T),
}

/// Who installs the rules.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BackendChoice {
    /// The first that this kernel can do.
    Auto,
    /// nftables, by our own netlink encoder.
    Nft,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// A text is not what an option takes; says what is wrong with it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub(crate) String);
