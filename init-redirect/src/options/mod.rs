//! What is to be redirected, as checked values: whoever holds an [`Options`] need not check anything again.
//!
//! It knows neither command lines nor rules; `args` makes it, `plan` reads it.

mod cidrs;
mod flag;
mod ids;
mod interfaces;
mod ports;

#[cfg(test)]
pub(crate) mod arbitrary;

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

pub use cidrs::Cidrs;
pub use flag::Flag;
pub use ids::{IdRange, Ids};
pub use interfaces::{Interface, Interfaces};
pub use ports::{Port, PortRange, Ports};

/// Everything that decides which rules a pod gets.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// The families that are captured.
    pub families: Families,
    /// Who is the proxy, and so never captured.
    pub proxy: Owner,
    /// On which interfaces, in both directions.
    pub interfaces: Filter<Interfaces>,
    /// Interfaces behind which there are clients of the pod's own, virtual machines for example: what arrives there is
    /// captured as if the pod had sent it.
    pub virtual_interfaces: Interfaces,
    /// What others send to the pod.
    pub inbound: Inbound,
    /// What the pod's processes send to others.
    pub outbound: Outbound,
    /// DNS questions of the pod's processes, if they are captured.
    pub dns: Option<Dns>,
    /// Whether packets of no known connection are dropped where they would have been captured.
    pub drop_invalid: bool,
    /// Whether connections that were open before the rules are captured too, which resets them.
    pub capture_established: bool,
    /// Whether a connection waits for the proxy's listener where it would be refused without one.
    pub hold_until_ready: bool,
    /// Who installs the rules.
    pub backend: BackendChoice,
}

/// Address families. Invariant: at least one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Families {
    /// This one.
    Only(Family),
    /// IPv4 and IPv6.
    Both,
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
    /// Destination ports.
    pub ports: Filter<Ports>,
    /// Source addresses.
    pub cidrs: Filter<Cidrs>,
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
    /// Destination addresses.
    pub cidrs: Filter<Cidrs>,
    /// Users whose connections are captured.
    pub uids: Filter<Ids>,
    /// Groups whose connections are captured.
    pub gids: Filter<Ids>,
}

/// How DNS is captured.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dns {
    /// Where the proxy answers, over UDP and TCP.
    pub port: Port,
    /// The servers whose questions are captured.
    pub servers: Selection<Cidrs>,
}

/// What is captured, less what is left alone although included.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Filter<T> {
    /// What is captured.
    pub include: Selection<T>,
    /// What is not.
    pub exclude: T,
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
    /// iptables' programs that speak to nf_tables.
    IptablesNft,
    /// iptables' legacy programs.
    IptablesLegacy,
}

impl Families {
    /// What the texts of families have to be.
    pub const ALLOWED: &'static str = "ipv4, ipv6 or ipv4,ipv6";

    /// Whether it is one of them.
    pub fn contains(self, family: Family) -> bool {
        self == Self::Both || self == Self::Only(family)
    }
}

impl FromStr for Families {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let family = |text: &str| match text.trim() {
            "ipv4" => Ok(Family::V4),
            "ipv6" => Ok(Family::V6),
            other => Err(Malformed(format!("{other:?} is not an address family"))),
        };
        let mut families = text.split(',').map(family).collect::<Result<Vec<_>, _>>()?;
        families.sort_unstable();
        families.dedup();
        Ok(if let [only] = *families { Self::Only(only) } else { Self::Both })
    }
}

impl<T: Default> Default for Filter<T> {
    fn default() -> Self {
        Self { include: Selection::All, exclude: T::default() }
    }
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
