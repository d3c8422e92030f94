//! Encoder and decoder against each other and against the plan, and the kernel's refusals. No kernel is asked: that the
//! kernel understands the messages is what the network namespace tests prove.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use nix::errno::Errno;
use proptest::prelude::*;

use super::decode::Decoder;
use super::encode::{Batch, Step};
use super::lower::lower;
use super::ruleset::{Expr, Key, Ruleset};
use super::sys::{self, ct, meta};
use super::{Error, refused, unopened, unreadable};
use crate::netlink::Failure;
use crate::netlink::wire::{self, Malformed};
use crate::options::arbitrary::{any_options, default_options};
use crate::options::{Cidrs, Family, IdRange, Owner, Port, PortRange, Ports};
use crate::plan::{Action, Match, Plan, Rule};

fn decode(bytes: &[u8]) -> Result<Ruleset, Malformed> {
    let mut decoder = Decoder::default();
    for message in wire::messages(bytes) {
        decoder.message(&message?)?;
    }
    decoder.finish()
}

/// The rules of a table as the plan has them, read from expressions; the inverse of `lower`.
fn raise(ruleset: &Ruleset) -> Vec<Vec<(Vec<Match>, Action)>> {
    let rule = |exprs: &Vec<Expr>| {
        let mut rest = exprs.as_slice();
        let mut matches = Vec::new();
        while let Some((condition, consumed)) = raise_match(rest, ruleset) {
            matches.push(condition);
            rest = &rest[consumed..];
        }
        (matches, raise_action(rest))
    };
    ruleset.chains.iter().map(|chain| chain.rules.iter().map(rule).collect()).collect()
}

fn raise_action(exprs: &[Expr]) -> Action {
    let native = |value: &[u8]| u16::from_ne_bytes(value.try_into().expect("two bytes"));
    match exprs {
        [Expr::Counter, Expr::Verdict(sys::NF_ACCEPT)] => Action::Leave,
        [Expr::Counter, Expr::Verdict(sys::NF_DROP)] => Action::Drop,
        [Expr::Counter, Expr::Reset] => Action::Reset,
        [Expr::Counter, Expr::Constant(port), Expr::Redirect] => {
            let port = u16::from_be_bytes(port.as_slice().try_into().expect("two bytes"));
            Action::Redirect(Port::new(port).expect("not 0"))
        }
        [Expr::Counter, Expr::Constant(zone), Expr::SetZone, Expr::Verdict(sys::NF_ACCEPT)] => {
            Action::Zone(native(zone))
        }
        other => panic!("no action of ours: {other:?}"),
    }
}

fn eq(expr: &Expr, expected: &[u8]) -> bool {
    *expr == Expr::Compare { equal: true, value: expected.to_vec() }
}

fn native(value: &[u8]) -> u32 {
    u32::from_ne_bytes(value.try_into().expect("four bytes"))
}

/// The longest match first, where one begins as another does.
fn raise_match(exprs: &[Expr], ruleset: &Ruleset) -> Option<(Match, usize)> {
    raise_owner(exprs)
        .or_else(|| raise_tcp(exprs))
        .or_else(|| raise_sets(exprs, ruleset))
        .or_else(|| raise_flags(exprs))
}

fn raise_owner(exprs: &[Expr]) -> Option<(Match, usize)> {
    let ids = |key: u32, range: IdRange, equal: bool| match (key, equal) {
        (meta::SKUID, true) => Match::Uid(range),
        (meta::SKUID, false) => Match::UidNot(range),
        (meta::SKGID, true) => Match::Gid(range),
        (meta::SKGID, false) => Match::GidNot(range),
        _ => panic!("no owner: {key}"),
    };
    let range = |first, last| IdRange::new(first, last).expect("ordered");
    let network = |value: &[u8]| u32::from_be_bytes(value.try_into().expect("four bytes"));
    Some(match exprs {
        [
            Expr::Meta(meta::SKUID),
            Expr::Compare { equal: true, value: uid },
            Expr::Meta(meta::SKGID),
            Expr::Compare { equal: true, value: gid },
            ..,
        ] => (Match::Owner(Owner { uid: native(uid), gid: native(gid) }), 4),
        [Expr::Meta(key @ (meta::SKUID | meta::SKGID)), Expr::Compare { equal, value }, ..] => {
            (ids(*key, range(native(value), native(value)), *equal), 2)
        }
        [Expr::Meta(key), Expr::NetworkOrder, Expr::Range { equal, first, last }, ..] => {
            (ids(*key, range(network(first), network(last)), *equal), 3)
        }
        _ => return None,
    })
}

