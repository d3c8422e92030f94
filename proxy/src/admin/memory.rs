//! `/memory`: what the process takes of the memory that it may take, and by what.
//!
//! Read from the kernel when somebody asks; what cannot be read is null, never made up.

use axum::{Json, Router, routing::get};
use procfs::process::Process;
use serde::Serialize;

use crate::budget::Budget;
use crate::telemetry::Relaying;
use crate::telemetry::connections::Connections;

/// The page.
pub(crate) fn page(budget: Budget, connections: Connections, relaying: Relaying) -> Router {
    let answer = move || std::future::ready(Json(Memory::now(&budget, &connections, &relaying)));
    Router::new().route("/memory", get(answer))
}

/// In bytes.
#[derive(Serialize)]
struct Memory {
    /// What may be taken; null if there is no limit.
    limit: Option<u64>,
    /// What is taken of it, as the control group counts it where it has a limit: with the kernel's part.
    used: Option<u64>,
    /// Whether new connections are refused.
    short: bool,
    /// In physical memory.
    resident: Option<u64>,
    /// The same, without what is shared, in part, with other processes.
    proportional: Option<u64>,
    /// Of that, what is no file: heap and stacks.
    anonymous: Option<u64>,
    /// The most that was ever resident.
    peak: Option<u64>,
    /// Connections that are carried.
    connections: usize,
    /// What is held for slow readers, in memory and in pipes.
    buffered: u64,
    /// How many pipes there are.
    pipes: i64,
}

impl Memory {
    fn now(budget: &Budget, connections: &Connections, relaying: &Relaying) -> Self {
        let process = Process::myself().ok();
        let rollup = process.as_ref().and_then(|process| process.smaps_rollup().ok());
        let total = |key| {
            let rollup = rollup.as_ref()?.memory_map_rollup.iter().next()?;
            rollup.extension.map.get(key).copied()
        };
        // In KiB there.
        let peak = process.as_ref().and_then(|process| process.status().ok()?.vmhwm).map(|kib| kib * 1024);
        Self {
            limit: budget.limit(),
            used: budget.used(),
            short: budget.is_short(),
            resident: total("Rss"),
            proportional: total("Pss"),
            anonymous: total("Anonymous"),
            peak,
            connections: connections.len(),
            buffered: relaying.buffered(),
            pipes: relaying.pipes.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, Connections, Memory, Relaying};
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn what_the_kernel_knows_is_shown() {
        let memory = Memory::now(
            &Budget::new(Default::default()),
            &Connections::new(1),
            &Relaying::new(&Metrics::default()),
        );
        let (resident, peak) = (memory.resident.unwrap(), memory.peak.unwrap());
        assert!(resident > 1 << 20 && peak >= resident / 2, "{resident} of {peak} bytes");
        assert!(memory.proportional.unwrap() <= resident && memory.anonymous.unwrap() <= resident);
        assert!(memory.used.is_some() && memory.connections == 0);
        assert_eq!((memory.buffered, memory.pipes), (0, 0));
    }
}
