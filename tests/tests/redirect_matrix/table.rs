//! The checked-in table: hosts, sets of options, and for each packet a landing per set.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::Outcome;
use crate::packet::{Family, Packet};

const TEXT: &str = include_str!("landings.txt");

/// `landings.txt`.
pub(crate) struct Table {
    pub(crate) hosts: Vec<Host>,
    pub(crate) sets: Vec<OptionSet>,
    pub(crate) rows: Vec<Row>,
}

/// A name for addresses.
pub(crate) struct Host {
    pub(crate) name: String,
    addresses: BTreeMap<Family, IpAddr>,
}

/// Arguments of the program.
pub(crate) struct OptionSet {
    pub(crate) name: String,
    pub(crate) arguments: Vec<String>,
}

/// A packet, and where it lands under each set.
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) packet: Packet,
    cells: Vec<String>,
}

impl Host {
    pub(crate) fn address(&self, family: Family) -> Option<IpAddr> {
        self.addresses.get(&family).copied()
    }
}

impl Table {
    pub(crate) fn read() -> Self {
        let mut table = Self { hosts: Vec::new(), sets: Vec::new(), rows: Vec::new() };
        let mut section = "";
        for line in TEXT.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            match (line.strip_prefix("  "), section) {
                (None, _) => section = line.split_whitespace().next().expect("a heading"),
                (Some(line), "hosts") => table.hosts.push(host(line)),
                (Some(line), "options") => table.sets.push(set(line)),
                (Some(line), _) => {
                    assert_eq!(section, "landings", "landings.txt: {line}");
                    let row = row(line);
                    assert_eq!(row.cells.len(), table.sets.len(), "landings.txt: {line}");
                    table.rows.push(row);
                }
            }
        }
        table.check_heading();
        table
    }

    /// The heading of the landings names the sets in their order.
    fn check_heading(&self) {
        let heading = TEXT.lines().find_map(|line| line.strip_prefix("landings")).expect("a heading");
        let names: Vec<&str> = heading.split_whitespace().collect();
        let sets: Vec<&str> = self.sets.iter().map(|set| set.name.as_str()).collect();
        assert_eq!(names, sets, "landings.txt");
    }

    pub(crate) fn host(&self, name: &str) -> &Host {
        self.hosts.iter().find(|host| host.name == name).expect(name)
    }

    /// Where an outcome differs from a column.
    pub(crate) fn faults(&self, column: usize, outcome: &Outcome) -> impl Iterator<Item = String> {
        self.rows.iter().flat_map(move |row| {
            let expected = row.cells.get(column).expect("a cell for each set");
            let of_row = outcome.iter().filter(|((label, _), _)| *label == row.label);
            of_row.filter(|(_, seen)| seen.cell != *expected).map(move |((label, family), seen)| {
                format!("{label} ({family:?}) is to land on {expected}, but: {seen:?}")
            })
        })
    }
}

fn host(line: &str) -> Host {
    let mut words = line.split_whitespace();
    let name = words.next().expect("a name").to_owned();
    let mut addresses = BTreeMap::new();
    for (word, family) in words.zip([Family::V4, Family::V6]).filter(|(word, _)| *word != "-") {
        addresses.insert(family, word.parse().expect(line));
    }
    Host { name, addresses }
}

fn set(line: &str) -> OptionSet {
    let mut words = line.split_whitespace().map(str::to_owned);
    OptionSet { name: words.next().expect("a name"), arguments: words.collect() }
}

/// The packet ends where two spaces are.
fn row(line: &str) -> Row {
    let (label, cells) = line.split_once("  ").expect(line);
    Row {
        label: label.to_owned(),
        packet: label.parse().expect(line),
        cells: cells.split_whitespace().map(str::to_owned).collect(),
    }
}