fn raise_tcp(exprs: &[Expr]) -> Option<(Match, usize)> {
    let flags = |mask: &[u8]| mask == [0b1_0111];
    Some(match exprs {
        [
            Expr::Meta(meta::L4PROTO),
            tcp,
            Expr::Payload { base: 2, offset: 13, len: 1 },
            Expr::And(mask),
            rst_ack,
            Expr::Payload { base: 2, offset: 4, len: 4 },
            zero,
            ..,
        ] if eq(tcp, &[6]) && flags(mask) && eq(rst_ack, &[0b1_0100]) && eq(zero, &[0; 4]) => {
            (Match::TcpRefusal, 7)
        }
        [
            Expr::Meta(meta::L4PROTO),
            tcp,
            Expr::Payload { base: 2, offset: 13, len: 1 },
            Expr::And(mask),
            syn,
            ..,
        ] if eq(tcp, &[6]) && flags(mask) && eq(syn, &[0b10]) => (Match::TcpSyn, 5),
        [Expr::Meta(meta::L4PROTO), tcp, ..] if eq(tcp, &[6]) => (Match::Tcp, 2),
        [Expr::Meta(meta::L4PROTO), udp, ..] if eq(udp, &[17]) => (Match::Udp, 2),
        _ => return None,
    })
}

fn raise_sets(exprs: &[Expr], ruleset: &Ruleset) -> Option<(Match, usize)> {
    Some(match exprs {
        [Expr::Payload { base: 2, offset, len: 2 }, Expr::Lookup { set, inverted }, ..] => {
            let ports = ports(ruleset, set);
            let condition = match (offset, inverted) {
                (2, false) => Match::DestinationPort(ports),
                (2, true) => Match::DestinationPortNot(ports),
                (0, false) => Match::SourcePort(ports),
                _ => panic!("no port of ours: {exprs:?}"),
            };
            (condition, 2)
        }
        [
            Expr::Meta(meta::NFPROTO),
            family,
            Expr::Payload { base: 1, offset, len },
            Expr::Lookup { set, inverted: false },
            ..,
        ] => {
            let networks = networks(ruleset, set);
            let condition = match (offset, len) {
                (16, 4) if eq(family, &[2]) => Match::DestinationV4(networks.v4().to_vec()),
                (12, 4) if eq(family, &[2]) => Match::SourceV4(networks.v4().to_vec()),
                (24, 16) if eq(family, &[10]) => Match::DestinationV6(networks.v6().to_vec()),
                (8, 16) if eq(family, &[10]) => Match::SourceV6(networks.v6().to_vec()),
                _ => panic!("no address of ours: {exprs:?}"),
            };
            (condition, 4)
        }
        [Expr::Ct { key: ct::PROTO_DST, direction: Some(0) }, Expr::Lookup { set, inverted: false }, ..] => {
            (Match::OriginalDestinationPort(ports(ruleset, set)), 2)
        }
        _ => return None,
    })
}

