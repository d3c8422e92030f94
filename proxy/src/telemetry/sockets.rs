//! How many sockets traffic has: two for each connection that is carried, and those to servers of HTTP/2, of which a client may
//! have several and many clients may share one.
//!
//! It counts and decides nothing. Connections that wait in the pool of HTTP/1 are not here: they have their own bound.

use runtime::metrics::types::gauge::Gauge;

/// All of them; clones count the same ones.
#[derive(Clone)]
pub(crate) struct Sockets {
    open: [Gauge; 2],
    further: Further,
}

/// Those of HTTP/2 to servers that are not the second one of a connection that is carried.
#[derive(Clone, Default)]
pub(crate) struct Further {
    /// Of clients that have their own ones; the first one of each is the client's second socket.
    own: Gauge,
    /// Of clients that share them, less one for each of these clients, which has no other one.
    shared: Gauge,
}

/// Whose connection to a server it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Whose {
    /// One client's.
    Own,
    /// All clients'.
    Shared,
}

/// A socket that counts, or one less, as long as this is kept.
pub(crate) struct Counted {
    gauge: Gauge,
    by: i64,
}

impl Sockets {
    /// The connections that are `open` in each direction, and the others.
    pub(super) fn new(open: [Gauge; 2], further: Further) -> Self {
        Self { open, further }
    }

    /// How many connections are carried.
    pub(crate) fn connections(&self) -> u64 {
        self.open.iter().map(|gauge| u64::try_from(gauge.get()).unwrap_or(0)).sum()
    }

    /// The others.
    pub(crate) fn further(&self) -> &Further {
        &self.further
    }
}

impl Further {
    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.sum(0, 0)
    }

    /// How many there would be with one more.
    pub(crate) fn with_one(&self, whose: Whose) -> u64 {
        match whose {
            Whose::Own => self.sum(1, 0),
            Whose::Shared => self.sum(0, 1),
        }
    }

    /// One more.
    pub(crate) fn one(&self, whose: Whose) -> Counted {
        let gauge = match whose {
            Whose::Own => &self.own,
            Whose::Shared => &self.shared,
        };
        Counted::new(gauge, 1)
    }

    /// A client that has none of its own, so that its second socket is one of those that are shared.
    pub(crate) fn sharer(&self) -> Counted {
        Counted::new(&self.shared, -1)
    }

    /// What sharers do not need is not for others: they may need it yet.
    fn sum(&self, own: i64, shared: i64) -> u64 {
        let count = |gauge: &Gauge, more| u64::try_from(gauge.get() + more).unwrap_or(0);
        count(&self.own, own) + count(&self.shared, shared)
    }
}

impl Counted {
    fn new(gauge: &Gauge, by: i64) -> Self {
        gauge.inc_by(by);
        Self { gauge: gauge.clone(), by }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.gauge.dec_by(self.by);
    }
}

#[cfg(test)]
mod tests {
    use super::{Further, Whose};

    #[test]
    fn sharers_have_a_socket_each_for_what_is_shared_and_for_nothing_else() {
        let further = Further::default();
        let sharers = [further.sharer(), further.sharer()];
        let shared = [(); 2].map(|()| further.one(Whose::Shared));
        assert_eq!((further.count(), further.with_one(Whose::Shared)), (0, 1));
        drop(shared);
        let own = further.one(Whose::Own);
        assert_eq!(further.count(), 1);
        assert_eq!((further.with_one(Whose::Own), further.with_one(Whose::Shared)), (2, 1));
        drop((sharers, own));
        assert_eq!((further.count(), further.with_one(Whose::Shared)), (0, 1));
    }
}
