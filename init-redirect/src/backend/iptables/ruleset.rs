//! Rules in iptables' own terms, of one address family, as far as we use them. What was asked for and what the kernel holds
//! are both of this type, so that they can be compared.
//!
//! The order of a rule's conditions means nothing, so a [`Rule`] keeps them sorted: equal rules are equal values.

use std::fmt;

use ipnet::IpNet;

use crate::options::{IdRange, PortRange};

/// What is ours.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Ruleset {
    /// In the order in which they are written; a table without chains is not listed.
    pub(super) tables: Vec<Table>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Table {
    pub(super) name: TableName,
    pub(super) chains: Vec<Chain>,
}

/// The tables, in the order in which they are written: nat is the last, since only its rules bring traffic to the proxy.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum TableName {
    Raw,
    Mangle,
    Filter,
    Nat,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Chain {
    pub(super) name: String,
    /// The built-in chain that jumps here.
    pub(super) built_in: &'static str,
    pub(super) rules: Vec<Rule>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Rule {
    words: Vec<Word>,
    target: Target,
}

impl Ruleset {
    /// A line for each jump to a chain, and for each rule.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.tables.iter().flat_map(Table::lines)
    }
}

impl Table {
    /// A line for each jump to a chain, and for each rule.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let name = self.name.as_str();
        let jumps =
            self.chains.iter().map(move |chain| format!("{name} {} -j {}", chain.built_in, chain.name));
        let rules = self.chains.iter().flat_map(move |chain| {
            chain.rules.iter().map(move |rule| format!("{name} {} {rule}", chain.name))
        });
        jumps.chain(rules)
    }
}

/// A condition. The order of the variants is that of the text.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Word {
    Source { not: bool, network: IpNet },
    Destination { not: bool, network: IpNet },
    In { not: bool, interface: String },
    Out { not: bool, interface: String },
    Protocol(Protocol),
    Port { protocol: Protocol, side: Side, not: bool, range: PortRange },
    TcpFlags { mask: u8, set: u8 },
    Uid { not: bool, range: IdRange },
    Gid { not: bool, range: IdRange },
    State { not: bool, state: State },
    OriginalPort(PortRange),
    Bytes(String),
    Ports { side: Side, not: bool, ranges: Vec<PortRange> },
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Protocol {
    Tcp,
    Udp,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Side {
    Source,
    Destination,
}

/// What connection tracking says of a packet.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum State {
    Invalid,
    /// Its connection's destination was translated.
    Dnat,
}

/// What happens to a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Target {
    /// Back to the built-in chain: rules of others are still asked, as they are beside a table of ours in nftables.
    Return,
    Drop,
    Reset,
    Redirect(u16),
    /// Its connection is tracked apart from those of other zones.
    Zone(u16),
}

impl Rule {
    pub(super) fn new(mut words: Vec<Word>, target: Target) -> Self {
        words.sort_unstable();
        words.dedup();
        Self { words, target }
    }

    /// Whether iptables takes it: of these conditions a rule has one at most.
    pub(super) fn can_be_said(&self) -> bool {
        let mut options = self.words.iter().filter(|word| word.module().is_none()).map(Word::option);
        let mut before = None;
        options.all(|option| before.replace(option) != Some(option))
    }

    /// Whether it decides about every packet.
    pub(super) fn is_final(&self) -> bool {
        self.words.is_empty() && !matches!(self.target, Target::Zone(_))
    }

    pub(super) fn returns(&self) -> bool {
        self.target == Target::Return
    }

    /// Whether it is about this protocol.
    pub(super) fn is_of(&self, protocol: Protocol) -> bool {
        self.words.contains(&Word::Protocol(protocol))
    }
}

impl TableName {
    pub(super) const ALL: [Self; 4] = [Self::Raw, Self::Mangle, Self::Filter, Self::Nat];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Mangle => "mangle",
            Self::Filter => "filter",
            Self::Nat => "nat",
        }
    }
}

impl Ruleset {
    /// The first rule that iptables would not take.
    pub(super) fn unsayable(&self) -> Option<&Rule> {
        let chains = self.tables.iter().flat_map(|table| &table.chains);
        chains.flat_map(|chain| &chain.rules).find(|rule| !rule.can_be_said())
    }

    pub(super) fn table(&self, name: TableName) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }
}

impl Protocol {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl State {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "INVALID",
            Self::Dnat => "DNAT",
        }
    }
}

