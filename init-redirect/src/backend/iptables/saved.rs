//! What `iptables-save` prints, taken apart: tables, chains, and each rule as the text that it is. Rules of others stay texts;
//! ours are read further, by `parse`.
//!
//! `iptables-restore`'s `-I` is understood too, so that what we write can be read.

use super::OWN_PREFIX;
use super::parse::{self, Malformed};
use super::ruleset::{Chain, Table, TableName};

/// What the kernel holds for one address family.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Saved {
    pub(super) tables: Vec<SavedTable>,
    /// Tables that hold what the program cannot show.
    pub(super) unreadable: Vec<String>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct SavedTable {
    pub(super) name: TableName,
    pub(super) chains: Vec<SavedChain>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct SavedChain {
    pub(super) name: String,
    /// Whether the kernel calls it, rather than another chain.
    pub(super) built_in: bool,
    /// What follows `-A CHAIN`.
    pub(super) rules: Vec<String>,
}

/// A rule of a built-in chain that leads to one of our chains.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Jump {
    pub(super) built_in: String,
    /// Its number, from 1.
    pub(super) position: usize,
    pub(super) rule: String,
}

impl Saved {
    pub(super) fn parse(text: &str) -> Result<Self, Malformed> {
        let mut saved = Self::default();
        // Tables that no rule of ours can be in, such as `security`, are passed over.
        let mut table: Option<SavedTable> = None;
        for line in text.lines().map(str::trim) {
            let malformed = || Malformed(line.to_owned());
            match line.as_bytes().first() {
                None => {}
                Some(b'#') => saved.unreadable.extend(unreadable(line)),
                Some(b'*') => {
                    let name = TableName::ALL.into_iter().find(|name| line.get(1..) == Some(name.as_str()));
                    table = name.map(|name| SavedTable { name, chains: Vec::new() });
                }
                Some(b'C') if line == "COMMIT" => saved.tables.extend(table.take()),
                Some(b':') => {
                    if let Some(table) = &mut table {
                        table.chains.push(declaration(line).ok_or_else(malformed)?);
                    }
                }
                Some(_) => {
                    if let Some(table) = &mut table {
                        table.take(line).ok_or_else(malformed)?;
                    }
                }
            }
        }
        Ok(saved)
    }

    /// Adds the tables of another text.
    pub(super) fn extend(&mut self, other: Self) {
        self.tables.extend(other.tables);
        self.unreadable.extend(other.unreadable);
    }

    pub(super) fn table(&self, name: TableName) -> Option<&SavedTable> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// What is ours, in the form of [`super::ruleset::Ruleset::lines`]; what is not of our making is a line as it is.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        // The programs show tables in the order in which they came to be.
        let tables = TableName::ALL.into_iter().filter_map(|name| self.table(name));
        tables.flat_map(|table| match table.typed() {
            Ok(table) => table.lines().collect::<Vec<_>>(),
            Err(_) => table.raw_lines().collect(),
        })
    }

    /// Whether anything is ours.
    pub(super) fn has_ours(&self) -> bool {
        self.tables.iter().any(|table| table.ours().next().is_some() || !table.jumps().is_empty())
    }
}

/// `:CHAIN POLICY [packets:bytes]`; a chain that others call has no policy.
fn declaration(line: &str) -> Option<SavedChain> {
    let mut parts = line.get(1..)?.split(' ');
    let (name, policy) = (parts.next()?, parts.next()?);
    Some(SavedChain { name: name.to_owned(), built_in: policy != "-", rules: Vec::new() })
}

/// iptables-nft shows a table that it did not make as this comment: "# Table `nat' is incompatible, use 'nft' tool."
fn unreadable(line: &str) -> Option<String> {
    let name = line.strip_prefix("# Table `")?.split_once("' is incompatible")?.0;
    Some(name.to_owned())
}

impl SavedTable {
    /// A rule, behind its counters if they are shown.
    fn take(&mut self, line: &str) -> Option<()> {
        let line = if line.starts_with('[') { line.split_once("] ")?.1 } else { line };
        let (command, rest) = line.split_once(' ')?;
        let (chain, rule) = rest.split_once(' ').unwrap_or((rest, ""));
        if command == "-A" {
            self.chain_mut(chain).rules.push(rule.to_owned());
        } else if command == "-I" {
            let (position, rule) = rule.split_once(' ')?;
            let index = position.parse::<usize>().ok()?.checked_sub(1)?;
            let rules = &mut self.chain_mut(chain).rules;
            rules.insert(index.min(rules.len()), rule.to_owned());
        } else {
            return None;
        }
        Some(())
    }

    /// A chain that was not declared is a built-in one.
    fn chain_mut(&mut self, name: &str) -> &mut SavedChain {
        let index = self.chains.iter().position(|chain| chain.name == name).unwrap_or_else(|| {
            self.chains.push(SavedChain { name: name.to_owned(), built_in: true, rules: Vec::new() });
            self.chains.len() - 1
        });
        self.chains.get_mut(index).expect("the index of a chain that was found or added")
    }

    pub(super) fn chain(&self, name: &str) -> Option<&SavedChain> {
        self.chains.iter().find(|chain| chain.name == name)
    }

    /// Our chains.
    pub(super) fn ours(&self) -> impl Iterator<Item = &SavedChain> {
        self.chains.iter().filter(|chain| chain.name.starts_with(OWN_PREFIX))
    }

    /// The rules of chains that are not ours which lead to ours.
    pub(super) fn jumps(&self) -> Vec<Jump> {
        let others = self.chains.iter().filter(|chain| !chain.name.starts_with(OWN_PREFIX));
        let jumps = others.flat_map(|chain| {
            let jumps = chain.rules.iter().zip(1..).filter(|(rule, _)| {
                parse::target_name(rule).is_some_and(|name| name.starts_with(OWN_PREFIX))
            });
            jumps.map(|(rule, position)| Jump { built_in: chain.name.clone(), position, rule: rule.clone() })
        });
        jumps.collect()
    }

    fn raw_lines(&self) -> impl Iterator<Item = String> {
        let name = self.name.as_str();
        let jumps = self.jumps().into_iter().map(|jump| (jump.built_in, jump.rule));
        let rules = self.ours().flat_map(|chain| {
            // A rule that is ours reads as it would be planned.
            let rule =
                |rule: &String| parse::rule(rule).map_or_else(|_| rule.clone(), |rule| rule.to_string());
            chain.rules.iter().map(move |text| (chain.name.clone(), rule(text)))
        });
        let lines: Vec<_> = jumps.chain(rules).collect();
        lines.into_iter().map(move |(chain, rule)| format!("{name} {chain} {rule}"))
    }

    /// What is ours, if it is exactly of the form that we make: each chain with one jump to it, from a built-in chain.
    pub(super) fn typed(&self) -> Result<Table, Malformed> {
        let jumps = self.jumps();
        let mut chains = Vec::new();
        for chain in self.ours() {
            let mut to_it = jumps.iter().filter(|jump| jump.rule == format!("-j {}", chain.name));
            let built_in = to_it.next().and_then(|jump| parse::built_in(&jump.built_in));
            let built_in = built_in.ok_or_else(|| Malformed(chain.name.clone()))?;
            let rules = chain.rules.iter().map(|rule| parse::rule(rule)).collect::<Result<_, _>>()?;
            chains.push(Chain { name: chain.name.clone(), built_in, rules });
        }
        if jumps.len() != chains.len() {
            return Err(Malformed("a second jump to one of our chains".to_owned()));
        }
        chains.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(Table { name: self.name, chains })
    }
}
