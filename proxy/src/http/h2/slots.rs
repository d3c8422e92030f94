//! Streams that the server takes at once: the next one waits for the end of another, in the order in which they came.
//!
//! h2 would queue them, too, but also those that were broken off while they waited, without a bound. Invariant: who waits and
//! goes away leaves nothing behind; when there are no more slots to come, all who wait are told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Clones are the same ones.
#[derive(Clone, Debug)]
pub(super) struct Slots(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    open: usize,
    most: usize,
    next: u64,
    waiting: BTreeMap<u64, Waker>,
    /// Tickets that there are.
    held: usize,
    /// Who wants to know when there is none.
    looks_after: Option<Waker>,
    is_closed: bool,
}

/// There will be no more turns.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Closed;

impl State {
    fn wake_next(&self) {
        if self.open < self.most
            && let Some((_, waker)) = self.waiting.first_key_value()
        {
            waker.wake_by_ref();
        }
    }
}

impl Slots {
    /// So many.
    pub(super) fn new(most: usize) -> Self {
        let waiting = BTreeMap::new();
        let state = State { open: 0, most, next: 0, waiting, held: 0, looks_after: None, is_closed: false };
        Self(Arc::new(Mutex::new(state)))
    }

    /// From now on so many.
    pub(super) fn set_most(&self, most: usize) {
        let mut state = self.state();
        if state.most != most {
            state.most = most;
            state.wake_next();
        }
    }

    /// There will be no more. Who has one keeps it.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        std::mem::take(&mut state.waiting).into_values().for_each(Waker::wake);
    }

    /// Ready when nobody has a ticket.
    pub(super) fn poll_unused(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.held == 0 {
            return Poll::Ready(());
        }
        if !state.looks_after.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.looks_after = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Whether there would be a turn for one more at once.
    pub(super) fn has_room(&self) -> bool {
        let state = self.state();
        !state.is_closed && state.held < state.most
    }

    /// Whether there are none at all, and no turn will come before that changes.
    pub(super) fn are_none(&self) -> bool {
        self.state().most == 0
    }

    /// How many tickets there are.
    pub(super) fn held(&self) -> usize {
        self.state().held
    }

    /// Whether nobody has a ticket.
    pub(super) fn is_unused(&self) -> bool {
        self.state().held == 0
    }

    /// The next in the queue.
    pub(super) fn ticket(&self) -> Ticket {
        let mut state = self.state();
        state.held += 1;
        let number = state.next;
        state.next += 1;
        Ticket { slots: self.clone(), number, has_slot: false }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue, and then a slot, until it is dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    slots: Slots,
    number: u64,
    has_slot: bool,
}

impl Ticket {
    /// Ready when it is this one's turn, and from then on.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        let mut state = self.slots.state();
        if state.is_closed {
            return Poll::Ready(Err(Closed));
        }
        if self.has_slot {
            return Poll::Ready(Ok(()));
        }
        let is_next = state.waiting.keys().next().is_none_or(|first| self.number <= *first);
        if state.open < state.most && is_next {
            state.open += 1;
            state.waiting.remove(&self.number);
            // There may be room for several.
            state.wake_next();
            self.has_slot = true;
            return Poll::Ready(Ok(()));
        }
        state.waiting.insert(self.number, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.slots.state();
        if self.has_slot {
            state.open -= 1;
        } else {
            state.waiting.remove(&self.number);
        }
        state.held -= 1;
        if state.held == 0
            && let Some(waker) = state.looks_after.take()
        {
            waker.wake();
        }
        state.wake_next();
    }
}

#[cfg(test)]
mod tests {
    use super::{Closed, Slots, Ticket};
    use std::task::{Context, Poll, Waker};

    fn poll(ticket: &mut Ticket) -> Poll<Result<(), Closed>> {
        ticket.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn turns_come_in_order_and_who_goes_away_leaves_nothing_behind() {
        let slots = Slots::new(1);
        let [mut first, mut second, mut third, mut fourth] = std::array::from_fn(|_| slots.ticket());
        assert_eq!(poll(&mut first), Poll::Ready(Ok(())));
        for waiting in [&mut second, &mut third, &mut fourth] {
            assert_eq!(poll(waiting), Poll::Pending);
        }
        drop(second);
        assert_eq!(poll(&mut third), Poll::Pending);
        drop(first);
        assert_eq!(poll(&mut fourth), Poll::Pending);
        assert_eq!(poll(&mut third), Poll::Ready(Ok(())));
        assert_eq!((poll(&mut third), slots.state().open), (Poll::Ready(Ok(())), 1), "asked again");
        slots.set_most(2);
        assert_eq!(poll(&mut fourth), Poll::Ready(Ok(())));
        drop((third, fourth));
        let state = slots.state();
        assert_eq!((state.open, state.held, state.waiting.len()), (0, 0, 0));
    }

    #[test]
    fn who_waits_is_told_that_there_will_be_no_turn() {
        let slots = Slots::new(1);
        let [mut first, mut second] = std::array::from_fn(|_| slots.ticket());
        assert_eq!((poll(&mut first), poll(&mut second)), (Poll::Ready(Ok(())), Poll::Pending));
        slots.close();
        assert_eq!(
            (poll(&mut second), poll(&mut slots.ticket())),
            (Poll::Ready(Err(Closed)), Poll::Ready(Err(Closed)))
        );
        let mut cx = Context::from_waker(Waker::noop());
        assert!(slots.poll_unused(&mut cx).is_pending());
        drop((first, second));
        assert!(slots.poll_unused(&mut cx).is_ready());
    }

    #[test]
    fn no_slot_is_no_end() {
        let slots = Slots::new(0);
        let mut ticket = slots.ticket();
        assert_eq!(poll(&mut ticket), Poll::Pending);
        slots.set_most(1);
        assert_eq!(poll(&mut ticket), Poll::Ready(Ok(())));
    }
}
