//! What must not reach a socket: connections to the proxy's ports that nothing redirected there, and packets that escaped
//! translation.
//!
//! It refuses in the input hook, where every kernel with nf_tables can send a reset, and where only packets for the pod's
//! own addresses pass.

use super::inbound::{self, Captured};
use super::rule::{Action, Chain, ChainName, Hook, Match, Point, Purpose, Rule};
use super::select;
use crate::options::{Flag, Options, Ports};

pub(super) fn chain(options: &Options) -> Chain {
    let hook = Hook { purpose: Purpose::Filter, point: Point::Input };
    let mut rules = resets(options);
    if options.drop_invalid {
        rules.extend(invalid(options));
    }
    Chain { name: ChainName::Guard, hook, rules }
}

/// Whoever addresses the proxy's ports directly would make it call itself. An application's call to one of these ports of
/// another host comes here too, over lo and translated, and is meant well; so does that of a client behind a virtual
/// interface.
fn resets(options: &Options) -> Vec<Rule> {
    let own = || {
        let ports = [options.outbound.port, options.inbound.port].map(|port| port.get());
        [Match::TcpSyn, Match::OriginalDestinationPort(Ports::of(ports))]
    };
    let with = |from: Match, translated: Option<Match>| {
        let ([syn, port], matches) = (own(), vec![from]);
        matches.into_iter().chain([syn, port]).chain(translated).collect()
    };
    let reason = "a direct hit from outside: the proxy is no service";
    let mut rules = Vec::new();
    for client in select::interfaces(&options.virtual_interfaces, Match::FromInterface) {
        let meant_well = with(client, Some(Match::Translated(true)));
        rules.push(
            Rule::always(meant_well, Action::Leave, "the same port of another host")
                .because_of(&[Flag::VirtualInterfaces]),
        );
    }
    rules.push(Rule::always(with(Match::FromLoopback(false), None), Action::Reset, reason));
    rules.push(Rule::always(
        with(Match::FromLoopback(true), Some(Match::Translated(false))),
        Action::Reset,
        "a direct hit from the pod: the proxy is no service",
    ));
    rules
}

/// A segment that conntrack cannot place is not translated, so it would reach the application, which knows nothing of the
/// connection and would answer with a reset that ends it.
fn invalid(options: &Options) -> Vec<Rule> {
    let destination = match inbound::captured(&options.inbound.ports) {
        Captured::Only(ports) => Match::DestinationPort(ports),
        Captured::AllBut(ports) => Match::DestinationPortNot(ports),
    };
    let dropped = Rule::always(
        vec![Match::FromLoopback(false), Match::Tcp, Match::Invalid, destination],
        Action::Drop,
        "not translated: the pod would answer with a reset",
    )
    .because_of(&[Flag::DropInvalid, Flag::IncludeInboundPorts]);
    let clients = select::interfaces(&options.virtual_interfaces, Match::FromInterface);
    let clients = clients.into_iter().map(|client| {
        Rule::always(vec![client], Action::Leave, "a client's own business")
            .because_of(&[Flag::VirtualInterfaces])
    });
    let mut rules: Vec<Rule> = inbound::excluded_interfaces(options).collect();
    rules.extend(clients);
    rules.extend(inbound::excluded_sources(options));
    rules.extend(inbound::for_included(dropped, options));
    rules
}

/// What tells a client that nobody listens on the proxy's ports, while the proxy starts. Where it is not sent, the client's
/// kernel tries again, as if the packet had been lost. It holds for translated connections only: a direct hit is refused.
pub(super) fn hold(options: &Options) -> Chain {
    let ports = Ports::of([options.outbound.port, options.inbound.port].map(|port| port.get()));
    let refusal = vec![Match::TcpRefusal, Match::SourcePort(ports.clone())];
    // A direct hit from outside is translated before it is refused.
    let direct = [refusal.clone(), vec![Match::OriginalDestinationPort(ports)]].concat();
    let early = [refusal, vec![Match::Translated(true)]].concat();
    let rules = vec![
        Rule::always(direct, Action::Leave, "a direct hit: the proxy is no service")
            .because_of(&[Flag::HoldUntilReady]),
        Rule::always(early, Action::Drop, "the proxy is not there yet: the client tries again")
            .because_of(&[Flag::HoldUntilReady]),
    ];
    let hook = Hook { purpose: Purpose::Filter, point: Point::Output };
    Chain { name: ChainName::Hold, hook, rules }
}
