//! nftables over netlink, by an encoder of our own: it needs no program and no library, and NET_ADMIN alone.
//!
//! Everything lies in one table of the family inet, so one transaction covers IPv4 and IPv6. The table is read back and
//! compared before anything is written; what was not made exactly by us is replaced, what is not in our table is not seen.

mod decode;
mod encode;
mod lower;
mod raise;
mod ruleset;
mod socket;
mod survey;
mod sys;
mod text;

#[cfg(test)]
mod tests;

use std::time::Instant;

use nix::errno::Errno;

use self::decode::Decoder;
use self::encode::{Batch, Step};
use self::ruleset::{Base, Chain, Expr, Ruleset};
use self::socket::{Outcome, Socket};
pub(super) use self::survey::{Survey, compat, survey};
use self::sys::{chain, elements, generation, msg, rule, set, table};
pub(super) use self::text::text;
use super::{Counts, Error, Written};
use crate::netlink::{Failure, wire};
use crate::plan::{Plan, conditions};

/// How often we start over when others change rules between our reading and our writing.
const ATTEMPTS: u32 = 20;

/// What our table is in the kernel.
#[derive(Debug, Eq, PartialEq)]
enum Held {
    Absent,
    Table(Ruleset),
    /// There, but not as we would make it.
    Foreign,
}

/// Makes the plan true.
pub(super) fn apply(plan: &Plan) -> Result<Written, Error> {
    let wanted = lower::lower(plan);
    let mut steps = Vec::new();
    let mut socket = Socket::open().map_err(unopened)?;
    for _ in 0..ATTEMPTS {
        let begun = Instant::now();
        let reading = read(&mut socket);
        steps.push(("read", begun.elapsed()));
        let (held, generation) = match reading {
            Err(Failure::Interrupted) => continue,
            other => other.map_err(unreadable)?,
        };
        if held == Held::Table(wanted.clone()) {
            return Ok(written(&wanted, false, steps));
        }
        let batch = Batch::new(&wanted, held != Held::Absent, generation);
        let begun = Instant::now();
        let outcome = socket.commit(&batch);
        steps.push(("write", begun.elapsed()));
        match outcome.map_err(unreadable)? {
            Outcome::Done => return Ok(written(&wanted, true, steps)),
            Outcome::Stale => {}
            Outcome::Refused(index, errno) => {
                return Err(refused(index.and_then(|index| batch.steps.get(index)), errno));
            }
        }
    }
    Err(Error::Unsettled)
}

/// Whether the plan is true.
pub(super) fn holds(plan: &Plan) -> Result<bool, Error> {
    let wanted = lower::lower(plan);
    let mut socket = Socket::open().map_err(unopened)?;
    for _ in 0..ATTEMPTS {
        match read(&mut socket) {
            Err(Failure::Interrupted) => {}
            other => return Ok(other.map_err(unreadable)?.0 == Held::Table(wanted)),
        }
    }
    Err(Error::Unsettled)
}

/// What the kernel holds and what is planned, a line for each chain and rule.
pub(super) fn compare(plan: &Plan) -> Result<[Vec<String>; 2], Error> {
    let mut socket = Socket::open().map_err(unopened)?;
    for _ in 0..ATTEMPTS {
        let held = match read(&mut socket) {
            Err(Failure::Interrupted) => continue,
            other => match other.map_err(unreadable)?.0 {
                Held::Absent => Vec::new(),
                Held::Table(ruleset) => lines(&ruleset),
                Held::Foreign => {
                    vec![format!("table inet {}, in which others have written", api::pod::NFT_TABLE)]
                }
            },
        };
        return Ok([held, lines(&lower::lower(plan))]);
    }
    Err(Error::Unsettled)
}

