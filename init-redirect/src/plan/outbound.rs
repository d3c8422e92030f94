//! What the pod's processes send to others: to the proxy, except for the proxy's own connections, loopback, and what the
//! user excluded.

use super::rule::{Action, Chain, ChainName, Hook, Match, Point, Purpose, Rule};
use crate::options::{Cidrs, Flag, Options, Outbound, Owner, Selection};

pub(super) fn chain(options: &Options) -> Chain {
    let hook = Hook { purpose: Purpose::Nat, point: Point::Output };
    let mut rules = left_alone(options.proxy, &options.outbound);
    rules.extend(captured(&options.outbound));
    Chain { name: ChainName::Outbound, hook, rules }
}

fn left_alone(proxy: Owner, outbound: &Outbound) -> Vec<Rule> {
    let mut rules = vec![
        Rule::always(vec![Match::Owner(proxy)], Action::Leave, "the proxy's own connections")
            .because_of(&[Flag::ProxyUid, Flag::ProxyGid]),
        Rule::always(vec![Match::ToLoopback], Action::Leave, "the pod talks to itself"),
    ];
    if !outbound.exclude_ports.is_empty() {
        let matches = vec![Match::Tcp, Match::DestinationPort(outbound.exclude_ports.clone())];
        rules.push(
            Rule::always(matches, Action::Leave, "excluded ports").because_of(&[Flag::ExcludeOutboundPorts]),
        );
    }
    rules.extend(destinations(&outbound.exclude_cidrs).into_iter().map(|destination| {
        Rule::always(vec![destination], Action::Leave, "excluded addresses")
            .because_of(&[Flag::ExcludeOutboundCidrs])
    }));
    rules
}

fn captured(outbound: &Outbound) -> Vec<Rule> {
    let redirect = Action::Redirect(outbound.port);
    let mut rules = Vec::new();
    if !outbound.include_ports.is_empty() {
        let matches = vec![Match::TcpSyn, Match::DestinationPort(outbound.include_ports.clone())];
        rules.push(
            Rule::always(matches, redirect, "new connections to these ports, at any address")
                .because_of(&[Flag::IncludeOutboundPorts]),
        );
    }
    let because = [Flag::IncludeOutboundCidrs];
    match &outbound.include_cidrs {
        Selection::All => {
            rules.push(Rule::always(vec![Match::TcpSyn], redirect, "new connections").because_of(&because));
        }
        Selection::Only(cidrs) => rules.extend(destinations(cidrs).into_iter().map(|destination| {
            Rule::always(vec![Match::TcpSyn, destination], redirect, "new connections to these addresses")
                .because_of(&because)
        })),
    }
    rules
}

/// A match for each family that has addresses.
fn destinations(cidrs: &Cidrs) -> Vec<Match> {
    let v4 = (!cidrs.v4().is_empty()).then(|| Match::DestinationV4(cidrs.v4().to_vec()));
    let v6 = (!cidrs.v6().is_empty()).then(|| Match::DestinationV6(cidrs.v6().to_vec()));
    v4.into_iter().chain(v6).collect()
}
