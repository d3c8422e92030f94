//! Which packets show what: for each thing that the plan does, a packet for which the plan decides it. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::options::{Family, Owner, Port};
use crate::plan::explain::{Packet, Protocol, Sender, State};
use crate::plan::{Action, Chain, ChainName, Match, Plan, Rule};

/// Ports that a packet may be for, besides those that rules name.
const PORTS: [u16; 5] = [80, 443, 8080, 9, 1];

/// Ranges of ports of which the first is tried: the first few will do.
const RANGES: usize = 8;

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

/// A call of this user of the pod.
pub(super) fn call(owner: Owner, destination: SocketAddr, interface: &str) -> Option<Packet> {
    let source = elsewhere(family_of(destination.ip()));
    packet(Sender::Process(owner, interface.to_owned()), source, destination)
}

/// A call of someone else to the pod.
pub(super) fn arrival(source: IpAddr, destination: SocketAddr, interface: &str) -> Option<Packet> {
    packet(Sender::Remote(interface.to_owned()), source, destination)
}

fn packet(sender: Sender, source: IpAddr, destination: SocketAddr) -> Option<Packet> {
    let to_pod = matches!(sender, Sender::Remote(_));
    let (port, destination) = (Port::new(destination.port())?, destination.ip());
    Some(Packet { sender, protocol: Protocol::Tcp, source, destination, to_pod, port, state: State::New })
}

/// The rule of a chain that decides about a packet.
pub(super) fn decides<'a>(plan: &'a Plan, chain: ChainName, packet: &Packet) -> Option<&'a Rule> {
    let passed = plan.explain(packet).passes.into_iter().find(|passed| passed.chain == chain)?;
    passed.rule.map(|numbered| numbered.rule)
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

/// Destinations that a rule may decide about, at `here` or at either end of the first network that it names.
pub(super) fn named(rule: &Rule, here: IpAddr) -> Vec<SocketAddr> {
    let (mut addresses, mut ports) = (vec![here], Vec::new());
    for condition in &rule.matches {
        match (condition, here) {
            (Match::DestinationV4(networks), IpAddr::V4(_)) => {
                let ends = networks.first().map(|network| [network.network(), network.broadcast()]);
                addresses.extend(ends.into_iter().flatten().map(IpAddr::from));
            }
            (Match::DestinationV6(networks), IpAddr::V6(_)) => {
                let ends = networks.first().map(|network| [network.network(), network.broadcast()]);
                addresses.extend(ends.into_iter().flatten().map(IpAddr::from));
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

/// Senders that a rule may decide about: `remote`, and either end of the first network that it names.
pub(super) fn senders(rule: &Rule, remote: IpAddr) -> Vec<IpAddr> {
    let ends = rule.matches.iter().filter_map(|condition| match (condition, remote) {
        (Match::SourceV4(networks), IpAddr::V4(_)) => {
            networks.first().map(|network| [network.network(), network.broadcast()].map(IpAddr::from))
        }
        (Match::SourceV6(networks), IpAddr::V6(_)) => {
            networks.first().map(|network| [network.network(), network.broadcast()].map(IpAddr::from))
        }
        _ => None,
    });
    std::iter::once(remote).chain(ends.flatten()).collect()
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

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use clap::Parser;

    use super::{arrival, call, decides, elsewhere, excludes, named, redirected, rules};
    use crate::args::Command;
    use crate::options::{Family, Options, Owner};
    use crate::plan::{Action, ChainName, Plan};

    const APP: Owner = Owner { uid: 1000, gid: 1000 };

    fn plan(arguments: &[&str]) -> (Options, Plan) {
        let command = Command::try_parse_from([&["init-redirect"], arguments].concat()).expect("arguments");
        let options = command.typed.parse().expect("options");
        let plan = Plan::new(&options);
        (options, plan)
    }

    /// The first destination that is redirected.
    fn captured(plan: &Plan, family: Family) -> Option<SocketAddr> {
        let outbound = rules(plan, ChainName::Outbound);
        redirected(outbound, elsewhere(family)).into_iter().find(|destination| {
            let rule = call(APP, *destination, "eth0").and_then(|p| decides(plan, ChainName::Outbound, &p));
            rule.is_some_and(|rule| matches!(rule.action, Action::Redirect(_)))
        })
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().expect(text)
    }

    #[test]
    fn the_address_that_stands_for_all_is_tried_first() {
        let (_, plan) = plan(&[]);
        assert_eq!(captured(&plan, Family::V4), Some(address("192.0.2.1:80")));
        assert_eq!(captured(&plan, Family::V6), Some(address("[2001:db8::1]:80")));
    }

    #[test]
    fn what_rules_name_is_tried_next() {
        let (_, only_ports) = plan(&["--include-outbound-cidrs=", "--include-outbound-ports=7000-7010"]);
        assert_eq!(captured(&only_ports, Family::V6), Some(address("[2001:db8::1]:7000")));
        let (_, only_cidrs) = plan(&["--include-outbound-cidrs=10.96.0.0/12", "--exclude-outbound-ports=80"]);
        assert_eq!(captured(&only_cidrs, Family::V4), Some(address("10.96.0.0:443")));
        assert_eq!(captured(&only_cidrs, Family::V6), None);
        let (_, all_but_the_end) =
            plan(&["--include-outbound-cidrs=10.0.0.0/8", "--exclude-outbound-cidrs=10.0.0.0/9"]);
        assert_eq!(captured(&all_but_the_end, Family::V4), Some(address("10.255.255.255:80")));
    }

    #[test]
    fn every_exclusion_has_a_packet_that_it_decides_about() {
        let (_, plan) = plan(&[
            "--exclude-outbound-ports=3307,80",
            "--exclude-outbound-cidrs=203.0.113.0/24,2001:db8:2::/64",
            "--exclude-inbound-ports=22",
        ]);
        for family in [Family::V4, Family::V6] {
            let here = elsewhere(family);
            let outbound = rules(&plan, ChainName::Outbound).iter().filter(|rule| excludes(rule, family));
            let mut count = 0;
            for rule in outbound {
                let decided = named(rule, here).into_iter().find(|destination| {
                    let packet = call(APP, *destination, "eth0").expect("a port");
                    decides(&plan, ChainName::Outbound, &packet)
                        .is_some_and(|found| std::ptr::eq(found, rule))
                });
                assert!(decided.is_some(), "{family} {rule:?}");
                count += 1;
            }
            assert_eq!(count, 2, "{family}: ports and addresses");
        }
    }

    #[test]
    fn what_no_packet_of_ours_can_have_is_no_exclusion() {
        let (options, plan) = plan(&[]);
        assert!(!rules(&plan, ChainName::Outbound).iter().any(|rule| excludes(rule, Family::V4)));
        let own = call(options.proxy, address("192.0.2.1:80"), "eth0").expect("a packet");
        let rule = decides(&plan, ChainName::Outbound, &own).expect("a rule");
        assert_eq!(rule.action, Action::Leave);
        let (pod, remote): (SocketAddr, IpAddr) = (address("10.1.2.3:8080"), elsewhere(Family::V4));
        let packet = arrival(remote, pod, "eth0").expect("a packet");
        let rule = decides(&plan, ChainName::Inbound, &packet).expect("a rule");
        assert_eq!(rule.action, Action::Redirect(options.inbound.port));
    }
}
