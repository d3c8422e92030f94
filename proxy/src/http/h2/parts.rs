//! What one task carries in several parts: a part is polled when it was woken, and not because another one was.
//!
//! Parts wake each other all the time: a request that was sent is something for the connection to its server to do. Who is woken
//! within a turn of the task has it in this turn, and the task needs no other one for it. Invariant: no wake is lost, whichever
//! thread it comes from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use futures_util::task::AtomicWaker;

/// The parts of a client's connection.
pub(super) struct Parts {
    task: Arc<Task>,
    pub(super) client: Part,
    pub(super) servers: Part,
    pub(super) streams: Part,
}

/// One of them.
pub(super) struct Part {
    state: Arc<State>,
    waker: Waker,
}

#[derive(Default)]
struct Task {
    waker: AtomicWaker,
    has_turn: AtomicBool,
}

struct State {
    is_woken: AtomicBool,
    task: Arc<Task>,
}

impl Parts {
    /// None has been polled yet.
    pub(super) fn new() -> Self {
        let task = Arc::new(Task::default());
        let [client, servers, streams] = std::array::from_fn(|_| Part::of(&task));
        Self { task, client, servers, streams }
    }

    /// The task, which `cx` wakes, has a turn.
    pub(super) fn begin_turn(&self, cx: &Context<'_>) {
        self.task.waker.register(cx.waker());
        self.task.has_turn.store(true, Ordering::SeqCst);
    }

    /// Whether a part has something to do.
    pub(super) fn are_woken(&self) -> bool {
        [&self.client, &self.servers, &self.streams].into_iter().any(Part::is_woken)
    }

    /// The turn is over. What has not been polled in it has another one.
    pub(super) fn end_turn(&self) {
        self.task.has_turn.store(false, Ordering::SeqCst);
        // Who was woken before that has woken nobody.
        if self.are_woken() {
            self.task.waker.wake();
        }
    }
}

impl Part {
    fn of(task: &Arc<Task>) -> Self {
        let state = Arc::new(State { is_woken: AtomicBool::new(true), task: Arc::clone(task) });
        let waker = Waker::from(Arc::clone(&state));
        Self { state, waker }
    }

    /// What it is polled with.
    pub(super) fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }

    /// It has something to do.
    pub(super) fn wake(&self) {
        self.waker.wake_by_ref();
    }

    /// Whether it is to be polled, once.
    pub(super) fn take(&self) -> bool {
        self.state.is_woken.swap(false, Ordering::SeqCst)
    }

    fn is_woken(&self) -> bool {
        self.state.is_woken.load(Ordering::SeqCst)
    }
}

impl Wake for State {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        // Each looks at what the other has written after it has written itself: one of them sees it.
        if !self.task.has_turn.load(Ordering::SeqCst) {
            self.task.waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Parts;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Woken {
        fn times(&self) -> usize {
            self.0.swap(0, Ordering::SeqCst)
        }
    }

    /// Parts that have not been polled, and their task.
    fn task() -> (Parts, Arc<Woken>, Waker) {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        (Parts::new(), woken, waker)
    }

    #[test]
    fn a_turn_is_for_all_that_is_woken_in_it() {
        let (parts, woken, waker) = task();
        parts.begin_turn(&Context::from_waker(&waker));
        assert!(parts.client.take() && parts.servers.take() && parts.streams.take(), "at first all are");
        assert!(!parts.are_woken());
        parts.servers.context().waker().wake_by_ref();
        assert!(parts.are_woken() && !parts.client.take() && parts.servers.take() && !parts.servers.take());
        parts.end_turn();
        assert_eq!(woken.times(), 0);
    }

    #[test]
    fn what_is_left_of_a_turn_and_what_comes_after_it_is_another_one() {
        let (parts, woken, waker) = task();
        parts.begin_turn(&Context::from_waker(&waker));
        assert!(parts.client.take() && parts.servers.take());
        parts.end_turn();
        assert_eq!(woken.times(), 1, "of the streams");
        parts.begin_turn(&Context::from_waker(&waker));
        assert!(parts.streams.take());
        parts.end_turn();
        assert_eq!(woken.times(), 0);
        parts.client.wake();
        assert_eq!(woken.times(), 1);
    }

    /// Wakes come from another thread at any moment of a turn: none is lost.
    #[test]
    fn no_wake_is_lost() {
        const WAKES: usize = 2_000;
        let parts = Arc::new(Parts::new());
        let (sent, seen) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let waking = {
            let (parts, sent, seen) = (Arc::clone(&parts), Arc::clone(&sent), Arc::clone(&seen));
            std::thread::spawn(move || {
                for number in 1..=WAKES {
                    sent.store(number, Ordering::SeqCst);
                    parts.client.wake();
                    while seen.load(Ordering::SeqCst) < number {
                        std::hint::spin_loop();
                    }
                }
            })
        };
        let turns = std::future::poll_fn(|cx| {
            parts.begin_turn(cx);
            while parts.client.take() {
                seen.store(sent.load(Ordering::SeqCst), Ordering::SeqCst);
            }
            let _ = (parts.servers.take(), parts.streams.take());
            parts.end_turn();
            if seen.load(Ordering::SeqCst) == WAKES {
                return std::task::Poll::Ready(());
            }
            std::task::Poll::Pending
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let limit = std::time::Duration::from_secs(60);
        runtime.block_on(async { tokio::time::timeout(limit, turns).await }).expect("a wake was lost");
        waking.join().unwrap();
    }
}
