//! What the kernel holds against what is planned, line by line. A line says one thing in a backend's own terms, so that what
//! others changed can be shown too. Pure.

use std::fmt;

use serde::Serialize;

/// The most pairs of lines that are compared; a longer stretch that differs is one that was replaced as a whole.
const PAIRS: usize = 4_000_000;

/// What has to change so that the plan is true.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Diff {
    /// In the order of the plan.
    pub changes: Vec<Change>,
}

/// A line, and which side has it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Planned, and not in the kernel.
    Missing(String),
    /// In the kernel, and not planned.
    Unplanned(String),
}

impl Diff {
    /// Whether the kernel holds exactly what is planned.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The fewest changes that make one of the other.
    pub fn new(held: &[String], planned: &[String]) -> Self {
        let before = common(held.iter().zip(planned));
        let (held, planned) = (held.split_at(before).1, planned.split_at(before).1);
        let after = common(held.iter().rev().zip(planned.iter().rev()));
        let held = held.split_at(held.len() - after).0;
        let planned = planned.split_at(planned.len() - after).0;
        let pairs = held.len().saturating_mul(planned.len());
        let kept = if pairs > PAIRS { Vec::new() } else { longest_common(held, planned) };
        let (mut held, mut planned, mut changes) = (held.iter(), planned.iter(), Vec::new());
        for line in kept.into_iter().map(Some).chain([None]) {
            let other = |other: &&String| Some(other.as_str()) != line;
            changes.extend(held.by_ref().take_while(other).cloned().map(Change::Unplanned));
            changes.extend(planned.by_ref().take_while(other).cloned().map(Change::Missing));
        }
        Self { changes }
    }
}

/// How many pairs are equal before the first that is not.
fn common<'a>(pairs: impl Iterator<Item = (&'a String, &'a String)>) -> usize {
    pairs.take_while(|(held, planned)| held == planned).count()
}

/// The longest list that is part of both, in order: each row of the table has, for every ending of `planned`, how long that is
/// for an ending of `held`.
fn longest_common<'a>(held: &'a [String], planned: &[String]) -> Vec<&'a str> {
    let mut rows: Vec<Vec<u32>> = vec![vec![0; planned.len() + 1]];
    for line in held.iter().rev() {
        let below = rows.last().map(Vec::as_slice).unwrap_or_default();
        let mut row = vec![0];
        let pairs = planned.iter().rev().zip(below.iter().rev().zip(below.iter().rev().skip(1)));
        for (other, (diagonal, under)) in pairs {
            let right = row.last().copied().unwrap_or_default();
            row.push(if line == other { diagonal + 1 } else { right.max(*under) });
        }
        row.reverse();
        rows.push(row);
    }
    rows.reverse();
    let at = |i: usize, j: usize| rows.get(i).and_then(|row| row.get(j)).copied().unwrap_or_default();
    let (mut i, mut j, mut kept) = (0, 0, Vec::new());
    while let (Some(line), Some(other)) = (held.get(i), planned.get(j)) {
        if line == other {
            kept.push(line.as_str());
            (i, j) = (i + 1, j + 1);
        } else if at(i + 1, j) >= at(i, j + 1) {
            i += 1;
        } else {
            j += 1;
        }
    }
    kept
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "The kernel holds what is planned.");
        }
        writeln!(f, "The kernel differs from the plan (- it holds, + is planned):\n")?;
        self.changes.iter().try_for_each(|change| match change {
            Change::Missing(line) => writeln!(f, "+ {line}"),
            Change::Unplanned(line) => writeln!(f, "- {line}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Change, Diff};

    fn lines(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn equal_sides_do_not_differ() {
        assert!(Diff::new(&lines("a b c"), &lines("a b c")).is_empty());
        assert!(Diff::new(&[], &[]).is_empty());
    }

    #[test]
    fn only_what_differs_is_told_in_order() {
        let diff = Diff::new(&lines("head x a b c tail"), &lines("head a y c z tail"));
        assert_eq!(
            diff.to_string().lines().skip(2).collect::<Vec<_>>(),
            ["- x", "- b", "+ y", "+ z"],
            "{diff}"
        );
    }

    #[test]
    fn a_rule_that_moved_is_both() {
        let diff = Diff::new(&lines("b a"), &lines("a b"));
        assert_eq!(diff.changes.len(), 2);
    }

    #[test]
    fn what_is_too_long_to_compare_was_replaced() {
        let side = |prefix: &str| (0..3000).map(|n| format!("{prefix}{n}")).collect::<Vec<_>>();
        assert_eq!(Diff::new(&side("a"), &side("b")).changes.len(), 6000);
    }

    fn any_lines() -> impl Strategy<Value = Vec<String>> {
        proptest::collection::vec(prop_oneof!["a", "b", "c"], 0..12)
    }

    proptest! {
        /// What is held, less what is unplanned, is what is planned, less what is missing.
        #[test]
        fn what_is_not_told_is_common(held in any_lines(), planned in any_lines()) {
            let diff = Diff::new(&held, &planned);
            let count = |missing: bool| {
                diff.changes.iter().filter(|change| matches!(change, Change::Missing(_)) == missing).count()
            };
            prop_assert_eq!(held.len() - count(false), planned.len() - count(true));
            prop_assert_eq!(diff.is_empty(), held == planned);
        }
    }
}
