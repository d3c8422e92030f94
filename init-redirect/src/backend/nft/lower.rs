//! From the plan to nftables' terms. Pure; each rule of the plan becomes one rule here, each set of ports or addresses a set.

use ipnet::{Ipv4Net, Ipv6Net};

use super::ruleset::{Base, Chain, Expr, Key, Ruleset, Set};
use super::sys::{self, chain, ct, meta, payload};
use crate::options::{Family, IdRange, Interface, Owner, Ports};
use crate::plan::{self, Action, Hook, Match, Plan, Point, Purpose};

/// Offset of the flags in a TCP header, and FIN, SYN, RST and ACK among them (RFC 9293, 3.1).
const TCP_FLAGS: u32 = 13;
const TCP_SYN: u8 = 0x02;
const TCP_FLAGS_MASK: u8 = 0x17;

/// RST and ACK, and the offset of the sequence number.
const TCP_RST_ACK: u8 = 0x14;
const TCP_SEQUENCE: u32 = 4;

/// Offsets of source and destination in headers of TCP (RFC 9293) and UDP (RFC 768), IPv4 (RFC 791) and IPv6 (RFC 8200).
const PORT_SOURCE: u32 = 0;
const PORT_DESTINATION: u32 = 2;
const V4_SOURCE: u32 = 12;
const V4_DESTINATION: u32 = 16;
const V6_SOURCE: u32 = 8;
const V6_DESTINATION: u32 = 24;

/// The table that holds the plan.
pub(super) fn lower(plan: &Plan) -> Ruleset {
    let mut sets = Vec::new();
    let chains = plan.chains.iter().map(|chain| lower_chain(chain, &mut sets)).collect();
    Ruleset { flags: 0, chains, sets }
}

fn lower_chain(chain: &plan::Chain, sets: &mut Vec<Set>) -> Chain {
    let name = chain.name.as_str();
    let rule = |(rule, number): (&plan::Rule, u32)| {
        let mut lowering = Lowering { place: format!("{name}_{number}"), sets, exprs: Vec::new() };
        rule.matches.iter().for_each(|condition| lowering.condition(condition));
        lowering.exprs.push(Expr::Counter);
        lowering.action(rule.action);
        lowering.exprs
    };
    let rules = chain.rules.iter().zip(1..).map(rule).collect();
    Chain { name: name.to_owned(), base: Some(base(chain.hook)), rules }
}

fn base(hook: Hook) -> Base {
    let (kind, priority) = match hook.purpose {
        Purpose::Nat => ("nat", chain::NF_IP_PRI_NAT_DST),
        Purpose::Filter => ("filter", chain::NF_IP_PRI_FILTER),
        Purpose::Raw => ("filter", chain::NF_IP_PRI_RAW),
    };
    let hook = match hook.point {
        Point::Prerouting => chain::NF_INET_PRE_ROUTING,
        Point::Input => chain::NF_INET_LOCAL_IN,
        Point::Output => chain::NF_INET_LOCAL_OUT,
    };
    Base { kind: kind.to_owned(), hook, priority, policy: sys::NF_ACCEPT }
}

/// A rule while it is made.
struct Lowering<'a> {
    /// What the rule's sets are named after.
    place: String,
    sets: &'a mut Vec<Set>,
    exprs: Vec<Expr>,
}

