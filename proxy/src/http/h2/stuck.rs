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
    pub(super) fn is_so(&self) -> bool {
        self.waits_for().is_some_and(|long| long >= PATIENCE)
    }

    fn waits_for(&self) -> Option<Duration> {
        let state = self.state();
        state.since.filter(|_| state.waiting > 0).map(|since| since.elapsed())
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
        if !waits && !self.0 && !has_moved {
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
        if has_moved && state.waiting > 0 {
            state.since = Some(Instant::now());
        }
        self.0 = waits;
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Stuck, Waits};

    #[test]
    fn what_waits_and_does_not_move_is_stuck() {
        let (stuck, mut one, mut other) = (Stuck::default(), Waits::default(), Waits::default());
        assert_eq!(stuck.waits_for(), None);
        one.set(&stuck, true, false);
        let mut last = Duration::ZERO;
        let mut waits_longer = || {
            let before = std::mem::replace(&mut last, stuck.waits_for().expect("something waits"));
            last > before
        };
        while !waits_longer() {}
        other.set(&stuck, true, true);
        assert!(!waits_longer(), "something has moved");
        while !waits_longer() {}
        Waits::default().set(&stuck, false, true);
        assert!(!waits_longer(), "that of another one that does not wait");
        one.set(&stuck, false, false);
        while !waits_longer() {}
        other.set(&stuck, false, true);
        assert_eq!(stuck.waits_for(), None);
        assert!(!stuck.is_so());
    }
}
