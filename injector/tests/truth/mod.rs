//! The truth tables of selection: facts on the left, what becomes of the pod on the right, written out by hand and read by
//! nothing but these tests.

pub(crate) mod cases;

use std::cell::Cell;

/// What must become of a pod.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Expected {
    /// The entry by which the API server calls; `-` for none.
    pub(crate) entry: String,
    /// `left`, `injected` or `refused`.
    pub(crate) outcome: String,
    /// The code of the first reason.
    pub(crate) reason: String,
}

/// A table.
pub(crate) struct Truth {
    columns: Vec<&'static str>,
    rows: Vec<Row>,
}

struct Row {
    text: &'static str,
    facts: Vec<&'static str>,
    expected: Expected,
    used: Cell<bool>,
}

/// A fact for each column.
pub(crate) trait Facts {
    fn fact(&self, column: &str) -> &str;
}

impl Truth {
    /// What labels and annotations say by themselves.
    pub(crate) fn selection() -> Self {
        Self::parse(include_str!("selection.txt"))
    }

    /// What a configuration adds.
    pub(crate) fn configured() -> Self {
        Self::parse(include_str!("configured.txt"))
    }

    fn parse(text: &'static str) -> Self {
        let mut lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let halves =
            |line: &'static str| line.split_once('|').map(|_| line.rsplit_once(" | ").expect("a bar"));
        let (columns, _) = halves(lines.next().expect("a head")).expect("a bar");
        let columns: Vec<_> = columns.split_whitespace().collect();
        let row = |line: &'static str| {
            let (facts, expected) = halves(line).expect("a bar");
            let facts: Vec<_> = facts.split_whitespace().collect();
            assert_eq!(facts.len(), columns.len(), "{line}");
            let expected: Vec<_> = expected.split_whitespace().map(str::to_owned).collect();
            let [entry, outcome, reason] = expected.try_into().expect("three columns");
            Row { text: line, facts, expected: Expected { entry, outcome, reason }, used: Cell::new(false) }
        };
        let rows = lines.map(row).collect();
        Self { columns, rows }
    }

    /// What must become of a case.
    pub(crate) fn expected(&self, case: &impl Facts) -> Expected {
        let fits = |row: &&Row| {
            self.columns.iter().zip(&row.facts).all(|(column, allowed)| {
                *allowed == "*" || allowed.split('|').any(|allowed| allowed == case.fact(column))
            })
        };
        let row = self.rows.iter().find(fits).expect("a row for every case");
        row.used.set(true);
        row.expected.clone()
    }

    /// A row that nothing comes to is a mistake in the table, or in the cases.
    pub(crate) fn assert_used(&self) {
        let unused: Vec<_> = self.rows.iter().filter(|row| !row.used.get()).map(|row| row.text).collect();
        assert!(unused.is_empty(), "no case comes to {unused:#?}");
    }
}
