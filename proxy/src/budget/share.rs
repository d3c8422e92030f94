//! Memory that is promised: it may be taken later, when it is too late to refuse it, and by all at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// All that there is, and what of it is given away.
#[derive(Debug)]
pub(super) struct Shares {
    most: u64,
    given: AtomicU64,
}

/// A part of it, for as long as this is kept.
#[derive(Debug)]
pub(crate) struct Share {
    shares: Arc<Shares>,
    bytes: u64,
}

impl Default for Shares {
    /// Without a bound.
    fn default() -> Self {
        Self::of(u64::MAX)
    }
}

impl Shares {
    pub(super) fn of(most: u64) -> Self {
        Self { most, given: AtomicU64::new(0) }
    }

    /// None if there is not so much. There is always enough for the first.
    pub(super) fn give(shares: &Arc<Self>, bytes: u64) -> Option<Share> {
        let given = shares.given.fetch_add(bytes, Ordering::Relaxed);
        let share = Share { shares: Arc::clone(shares), bytes };
        (given == 0 || given.saturating_add(bytes) <= shares.most).then_some(share)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shares.given.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Shares;

    #[test]
    fn no_more_is_given_than_there_is_and_what_comes_back_is_given_again() {
        let shares = Arc::new(Shares::of(100));
        let mut all: Vec<_> = (0..10).map(|_| Shares::give(&shares, 10).unwrap()).collect();
        for _ in 0..3 {
            assert!(Shares::give(&shares, 10).is_none());
        }
        all.pop();
        all.push(Shares::give(&shares, 10).unwrap());
        assert!(Shares::give(&shares, 1).is_none());
    }

    #[test]
    fn the_first_is_never_refused() {
        let shares = Arc::new(Shares::of(1));
        let first = Shares::give(&shares, 10).unwrap();
        assert!(Shares::give(&shares, 10).is_none());
        drop(first);
        Shares::give(&shares, 10).unwrap();
    }
}
