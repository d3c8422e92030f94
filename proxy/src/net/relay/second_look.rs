//! A second look at what was taken for all that had come.
//!
//! A short read means that nothing more is there, with one exception: the kernel stops before an urgent byte (RFC 6093), tells
//! nobody that it is still there, and it may be the last one for long, as an interrupt is. To ask after each read would cost
//! every exchange two system calls. So whoever has read short is woken once, a little later, together with all others of its
//! worker, and reads again: one call for each direction in a round, however much it carries.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The longest that an urgent byte waits behind others.
const ROUND: Duration = Duration::from_millis(20);

thread_local! {
    /// The rounds that have been, and who waits for the next one.
    static ROUNDS: Cell<u32> = const { Cell::new(0) };
    static WAITING: RefCell<Vec<Waker>> = const { RefCell::new(Vec::new()) };
}

/// Whether a direction owes a second look.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum SecondLook {
    /// No: nothing was read, or it was seen that nothing more is there.
    #[default]
    None,
    /// Yes, and nobody will wake it yet.
    Owed,
    /// Yes, in the round after this one.
    Due(u32),
    /// Yes, at once.
    Now,
}

impl SecondLook {
    /// A read was short. A look that is due is late enough for it.
    pub(super) fn owe(&mut self) {
        if *self == Self::None {
            *self = Self::Owed;
        }
    }

    /// A look took all that it could, and the kernel will not tell of the rest, which had come before.
    pub(super) fn go_on(&mut self) {
        *self = Self::Now;
    }

    /// Ready when it is time to look. It has to be polled by one task only, and when there is nothing else to do.
    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        match *self {
            Self::None => Poll::Pending,
            Self::Owed => {
                *self = Self::Due(ROUNDS.get());
                wait(cx.waker().clone());
                Poll::Pending
            }
            Self::Due(round) if round == ROUNDS.get() => Poll::Pending,
            Self::Due(_) | Self::Now => {
                *self = Self::None;
                Poll::Ready(())
            }
        }
    }
}

fn wait(waker: Waker) {
    let is_first = WAITING.with_borrow_mut(|waiting| {
        waiting.push(waker);
        waiting.len() == 1
    });
    if is_first {
        let round = Round;
        tokio::spawn(async move {
            tokio::time::sleep(ROUND).await;
            drop(round);
        });
    }
}

/// Ends the round when it is dropped, which is also when its runtime ends.
struct Round;

impl Drop for Round {
    fn drop(&mut self) {
        ROUNDS.set(ROUNDS.get().wrapping_add(1));
        // The list is gone when its thread ends.
        let waiting = WAITING.try_with(RefCell::take).unwrap_or_default();
        waiting.into_iter().for_each(Waker::wake);
    }
}