fn lines(ruleset: &Ruleset) -> Vec<String> {
    let mut lines = Vec::new();
    if ruleset.flags != 0 {
        lines.push(format!("table inet {}: flags {}", api::pod::NFT_TABLE, ruleset.flags));
    }
    for Chain { name, base, rules } in &ruleset.chains {
        lines.push(match base {
            None => format!("chain {name}"),
            Some(base) => format!("chain {name}: {}", hooked(base)),
        });
        lines.extend(rules.iter().map(|exprs| match raise::raise(exprs, ruleset) {
            Some((matches, action)) => format!("{name}: {} -> {action}", conditions(&matches)),
            None => {
                let names: Vec<_> = exprs.iter().map(Expr::name).collect();
                format!("{name}: a rule that is not of our making ({})", names.join(" "))
            }
        }));
    }
    // A set that a rule uses is part of the rule's line.
    let rules = || ruleset.chains.iter().flat_map(|chain| chain.rules.iter().flatten());
    let used = |name: &str| rules().any(|expr| matches!(expr, Expr::Lookup { set, .. } if set == name));
    let unused = ruleset.sets.iter().filter(|set| !used(&set.name));
    lines.extend(unused.map(|set| format!("set {}", set.name)));
    lines
}

fn hooked(Base { kind, hook, priority, policy }: &Base) -> String {
    let hook = match *hook {
        chain::NF_INET_PRE_ROUTING => "prerouting".to_owned(),
        chain::NF_INET_LOCAL_IN => "input".to_owned(),
        chain::NF_INET_LOCAL_OUT => "output".to_owned(),
        other => format!("hook {other}"),
    };
    let policy = if *policy == sys::NF_ACCEPT { "accept" } else { "drop" };
    format!("{kind}, {hook}, priority {priority}, policy {policy}")
}

/// Takes our table out.
pub(super) fn clean() -> Result<(), Error> {
    let mut socket = Socket::open().map_err(unopened)?;
    for _ in 0..ATTEMPTS {
        let (held, generation) = match read(&mut socket) {
            Err(Failure::Interrupted) => continue,
            other => other.map_err(unreadable)?,
        };
        if held == Held::Absent {
            return Ok(());
        }
        let batch = Batch::removal(generation);
        match socket.commit(&batch).map_err(unreadable)? {
            Outcome::Done => return Ok(()),
            Outcome::Stale => {}
            Outcome::Refused(index, errno) => {
                return Err(refused(index.and_then(|index| batch.steps.get(index)), errno));
            }
        }
    }
    Err(Error::Unsettled)
}

fn written(ruleset: &Ruleset, changed: bool, steps: Vec<(&'static str, std::time::Duration)>) -> Written {
    let counts = Counts {
        chains: ruleset.chains.len(),
        rules: ruleset.chains.iter().map(|chain| chain.rules.len()).sum(),
        sets: ruleset.sets.len(),
        intervals: ruleset.sets.iter().map(|set| set.intervals.len()).sum(),
    };
    Written { changed, counts, steps }
}

/// Our table, and the generation of the rules to which it belongs.
fn read(socket: &mut Socket) -> Result<(Held, u32), Failure> {
    let generation = read_generation(socket)?;
    let held = read_table(socket)?;
    if read_generation(socket)? == generation { Ok((held, generation)) } else { Err(Failure::Interrupted) }
}

fn read_generation(socket: &mut Socket) -> Result<u32, Failure> {
    let mut generation = 0;
    socket.ask(
        (msg::GETGEN, 0),
        |_| (),
        |message| {
            generation = message.attributes()?.number(generation::ID)?;
            Ok(())
        },
    )?;
    Ok(generation)
}

fn read_table(socket: &mut Socket) -> Result<Held, Failure> {
    const NAME: &str = api::pod::NFT_TABLE;
    let (mut decoder, mut foreign) = (Decoder::default(), false);
    let mut take = |message: &wire::Message<'_>, decoder: &mut Decoder| {
        foreign |= decoder.message(message).is_err();
        Ok(())
    };
    match socket.ask((msg::GETTABLE, 0), |w| w.text(table::NAME, NAME), |m| take(m, &mut decoder)) {
        Err(Failure::Refused(Errno::ENOENT)) => return Ok(Held::Absent),
        other => other?,
    }
    socket.ask((msg::GETCHAIN, sys::NLM_F_DUMP), |_| (), |m| take(m, &mut decoder))?;
    socket.ask((msg::GETRULE, sys::NLM_F_DUMP), |w| w.text(rule::TABLE, NAME), |m| take(m, &mut decoder))?;
    socket.ask((msg::GETSET, sys::NLM_F_DUMP), |w| w.text(set::TABLE, NAME), |m| take(m, &mut decoder))?;
    for name in decoder.set_names() {
        let of_set = |w: &mut wire::Writer| {
            w.text(elements::TABLE, NAME);
            w.text(elements::SET, &name);
        };
        socket.ask((msg::GETSETELEM, sys::NLM_F_DUMP), of_set, |m| take(m, &mut decoder))?;
    }
    let ruleset = decoder.finish();
    Ok(ruleset.ok().filter(|_| !foreign).map_or(Held::Foreign, Held::Table))
}

