//! All edges, for those who add them and those who show them.
//!
//! Invariant: neither waits for the other; an edge keeps the place that it has got.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::Series;
use super::list::List;
use crate::telemetry::names::Names;

/// Edges that have their places made at once.
const SEGMENT: usize = 64;

type Segment = [OnceLock<Arc<Series>>; SEGMENT];

/// The edges; clones are the same ones.
#[derive(Clone, Default)]
pub(in crate::telemetry) struct Edges(Arc<All>);

struct All {
    /// How many have, or are about to have, a place.
    added: AtomicUsize,
    segments: List<Segment>,
}

impl Default for All {
    fn default() -> Self {
        Self { added: AtomicUsize::new(0), segments: List::new() }
    }
}

impl Edges {
    /// One more edge.
    pub(in crate::telemetry) fn add(&self, names: Names) -> Arc<Series> {
        let series = Arc::new(Series::new(names));
        let place = self.0.added.fetch_add(1, Ordering::Relaxed);
        let segment = self.0.segments.at(place / SEGMENT, || [const { OnceLock::new() }; SEGMENT]);
        if let Some(slot) = segment.get(place % SEGMENT) {
            // The place is nobody else's.
            let _ = slot.set(Arc::clone(&series));
        }
        series
    }

    /// How many places are taken.
    pub(super) fn count(&self) -> usize {
        self.0.added.load(Ordering::Relaxed)
    }

    /// By their places, from this one on; nothing where nobody is, or where somebody is just being added.
    pub(super) fn from(&self, place: usize) -> impl Iterator<Item = Option<&Series>> {
        let segments = self.0.segments.iter().skip(place / SEGMENT);
        segments.flatten().skip(place % SEGMENT).map(|slot| slot.get().map(AsRef::as_ref))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Edges, SEGMENT};
    use crate::direction::Direction;
    use crate::telemetry::edge::Edge;
    use crate::telemetry::names::Names;
    use crate::telemetry::workload::Workload;

    fn names(number: usize) -> Names {
        let workload = Workload::known(&number.to_string(), "shop", None, None);
        Edge::from(Some(Arc::new(workload))).names(Direction::Inbound, &Arc::new(Workload::unknown()))
    }

    fn added(edges: &Edges, from: usize) -> Vec<Names> {
        edges.from(from).flatten().map(|series| series.names().clone()).collect()
    }

    #[test]
    fn each_edge_keeps_its_place() {
        let edges = Edges::default();
        let count = 2 * SEGMENT + 1;
        for number in 0..count {
            assert_eq!(*edges.add(names(number)).names(), names(number));
        }
        for from in [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, count - 1, count, 3 * SEGMENT] {
            let expected: Vec<_> = (from..count).map(names).collect();
            assert_eq!(added(&edges, from), expected, "from {from}");
        }
        assert_eq!(edges.count(), count);
    }

    #[test]
    fn threads_that_add_at_once_lose_nothing() {
        let (edges, each) = (Edges::default(), 3 * SEGMENT);
        std::thread::scope(|scope| {
            for first in 0..4 {
                let edges = &edges;
                scope.spawn(move || {
                    (0..each).for_each(|number| drop(edges.add(names(first * each + number))))
                });
            }
        });
        let mut all: Vec<_> = added(&edges, 0).iter().map(|names| format!("{:?}", names.source)).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 4 * each);
    }
}
