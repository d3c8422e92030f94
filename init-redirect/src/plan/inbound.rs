//! What others send to the pod: to the proxy, except for what the proxy serves itself and what the user excluded.

use super::rule::{Action, Chain, ChainName, Hook, Match, Point, Purpose, Rule};
use crate::options::{Flag, Inbound, Options, Ports, Selection};

/// Which destination ports are captured: the one place that decides it, for the rules here and for the guard's.
pub(super) enum Captured {
    /// These.
    Only(Ports),
    /// All but these.
    AllBut(Ports),
}

pub(super) fn chain(options: &Options) -> Chain {
    let hook = Hook { purpose: Purpose::Nat, point: Point::Prerouting };
    Chain { name: ChainName::Inbound, hook, rules: rules(&options.inbound) }
}

fn rules(inbound: &Inbound) -> Vec<Rule> {
    let redirect = Action::Redirect(inbound.port);
    let mut rules = vec![
        Rule::always(vec![Match::FromLoopback(true)], Action::Leave, "the pod talks to itself"),
        Rule::always(
            vec![Match::TcpSyn, Match::DestinationPort(readiness())],
            redirect,
            "readiness probe: only working rules answer it",
        ),
        Rule::always(
            vec![Match::Tcp, Match::DestinationPort(left_alone())],
            Action::Leave,
            "the proxy serves these itself",
        ),
    ];
    if !inbound.exclude.is_empty() {
        let matches = vec![Match::Tcp, Match::DestinationPort(inbound.exclude.clone())];
        rules.push(
            Rule::always(matches, Action::Leave, "excluded ports").because_of(&[Flag::ExcludeInboundPorts]),
        );
    }
    let included = match &inbound.include {
        Selection::All => Some((vec![Match::TcpSyn], "new connections")),
        Selection::Only(ports) if ports.is_empty() => None,
        Selection::Only(ports) => Some((
            vec![Match::TcpSyn, Match::DestinationPort(ports.clone())],
            "new connections to these ports",
        )),
    };
    rules.extend(included.map(|(matches, reason)| {
        Rule::always(matches, redirect, reason).because_of(&[Flag::IncludeInboundPorts])
    }));
    rules
}

/// The ports for which the rules above end in a redirect.
pub(super) fn captured(inbound: &Inbound) -> Captured {
    let excluded = left_alone().union(&inbound.exclude).minus(&readiness());
    match &inbound.include {
        Selection::All => Captured::AllBut(excluded),
        Selection::Only(ports) => Captured::Only(ports.minus(&excluded).union(&readiness())),
    }
}

fn readiness() -> Ports {
    Ports::of([api::ports::READINESS_CAPTURED])
}

fn left_alone() -> Ports {
    Ports::of(api::ports::INBOUND_LEFT_ALONE)
}