impl Lowering<'_> {
    fn condition(&mut self, condition: &Match) {
        match condition {
            Match::Family(family) => self.family(*family),
            Match::FromLoopback(yes) => self.loopback(meta::IIF, *yes),
            Match::ToLoopback => self.loopback(meta::OIF, true),
            Match::FromInterface(interface) => self.interface(meta::IIFNAME, interface),
            Match::ToInterface(interface) => self.interface(meta::OIFNAME, interface),
            Match::Owner(Owner { uid, gid }) => {
                self.compare(Expr::Meta(meta::SKUID), &uid.to_ne_bytes());
                self.compare(Expr::Meta(meta::SKGID), &gid.to_ne_bytes());
            }
            Match::Uid(ids) => self.ids(meta::SKUID, *ids, true),
            Match::UidNot(ids) => self.ids(meta::SKUID, *ids, false),
            Match::Gid(ids) => self.ids(meta::SKGID, *ids, true),
            Match::GidNot(ids) => self.ids(meta::SKGID, *ids, false),
            Match::Udp => self.protocol(meta::IPPROTO_UDP),
            Match::Tcp => self.protocol(meta::IPPROTO_TCP),
            Match::TcpSyn => self.tcp(TCP_SYN),
            Match::TcpRefusal => {
                self.tcp(TCP_RST_ACK);
                self.compare(payload(payload::TRANSPORT, TCP_SEQUENCE, 4), &[0; 4]);
            }
            Match::DestinationPort(ports) => self.port((PORT_DESTINATION, "ports"), ports, false),
            Match::DestinationPortNot(ports) => self.port((PORT_DESTINATION, "ports"), ports, true),
            Match::SourcePort(ports) => self.port((PORT_SOURCE, "source_ports"), ports, false),
            Match::DestinationV4(networks) => self.v4((V4_DESTINATION, "v4"), networks),
            Match::DestinationV6(networks) => self.v6((V6_DESTINATION, "v6"), networks),
            Match::SourceV4(networks) => self.v4((V4_SOURCE, "source_v4"), networks),
            Match::SourceV6(networks) => self.v6((V6_SOURCE, "source_v6"), networks),
            Match::OriginalDestinationPort(ports) => {
                self.exprs.push(Expr::Ct { key: ct::PROTO_DST, direction: Some(ct::ORIGINAL) });
                self.lookup("original_ports", Key::Port, port_intervals(ports), false);
            }
            Match::Translated(yes) => self.flag(ct::STATUS, ct::DST_NAT, *yes),
            Match::Invalid => self.flag(ct::STATE, ct::INVALID, true),
        }
    }

    fn action(&mut self, action: Action) {
        match action {
            Action::Leave => self.exprs.push(Expr::Verdict(sys::NF_ACCEPT)),
            Action::Drop => self.exprs.push(Expr::Verdict(sys::NF_DROP)),
            Action::Reset => self.exprs.push(Expr::Reset),
            Action::Zone(zone) => self.exprs.extend([
                Expr::Constant(zone.to_ne_bytes().to_vec()),
                Expr::SetZone,
                Expr::Verdict(sys::NF_ACCEPT),
            ]),
            Action::Redirect(port) => {
                self.exprs.extend([Expr::Constant(port.get().to_be_bytes().to_vec()), Expr::Redirect]);
            }
        }
    }

    fn family(&mut self, family: Family) {
        let number = match family {
            Family::V4 => sys::NFPROTO_IPV4,
            Family::V6 => sys::NFPROTO_IPV6,
        };
        self.compare(Expr::Meta(meta::NFPROTO), &[number]);
    }

    fn loopback(&mut self, key: u32, equal: bool) {
        self.exprs.push(Expr::Meta(key));
        self.exprs.push(Expr::Compare { equal, value: meta::LOOPBACK.to_ne_bytes().to_vec() });
    }

    /// A comparison with fewer bytes than a name has looks at its beginning alone.
    fn interface(&mut self, key: u32, interface: &Interface) {
        let mut name = interface.name().as_bytes().to_vec();
        if !interface.is_prefix() {
            name.resize(meta::NAME_LEN, 0);
        }
        self.compare(Expr::Meta(key), &name);
    }

    fn ids(&mut self, key: u32, ids: IdRange, equal: bool) {
        self.exprs.push(Expr::Meta(key));
        if ids.first() == ids.last() {
            self.exprs.push(Expr::Compare { equal, value: ids.first().to_ne_bytes().to_vec() });
        } else {
            let [first, last] = [ids.first(), ids.last()].map(|id| id.to_be_bytes().to_vec());
            self.exprs.extend([Expr::NetworkOrder, Expr::Range { equal, first, last }]);
        }
    }

    fn protocol(&mut self, number: u8) {
        self.compare(Expr::Meta(meta::L4PROTO), &[number]);
    }

    /// TCP with exactly these of FIN, SYN, RST and ACK.
    fn tcp(&mut self, flags: u8) {
        self.protocol(meta::IPPROTO_TCP);
        self.exprs.push(payload(payload::TRANSPORT, TCP_FLAGS, 1));
        self.compare(Expr::And(vec![TCP_FLAGS_MASK]), &[flags]);
    }

    fn port(&mut self, (offset, what): (u32, &str), ports: &Ports, inverted: bool) {
        self.exprs.push(payload(payload::TRANSPORT, offset, Key::Port.len()));
        self.lookup(what, Key::Port, port_intervals(ports), inverted);
    }

    fn v4(&mut self, (offset, what): (u32, &str), networks: &[Ipv4Net]) {
        self.family(Family::V4);
        self.exprs.push(payload(payload::NETWORK, offset, Key::V4.len()));
        self.lookup(what, Key::V4, joined(networks.iter().map(v4_interval)), false);
    }

    fn v6(&mut self, (offset, what): (u32, &str), networks: &[Ipv6Net]) {
        self.family(Family::V6);
        self.exprs.push(payload(payload::NETWORK, offset, Key::V6.len()));
        self.lookup(what, Key::V6, joined(networks.iter().map(v6_interval)), false);
    }

    /// Whether a bit of a property of the connection is set.
    fn flag(&mut self, key: u32, bit: u32, set: bool) {
        self.exprs.push(Expr::Ct { key, direction: None });
        self.exprs.push(Expr::And(bit.to_ne_bytes().to_vec()));
        self.exprs.push(Expr::Compare { equal: !set, value: 0_u32.to_ne_bytes().to_vec() });
    }

    fn compare(&mut self, load: Expr, value: &[u8]) {
        self.exprs.extend([load, Expr::Compare { equal: true, value: value.to_vec() }]);
    }

    fn lookup(&mut self, what: &str, key: Key, intervals: Vec<(u128, u128)>, inverted: bool) {
        let name = format!("{}_{what}", self.place);
        self.exprs.push(Expr::Lookup { set: name.clone(), inverted });
        self.sets.push(Set { name, key, intervals });
    }
}

const fn payload(base: u32, offset: u32, len: u32) -> Expr {
    Expr::Payload { base, offset, len }
}

fn port_intervals(ports: &Ports) -> Vec<(u128, u128)> {
    ports.ranges().iter().map(|range| (range.first.get().into(), range.last.get().into())).collect()
}

fn v4_interval(network: &Ipv4Net) -> (u128, u128) {
    (network.network().to_bits().into(), network.broadcast().to_bits().into())
}

fn v6_interval(network: &Ipv6Net) -> (u128, u128) {
    (network.network().to_bits(), network.broadcast().to_bits())
}

/// Sorted intervals with neighbours joined: adjacent networks need not be of one larger network.
fn joined(intervals: impl Iterator<Item = (u128, u128)>) -> Vec<(u128, u128)> {
    let mut joined: Vec<(u128, u128)> = Vec::new();
    for (first, last) in intervals {
        match joined.last_mut() {
            Some((_, before)) if first <= before.saturating_add(1) => *before = last.max(*before),
            _ => joined.push((first, last)),
        }
    }
    joined
}
