//! iptables, by its own programs: those that speak to nf_tables, and the legacy ones for kernels without it.
//!
//! The kernel takes each table of each family by itself, so all or nothing is made here: what was there is read first, and
//! brought back when any part is refused. Chains of ours have a prefix of their own; of others' chains only the jumps to
//! ours are written.

mod change;
mod foreign;
mod interfaces;
mod lower;
mod parse;
mod program;
mod ruleset;
mod saved;
mod text;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use self::program::Programs;
use self::ruleset::Ruleset;
use self::saved::Saved;
use super::{Conflict, Counts, Error, Written};
use crate::options::Family;
use crate::plan::Plan;

pub(super) use text::text;

/// What the names of our chains begin with.
const OWN_PREFIX: &str = "REMORA_";

/// Which of the two sets of programs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Variant {
    /// They translate to nf_tables.
    Nft,
    /// They use the kernel's older tables.
    Legacy,
}

/// The programs of one variant, for the families that this kernel has.
#[derive(Clone, Debug)]
pub(super) struct Iptables {
    variant: Variant,
    families: Vec<Family>,
}

/// What the kernel holds, and what it is to hold, of one family.
struct Side {
    programs: Programs,
    held: Saved,
    wanted: Ruleset,
}

/// The families that any rule of the plan is about and that this kernel has.
pub(super) fn families(plan: &Plan) -> Vec<Family> {
    let has_rules = |family: &Family| !lower::lower(plan, *family).tables.is_empty();
    kernel_families().into_iter().filter(has_rules).collect()
}

/// A kernel without IPv6 lacks this file; where IPv6 is only switched off, rules for it can be had.
fn kernel_families() -> Vec<Family> {
    let v6 = Path::new("/proc/self/net/if_inet6").exists();
    if v6 { vec![Family::V4, Family::V6] } else { vec![Family::V4] }
}

impl Iptables {
    /// The programs, for the families that this kernel has.
    pub(super) fn new(variant: Variant) -> Self {
        Self { variant, families: kernel_families() }
    }

    /// Whether all its programs are installed.
    pub(super) fn installed(&self) -> bool {
        self.programs().all(Programs::installed)
    }

    /// Whether the kernel has legacy tables, for each family.
    pub(super) fn kernel_has_legacy(&self) -> bool {
        self.programs().all(|programs| programs.table_names().exists())
    }

    /// Whether the kernel has no legacy table yet; nothing where that may not be seen.
    pub(super) fn legacy_is_empty(&self) -> Option<bool> {
        let mut names = self.programs().map(|programs| std::fs::read_to_string(programs.table_names()));
        names.try_fold(true, |empty, names| Some(empty && names.ok()?.trim().is_empty()))
    }

    /// Makes the plan true. `empty` says that the kernel is known to hold nothing, so that it need not be asked.
    pub(super) fn apply(&self, plan: &Plan, empty: bool) -> Result<Written, Error> {
        let begun = Instant::now();
        let sides = self.sides(plan, empty)?;
        let mut steps = vec![("read", begun.elapsed())];
        let conflicts: Vec<Conflict> = sides.iter().flat_map(Side::conflicts).collect();
        if !conflicts.is_empty() {
            return Err(Error::Conflict(conflicts));
        }
        let begun = Instant::now();
        let changes: Vec<_> = sides.iter().filter_map(Side::change).collect();
        if changes.is_empty() {
            return Ok(self.written(&sides, false, steps));
        }
        let written = on_all(&changes, |(programs, text)| programs.restore(text));
        steps.push(("write", begun.elapsed()));
        match written {
            Ok(_) => Ok(self.written(&sides, true, steps)),
            Err(cause) => Err(match roll_back(&sides) {
                Ok(()) => cause,
                Err(rollback) => {
                    Error::NotRolledBack { cause: Box::new(cause), rollback: Box::new(rollback) }
                }
            }),
        }
    }

