//! What others send to the pod: to the proxy, except for what the proxy serves itself and what the user excluded.

use super::outbound;
use super::rule::{Action, Chain, ChainName, Hook, Match, Point, Purpose, Rule};
use super::select;
use crate::options::{Filter, Flag, Options, Ports, Selection};

/// Which destination ports are captured: the one place that decides it, for the rules here and for the guard's.
pub(super) enum Captured {
    /// These.
    Only(Ports),
    /// All but these.
    AllBut(Ports),
}

pub(super) fn chain(options: &Options) -> Chain {
    let hook = Hook { purpose: Purpose::Nat, point: Point::Prerouting };
    let mut rules =
        vec![Rule::always(vec![Match::FromLoopback(true)], Action::Leave, "the pod talks to itself")];
    rules.extend(excluded_interfaces(options));
    rules.extend(outbound::virtual_clients(options));
    rules.extend(excluded_sources(options));
    rules.extend(ports(options));
    Chain { name: ChainName::Inbound, hook, rules }
}

/// What is nobody's business here, whatever its port.
pub(super) fn excluded_interfaces(options: &Options) -> impl Iterator<Item = Rule> {
    let conditions = select::interfaces(&options.interfaces.exclude, Match::FromInterface);
    conditions.into_iter().map(|condition| {
        Rule::always(vec![condition], Action::Leave, "excluded interfaces")
            .because_of(&[Flag::ExcludeInterfaces])
    })
}

/// What is nobody's business here, whatever its port.
pub(super) fn excluded_sources(options: &Options) -> impl Iterator<Item = Rule> {
    select::sources(&options.inbound.cidrs.exclude).into_iter().map(|condition| {
        Rule::always(vec![condition], Action::Leave, "excluded senders")
            .because_of(&[Flag::ExcludeInboundCidrs])
    })
}

/// The rule for the interfaces and senders that are included.
pub(super) fn for_included(rule: Rule, options: &Options) -> Vec<Rule> {
    let interfaces = |some: &_| select::interfaces(some, Match::FromInterface);
    rule.narrowed(&options.interfaces.include, interfaces, Flag::IncludeInterfaces)
        .into_iter()
        .flat_map(|rule| {
            rule.narrowed(&options.inbound.cidrs.include, select::sources, Flag::IncludeInboundCidrs)
        })
        .collect()
}

fn ports(options: &Options) -> Vec<Rule> {
    let Filter { include, exclude } = &options.inbound.ports;
    let redirect = Action::Redirect(options.inbound.port);
    let probe = vec![Match::TcpSyn, Match::DestinationPort(readiness())];
    let probe = Rule::always(probe, redirect, "readiness probe: only working rules answer it");
    let mut rules = for_included(probe, options);
    rules.push(Rule::always(
        vec![Match::Tcp, Match::DestinationPort(left_alone())],
        Action::Leave,
        "the proxy serves these itself",
    ));
    if !exclude.is_empty() {
        let matches = vec![Match::Tcp, Match::DestinationPort(exclude.clone())];
        rules.push(
            Rule::always(matches, Action::Leave, "excluded ports").because_of(&[Flag::ExcludeInboundPorts]),
        );
    }
    let (captured, reason) = select::captured_tcp(options);
    let included = match include {
        Selection::All => Some((vec![captured], reason)),
        Selection::Only(ports) if ports.is_empty() => None,
        Selection::Only(ports) => {
            Some((vec![captured, Match::DestinationPort(ports.clone())], "included ports"))
        }
    };
    rules.extend(included.into_iter().flat_map(|(matches, reason)| {
        let rule = Rule::always(matches, redirect, reason).because_of(&[Flag::IncludeInboundPorts]);
        for_included(rule, options)
    }));
    rules
}

/// The ports for which the rules above end in a redirect.
pub(super) fn captured(ports: &Filter<Ports>) -> Captured {
    let excluded = left_alone().union(&ports.exclude).minus(&readiness());
    match &ports.include {
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