fn raise_flags(exprs: &[Expr]) -> Option<(Match, usize)> {
    Some(match exprs {
        [Expr::Meta(meta::NFPROTO), family, ..] if eq(family, &[2]) => (Match::Family(Family::V4), 2),
        [Expr::Meta(meta::NFPROTO), family, ..] if eq(family, &[10]) => (Match::Family(Family::V6), 2),
        [Expr::Meta(meta::IIF), Expr::Compare { equal, value }, ..] if native(value) == 1 => {
            (Match::FromLoopback(*equal), 2)
        }
        [Expr::Meta(meta::OIF), one, ..] if eq(one, &1_u32.to_ne_bytes()) => (Match::ToLoopback, 2),
        [
            Expr::Meta(key @ (meta::IIFNAME | meta::OIFNAME)),
            Expr::Compare { equal: true, value: name },
            ..,
        ] => {
            let text = std::str::from_utf8(name).expect("a name");
            let text =
                if name.len() == 16 { text.trim_end_matches('\0').to_owned() } else { format!("{text}+") };
            let interface = text.parse().expect("a name");
            let from = *key == meta::IIFNAME;
            (if from { Match::FromInterface(interface) } else { Match::ToInterface(interface) }, 2)
        }
        [Expr::Ct { key, direction: None }, Expr::And(mask), Expr::Compare { equal, value }, ..]
            if native(value) == 0 =>
        {
            let condition = match (*key, native(mask), *equal) {
                (ct::STATUS, 32, equal) => Match::Translated(!equal),
                (ct::STATE, 1, false) => Match::Invalid,
                _ => panic!("no property of ours: {exprs:?}"),
            };
            (condition, 3)
        }
        _ => return None,
    })
}

fn intervals<'a>(ruleset: &'a Ruleset, name: &str) -> (Key, &'a [(u128, u128)]) {
    let set = ruleset.sets.iter().find(|set| set.name == name).expect("every lookup has its set");
    (set.key, &set.intervals)
}

fn ports(ruleset: &Ruleset, set: &str) -> Ports {
    let (key, intervals) = intervals(ruleset, set);
    assert_eq!(key, Key::Port);
    let port = |number| Port::new(u16::try_from(number).expect("16 bits")).expect("not 0");
    intervals.iter().map(|(a, b)| PortRange::new(port(*a), port(*b)).expect("ordered")).collect()
}

fn networks(ruleset: &Ruleset, set: &str) -> Cidrs {
    let (key, intervals) = intervals(ruleset, set);
    let v4 = |bits: u128| Ipv4Addr::from_bits(u32::try_from(bits).expect("32 bits"));
    let networks = intervals.iter().flat_map(|&(a, b)| -> Vec<IpNet> {
        match key {
            Key::V4 => Ipv4Subnets::new(v4(a), v4(b), 0).map(IpNet::V4).collect(),
            Key::V6 => {
                Ipv6Subnets::new(Ipv6Addr::from_bits(a), Ipv6Addr::from_bits(b), 0).map(IpNet::V6).collect()
            }
            Key::Port => panic!("{set} has ports"),
        }
    });
    networks.collect()
}

proptest! {
    #[test]
    fn the_bytes_say_what_the_plan_says(options in any_options(), replace: bool, generation: u32) {
        let plan = Plan::new(&options);
        let batch = Batch::new(&lower(&plan), replace, generation);
        let ruleset = decode(&batch.bytes).expect("our own batch");
        let pattern = |rule: &Rule| (rule.matches.clone(), rule.action);
        let expected: Vec<Vec<_>> =
            plan.chains.iter().map(|chain| chain.rules.iter().map(pattern).collect()).collect();
        prop_assert_eq!(raise(&ruleset), expected);
        prop_assert_eq!(ruleset, lower(&plan));
    }

    #[test]
    fn ports_are_looked_at_in_protocols_that_have_them(options in any_options()) {
        for rule in Plan::new(&options).chains.iter().flat_map(|chain| &chain.rules) {
            let tcp = rule.matches.iter().position(|it| matches!(it, Match::Tcp | Match::TcpSyn | Match::TcpRefusal | Match::Udp));
            let port = rule.matches.iter().position(|it| {
                matches!(it, Match::DestinationPort(_) | Match::DestinationPortNot(_) | Match::SourcePort(_) | Match::OriginalDestinationPort(_))
            });
            prop_assert!(port.is_none() || tcp.is_some() && tcp < port, "{rule:?}");
        }
    }

    #[test]
    fn broken_bytes_are_refused_and_never_a_panic(options in any_options(), cut: prop::sample::Index, flip: prop::sample::Index) {
        let mut bytes = Batch::new(&lower(&Plan::new(&options)), false, 0).bytes;
        let index = flip.index(bytes.len());
        bytes[index] ^= 0xff;
        let _ = decode(&bytes);
        let shortened = cut.index(bytes.len());
        let _ = decode(&bytes[..shortened]);
    }
}

