//! From what the kernel holds to what is wanted: the text for `iptables-restore --noflush`, which takes each table as a whole
//! or not at all. Pure.
//!
//! Our chains are flushed and filled again, and a jump that is where we would put it stays. A new one becomes the first rule
//! of its built-in chain: so rules of others that are there cannot keep traffic from ours, as they cannot in nftables.

use std::collections::BTreeMap;

use super::OWN_PREFIX;
use super::ruleset::{Ruleset, Table, TableName};
use super::saved::{Jump, Saved, SavedTable};

/// What is ours in one table, as texts.
#[derive(Debug, Default, Eq, PartialEq)]
struct Own {
    chains: BTreeMap<String, Vec<String>>,
    jumps: Vec<Jump>,
}

/// The text that makes the plan true; nothing where it is true.
pub(super) fn to_plan(now: &Saved, wanted: &Ruleset) -> Option<String> {
    let tables = TableName::ALL.into_iter().filter_map(|name| {
        let (now, wanted) = (now.table(name), wanted.table(name));
        let same = match (now, wanted) {
            (Some(now), Some(wanted)) => now.typed().as_ref() == Ok(wanted),
            _ => false,
        };
        if same {
            None
        } else {
            section(
                name,
                &now.map(Own::saved).unwrap_or_default(),
                &wanted.map(Own::wanted).unwrap_or_default(),
            )
        }
    });
    joined(tables)
}

/// The text that brings back what was ours before; nothing where it is there.
pub(super) fn to_saved(now: &Saved, before: &Saved) -> Option<String> {
    let own = |saved: &Saved, name| saved.table(name).map(Own::saved).unwrap_or_default();
    joined(TableName::ALL.into_iter().filter_map(|name| section(name, &own(now, name), &own(before, name))))
}

fn joined(sections: impl Iterator<Item = String>) -> Option<String> {
    let text: String = sections.collect();
    (!text.is_empty()).then_some(text)
}

fn section(name: TableName, now: &Own, to: &Own) -> Option<String> {
    if now == to {
        return None;
    }
    let mut text = format!("*{}\n", name.as_str());
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    to.chains.keys().for_each(|chain| line(format!(":{chain} - [0:0]")));
    let kept = |jump: &Jump| to.like(jump) == 1 && now.like(jump) == 1;
    for Jump { built_in, rule, .. } in now.jumps.iter().filter(|jump| !kept(jump)) {
        line(format!("-D {built_in} {rule}"));
    }
    for Jump { built_in, position, rule } in to.jumps.iter().filter(|jump| !kept(jump)) {
        line(format!("-I {built_in} {position} {rule}"));
    }
    for (chain, rules) in &to.chains {
        rules.iter().for_each(|rule| line(format!("-A {chain} {rule}")));
    }
    let stale = || now.chains.keys().filter(|chain| !to.chains.contains_key(*chain));
    // All are emptied before one is removed, since they may lead to each other.
    stale().for_each(|chain| line(format!("-F {chain}")));
    stale().for_each(|chain| line(format!("-X {chain}")));
    line("COMMIT".to_owned());
    Some(text)
}

impl Own {
    fn saved(table: &SavedTable) -> Self {
        let chains = table.ours().map(|chain| (chain.name.clone(), chain.rules.clone())).collect();
        Self { chains, jumps: table.jumps() }
    }

    fn wanted(table: &Table) -> Self {
        let mut own = Self::default();
        for chain in &table.chains {
            debug_assert!(chain.name.starts_with(OWN_PREFIX), "a chain of the plan has a name of ours");
            own.chains.insert(chain.name.clone(), chain.rules.iter().map(ToString::to_string).collect());
            let rule = format!("-j {}", chain.name);
            own.jumps.push(Jump { built_in: chain.built_in.to_owned(), position: 1, rule });
        }
        own
    }

    /// How many jumps are this one, wherever in its chain.
    fn like(&self, jump: &Jump) -> usize {
        let like = |other: &&Jump| (&other.built_in, &other.rule) == (&jump.built_in, &jump.rule);
        self.jumps.iter().filter(like).count()
    }
}
