//! The vocabulary of rules. Deliberately small: kernels and sandboxes that lack a match are found in the exotic ones.

use ipnet::{Ipv4Net, Ipv6Net};
use serde::Serialize;

use crate::options::{Family, Flag, IdRange, Interface, Owner, Port, Ports};

/// A list of rules at one point of a packet's way.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Chain {
    /// Which of ours it is.
    pub name: ChainName,
    /// Where the kernel calls it.
    #[serde(flatten)]
    pub hook: Hook,
    /// The rules, in the order in which they are tried.
    pub rules: Vec<Rule>,
}

/// Our chains.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum ChainName {
    /// What others send to the pod.
    #[serde(rename = "REMORA_INBOUND")]
    Inbound,
    /// What the pod's processes send.
    #[serde(rename = "REMORA_OUTBOUND")]
    Outbound,
    /// What must not reach a socket.
    #[serde(rename = "REMORA_GUARD")]
    Guard,
    /// What tells a client that the proxy is not there yet.
    #[serde(rename = "REMORA_HOLD")]
    Hold,
    /// How arriving DNS answers are tracked.
    #[serde(rename = "REMORA_ZONE_IN")]
    ZoneIn,
    /// How DNS questions and answers of the pod's processes are tracked.
    #[serde(rename = "REMORA_ZONE_OUT")]
    ZoneOut,
}

/// A point of a packet's way, and what may be done there.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Hook {
    /// What the chain may do.
    #[serde(rename = "type")]
    pub purpose: Purpose,
    /// The netfilter hook's name.
    #[serde(rename = "hook")]
    pub point: Point,
}

/// What a chain may do.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Translate a connection; it sees only the first packet of each.
    Nat,
    /// Refuse a packet; it sees all.
    Filter,
    /// Say how a packet is tracked; it sees all, before connection tracking does.
    Raw,
}

/// Netfilter's hooks, as far as they are used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Point {
    /// A packet has arrived and was not routed yet.
    Prerouting,
    /// A packet is about to be given to a local socket.
    Input,
    /// A local process sends a packet.
    Output,
}

/// What is done with packets that match, why, and who asked for it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Rule {
    /// All have to hold.
    pub matches: Vec<Match>,
    /// What happens then.
    pub action: Action,
    /// Why, for people.
    pub reason: &'static str,
    /// The options that caused it; none when it is always there.
    pub options: Vec<Flag>,
}

/// A condition on a packet.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Match {
    /// It is of this family.
    Family(Family),
    /// It arrived on the loopback interface, or not.
    FromLoopback(bool),
    /// It leaves through the loopback interface.
    ToLoopback,
    /// It arrived on this interface.
    FromInterface(Interface),
    /// It leaves through this interface.
    ToInterface(Interface),
    /// Its socket was opened by this user *and* group.
    Owner(Owner),
    /// Its socket was opened by one of these users.
    Uid(IdRange),
    /// Its socket was opened by none of these users.
    UidNot(IdRange),
    /// Its socket was opened by one of these groups.
    Gid(IdRange),
    /// Its socket was opened by none of these groups.
    GidNot(IdRange),
    /// It is UDP.
    Udp,
    /// It is TCP.
    Tcp,
    /// It is TCP and opens a connection: of FIN, SYN, RST and ACK only SYN is set. The other flags do not matter, since a SYN
    /// that offers ECN has ECE and CWR set (RFC 3168, 6.1.1).
    TcpSyn,
    /// It is TCP and what a port without a listener answers to a SYN: of FIN, SYN, RST and ACK exactly RST and ACK are set, and
    /// the sequence number is 0 (RFC 9293, 3.10.7.1). A reset of a connection that existed has another number.
    TcpRefusal,
    /// Its destination port is one of these. A rule that looks at ports matches UDP or a form of TCP first.
    DestinationPort(Ports),
    /// Its destination port is none of these.
    DestinationPortNot(Ports),
    /// Its source port is one of these.
    SourcePort(Ports),
    /// It is IPv4, to one of these.
    DestinationV4(Vec<Ipv4Net>),
    /// It is IPv6, to one of these.
    DestinationV6(Vec<Ipv6Net>),
    /// It is IPv4, from one of these.
    SourceV4(Vec<Ipv4Net>),
    /// It is IPv6, from one of these.
    SourceV6(Vec<Ipv6Net>),
    /// The connection's destination port before any translation is one of these.
    OriginalDestinationPort(Ports),
    /// The connection's destination was translated, or not.
    Translated(bool),
    /// Connection tracking cannot place it, so it belongs to no connection and is never translated.
    Invalid,
}

/// What happens to a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It goes its way; later rules of the chain are not tried.
    Leave,
    /// The connection goes to this port of the pod itself.
    Redirect(Port),
    /// The sender is answered with a TCP reset.
    Reset,
    /// It disappears.
    Drop,
    /// Its connection is tracked in this conntrack zone, apart from those of other zones; later rules of the chain are not
    /// tried.
    Zone(u16),
}

impl ChainName {
    /// The name, as the kernel shows it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "REMORA_INBOUND",
            Self::Outbound => "REMORA_OUTBOUND",
            Self::Guard => "REMORA_GUARD",
            Self::Hold => "REMORA_HOLD",
            Self::ZoneIn => "REMORA_ZONE_IN",
            Self::ZoneOut => "REMORA_ZONE_OUT",
        }
    }
}

impl Rule {
    /// A rule that is always there.
    pub(super) fn always(matches: Vec<Match>, action: Action, reason: &'static str) -> Self {
        Self { matches, action, reason, options: Vec::new() }
    }

    /// The same rule, caused by these options.
    pub(super) fn because_of(self, options: &[Flag]) -> Self {
        Self { options: options.to_vec(), ..self }
    }
}