fn default_batch() -> Batch {
    let mut options = default_options();
    options.outbound.cidrs.exclude = "0.0.0.0/0,::/0".parse().expect("networks");
    Batch::new(&lower(&Plan::new(&options)), false, 7)
}

#[test]
fn the_whole_address_space_is_an_interval_without_an_end() {
    let ruleset = decode(&default_batch().bytes).expect("our own batch");
    let whole: Vec<_> = ruleset.sets.iter().filter(|set| set.key != Key::Port).collect();
    assert_eq!(whole.len(), 2);
    assert!(whole.iter().all(|set| set.intervals == [(0, set.key.max())]), "{whole:?}");
}

#[test]
fn a_long_list_is_split_over_messages() {
    let cidrs: Cidrs =
        (0..10_000_u32).map(|n| IpNet::from(std::net::IpAddr::from(Ipv4Addr::from_bits(n << 8)))).collect();
    let mut options = default_options();
    options.outbound.cidrs.exclude = cidrs;
    let ruleset = decode(&Batch::new(&lower(&Plan::new(&options)), false, 0).bytes).expect("our own batch");
    assert!(ruleset.sets.iter().any(|set| set.key == Key::V4 && set.intervals.len() == 10_000));
    options.outbound.cidrs.exclude = Cidrs::default();
    assert_ne!(lower(&Plan::new(&options)), ruleset);
}

#[test]
fn every_message_asks_for_an_acknowledgement_and_is_a_step() {
    let batch = default_batch();
    let messages: Vec<_> = wire::messages(&batch.bytes).collect::<Result<_, _>>().expect("our own batch");
    assert_eq!(messages.len(), batch.steps.len() + 2);
    let steps = &messages[1..messages.len() - 1];
    let generation = messages[0].attributes().expect("attributes").number(sys::NFNL_BATCH_GENID);
    assert_eq!(generation, Ok(7), "the batch says on what it is based");
    assert!(steps.iter().all(|message| message.flags & sys::NLM_F_ACK != 0));
    assert!(steps.iter().zip(Batch::FIRST..).all(|(message, sequence)| message.sequence == sequence));
}

#[test]
fn a_missing_module_is_named() {
    let rule = |expressions| Step::AddRule { chain: "REMORA_INBOUND".to_owned(), number: 2, expressions };
    let chain = Step::AddChain { chain: "REMORA_INBOUND".to_owned(), kind: "nat".to_owned() };
    for (error, module) in [
        (unopened(Errno::EPROTONOSUPPORT), "nf_tables"),
        (unreadable(Failure::Refused(Errno::EINVAL)), "nf_tables"),
        (refused(None, Errno::EOPNOTSUPP), "nf_tables"),
        (refused(Some(&Step::AddTable), Errno::EAFNOSUPPORT), "nf_tables_inet"),
        (refused(Some(&chain), Errno::ENOENT), "nft_chain_nat"),
        (refused(Some(&rule(vec!["meta", "cmp", "immediate", "redir"])), Errno::ENOENT), "nft_redir"),
        (refused(Some(&rule(vec!["meta", "ct", "reject"])), Errno::ENOENT), "nft_ct nft_reject_inet"),
        (refused(Some(&Step::AddSet { set: "s".to_owned() }), Errno::EOPNOTSUPP), "nft_set_rbtree"),
    ] {
        assert!(matches!(error, Error::ModuleMissing { .. }), "{error:?}");
        assert!(error.to_string().contains(module), "{error}");
    }
}

#[test]
fn other_refusals_name_the_step() {
    let chain = Step::AddChain { chain: "REMORA_GUARD".to_owned(), kind: "filter".to_owned() };
    let error = refused(Some(&chain), Errno::ENOSPC).to_string();
    assert!(error.contains("adding filter chain REMORA_GUARD") && error.contains("ENOSPC"), "{error}");
    assert_eq!(refused(Some(&chain), Errno::EPERM), Error::NotPermitted);
    assert_eq!(unreadable(Failure::Refused(Errno::EPERM)), Error::NotPermitted);
}
