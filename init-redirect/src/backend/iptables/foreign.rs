//! Rules of others that would disable ours, in what `iptables-save` printed. Pure.
//!
//! A rule that refuses a packet is not among them: what it stops does not pass the proxy by.

use super::OWN_PREFIX;
use super::parse::{target_name, tokens};
use super::ruleset::{Chain, Protocol, Ruleset, TableName};
use super::saved::{Saved, SavedTable};
use crate::backend::Conflict;

const AHEAD: &str = "it decides before ours are asked";
const TAKES: &str = "it takes connections that ours would redirect";
const UNTRACKED: &str = "a connection that is not tracked is never redirected";

/// Targets after which no rule of ours is asked, besides those that take a connection. RETURN ends a built-in chain alone.
const DECIDE: [&str; 4] = ["ACCEPT", "QUEUE", "NFQUEUE", "RETURN"];
const TAKE: [&str; 4] = ["REDIRECT", "DNAT", "NETMAP", "TPROXY"];

/// How deep chains call each other at most: enough for what people write, and an end to what calls itself.
const DEPTH: u32 = 16;

/// What a rule has to be able to match to be in our way.
struct Interest {
    protocols: Vec<Protocol>,
    /// Whether traffic over lo counts: in nat we leave it alone ourselves.
    loopback: bool,
}

/// What would disable the rules that are wanted, in tables that they share with others. Our jumps become the first rules of
/// their chains, so only what was put before one of them since can do that.
pub(super) fn conflicts(program: &str, saved: &Saved, wanted: &Ruleset) -> Vec<Conflict> {
    let mut found = unreadable(program, saved, wanted);
    for table in &wanted.tables {
        let Some(held) = saved.table(table.name) else { continue };
        for chain in &table.chains {
            found.extend(ahead(program, held, chain));
        }
    }
    found.extend(untracked(program, saved));
    found.extend(taking(program, saved, TableName::Mangle));
    found
}

/// What would take connections from rules that are elsewhere.
pub(super) fn takers(program: &str, saved: &Saved) -> Vec<Conflict> {
    let mut found = taking(program, saved, TableName::Nat);
    found.extend(taking(program, saved, TableName::Mangle));
    found.extend(untracked(program, saved));
    found
}

fn unreadable(program: &str, saved: &Saved, wanted: &Ruleset) -> Vec<Conflict> {
    let ours = |name: &&String| wanted.tables.iter().any(|table| table.name.as_str() == name.as_str());
    let conflict = |name: &String| Conflict {
        place: place(program, name, "all chains"),
        rule: "what nft put there".to_owned(),
        effect: "iptables refuses to work on this table",
    };
    saved.unreadable.iter().filter(ours).map(conflict).collect()
}

fn ahead(program: &str, held: &SavedTable, chain: &Chain) -> Vec<Conflict> {
    let Some(built_in) = held.chain(chain.built_in) else { return Vec::new() };
    let ours = |rule: &String| target_name(rule).is_some_and(|name| name == chain.name);
    let Some(position) = built_in.rules.iter().position(ours) else { return Vec::new() };
    let interest = Interest::of(held.name, chain);
    let before = built_in.rules.iter().take(position).filter(|rule| interest.decides(held, rule, 0));
    before
        .map(|rule| Conflict {
            place: place(program, held.name.as_str(), &built_in.name),
            rule: rule.clone(),
            effect: AHEAD,
        })
        .collect()
}

fn taking(program: &str, saved: &Saved, name: TableName) -> Vec<Conflict> {
    let interest = Interest { protocols: vec![Protocol::Tcp], loopback: false };
    reachable(program, saved, name, TAKES, &|table, rule| interest.takes(table, rule, 0))
}

fn untracked(program: &str, saved: &Saved) -> Vec<Conflict> {
    let interest = Interest { protocols: vec![Protocol::Tcp], loopback: false };
    reachable(program, saved, TableName::Raw, UNTRACKED, &|table, rule| interest.untracks(table, rule, 0))
}

