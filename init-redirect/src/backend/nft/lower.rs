//! From the plan to nftables' terms. Pure; each rule of the plan becomes one rule here, each set of ports or addresses a set.

use ipnet::{Ipv4Net, Ipv6Net};

use super::ruleset::{Base, Chain, Expr, Key, Ruleset, Set};
use super::sys::{self, chain, ct, meta, payload};
use crate::options::{Owner, Ports};
use crate::plan::{self, Action, Hook, Match, Plan, Point, Purpose};

/// Offset of the flags in a TCP header, and FIN, SYN, RST and ACK among them (RFC 9293, 3.1).
const TCP_FLAGS: u32 = 13;
const TCP_SYN: u8 = 0x02;
const TCP_SYN_MASK: u8 = 0x17;

/// Offsets of the destination in headers of TCP (RFC 9293), IPv4 (RFC 791) and IPv6 (RFC 8200).
const TCP_DESTINATION: u32 = 2;
const V4_DESTINATION: u32 = 16;
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
            Match::FromLoopback(yes) => self.interface(meta::IIF, *yes),
            Match::ToLoopback => self.interface(meta::OIF, true),
            Match::Owner(Owner { uid, gid }) => {
                self.compare(Expr::Meta(meta::SKUID), &uid.to_ne_bytes());
                self.compare(Expr::Meta(meta::SKGID), &gid.to_ne_bytes());
            }
            Match::Tcp => self.tcp(),
            Match::TcpSyn => {
                self.tcp();
                self.exprs.push(Expr::Payload { base: payload::TRANSPORT, offset: TCP_FLAGS, len: 1 });
                self.compare(Expr::And(vec![TCP_SYN_MASK]), &[TCP_SYN]);
            }
            Match::DestinationPort(ports) => self.destination_port(ports, false),
            Match::DestinationPortNot(ports) => self.destination_port(ports, true),
            Match::DestinationV4(networks) => {
                self.compare(Expr::Meta(meta::NFPROTO), &[sys::NFPROTO_IPV4]);
                self.exprs.push(Expr::Payload {
                    base: payload::NETWORK,
                    offset: V4_DESTINATION,
                    len: Key::V4.len(),
                });
                self.lookup("v4", Key::V4, joined(networks.iter().map(v4_interval)), false);
            }
            Match::DestinationV6(networks) => {
                self.compare(Expr::Meta(meta::NFPROTO), &[sys::NFPROTO_IPV6]);
                self.exprs.push(Expr::Payload {
                    base: payload::NETWORK,
                    offset: V6_DESTINATION,
                    len: Key::V6.len(),
                });
                self.lookup("v6", Key::V6, joined(networks.iter().map(v6_interval)), false);
            }
            Match::OriginalDestinationPort(ports) => {
                self.exprs.push(Expr::Ct { key: ct::PROTO_DST, direction: Some(ct::ORIGINAL) });
                self.lookup("original_ports", Key::Port, port_intervals(ports), false);
            }
            Match::NotTranslated => {
                self.exprs.push(Expr::Ct { key: ct::STATUS, direction: None });
                self.compare(Expr::And(ct::DST_NAT.to_ne_bytes().to_vec()), &0_u32.to_ne_bytes());
            }
            Match::Invalid => {
                self.exprs.push(Expr::Ct { key: ct::STATE, direction: None });
                self.exprs.push(Expr::And(ct::INVALID.to_ne_bytes().to_vec()));
                self.exprs.push(Expr::Compare { equal: false, value: 0_u32.to_ne_bytes().to_vec() });
            }
        }
    }

    fn action(&mut self, action: Action) {
        match action {
            Action::Leave => self.exprs.push(Expr::Verdict(sys::NF_ACCEPT)),
            Action::Drop => self.exprs.push(Expr::Verdict(sys::NF_DROP)),
            Action::Reset => self.exprs.push(Expr::Reset),
            Action::Redirect(port) => {
                self.exprs.extend([Expr::Constant(port.get().to_be_bytes().to_vec()), Expr::Redirect]);
            }
        }
    }

    fn interface(&mut self, key: u32, equal: bool) {
        self.exprs.push(Expr::Meta(key));
        self.exprs.push(Expr::Compare { equal, value: meta::LOOPBACK.to_ne_bytes().to_vec() });
    }

    fn tcp(&mut self) {
        self.compare(Expr::Meta(meta::L4PROTO), &[meta::IPPROTO_TCP]);
    }

    fn destination_port(&mut self, ports: &Ports, inverted: bool) {
        self.exprs.push(Expr::Payload {
            base: payload::TRANSPORT,
            offset: TCP_DESTINATION,
            len: Key::Port.len(),
        });
        self.lookup("ports", Key::Port, port_intervals(ports), inverted);
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
