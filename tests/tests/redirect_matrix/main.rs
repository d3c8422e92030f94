//! The behaviour matrix: for every backend, kind of network and set of options, where each packet of `landings.txt` lands.
//! What a rule is called or looks like is not asked: packets are sent, and the listeners that they reach tell.
//!
//! The backends are compared with the table, and with each other in what the table does not show: the addresses that both
//! ends of a connection see.

mod network;
mod packet;
mod table;

use std::collections::BTreeMap;
use std::thread;

use tests::rules::{BACKENDS, Backend};

use crate::network::{Families, Network};
use crate::packet::{Family, Seen};
use crate::table::{OptionSet, Table};

#[test]
fn ipv4() {
    matrix(Families::V4);
}

#[test]
fn ipv6() {
    matrix(Families::V6);
}

#[test]
fn dual_stack() {
    matrix(Families::Dual);
}

/// What was seen of each row's packet.
type Outcome = BTreeMap<(String, Family), Seen>;

fn matrix(families: Families) {
    let table = Table::read();
    let mut faults = Vec::new();
    for (column, set) in table.sets.iter().enumerate() {
        let outcomes: Vec<Outcome> = thread::scope(|scope| {
            let runs: Vec<_> = BACKENDS
                .iter()
                .map(|backend| scope.spawn(|| outcome(*backend, families, &table, set)))
                .collect();
            runs.into_iter().map(|run| run.join().expect("a run")).collect()
        });
        for (backend, outcome) in BACKENDS.iter().zip(&outcomes) {
            let place = format!("{} {families:?} {}", backend.name, set.name);
            faults.extend(table.faults(column, outcome).map(|fault| format!("{place}: {fault}")));
            for (row, seen) in outcome {
                let first = outcomes.first().and_then(|first| first.get(row));
                if first != Some(seen) {
                    faults.push(format!("{place}: {row:?}: {seen:?}, but {first:?} by {}", BACKENDS[0].name));
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Installs into a fresh network and sends every packet that can be sent there.
fn outcome(backend: Backend, families: Families, table: &Table, set: &OptionSet) -> Outcome {
    let network = Network::new(families, table);
    network.install(backend, &set.arguments);
    let mut outcome = Outcome::new();
    for row in &table.rows {
        for family in families.list() {
            if let Some(seen) = network.send(&row.packet, *family, table) {
                outcome.insert((row.label.clone(), *family), seen);
            }
        }
    }
    outcome
}
