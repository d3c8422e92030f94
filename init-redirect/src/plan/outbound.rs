//! What the pod's processes send to others, and clients behind its virtual interfaces: to the proxy, except for the proxy's
//! own connections, loopback, and what the user excluded.

use super::rule::{Action, Chain, ChainName, Hook, Match, Point, Purpose, Rule};
use super::{dns, select};
use crate::options::{Filter, Flag, IdRange, Ids, Options, Selection};

pub(super) fn chain(options: &Options) -> Chain {
    let hook = Hook { purpose: Purpose::Nat, point: Point::Output };
    let proxy = Rule::always(vec![Match::Owner(options.proxy)], Action::Leave, "the proxy's own connections")
        .because_of(&[Flag::ProxyUid, Flag::ProxyGid]);
    let loopback = Rule::always(vec![Match::ToLoopback], Action::Leave, "the pod talks to itself");
    let mut rules = vec![proxy];
    rules.extend(excluded_interfaces(options));
    rules.extend(users(options));
    rules.extend(dns::redirects(options));
    rules.push(loopback);
    rules.extend(excluded_destinations(options));
    rules.extend(captured(options).into_iter().flat_map(|rule| {
        let interfaces = |some: &_| select::interfaces(some, Match::ToInterface);
        rule.narrowed(&options.interfaces.include, interfaces, Flag::IncludeInterfaces)
    }));
    Chain { name: ChainName::Outbound, hook, rules }
}

/// The same for clients behind virtual interfaces, whose packets arrive; nothing of theirs is for the pod.
pub(super) fn virtual_clients(options: &Options) -> Vec<Rule> {
    let mut rules = Vec::new();
    for client in select::interfaces(&options.virtual_interfaces, Match::FromInterface) {
        let mut of_client = excluded_destinations(options);
        of_client.extend(captured(options));
        of_client.push(Rule::always(Vec::new(), Action::Leave, "a client's own business"));
        for rule in &mut of_client {
            rule.matches.insert(0, client.clone());
            rule.options.push(Flag::VirtualInterfaces);
        }
        rules.extend(of_client);
    }
    rules
}

fn excluded_interfaces(options: &Options) -> impl Iterator<Item = Rule> {
    let conditions = select::interfaces(&options.interfaces.exclude, Match::ToInterface);
    conditions.into_iter().map(|condition| {
        Rule::always(vec![condition], Action::Leave, "excluded interfaces")
            .because_of(&[Flag::ExcludeInterfaces])
    })
}

/// A condition on the owner's ids.
type Condition = fn(IdRange) -> Match;

/// Whoever is not included, then whoever is excluded.
fn users(options: &Options) -> Vec<Rule> {
    let mut rules = Vec::new();
    let uids = (Match::Uid as Condition, Match::UidNot as Condition);
    let flags = (Flag::IncludeUids, Flag::ExcludeUids);
    rules.extend(owners(&options.outbound.uids, uids, flags));
    let gids = (Match::Gid as Condition, Match::GidNot as Condition);
    let flags = (Flag::IncludeGids, Flag::ExcludeGids);
    rules.extend(owners(&options.outbound.gids, gids, flags));
    rules
}

fn owners(
    ids: &Filter<Ids>,
    (is, is_not): (Condition, Condition),
    (include, exclude): (Flag, Flag),
) -> Vec<Rule> {
    let mut rules = Vec::new();
    if let Selection::Only(included) = &ids.include {
        let matches = included.ranges().iter().copied().map(is_not).collect();
        rules.push(Rule::always(matches, Action::Leave, "not included").because_of(&[include]));
    }
    rules.extend(ids.exclude.ranges().iter().map(|range| {
        Rule::always(vec![is(*range)], Action::Leave, "excluded owners").because_of(&[exclude])
    }));
    rules
}

fn excluded_destinations(options: &Options) -> Vec<Rule> {
    let mut rules = Vec::new();
    let ports = &options.outbound.exclude_ports;
    if !ports.is_empty() {
        let matches = vec![Match::Tcp, Match::DestinationPort(ports.clone())];
        rules.push(
            Rule::always(matches, Action::Leave, "excluded ports").because_of(&[Flag::ExcludeOutboundPorts]),
        );
    }
    rules.extend(select::destinations(&options.outbound.cidrs.exclude).into_iter().map(|destination| {
        Rule::always(vec![destination], Action::Leave, "excluded addresses")
            .because_of(&[Flag::ExcludeOutboundCidrs])
    }));
    rules
}

fn captured(options: &Options) -> Vec<Rule> {
    let redirect = Action::Redirect(options.outbound.port);
    let (captured, reason) = select::captured_tcp(options);
    let mut rules = Vec::new();
    let ports = &options.outbound.include_ports;
    if !ports.is_empty() {
        let matches = vec![captured.clone(), Match::DestinationPort(ports.clone())];
        rules.push(
            Rule::always(matches, redirect, "included ports, at any address")
                .because_of(&[Flag::IncludeOutboundPorts]),
        );
    }
    let reason = if options.outbound.cidrs.include == Selection::All { reason } else { "included addresses" };
    let because = Flag::IncludeOutboundCidrs;
    let rule = Rule::always(vec![captured], redirect, reason).because_of(&[because]);
    rules.extend(rule.narrowed(&options.outbound.cidrs.include, select::destinations, because));
    rules
}
