//! A packet that need not exist, as far as rules look at it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::options::{Family, Owner, Port};
use crate::plan::rule::Match;

/// A packet at the beginning of its way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Packet {
    /// Who sends it.
    pub sender: Sender,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Where it comes from; the port is one that means nothing.
    pub source: IpAddr,
    /// Where it is sent to.
    pub destination: IpAddr,
    /// Whether that is known to be an address of the pod.
    pub to_pod: bool,
    /// The port that it is sent to.
    pub port: Port,
    /// What connection tracking knows.
    pub state: State,
}

/// Who sends a packet, and over which interface.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Sender {
    /// A process of the pod; it leaves through the interface.
    Process(Owner, String),
    /// Someone else; it arrives on the interface.
    Remote(String),
}

/// A protocol with ports.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// What connection tracking knows of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// It opens a connection.
    New,
    /// It is of a connection that was open before there were rules.
    Established,
    /// It is of no connection, and opens none.
    Invalid,
}

impl Packet {
    /// Its family.
    pub fn family(&self) -> Family {
        if self.destination.is_ipv4() { Family::V4 } else { Family::V6 }
    }
}

/// A packet on its way: where it was sent to first, and where it is going to now.
#[derive(Clone, Debug)]
pub(super) struct Moving<'a> {
    pub(super) packet: &'a Packet,
    /// Interfaces by which it arrived and by which it leaves, as far as that is known here.
    pub(super) arrived: Option<&'a str>,
    pub(super) leaves: Option<&'a str>,
    /// The socket's owner, where there is a socket.
    pub(super) owner: Option<Owner>,
    /// The port to which it was redirected.
    pub(super) redirected: Option<Port>,
}

pub(super) const LOOPBACK: &str = "lo";

impl Moving<'_> {
    fn is_loopback(interface: Option<&str>) -> bool {
        interface == Some(LOOPBACK)
    }

    fn port(&self) -> Port {
        self.redirected.unwrap_or(self.packet.port)
    }

    /// A redirected packet is for the pod itself; which of its addresses that is no rule asks.
    fn destination(&self) -> IpAddr {
        match (self.redirected, self.packet.family()) {
            (None, _) => self.packet.destination,
            (Some(_), Family::V4) => Ipv4Addr::LOCALHOST.into(),
            (Some(_), Family::V6) => Ipv6Addr::LOCALHOST.into(),
        }
    }

    /// A redirection to where the packet is going anyway changes nothing, and so counts as none.
    fn is_translated(&self) -> bool {
        self.redirected.is_some_and(|port| port != self.packet.port || !self.packet.to_pod)
    }

    fn is(&self, protocol: Protocol) -> bool {
        self.packet.protocol == protocol
    }

    /// Whether the condition holds, as the kernel sees it. The source port is one of an ordinary client, so none that a rule
    /// names; and what begins or continues a connection is never a refusal.
    pub(super) fn satisfies(&self, condition: &Match) -> bool {
        let owner = |test: &dyn Fn(Owner) -> bool| self.owner.is_some_and(test);
        let v4 = |address| match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        };
        let v6 = |address| match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(address),
        };
        match condition {
            Match::Family(family) => self.packet.family() == *family,
            Match::FromLoopback(yes) => Self::is_loopback(self.arrived) == *yes,
            Match::ToLoopback => Self::is_loopback(self.leaves),
            Match::FromInterface(interface) => self.arrived.is_some_and(|name| interface.matches(name)),
            Match::ToInterface(interface) => self.leaves.is_some_and(|name| interface.matches(name)),
            Match::Owner(expected) => owner(&|owner| owner == *expected),
            Match::Uid(ids) => owner(&|owner| ids.contains(owner.uid)),
            Match::UidNot(ids) => owner(&|owner| !ids.contains(owner.uid)),
            Match::Gid(ids) => owner(&|owner| ids.contains(owner.gid)),
            Match::GidNot(ids) => owner(&|owner| !ids.contains(owner.gid)),
            Match::Udp => self.is(Protocol::Udp),
            Match::Tcp => self.is(Protocol::Tcp),
            Match::TcpSyn => self.is(Protocol::Tcp) && self.packet.state == State::New,
            Match::TcpRefusal | Match::SourcePort(_) => false,
            Match::DestinationPort(ports) => ports.contains(self.port()),
            Match::DestinationPortNot(ports) => !ports.contains(self.port()),
            Match::DestinationV4(networks) => v4(self.destination())
                .is_some_and(|address| networks.iter().any(|network| network.contains(&address))),
            Match::DestinationV6(networks) => v6(self.destination())
                .is_some_and(|address| networks.iter().any(|network| network.contains(&address))),
            Match::SourceV4(networks) => v4(self.packet.source)
                .is_some_and(|address| networks.iter().any(|network| network.contains(&address))),
            Match::SourceV6(networks) => v6(self.packet.source)
                .is_some_and(|address| networks.iter().any(|network| network.contains(&address))),
            Match::OriginalDestinationPort(ports) => {
                self.packet.state != State::Invalid && ports.contains(self.packet.port)
            }
            Match::Translated(yes) => self.packet.state != State::Invalid && self.is_translated() == *yes,
            Match::Invalid => self.packet.state == State::Invalid,
        }
    }
}
