//! How many connections an endpoint has from this proxy.
//!
//! Invariant: each [`Held`] is counted once, from its making to its end, however its connection ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The count; workers share it.
#[derive(Debug, Default)]
pub struct Load(AtomicU32);

/// One connection.
#[derive(Debug)]
pub struct Held(Arc<Load>);

impl Load {
    /// The number of connections now.
    pub fn get(&self) -> u32 {
        // It orders nothing: a choice by a number that was true a moment ago is as good.
        self.0.load(Ordering::Relaxed)
    }

    /// Counts one more, until what is returned is dropped.
    pub fn hold(self: &Arc<Self>) -> Held {
        self.0.fetch_add(1, Ordering::Relaxed);
        Held(Arc::clone(self))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::Load;
    use std::sync::Arc;

    #[test]
    fn it_counts_what_is_held() {
        let load = Arc::new(Load::default());
        let held: Vec<_> = (0..3).map(|_| load.hold()).collect();
        assert_eq!(load.get(), 3);
        drop(held);
        assert_eq!(load.get(), 0);
    }
}
