//! From the plan to iptables' terms, for one address family. Pure.
//!
//! A condition on a list becomes as many rules as iptables needs, since it has no sets of its own; a rule that is about the
//! other family becomes none.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::interfaces;
use super::ruleset::{Chain, Protocol, Rule, Ruleset, Side, State, Table, TableName, Target, Word};
use crate::options::{Family, IdRange, PortRange, Ports};
use crate::plan::{self, Action, Hook, Match, Plan, Point, Purpose};

/// How many ports the multiport match takes; a range counts as two.
const MULTIPORT: usize = 15;

/// FIN, SYN, RST and ACK of a TCP header's flags (RFC 9293, 3.1), and those that are set in a SYN and in a refusal.
const TCP_MASK: u8 = 0x17;
const TCP_SYN: u8 = 0x02;
const TCP_RST_ACK: u8 = 0x14;

/// TCP's sequence number is 0, in u32's language: it lies 4 bytes into the header that follows IPv4's, whose length is in its
/// first byte (RFC 791), or IPv6's 40 bytes (RFC 8200; the kernel's own refusals have no extension header).
const NO_SEQUENCE_V4: &str = "0x0>>0x16&0x3c@0x4=0x0";
const NO_SEQUENCE_V6: &str = "0x2c=0x0";

const LOOPBACK: &str = "lo";

/// What the plan is for this family.
pub(super) fn lower(plan: &Plan, family: Family) -> Ruleset {
    let mut tables = Vec::new();
    for name in TableName::ALL {
        let of_table = plan.chains.iter().filter(|chain| table(chain.hook) == name);
        let mut chains: Vec<Chain> = of_table.map(|chain| lower_chain(chain, family)).collect();
        chains.retain(|chain| !chain.rules.is_empty());
        chains.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        if !chains.is_empty() {
            tables.push(Table { name, chains });
        }
    }
    Ruleset { tables }
}

pub(super) const fn table(hook: Hook) -> TableName {
    match hook.purpose {
        Purpose::Nat => TableName::Nat,
        Purpose::Filter => TableName::Filter,
        Purpose::Raw => TableName::Raw,
    }
}

pub(super) const fn built_in(hook: Hook) -> &'static str {
    match hook.point {
        Point::Prerouting => "PREROUTING",
        Point::Input => "INPUT",
        Point::Output => "OUTPUT",
    }
}

fn lower_chain(chain: &plan::Chain, family: Family) -> Chain {
    let mut rules: Vec<Rule> = chain.rules.iter().flat_map(|rule| lower_rule(rule, family)).collect();
    // What follows a rule that decides about everything is never asked, and one that only returns says nothing.
    if let Some(last) = rules.iter().position(Rule::is_final) {
        rules.truncate(if rules.get(last).is_some_and(Rule::returns) { last } else { last + 1 });
    }
    Chain { name: chain.name.as_str().to_owned(), built_in: built_in(chain.hook), rules }
}

/// One rule for each way to meet all conditions.
pub(super) fn lower_rule(rule: &plan::Rule, family: Family) -> Vec<Rule> {
    let protocol = if rule.matches.contains(&Match::Udp) { Protocol::Udp } else { Protocol::Tcp };
    let lowering = Lowering { family, protocol };
    let mut ways = vec![Vec::new()];
    for condition in &rule.matches {
        let alternatives = lowering.condition(condition);
        ways = ways
            .iter()
            .flat_map(|way: &Vec<Word>| {
                alternatives.iter().map(move |words| [way.as_slice(), words].concat())
            })
            .collect();
    }
    let ways = ways.into_iter().filter_map(interfaces::merged);
    ways.map(|words| Rule::new(words, target(rule.action))).collect()
}

const fn target(action: Action) -> Target {
    match action {
        Action::Leave => Target::Return,
        Action::Redirect(port) => Target::Redirect(port.get()),
        Action::Reset => Target::Reset,
        Action::Drop => Target::Drop,
        Action::Zone(zone) => Target::Zone(zone),
    }
}

struct Lowering {
    family: Family,
    protocol: Protocol,
}

