//! Encoder and decoder against each other and against the plan, and the kernel's refusals. No kernel is asked: that the
//! kernel understands the messages is what the network namespace tests prove.

use std::net::Ipv4Addr;

use ipnet::IpNet;
use nix::errno::Errno;
use proptest::prelude::*;

use super::decode::Decoder;
use super::encode::{Batch, Step};
use super::lower::lower;
use super::raise::raise;
use super::ruleset::{Expr, Key, Ruleset};
use super::sys;
use super::{Error, refused, unopened, unreadable};
use crate::netlink::Failure;
use crate::netlink::wire::{self, Malformed};
use crate::options::Cidrs;
use crate::options::arbitrary::{any_options, default_options};
use crate::plan::{Action, Match, Plan, Rule};

fn decode(bytes: &[u8]) -> Result<Ruleset, Malformed> {
    let mut decoder = Decoder::default();
    for message in wire::messages(bytes) {
        decoder.message(&message?)?;
    }
    decoder.finish()
}

/// What a rule says, if it is one of ours.
type Pattern = Option<(Vec<Match>, Action)>;

/// The rules of a table as the plan has them.
fn raised(ruleset: &Ruleset) -> Vec<Vec<Pattern>> {
    let rule = |exprs: &Vec<Expr>| raise(exprs, ruleset);
    ruleset.chains.iter().map(|chain| chain.rules.iter().map(rule).collect()).collect()
}

proptest! {
    #[test]
    fn the_bytes_say_what_the_plan_says(options in any_options(), replace: bool, generation: u32) {
        let plan = Plan::new(&options);
        let batch = Batch::new(&lower(&plan), replace, generation);
        let ruleset = decode(&batch.bytes).expect("our own batch");
        let pattern = |rule: &Rule| Some((rule.matches.clone(), rule.action));
        let expected: Vec<Vec<_>> =
            plan.chains.iter().map(|chain| chain.rules.iter().map(pattern).collect()).collect();
        prop_assert_eq!(raised(&ruleset), expected);
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
