//! What destinations spoke when they were looked at last: something opaque, so that the next connections need no look, or HTTP,
//! so that the next client may ask before a server is connected.
//!
//! Invariant: a destination is looked at again and again, however often it was opaque: trust grows with every look that
//! finds the same, from one connection to [`MOST_TRUST`]. So a client that talks nonsense once does not blind the proxy to
//! what follows, and an address that has got another owner is noticed.

use std::collections::HashMap;
use std::hash::Hash;

use super::{Detected, Protocol, Reason};

/// Connections that are not looked at between two looks.
const MOST_TRUST: u8 = 63;

/// A bounded memory. It has two generations: the older one is forgotten when the younger one is full, and what is recalled
/// becomes young again.
#[derive(Debug)]
pub struct Memory<K> {
    young: HashMap<K, Entry>,
    old: HashMap<K, Entry>,
    /// Of a generation.
    most: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    trust: u8,
    left: u8,
}

impl Entry {
    /// It is looked at each time.
    const HTTP: Self = Self { trust: 0, left: 0 };
}

impl<K: Copy + Eq + Hash> Memory<K> {
    /// For at most so many destinations, in both generations together.
    pub fn new(most: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), most: (most / 2).max(1) }
    }

    /// Whether this connection to `destination` needs no look.
    pub fn recall(&mut self, destination: K) -> Option<Detected> {
        let mut entry = self.get(destination)?;
        let left = entry.left.checked_sub(1)?;
        entry.left = left;
        self.put(destination, entry);
        Some(Detected::opaque(Reason::Memory))
    }

    /// Whether `destination` has responded by HTTP last.
    pub fn asks(&self, destination: K) -> bool {
        self.get(destination).is_some_and(|entry| entry.trust == Entry::HTTP.trust)
    }

    /// This was found by a look. A beginning that took too long counts: where clients say something short that could become
    /// HTTP, every connection would wait. That a side has left tells nothing of the destination, nor does a client's HTTP before
    /// that was [answered](Self::speaks_http).
    pub fn learn(&mut self, destination: K, found: &Detected) {
        match found.reason {
            Reason::ServerFirst | Reason::Unrecognized | Reason::Incomplete => {
                let trust = self.get(destination).map_or(1, |entry| (entry.trust * 2 + 1).min(MOST_TRUST));
                self.put(destination, Entry { trust, left: trust });
            }
            Reason::FirstBytes if matches!(found.protocol, Protocol::Http1 | Protocol::Http2) => {}
            Reason::FirstBytes => {
                self.young.remove(&destination);
                self.old.remove(&destination);
            }
            Reason::TooLong | Reason::Ended | Reason::Hint | Reason::Memory => {}
        }
    }

    /// `destination` has responded by HTTP.
    pub fn speaks_http(&mut self, destination: K) {
        self.put(destination, Entry::HTTP);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    fn get(&self, destination: K) -> Option<Entry> {
        self.young.get(&destination).or_else(|| self.old.get(&destination)).copied()
    }

    fn put(&mut self, destination: K, entry: Entry) {
        if self.young.len() >= self.most && !self.young.contains_key(&destination) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(destination, entry);
    }
}
