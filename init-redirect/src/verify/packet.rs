//! Which packets show what: for each thing that the plan does, a packet for which the plan decides it. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{Ipv4Net, Ipv6Net};

use crate::options::{Family, Owner, Port};
use crate::plan::{Action, Chain, ChainName, Match, Plan, Rule};

/// Ports that a packet may be for, besides those that rules name.
const PORTS: [u16; 5] = [80, 443, 8080, 9, 1];

/// Ranges of ports of which the first is tried: the first few will do.
const RANGES: usize = 8;

/// The first packet of a TCP connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Packet<'a> {
    pub(super) source: IpAddr,
    pub(super) destination: SocketAddr,
    /// The link on which it arrives.
    pub(super) from: Option<&'a str>,
    /// The link through which it leaves.
    pub(super) to: Option<&'a str>,
    /// Who sends it; nobody of the pod where it arrives.
    pub(super) owner: Option<Owner>,
}

/// The documentation address (RFC 5737, RFC 3849) that stands for everybody outside.
pub(super) const fn elsewhere(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        Family::V6 => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    }
}

/// The rules of a chain of the plan.
pub(super) fn rules(plan: &Plan, name: ChainName) -> &[Rule] {
    plan.chains.iter().find(|chain| chain.name == name).map_or(&[], |Chain { rules, .. }| rules)
}

/// The rule that decides about a packet in a nat chain; nothing where all leave it alone by not matching.
pub(super) fn decides<'a>(rules: &'a [Rule], packet: &Packet<'_>) -> Option<&'a Rule> {
    rules.iter().find(|rule| rule.matches.iter().all(|condition| holds(condition, packet)))
}

fn holds(condition: &Match, packet: &Packet<'_>) -> bool {
    let Packet { source, destination, from, to, owner } = *packet;
    let port = Port::new(destination.port());
    match condition {
        Match::Family(family) => family_of(destination.ip()) == *family,
        Match::FromLoopback(yes) => (from == Some("lo")) == *yes,
        Match::ToLoopback => to == Some("lo"),
        Match::FromInterface(interface) => from.is_some_and(|name| interface.matches(name)),
        Match::ToInterface(interface) => to.is_some_and(|name| interface.matches(name)),
        Match::Owner(proxy) => owner == Some(*proxy),
        Match::Uid(range) => owner.is_some_and(|owner| range.contains(owner.uid)),
        Match::UidNot(range) => owner.is_some_and(|owner| !range.contains(owner.uid)),
        Match::Gid(range) => owner.is_some_and(|owner| range.contains(owner.gid)),
        Match::GidNot(range) => owner.is_some_and(|owner| !range.contains(owner.gid)),
        Match::Tcp | Match::TcpSyn => true,
        Match::DestinationPort(ports) | Match::OriginalDestinationPort(ports) => {
            port.is_some_and(|port| ports.contains(port))
        }
        Match::DestinationPortNot(ports) => port.is_some_and(|port| !ports.contains(port)),
        Match::DestinationV4(networks) => contains_v4(networks, destination.ip()),
        Match::DestinationV6(networks) => contains_v6(networks, destination.ip()),
        Match::SourceV4(networks) => contains_v4(networks, source),
        Match::SourceV6(networks) => contains_v6(networks, source),
        Match::Translated(yes) => !yes,
        // No rule about a new connection looks at its source port, and it is none of the others.
        Match::SourcePort(_) | Match::Udp | Match::TcpRefusal | Match::Invalid => false,
    }
}

fn contains_v4(networks: &[Ipv4Net], address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if networks.iter().any(|network| network.contains(&address)))
}

fn contains_v6(networks: &[Ipv6Net], address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if networks.iter().any(|network| network.contains(&address)))
}

/// The family of an address.
pub(super) const fn family_of(address: IpAddr) -> Family {
    match address {
        IpAddr::V4(_) => Family::V4,
        IpAddr::V6(_) => Family::V6,
    }
}

/// Destinations that may stand for what the rules redirect: at `here` first, then what the rules name.
pub(super) fn redirected(rules: &[Rule], here: IpAddr) -> Vec<SocketAddr> {
    let redirects = rules.iter().filter(|rule| matches!(rule.action, Action::Redirect(_)));
    let named = redirects.flat_map(|rule| named(rule, here));
    with_ports(&[here], &PORTS).into_iter().chain(named).collect()
}

/// Destinations that a rule may decide about, at `here` or in the first network that it names.
pub(super) fn named(rule: &Rule, here: IpAddr) -> Vec<SocketAddr> {
    let (mut addresses, mut ports) = (vec![here], Vec::new());
    for condition in &rule.matches {
        match (condition, here) {
            (Match::DestinationV4(networks), IpAddr::V4(_)) => {
                addresses.extend(networks.first().map(|network| IpAddr::from(network.network())));
            }
            (Match::DestinationV6(networks), IpAddr::V6(_)) => {
                addresses.extend(networks.first().map(|network| IpAddr::from(network.network())));
            }
            (Match::DestinationPort(set), _) => {
                ports.extend(set.ranges().iter().take(RANGES).map(|range| range.first.get()));
            }
            _ => {}
        }
    }
    ports.extend(PORTS);
    with_ports(&addresses, &ports)
}

/// Whether the rule leaves packets alone for what a packet of ours can have: it is asked for by an option, or names ports,
/// and can be about this family.
pub(super) fn excludes(rule: &Rule, family: Family) -> bool {
    let own_family = |condition: &Match| match condition {
        Match::Family(of) => *of == family,
        Match::DestinationV4(_) | Match::SourceV4(_) => family == Family::V4,
        Match::DestinationV6(_) | Match::SourceV6(_) => family == Family::V6,
        Match::Udp | Match::Owner(_) | Match::FromLoopback(true) | Match::ToLoopback => false,
        Match::FromLoopback(false)
        | Match::FromInterface(_)
        | Match::ToInterface(_)
        | Match::Uid(_)
        | Match::UidNot(_)
        | Match::Gid(_)
        | Match::GidNot(_)
        | Match::Tcp
        | Match::TcpSyn
        | Match::TcpRefusal
        | Match::DestinationPort(_)
        | Match::DestinationPortNot(_)
        | Match::SourcePort(_)
        | Match::OriginalDestinationPort(_)
        | Match::Translated(_)
        | Match::Invalid => true,
    };
    rule.action == Action::Leave && rule.matches.iter().all(own_family)
}

fn with_ports(addresses: &[IpAddr], ports: &[u16]) -> Vec<SocketAddr> {
    let of = |address: &IpAddr| ports.iter().map(|port| SocketAddr::new(*address, *port)).collect::<Vec<_>>();
    addresses.iter().flat_map(of).collect()
}