    /// Whether the plan is true.
    pub(super) fn holds(&self, plan: &Plan) -> Result<bool, Error> {
        Ok(self.sides(plan, false)?.iter().all(|side| side.change().is_none()))
    }

    /// What the kernel holds and what is planned, a line for each chain and rule, the families one after the other.
    pub(super) fn compare(&self, plan: &Plan) -> Result<[Vec<String>; 2], Error> {
        let (mut held, mut wanted) = (Vec::new(), Vec::new());
        for side in self.sides(plan, false)? {
            let family = side.programs.family;
            held.extend(side.held.lines().map(|line| format!("{family}: {line}")));
            wanted.extend(side.wanted.lines().map(|line| format!("{family}: {line}")));
        }
        Ok([held, wanted])
    }

    /// What keeps rules that are elsewhere from working, and whether some are ours.
    pub(super) fn survey(&self) -> Result<(Vec<Conflict>, bool), Error> {
        let programs: Vec<Programs> = self.programs().collect();
        let saved = on_all(&programs, |programs| programs.save())?;
        let conflicts = programs.iter().zip(&saved);
        let conflicts = conflicts.flat_map(|(programs, saved)| foreign::takers(&programs.to_string(), saved));
        Ok((conflicts.collect(), saved.iter().any(Saved::has_ours)))
    }

    /// Takes everything of ours out. A family that fails does not keep the other.
    pub(super) fn clean(&self) -> Result<(), Error> {
        let programs: Vec<Programs> = self.programs().collect();
        on_all(&programs, |programs| {
            let text = change::to_saved(&programs.save()?, &Saved::default());
            text.map_or(Ok(()), |text| programs.restore(&text))
        })
        .map(|_| ())
    }

    fn programs(&self) -> impl Iterator<Item = Programs> {
        self.families.iter().map(|family| Programs { variant: self.variant, family: *family })
    }

    fn sides(&self, plan: &Plan, empty: bool) -> Result<Vec<Side>, Error> {
        let programs: Vec<Programs> = self.programs().collect();
        on_all(&programs, |programs| {
            let held = if empty { Saved::default() } else { programs.save()? };
            let wanted = lower::lower(plan, programs.family);
            match wanted.unsayable() {
                None => Ok(Side { programs: *programs, held, wanted }),
                Some(rule) => Err(Error::Unsayable { rule: rule.to_string() }),
            }
        })
    }

    fn written(&self, sides: &[Side], changed: bool, steps: Vec<(&'static str, Duration)>) -> Written {
        let chains = || sides.iter().flat_map(|side| &side.wanted.tables).flat_map(|table| &table.chains);
        let counts = Counts {
            chains: chains().count(),
            rules: chains().map(|chain| chain.rules.len()).sum(),
            sets: 0,
            intervals: 0,
        };
        Written { changed, counts, steps }
    }
}

impl Side {
    fn conflicts(&self) -> Vec<Conflict> {
        foreign::conflicts(&self.programs.to_string(), &self.held, &self.wanted)
    }

    fn change(&self) -> Option<(Programs, String)> {
        change::to_plan(&self.held, &self.wanted).map(|text| (self.programs, text))
    }
}

/// Brings back what was there, whichever parts were changed; families are tried to the last.
fn roll_back(sides: &[Side]) -> Result<(), Error> {
    let back = |side: &Side| {
        let now = side.programs.save()?;
        change::to_saved(&now, &side.held).map_or(Ok(()), |text| side.programs.restore(&text))
    };
    on_all(sides, back).map(|_| ())
}

/// For each at the same time: a program spends most of its time on its own start. Gives the first error after all have ended.
fn on_all<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, Error> + Sync,
) -> Result<Vec<R>, Error> {
    thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = items.iter().map(|item| scope.spawn(move || work(item))).collect();
        let ended: Vec<_> = running.into_iter().map(thread::ScopedJoinHandle::join).collect();
        ended
            .into_iter()
            .map(|ended| ended.unwrap_or(Err(Error::Answer("a thread of ours ended early"))))
            .collect()
    })
}
