//! The live table of carried connections, which the administration lists and the sweep of dead peers looks through.
//!
//! It is no account, and nothing is decided here. Invariant: workers do not wait for each other or for a reader. A connection is
//! entered once and taken out once, by its own thread, into a part of the table that other workers do not use; a reader
//! holds a part for no more than `STRIDE` entries.

mod connection;
mod silence;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::direction::Direction;
pub(in crate::telemetry) use connection::Way;
pub use connection::{Connection, Pair, RelayMode, Side};
pub(in crate::telemetry) use silence::Linked;
pub use silence::Silence;
use silence::{GiveUp, Link};

/// Entries that a reader takes while it keeps a worker waiting: a few microseconds.
const STRIDE: usize = 256;

/// The table; clones are the same one.
#[derive(Clone, Debug)]
pub struct Connections(Arc<Table>);

#[derive(Debug)]
struct Table {
    last: AtomicU64,
    /// One for each worker, by age.
    parts: Box<[Part<Connection>]>,
    /// The same of upstream sockets that are no connection's alone.
    links: Box<[Part<Link>]>,
}

type Part<T> = Mutex<BTreeMap<u64, Arc<T>>>;

impl Connections {
    /// For so many workers.
    pub fn new(workers: usize) -> Self {
        let parts = (0..workers.max(1)).map(|_| Part::default()).collect();
        let links = (0..workers.max(1)).map(|_| Part::default()).collect();
        Self(Arc::new(Table { last: AtomicU64::new(0), parts, links }))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.parts.iter().map(|part| lock(part).len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.parts.iter().all(|part| lock(part).is_empty())
    }

    /// The oldest `most` connections that are younger than the one with the id `after` and are `wanted`, by age.
    pub fn page(
        &self,
        after: u64,
        most: usize,
        wanted: impl Fn(&Connection) -> bool,
    ) -> Vec<Arc<Connection>> {
        let mut page = Vec::new();
        for part in &self.0.parts {
            page.extend(strides(part, after).filter(|connection| wanted(connection)).take(most));
        }
        page.sort_unstable_by_key(|connection| connection.id());
        page.truncate(most);
        page
    }

    /// All, worker by worker, a stride at a time: for a reader that looks at each once.
    pub fn all(&self) -> impl Iterator<Item = Arc<Connection>> {
        self.0.parts.iter().flat_map(|part| strides(part, 0))
    }

    /// Enters a connection, which has to [`leave`](Self::leave).
    pub(super) fn enter(
        &self,
        direction: Direction,
        client: Pair,
        original_dst: SocketAddr,
    ) -> Arc<Connection> {
        let place = Place { id: self.next_id(), part: own_part(self.0.parts.len()) };
        let connection = Arc::new(Connection::new(place, direction, client, original_dst));
        if let Some(part) = self.0.parts.get(place.part) {
            lock(part).insert(place.id, Arc::clone(&connection));
        }
        connection
    }

    /// Enters an upstream socket that is given up alone.
    pub(super) fn link(&self, direction: Direction, server: Pair) -> Linked {
        let part = own_part(self.0.links.len());
        let link = Arc::new(Link { id: self.next_id(), direction, server, end: GiveUp::default() });
        if let Some(links) = self.0.links.get(part) {
            lock(links).insert(link.id, Arc::clone(&link));
        }
        Linked::new(self.clone(), part, link)
    }

    fn unlink(&self, part: usize, id: u64) {
        if let Some(links) = self.0.links.get(part) {
            lock(links).remove(&id);
        }
    }

    /// Gives up the sockets of those that have a peer that has been silent for as long as `silent` says; of which direction each.
    pub fn give_up_links(&self, silent: impl Fn(Pair) -> Option<Duration>) -> Vec<Direction> {
        let mut given_up = Vec::new();
        for link in self.0.links.iter().flat_map(|links| strides(links, 0)) {
            let silence = silent(link.server).map(|lasts| Silence { side: Side::Server, lasts });
            if silence.is_some_and(|silence| link.end.give_up(silence)) {
                given_up.push(link.direction);
            }
        }
        given_up
    }

    fn next_id(&self) -> u64 {
        self.0.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Takes it out.
    pub(super) fn leave(&self, connection: &Connection) {
        if let Some(part) = self.0.parts.get(connection.place.part) {
            lock(part).remove(&connection.place.id);
        }
    }
}

/// Where an entry is.
#[derive(Clone, Copy, Debug)]
struct Place {
    id: u64,
    part: usize,
}

/// The part of this thread. Workers are started together, so theirs follow each other and differ.
fn own_part(parts: usize) -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    OWN.with(|own| own % parts)
}

fn strides<T>(part: &Part<T>, after: u64) -> impl Iterator<Item = Arc<T>> {
    let mut last = Some(after);
    std::iter::from_fn(move || {
        let stride: Vec<_> = lock(part)
            .range((Bound::Excluded(last?), Bound::Unbounded))
            .take(STRIDE)
            .map(|(id, entry)| (*id, Arc::clone(entry)))
            .collect();
        last = stride.last().map(|(id, _)| *id);
        last.map(|_| stride)
    })
    .flatten()
    .map(|(_, entry)| entry)
}

/// A panic aborts the process, so a part is never left half changed.
fn lock<T>(part: &Part<T>) -> MutexGuard<'_, BTreeMap<u64, Arc<T>>> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
