//! What must not reach a socket: connections to the proxy's ports that nothing redirected there, and packets that escaped
//! translation.
//!
//! It refuses in the input hook, where every kernel with nf_tables can send a reset, and where only packets for the pod's
//! own addresses pass.

use super::inbound::{self, Captured};
use super::rule::{Action, Chain, ChainName, Hook, Match, Point, Purpose, Rule};
use crate::options::{Flag, Options, Ports};

pub(super) fn chain(options: &Options) -> Chain {
    let hook = Hook { purpose: Purpose::Filter, point: Point::Input };
    let mut rules = resets(options).to_vec();
    rules.push(invalid(options));
    Chain { name: ChainName::Guard, hook, rules }
}

/// Whoever addresses the proxy's ports directly would make it call itself. An application's call to one of these ports of
/// another host comes here too, over lo and translated, and is meant well.
fn resets(options: &Options) -> [Rule; 2] {
    let own = Match::OriginalDestinationPort(Ports::of(
        [options.outbound.port, options.inbound.port].map(|port| port.get()),
    ));
    [
        Rule::always(
            vec![Match::FromLoopback(false), Match::TcpSyn, own.clone()],
            Action::Reset,
            "a direct hit from outside: the proxy is no service",
        ),
        Rule::always(
            vec![Match::FromLoopback(true), Match::TcpSyn, own, Match::Translated(false)],
            Action::Reset,
            "a direct hit from the pod: the proxy is no service",
        ),
    ]
}

/// A segment that conntrack cannot place is not translated, so it would reach the application, which knows nothing of the
/// connection and would answer with a reset that ends it.
fn invalid(options: &Options) -> Rule {
    let destination = match inbound::captured(&options.inbound) {
        Captured::Only(ports) => Match::DestinationPort(ports),
        Captured::AllBut(ports) => Match::DestinationPortNot(ports),
    };
    Rule::always(
        vec![Match::FromLoopback(false), Match::Tcp, Match::Invalid, destination],
        Action::Drop,
        "not translated: the pod would answer with a reset",
    )
    .because_of(&[Flag::IncludeInboundPorts])
}