/// The flags that a TCP header can have, by iptables' names (RFC 9293, 3.1).
pub(super) const TCP_FLAGS: [(&str, u8); 6] =
    [("FIN", 0x01), ("SYN", 0x02), ("RST", 0x04), ("PSH", 0x08), ("ACK", 0x10), ("URG", 0x20)];

/// The text after `-A CHAIN`, exactly as `iptables-save` prints it.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before: Option<(&str, &str)> = None;
        for word in &self.words {
            // A module takes each of its options once.
            let (module, option) = (word.module(), word.option());
            if let Some(module) = module
                && before.is_none_or(|before| before == (module, option) || before.0 != module)
            {
                write!(f, "-m {module} ")?;
            }
            before = module.map(|module| (module, option)).or(before);
            write!(f, "{}{option} {} ", if word.inverted() { "! " } else { "" }, word.value())?;
        }
        write!(f, "-j {}", self.target)
    }
}

impl Word {
    fn module(&self) -> Option<&'static str> {
        match self {
            Self::Source { .. }
            | Self::Destination { .. }
            | Self::In { .. }
            | Self::Out { .. }
            | Self::Protocol(_) => None,
            Self::Port { protocol, .. } => Some(protocol.as_str()),
            Self::TcpFlags { .. } => Some(Protocol::Tcp.as_str()),
            Self::Uid { .. } | Self::Gid { .. } => Some("owner"),
            Self::State { .. } | Self::OriginalPort(_) => Some("conntrack"),
            Self::Bytes(_) => Some("u32"),
            Self::Ports { .. } => Some("multiport"),
        }
    }

    fn option(&self) -> &'static str {
        match self {
            Self::Source { .. } => "-s",
            Self::Destination { .. } => "-d",
            Self::In { .. } => "-i",
            Self::Out { .. } => "-o",
            Self::Protocol(_) => "-p",
            Self::Port { side: Side::Source, .. } => "--sport",
            Self::Port { side: Side::Destination, .. } => "--dport",
            Self::TcpFlags { .. } => "--tcp-flags",
            Self::Uid { .. } => "--uid-owner",
            Self::Gid { .. } => "--gid-owner",
            Self::State { .. } => "--ctstate",
            Self::OriginalPort(_) => "--ctorigdstport",
            Self::Bytes(_) => "--u32",
            Self::Ports { side: Side::Source, .. } => "--sports",
            Self::Ports { side: Side::Destination, .. } => "--dports",
        }
    }

    fn inverted(&self) -> bool {
        match self {
            Self::Source { not, .. }
            | Self::Destination { not, .. }
            | Self::In { not, .. }
            | Self::Out { not, .. }
            | Self::Port { not, .. }
            | Self::Uid { not, .. }
            | Self::Gid { not, .. }
            | Self::State { not, .. }
            | Self::Ports { not, .. } => *not,
            Self::Protocol(_) | Self::TcpFlags { .. } | Self::OriginalPort(_) | Self::Bytes(_) => false,
        }
    }

    fn value(&self) -> String {
        match self {
            Self::Source { network, .. } | Self::Destination { network, .. } => network.to_string(),
            Self::In { interface, .. } | Self::Out { interface, .. } => interface.clone(),
            Self::Protocol(protocol) => protocol.as_str().to_owned(),
            Self::Port { range, .. } | Self::OriginalPort(range) => ports(*range),
            Self::TcpFlags { mask, set } => format!("{} {}", flags(*mask), flags(*set)),
            Self::Uid { range, .. } | Self::Gid { range, .. } => range.to_string(),
            Self::State { state, .. } => state.as_str().to_owned(),
            Self::Bytes(test) => format!("\"{test}\""),
            Self::Ports { ranges, .. } => {
                ranges.iter().map(|range| ports(*range)).collect::<Vec<_>>().join(",")
            }
        }
    }
}

fn flags(bits: u8) -> String {
    let set = TCP_FLAGS.iter().filter(|(_, flag)| bits & flag != 0).map(|(name, _)| *name);
    let names = set.collect::<Vec<_>>().join(",");
    if names.is_empty() { "NONE".to_owned() } else { names }
}

fn ports(range: PortRange) -> String {
    if range.first == range.last {
        range.first.to_string()
    } else {
        format!("{}:{}", range.first, range.last)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Return => f.write_str("RETURN"),
            Self::Drop => f.write_str("DROP"),
            Self::Reset => f.write_str("REJECT --reject-with tcp-reset"),
            Self::Redirect(port) => write!(f, "REDIRECT --to-ports {port}"),
            Self::Zone(zone) => write!(f, "CT --zone {zone}"),
        }
    }
}
