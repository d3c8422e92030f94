//! Whether requests' content does not go on: a server that does not read one of them may have used up the window of all.
//!
//! h2 does not say whose window is used up. So this is about time: content that is being taken is never long in one place.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The longest that content waits where the server reads, and the way to it is no long one.
const PATIENCE: Duration = Duration::from_millis(100);

/// The streams of one connection that have content which waits.
#[derive(Debug, Default)]
pub(super) struct Stuck(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    waiting: usize,
    /// When something was taken last, or began to wait.
    since: Option<Instant>,
}

impl Stuck {
    /// Whether nothing was taken for long although something waits.
    pub(super) fn is_so(&self, now: Instant) -> bool {
        let state = self.state();
        state.waiting > 0 && state.since.is_some_and(|since| now.duration_since(since) >= PATIENCE)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether one stream's content waits.
#[derive(Debug, Default)]
pub(super) struct Waits(bool);

impl Waits {
    /// It does so now, or not, and something was taken of it, or not.
    pub(super) fn set(&mut self, of: &Stuck, waits: bool, has_moved: bool) {
        if !waits && !self.0 {
            return;
        }
        let mut state = of.state();
        match (self.0, waits) {
            (false, true) => {
                state.waiting += 1;
                if state.waiting == 1 {
                    state.since = Some(Instant::now());
                }
            }
            (true, false) => state.waiting -= 1,
            (true, true) | (false, false) => {}
        }
        if has_moved {
            state.since = Some(Instant::now());
        }
        self.0 = waits;
    }
}

#[cfg(test)]
mod tests {
    use super::{Instant, PATIENCE, Stuck, Waits};

    #[test]
    fn what_waits_and_does_not_move_is_stuck() {
        let (stuck, mut one, mut other) = (Stuck::default(), Waits::default(), Waits::default());
        let later = || Instant::now() + PATIENCE;
        assert!(!stuck.is_so(later()), "nothing waits");
        one.set(&stuck, true, false);
        assert!(!stuck.is_so(Instant::now()));
        let before = later();
        assert!(stuck.is_so(later()));
        other.set(&stuck, true, true);
        assert!(!stuck.is_so(before - PATIENCE / 2), "something has moved");
        one.set(&stuck, false, false);
        assert!(stuck.is_so(later()), "the other one waits still");
        other.set(&stuck, false, true);
        assert!(!stuck.is_so(later()));
    }
}
