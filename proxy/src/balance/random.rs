//! Numbers for [`choose`](super::choose): fast and even, and of no use where somebody must not guess them.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

thread_local! {
    /// The state of an xorshift generator (Marsaglia 2003), which must not be 0. `RandomState` is seeded by the kernel.
    static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0) | 1);
}

/// A number below `bound`, 0 if that is 0.
pub fn below(bound: usize) -> usize {
    let number = STATE.with(|state| {
        let mut number = state.get();
        number ^= number << 13;
        number ^= number >> 7;
        number ^= number << 17;
        state.set(number);
        number
    });
    // The upper half of the product instead of a remainder: no division, and even to 2^-32 or better.
    let product = (u128::from(number) * bound as u128) >> u64::BITS;
    usize::try_from(product).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::below;

    #[test]
    fn every_number_comes_and_none_beyond() {
        let mut seen = [0; 7];
        for _ in 0..7000 {
            seen[below(7)] += 1;
        }
        // The chance of missing one by half is below 10^-60.
        assert!(seen.iter().all(|times| *times > 500), "{seen:?}");
        assert_eq!((below(1), below(0)), (0, 0));
    }
}
