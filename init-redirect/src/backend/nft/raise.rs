//! From nftables' terms back to the plan's: the inverse of `lower`, for people who ask what the kernel holds. Pure.
//!
//! What `lower` would not have written is not understood, and shown as it is.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv4Subnets, Ipv6Net, Ipv6Subnets};

use super::ruleset::{Expr, Key, Ruleset};
use super::sys::{self, ct, meta};
use crate::options::{Family, IdRange, Interface, Owner, Port, PortRange, Ports};
use crate::plan::{Action, Match};

/// Conditions and action of a rule; nothing if it is none of ours.
pub(super) fn raise(exprs: &[Expr], ruleset: &Ruleset) -> Option<(Vec<Match>, Action)> {
    let mut rest = exprs;
    let mut matches = Vec::new();
    while let Some((condition, consumed)) = raise_match(rest, ruleset) {
        matches.push(condition);
        rest = rest.get(consumed..)?;
    }
    Some((matches, raise_action(rest)?))
}

fn raise_action(exprs: &[Expr]) -> Option<Action> {
    let two = |value: &[u8]| <[u8; 2]>::try_from(value).ok();
    match exprs {
        [Expr::Counter, Expr::Verdict(sys::NF_ACCEPT)] => Some(Action::Leave),
        [Expr::Counter, Expr::Verdict(sys::NF_DROP)] => Some(Action::Drop),
        [Expr::Counter, Expr::Reset] => Some(Action::Reset),
        [Expr::Counter, Expr::Constant(port), Expr::Redirect] => {
            Port::new(u16::from_be_bytes(two(port)?)).map(Action::Redirect)
        }
        [Expr::Counter, Expr::Constant(zone), Expr::SetZone, Expr::Verdict(sys::NF_ACCEPT)] => {
            two(zone).map(u16::from_ne_bytes).map(Action::Zone)
        }
        _ => None,
    }
}

/// A condition at the beginning of these, and how many it takes. The longest first, where one begins as another does.
fn raise_match(exprs: &[Expr], ruleset: &Ruleset) -> Option<(Match, usize)> {
    raise_owner(exprs)
        .or_else(|| raise_protocol(exprs))
        .or_else(|| raise_set(exprs, ruleset))
        .or_else(|| raise_interface(exprs))
        .or_else(|| raise_flag(exprs))
}

fn native(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_ne_bytes)
}

fn equals(expr: &Expr, expected: &[u8]) -> bool {
    *expr == Expr::Compare { equal: true, value: expected.to_vec() }
}

fn raise_owner(exprs: &[Expr]) -> Option<(Match, usize)> {
    let network = |value: &[u8]| value.try_into().ok().map(u32::from_be_bytes);
    match exprs {
        [
            Expr::Meta(meta::SKUID),
            Expr::Compare { equal: true, value: uid },
            Expr::Meta(meta::SKGID),
            Expr::Compare { equal: true, value: gid },
            ..,
        ] => Some((Match::Owner(Owner { uid: native(uid)?, gid: native(gid)? }), 4)),
        [Expr::Meta(key), Expr::Compare { equal, value }, ..] => {
            let id = native(value)?;
            Some((ids(*key, IdRange::new(id, id)?, *equal)?, 2))
        }
        [Expr::Meta(key), Expr::NetworkOrder, Expr::Range { equal, first, last }, ..] => {
            Some((ids(*key, IdRange::new(network(first)?, network(last)?)?, *equal)?, 3))
        }
        _ => None,
    }
}

fn ids(key: u32, range: IdRange, equal: bool) -> Option<Match> {
    match (key, equal) {
        (meta::SKUID, true) => Some(Match::Uid(range)),
        (meta::SKUID, false) => Some(Match::UidNot(range)),
        (meta::SKGID, true) => Some(Match::Gid(range)),
        (meta::SKGID, false) => Some(Match::GidNot(range)),
        _ => None,
    }
}

/// Offsets and masks as in `lower`: the flags at 13, of which FIN, SYN, RST and ACK count, and the sequence number at 4.
fn raise_protocol(exprs: &[Expr]) -> Option<(Match, usize)> {
    let [Expr::Meta(meta::L4PROTO), protocol, rest @ ..] = exprs else { return None };
    if equals(protocol, &[meta::IPPROTO_UDP]) {
        return Some((Match::Udp, 2));
    }
    if !equals(protocol, &[meta::IPPROTO_TCP]) {
        return None;
    }
    Some(match rest {
        [
            Expr::Payload { base: 2, offset: 13, len: 1 },
            Expr::And(mask),
            flags,
            Expr::Payload { base: 2, offset: 4, len: 4 },
            zero,
            ..,
        ] if mask == &[0x17] && equals(flags, &[0x14]) && equals(zero, &[0; 4]) => (Match::TcpRefusal, 7),
        [Expr::Payload { base: 2, offset: 13, len: 1 }, Expr::And(mask), flags, ..]
            if mask == &[0x17] && equals(flags, &[0x02]) =>
        {
            (Match::TcpSyn, 5)
        }
        _ => (Match::Tcp, 2),
    })
}