/// Rules of the hooks that we use, by a test.
fn reachable(
    program: &str,
    saved: &Saved,
    name: TableName,
    effect: &'static str,
    test: &dyn Fn(&SavedTable, &str) -> bool,
) -> Vec<Conflict> {
    let Some(table) = saved.table(name) else { return Vec::new() };
    let chains = ["PREROUTING", "OUTPUT"].into_iter().filter_map(|name| table.chain(name));
    let rules = chains.flat_map(|chain| chain.rules.iter().map(move |rule| (chain, rule)));
    rules
        .filter(|(_, rule)| test(table, rule))
        .map(|(chain, rule)| Conflict {
            place: place(program, name.as_str(), &chain.name),
            rule: rule.clone(),
            effect,
        })
        .collect()
}

fn place(program: &str, table: &str, chain: &str) -> String {
    format!("{program}, table {table}, {chain}")
}

impl Interest {
    fn of(table: TableName, chain: &Chain) -> Self {
        let all = [Protocol::Tcp, Protocol::Udp].into_iter();
        let protocols = all.filter(|protocol| chain.rules.iter().any(|rule| rule.is_of(*protocol))).collect();
        Self { protocols, loopback: table != TableName::Nat }
    }

    fn decides(&self, table: &SavedTable, rule: &str, depth: u32) -> bool {
        let Some(target) = self.target(rule) else { return false };
        let goes = tokens(rule).iter().any(|token| token == "-g");
        let decides = TAKE.contains(&target.as_str())
            || DECIDE.contains(&target.as_str()) && (depth == 0 || target != "RETURN");
        // What goes to a chain rather than calling it does not come back.
        decides || goes || called(table, &target, depth, &|rule, depth| self.decides(table, rule, depth))
    }

    fn takes(&self, table: &SavedTable, rule: &str, depth: u32) -> bool {
        let Some(target) = self.target(rule) else { return false };
        TAKE.contains(&target.as_str())
            || called(table, &target, depth, &|rule, depth| self.takes(table, rule, depth))
    }

    fn untracks(&self, table: &SavedTable, rule: &str, depth: u32) -> bool {
        let Some(target) = self.target(rule) else { return false };
        let tokens = tokens(rule);
        target == "NOTRACK"
            || target == "CT" && tokens.iter().any(|token| token == "--notrack")
            || called(table, &target, depth, &|rule, depth| self.untracks(table, rule, depth))
    }

    /// Where the rule leads, unless it cannot match what we care for.
    fn target(&self, rule: &str) -> Option<String> {
        let target = target_name(rule).filter(|name| !name.starts_with(OWN_PREFIX))?;
        let tokens = tokens(rule);
        let value = |option: &str| {
            let index = tokens.iter().position(|token| token == option)?;
            let inverted = index.checked_sub(1).and_then(|index| tokens.get(index)).is_some_and(|t| t == "!");
            tokens.get(index + 1).filter(|_| !inverted)
        };
        let other_protocol = value("-p").is_some_and(|name| {
            name != "all" && !self.protocols.iter().any(|protocol| protocol.as_str() == name)
        });
        let only_loopback =
            ["-i", "-o"].into_iter().any(|option| value(option).is_some_and(|name| name == "lo"));
        // Ours are about packets that begin a connection, or belong to none.
        let established = ["--ctstate", "--state"]
            .into_iter()
            .filter_map(value)
            .any(|states| states.split(',').all(|state| ["ESTABLISHED", "RELATED"].contains(&state)));
        let irrelevant = other_protocol || only_loopback && !self.loopback || established;
        (!irrelevant).then_some(target)
    }
}

/// Whether a rule of the chain that is called passes the test.
fn called(table: &SavedTable, chain: &str, depth: u32, test: &dyn Fn(&str, u32) -> bool) -> bool {
    let chain = table.chain(chain).filter(|_| depth < DEPTH);
    chain.is_some_and(|chain| chain.rules.iter().any(|rule| test(rule, depth + 1)))
}