impl Lowering {
    /// Each item is one way to meet the condition: words that all have to hold.
    fn condition(&self, condition: &Match) -> Vec<Vec<Word>> {
        let lo = || LOOPBACK.to_owned();
        let words = match condition {
            Match::Family(family) => {
                return if *family == self.family { vec![Vec::new()] } else { Vec::new() };
            }
            Match::DestinationPort(ports) => return self.any_port(Side::Destination, ports),
            Match::SourcePort(ports) => return self.any_port(Side::Source, ports),
            Match::DestinationV4(networks) => return self.networks(v4(networks), to),
            Match::DestinationV6(networks) => return self.networks(v6(networks), to),
            Match::SourceV4(networks) => return self.networks(v4(networks), from),
            Match::SourceV6(networks) => return self.networks(v6(networks), from),
            Match::OriginalDestinationPort(ports) => {
                return ports.ranges().iter().map(|range| vec![Word::OriginalPort(*range)]).collect();
            }
            Match::DestinationPortNot(ports) => self.no_port(Side::Destination, ports),
            Match::FromLoopback(yes) => vec![Word::In { not: !yes, interface: lo() }],
            Match::ToLoopback => vec![Word::Out { not: false, interface: lo() }],
            Match::FromInterface(interface) => {
                vec![Word::In { not: false, interface: interface.to_string() }]
            }
            Match::ToInterface(interface) => vec![Word::Out { not: false, interface: interface.to_string() }],
            Match::Owner(owner) => {
                let ranges = IdRange::new(owner.uid, owner.uid).zip(IdRange::new(owner.gid, owner.gid));
                let (uid, gid) = ranges.expect("an owner's ids were checked to be ids");
                vec![Word::Uid { not: false, range: uid }, Word::Gid { not: false, range: gid }]
            }
            Match::Uid(range) => vec![Word::Uid { not: false, range: *range }],
            Match::UidNot(range) => vec![Word::Uid { not: true, range: *range }],
            Match::Gid(range) => vec![Word::Gid { not: false, range: *range }],
            Match::GidNot(range) => vec![Word::Gid { not: true, range: *range }],
            Match::Udp => vec![Word::Protocol(Protocol::Udp)],
            Match::Tcp => vec![Word::Protocol(Protocol::Tcp)],
            Match::TcpSyn => {
                vec![Word::Protocol(Protocol::Tcp), Word::TcpFlags { mask: TCP_MASK, set: TCP_SYN }]
            }
            Match::TcpRefusal => vec![
                Word::Protocol(Protocol::Tcp),
                Word::TcpFlags { mask: TCP_MASK, set: TCP_RST_ACK },
                Word::Bytes(self.no_sequence().to_owned()),
            ],
            Match::Translated(yes) => vec![Word::State { not: !yes, state: State::Dnat }],
            Match::Invalid => vec![Word::State { not: false, state: State::Invalid }],
        };
        vec![words]
    }

    const fn no_sequence(&self) -> &'static str {
        match self.family {
            Family::V4 => NO_SEQUENCE_V4,
            Family::V6 => NO_SEQUENCE_V6,
        }
    }

    fn networks(&self, networks: Vec<IpNet>, word: impl Fn(IpNet) -> Word) -> Vec<Vec<Word>> {
        let of_family = networks.into_iter().filter(|network| match self.family {
            Family::V4 => matches!(network, IpNet::V4(_)),
            Family::V6 => matches!(network, IpNet::V6(_)),
        });
        // iptables does not write down a network of all addresses.
        of_family
            .map(|network| if network.prefix_len() == 0 { Vec::new() } else { vec![word(network)] })
            .collect()
    }

    fn any_port(&self, side: Side, ports: &Ports) -> Vec<Vec<Word>> {
        chunks(ports).into_iter().map(|ranges| vec![self.port(side, false, ranges)]).collect()
    }

    fn no_port(&self, side: Side, ports: &Ports) -> Vec<Word> {
        chunks(ports).into_iter().map(|ranges| self.port(side, true, ranges)).collect()
    }

    /// The multiport match only where it is needed.
    fn port(&self, side: Side, not: bool, ranges: Vec<PortRange>) -> Word {
        match ranges.as_slice() {
            [range] => Word::Port { protocol: self.protocol, side, not, range: *range },
            _ => Word::Ports { side, not, ranges },
        }
    }
}

const fn to(network: IpNet) -> Word {
    Word::Destination { not: false, network }
}

const fn from(network: IpNet) -> Word {
    Word::Source { not: false, network }
}

fn v4(networks: &[Ipv4Net]) -> Vec<IpNet> {
    networks.iter().copied().map(IpNet::V4).collect()
}

fn v6(networks: &[Ipv6Net]) -> Vec<IpNet> {
    networks.iter().copied().map(IpNet::V6).collect()
}

/// The ranges, in parts that the multiport match can take.
fn chunks(ports: &Ports) -> Vec<Vec<PortRange>> {
    let mut chunks: Vec<Vec<PortRange>> = Vec::new();
    let mut places = MULTIPORT;
    for range in ports.ranges() {
        let needed = if range.first == range.last { 1 } else { 2 };
        match chunks.last_mut() {
            Some(chunk) if places + needed <= MULTIPORT => {
                chunk.push(*range);
                places += needed;
            }
            _ => {
                chunks.push(vec![*range]);
                places = needed;
            }
        }
    }
    chunks
}