fn raise_set(exprs: &[Expr], ruleset: &Ruleset) -> Option<(Match, usize)> {
    match exprs {
        [Expr::Payload { base: 2, offset, len: 2 }, Expr::Lookup { set, inverted }, ..] => {
            let ports = ports(ruleset, set)?;
            let condition = match (offset, inverted) {
                (2, false) => Match::DestinationPort(ports),
                (2, true) => Match::DestinationPortNot(ports),
                (0, false) => Match::SourcePort(ports),
                _ => return None,
            };
            Some((condition, 2))
        }
        [
            Expr::Meta(meta::NFPROTO),
            family,
            Expr::Payload { base: 1, offset, len },
            Expr::Lookup { set, inverted: false },
            ..,
        ] => {
            let v4 = equals(family, &[sys::NFPROTO_IPV4]);
            let v6 = equals(family, &[sys::NFPROTO_IPV6]);
            let condition = match (offset, len) {
                (16, 4) if v4 => Match::DestinationV4(v4_networks(ruleset, set)?),
                (12, 4) if v4 => Match::SourceV4(v4_networks(ruleset, set)?),
                (24, 16) if v6 => Match::DestinationV6(v6_networks(ruleset, set)?),
                (8, 16) if v6 => Match::SourceV6(v6_networks(ruleset, set)?),
                _ => return None,
            };
            Some((condition, 4))
        }
        [Expr::Ct { key: ct::PROTO_DST, direction: Some(0) }, Expr::Lookup { set, inverted: false }, ..] => {
            Some((Match::OriginalDestinationPort(ports(ruleset, set)?), 2))
        }
        _ => None,
    }
}

fn raise_interface(exprs: &[Expr]) -> Option<(Match, usize)> {
    let lo = |value: &[u8]| native(value) == Some(meta::LOOPBACK);
    let [Expr::Meta(key), Expr::Compare { equal, value }, ..] = exprs else { return None };
    let condition = match (*key, *equal) {
        (meta::IIF, equal) if lo(value) => Match::FromLoopback(equal),
        (meta::OIF, true) if lo(value) => Match::ToLoopback,
        (meta::IIFNAME, true) => Match::FromInterface(interface(value)?),
        (meta::OIFNAME, true) => Match::ToInterface(interface(value)?),
        _ => return None,
    };
    Some((condition, 2))
}

fn interface(name: &[u8]) -> Option<Interface> {
    let text = std::str::from_utf8(name).ok()?;
    let prefix = name.len() < meta::NAME_LEN;
    let text = if prefix { format!("{text}+") } else { text.trim_end_matches('\0').to_owned() };
    text.parse().ok()
}

fn raise_flag(exprs: &[Expr]) -> Option<(Match, usize)> {
    match exprs {
        [Expr::Meta(meta::NFPROTO), family, ..] if equals(family, &[sys::NFPROTO_IPV4]) => {
            Some((Match::Family(Family::V4), 2))
        }
        [Expr::Meta(meta::NFPROTO), family, ..] if equals(family, &[sys::NFPROTO_IPV6]) => {
            Some((Match::Family(Family::V6), 2))
        }
        [Expr::Ct { key, direction: None }, Expr::And(mask), Expr::Compare { equal, value }, ..]
            if native(value) == Some(0) =>
        {
            let condition = match (*key, native(mask)?, *equal) {
                (ct::STATUS, ct::DST_NAT, equal) => Match::Translated(!equal),
                (ct::STATE, ct::INVALID, false) => Match::Invalid,
                _ => return None,
            };
            Some((condition, 3))
        }
        _ => None,
    }
}

fn intervals<'a>(ruleset: &'a Ruleset, name: &str, key: Key) -> Option<&'a [(u128, u128)]> {
    let set = ruleset.sets.iter().find(|set| set.name == name && set.key == key);
    set.map(|set| set.intervals.as_slice())
}

fn ports(ruleset: &Ruleset, set: &str) -> Option<Ports> {
    let port = |number: u128| Port::new(u16::try_from(number).ok()?);
    let range = |(first, last): &(u128, u128)| PortRange::new(port(*first)?, port(*last)?);
    intervals(ruleset, set, Key::Port)?.iter().map(range).collect()
}

fn v4_networks(ruleset: &Ruleset, set: &str) -> Option<Vec<Ipv4Net>> {
    let address = |bits: u128| u32::try_from(bits).ok().map(Ipv4Addr::from_bits);
    let mut networks = Vec::new();
    for (first, last) in intervals(ruleset, set, Key::V4)? {
        networks.extend(Ipv4Subnets::new(address(*first)?, address(*last)?, 0));
    }
    Some(networks)
}

fn v6_networks(ruleset: &Ruleset, set: &str) -> Option<Vec<Ipv6Net>> {
    let networks = intervals(ruleset, set, Key::V6)?.iter();
    let networks = networks.flat_map(|(first, last)| {
        Ipv6Subnets::new(Ipv6Addr::from_bits(*first), Ipv6Addr::from_bits(*last), 0)
    });
    Some(networks.collect())
}
