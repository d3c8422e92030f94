//! The plan as a text for `nft -f`, which makes the same table of it that we make ourselves.

use std::fmt::{self, Display, Write};

use super::lower;
use super::ruleset::{Key, Set};
use crate::options::{Family, Interface, Owner};
use crate::plan::{Action, Chain, Match, Plan, Point, Purpose, Rule};

/// The flags that tell a SYN, and a refusal, from other segments.
const FLAGS: &str = "tcp flags & (fin|syn|rst|ack) ==";

/// The text, for a network namespace that does not have our table.
pub(in super::super) fn text(plan: &Plan) -> String {
    let sets = lower::lower(plan).sets;
    // Conditions on lists refer to the sets in the order in which these were made.
    let mut names = sets.iter().map(|set| set.name.as_str());
    let mut text = format!("# For IPv4 and IPv6: nft -f\ntable inet {} {{\n", api::pod::NFT_TABLE);
    let mut line = |indent: usize, line: &str| {
        let _ = writeln!(text, "{}{line}", "\t".repeat(indent));
    };
    for set in &sets {
        line(1, &format!("set {} {{", set.name));
        line(2, &format!("type {}", key(set.key)));
        line(2, "flags interval");
        if !set.intervals.is_empty() {
            line(2, &format!("elements = {{ {} }}", elements(set)));
        }
        line(1, "}");
    }
    for chain in &plan.chains {
        line(1, &format!("chain {} {{", chain.name.as_str()));
        line(2, &base(chain));
        for rule in &chain.rules {
            line(2, &format!("# {}", rule.reason));
            line(2, &rule_text(rule, &mut names));
        }
        line(1, "}");
    }
    line(0, "}");
    text
}

const fn key(key: Key) -> &'static str {
    match key {
        Key::Port => "inet_service",
        Key::V4 => "ipv4_addr",
        Key::V6 => "ipv6_addr",
    }
}

fn elements(set: &Set) -> String {
    let element = |value: u128| match set.key {
        Key::Port => value.to_string(),
        Key::V4 => std::net::Ipv4Addr::from_bits(value.try_into().unwrap_or(u32::MAX)).to_string(),
        Key::V6 => std::net::Ipv6Addr::from_bits(value).to_string(),
    };
    let interval = |(first, last): &(u128, u128)| {
        if first == last { element(*first) } else { format!("{}-{}", element(*first), element(*last)) }
    };
    set.intervals.iter().map(interval).collect::<Vec<_>>().join(", ")
}

fn base(chain: &Chain) -> String {
    let (kind, priority) = match chain.hook.purpose {
        // The names of priorities are younger than some programs.
        Purpose::Nat => ("nat", "-100"),
        Purpose::Filter => ("filter", "0"),
        Purpose::Raw => ("filter", "-300"),
    };
    let hook = match chain.hook.point {
        Point::Prerouting => "prerouting",
        Point::Input => "input",
        Point::Output => "output",
    };
    format!("type {kind} hook {hook} priority {priority}; policy accept;")
}

fn rule_text<'a>(rule: &Rule, sets: &mut impl Iterator<Item = &'a str>) -> String {
    let protocol = if rule.matches.contains(&Match::Udp) { "udp" } else { "tcp" };
    let mut words: Vec<String> =
        rule.matches.iter().map(|condition| condition_text(condition, protocol, sets)).collect();
    words.push("counter".to_owned());
    words.push(action_text(rule.action));
    words.join(" ")
}

fn condition_text<'a>(condition: &Match, protocol: &str, sets: &mut impl Iterator<Item = &'a str>) -> String {
    let mut set = || sets.next().expect("each condition on a list has made a set");
    match condition {
        Match::Family(Family::V4) => "meta nfproto ipv4".to_owned(),
        Match::Family(Family::V6) => "meta nfproto ipv6".to_owned(),
        Match::FromLoopback(true) => "iif lo".to_owned(),
        Match::FromLoopback(false) => "iif != lo".to_owned(),
        Match::ToLoopback => "oif lo".to_owned(),
        Match::FromInterface(interface) => format!("iifname {}", Name(interface)),
        Match::ToInterface(interface) => format!("oifname {}", Name(interface)),
        Match::Owner(Owner { uid, gid }) => format!("meta skuid {uid} meta skgid {gid}"),
        Match::Uid(ids) => format!("meta skuid {ids}"),
        Match::UidNot(ids) => format!("meta skuid != {ids}"),
        Match::Gid(ids) => format!("meta skgid {ids}"),
        Match::GidNot(ids) => format!("meta skgid != {ids}"),
        Match::Udp => "meta l4proto udp".to_owned(),
        Match::Tcp => "meta l4proto tcp".to_owned(),
        Match::TcpSyn => format!("{FLAGS} syn"),
        Match::TcpRefusal => format!("{FLAGS} rst|ack tcp sequence 0"),
        Match::DestinationPort(_) => format!("{protocol} dport @{}", set()),
        Match::DestinationPortNot(_) => format!("{protocol} dport != @{}", set()),
        Match::SourcePort(_) => format!("{protocol} sport @{}", set()),
        Match::DestinationV4(_) => format!("ip daddr @{}", set()),
        Match::DestinationV6(_) => format!("ip6 daddr @{}", set()),
        Match::SourceV4(_) => format!("ip saddr @{}", set()),
        Match::SourceV6(_) => format!("ip6 saddr @{}", set()),
        Match::OriginalDestinationPort(_) => format!("ct original proto-dst @{}", set()),
        Match::Translated(true) => "ct status dnat".to_owned(),
        Match::Translated(false) => "ct status & dnat == 0".to_owned(),
        Match::Invalid => "ct state invalid".to_owned(),
    }
}

fn action_text(action: Action) -> String {
    match action {
        Action::Leave => "accept".to_owned(),
        Action::Drop => "drop".to_owned(),
        Action::Reset => "reject with tcp reset".to_owned(),
        Action::Redirect(port) => format!("redirect to :{port}"),
        Action::Zone(zone) => format!("ct zone set {zone} accept"),
    }
}

/// An interface, as nft writes it.
struct Name<'a>(&'a Interface);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}{}\"", self.0.name(), if self.0.is_prefix() { "*" } else { "" })
    }
}