fn missing(modules: &str) -> Error {
    Error::ModuleMissing { modules: modules.to_owned() }
}

/// There is no socket: the kernel has no netlink for netfilter at all.
fn unopened(errno: Errno) -> Error {
    if [Errno::EPROTONOSUPPORT, Errno::EAFNOSUPPORT].contains(&errno) {
        return missing("nfnetlink nf_tables");
    }
    Error::Netlink { action: "opening a netlink socket", errno }
}

/// A question was refused. The kernel answers EINVAL or EOPNOTSUPP to any message of a subsystem that it does not have.
fn unreadable(failure: Failure) -> Error {
    match failure {
        Failure::Refused(Errno::EPERM) => Error::NotPermitted,
        Failure::Refused(Errno::EINVAL | Errno::EOPNOTSUPP) => missing("nf_tables"),
        Failure::Refused(errno) => Error::Netlink { action: "reading the kernel's rules", errno },
        Failure::Interrupted => Error::Unsettled,
        Failure::Socket(action, errno) => Error::Netlink { action, errno },
        Failure::Answer(what) => Error::Answer(what),
    }
}

/// A step was refused. ENOENT says that a module for a chain's type or for an expression could not be loaded, EOPNOTSUPP the
/// same of a set or a family.
fn refused(step: Option<&Step>, errno: Errno) -> Error {
    let modules: Vec<&str> = match (step, errno) {
        (_, Errno::EPERM) => return Error::NotPermitted,
        (None, Errno::EOPNOTSUPP) => vec!["nf_tables"],
        (Some(Step::AddTable), Errno::EOPNOTSUPP | Errno::EAFNOSUPPORT) => vec!["nf_tables_inet"],
        (Some(Step::AddChain { kind, .. }), Errno::ENOENT) if kind == "nat" => vec!["nft_chain_nat"],
        (Some(Step::AddSet { .. }), Errno::EOPNOTSUPP | Errno::ENOENT) => vec!["nft_set_rbtree"],
        (Some(Step::AddRule { expressions, .. }), Errno::ENOENT) => {
            expressions.iter().filter_map(|expression| module(expression)).collect()
        }
        _ => Vec::new(),
    };
    if modules.is_empty() {
        let step = step.map_or_else(|| "the rules as a whole".to_owned(), ToString::to_string);
        return Error::Refused { step, errno };
    }
    missing(&modules.join(" "))
}

/// The module of an expression that is not part of nf_tables itself.
fn module(expression: &str) -> Option<&'static str> {
    match expression {
        "ct" => Some("nft_ct"),
        "redir" => Some("nft_redir"),
        "reject" => Some("nft_reject_inet"),
        _ => None,
    }
}
