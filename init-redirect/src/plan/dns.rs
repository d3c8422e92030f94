//! DNS of the pod's processes: to the proxy, over UDP and TCP, if the user asked for it.
//!
//! Over UDP the application's question and the proxy's own may share everything that tells connections apart: source port and
//! server. Each kind is tracked in a zone of its own, or the proxy's question would be taken for the application's and come
//! back to the proxy. TCP needs no zone, since the kernel does not give one port to both, and must have none: the original
//! destination of a connection is looked up outside of zones only.

use super::rule::{Action, Chain, ChainName, Hook, Match, Point, Purpose, Rule};
use super::select;
use crate::options::{Cidrs, Dns, Flag, Options, Port, Ports};

/// Questions of the proxy, and their answers.
const PROXY_ZONE: u16 = 1;
/// Questions of everyone else, and the proxy's answers to them.
const CLIENT_ZONE: u16 = 2;

const DNS: u16 = 53;

/// What is captured, unless the user excluded the port.
fn captured(options: &Options) -> Option<&Dns> {
    let port = Port::new(DNS).expect("53 is not 0");
    options.dns.as_ref().filter(|_| !options.outbound.exclude_ports.contains(port))
}

pub(super) fn redirects(options: &Options) -> Vec<Rule> {
    let Some(dns) = captured(options) else { return Vec::new() };
    let (tcp, _) = select::captured_tcp(options);
    let interfaces = |some: &_| select::interfaces(some, Match::ToInterface);
    [Match::Udp, tcp]
        .into_iter()
        .map(|protocol| vec![protocol, Match::DestinationPort(Ports::of([DNS]))])
        .flat_map(|matches| rule(matches, Action::Redirect(dns.port), "DNS", dns, select::destinations))
        .flat_map(|rule| rule.narrowed(&options.interfaces.include, interfaces, Flag::IncludeInterfaces))
        .collect()
}

/// The zones of what arrives and of what is sent.
pub(super) fn zones(options: &Options) -> Vec<Chain> {
    let Some(dns) = captured(options) else { return Vec::new() };
    let chain = |name, point, rules| Chain { name, hook: Hook { purpose: Purpose::Raw, point }, rules };
    let arriving = vec![Match::FromLoopback(false), Match::Udp, Match::SourcePort(Ports::of([DNS]))];
    let arriving =
        rule(arriving, Action::Zone(PROXY_ZONE), "answers to the proxy's questions", dns, select::sources);
    vec![
        chain(ChainName::ZoneIn, Point::Prerouting, arriving),
        chain(ChainName::ZoneOut, Point::Output, sent(options, dns)),
    ]
}

fn sent(options: &Options, dns: &Dns) -> Vec<Rule> {
    let to_server = |owner: Option<Match>, zone, reason| {
        let mut matches = vec![Match::Udp, Match::DestinationPort(Ports::of([DNS]))];
        matches.extend(owner);
        rule(matches, Action::Zone(zone), reason, dns, select::destinations)
    };
    let owner = Match::Owner(options.proxy);
    let answer = vec![Match::Udp, Match::SourcePort(Ports::of([dns.port.get()])), owner.clone()];
    let mut rules = to_server(Some(owner), PROXY_ZONE, "the proxy's questions");
    rules.push(
        Rule::always(answer, Action::Zone(CLIENT_ZONE), "the proxy's answers")
            .because_of(&[Flag::RedirectDns, Flag::DnsPort]),
    );
    rules.extend(to_server(None, CLIENT_ZONE, "questions to the proxy"));
    rules
}

/// The rule for each family of the servers whose DNS is captured.
fn rule(
    matches: Vec<Match>,
    action: Action,
    reason: &'static str,
    dns: &Dns,
    servers: fn(&Cidrs) -> Vec<Match>,
) -> Vec<Rule> {
    let rule = Rule::always(matches, action, reason).because_of(&[Flag::RedirectDns]);
    rule.narrowed(&dns.servers, servers, Flag::DnsServers)
}
