//! Lines between those who make them and the one who writes them: bytes in one piece, so that no line is allocated here and
//! freed there.
//!
//! Invariant: the lock is held for a copy or less, never for a write, and bytes that nobody takes are bounded whatever lines
//! contain.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The bytes of a place. Few lines take more; those of 14 KiB, which a peer can cause by what has to be escaped, take as many
/// places.
pub(super) const PLACE: usize = 1024;

/// So many bytes are not kept waiting. They are still in the processor's cache when they are written, and fit into a pipe, which
/// has 64 KiB; to collect ten times as many costs more than to wake the writer ten times as often.
const ENOUGH: usize = 32 * 1024;

/// What an empty queue keeps of its memory.
const KEPT: usize = 256 * 1024;

/// The queue. Its two ends are whoever has it; the last one to add lines has to [`close`](Self::close) it.
pub(super) struct Queue {
    most: usize,
    collect: Duration,
    waiting: Mutex<Waiting>,
    wakes: Condvar,
}

#[derive(Default)]
struct Waiting {
    batch: Batch,
    /// Taken by lines that are waiting or being written.
    places: usize,
    is_closed: bool,
    writer: Writer,
}

/// What the writer does. To wake it is a system call, so nobody does that in vain.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Writer {
    /// It writes, or has been woken.
    #[default]
    Busy,
    /// It waits for a line.
    Idle,
    /// It waits for more lines.
    Collecting,
}

/// Whole lines.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
    places: usize,
}

impl Queue {
    /// With so many places; lines are collected for so long, unless there are many.
    pub(super) fn new(most: usize, collect: Duration) -> Self {
        Self { most, collect, waiting: Mutex::default(), wakes: Condvar::new() }
    }

    /// Adds a line; false if there is no room.
    pub(super) fn push(&self, line: &[u8]) -> bool {
        let mut waiting = self.lock();
        let places = line.len().div_ceil(PLACE);
        if waiting.places + places > self.most {
            return false;
        }
        waiting.places += places;
        waiting.batch.places += places;
        waiting.batch.lines += 1;
        waiting.batch.bytes.extend_from_slice(line);
        let wakes = match waiting.writer {
            Writer::Busy => false,
            Writer::Idle => true,
            Writer::Collecting => self.is_enough(&waiting),
        };
        if wakes {
            waiting.writer = Writer::Busy;
            drop(waiting);
            self.wakes.notify_one();
        }
        true
    }

    /// Nobody will add anything.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.wakes.notify_one();
    }

    /// Returns what is to be written next, in exchange for what was `written`, whose places are free now; nothing when there will
    /// be no more.
    ///
    /// It collects before it looks whether there is a line: while there are many, it is woken once for all of them.
    pub(super) fn next(&self, mut written: Batch) -> Option<Batch> {
        written.bytes.clear();
        written.bytes.shrink_to(KEPT);
        let mut waiting = self.lock();
        waiting.places -= written.places;
        waiting = self.collect(waiting);
        if waiting.batch.lines == 0 {
            waiting = self.collect(self.idle(waiting));
        }
        let batch = std::mem::replace(&mut waiting.batch, Batch { bytes: written.bytes, ..Batch::default() });
        Some(batch).filter(|batch| batch.lines > 0)
    }

    /// Until there are many lines, or for some time.
    fn collect<'a>(&self, mut waiting: MutexGuard<'a, Waiting>) -> MutexGuard<'a, Waiting> {
        let collects = |waiting: &mut Waiting| {
            waiting.writer = Writer::Collecting;
            !(self.is_enough(waiting) || waiting.is_closed)
        };
        let waited = self.wakes.wait_timeout_while(waiting, self.collect, collects);
        (waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        waiting.writer = Writer::Busy;
        waiting
    }

    /// Until there is a line.
    fn idle<'a>(&self, mut waiting: MutexGuard<'a, Waiting>) -> MutexGuard<'a, Waiting> {
        let is_idle = |waiting: &mut Waiting| {
            waiting.writer = Writer::Idle;
            waiting.batch.lines == 0 && !waiting.is_closed
        };
        waiting = self.wakes.wait_while(waiting, is_idle).unwrap_or_else(PoisonError::into_inner);
        waiting.writer = Writer::Busy;
        waiting
    }

    /// Whether it is better not to wait for more.
    fn is_enough(&self, waiting: &Waiting) -> bool {
        waiting.batch.bytes.len() >= ENOUGH || waiting.places > self.most / 2
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Batch, ENOUGH, PLACE, Queue};

    const COLLECT: Duration = Duration::from_millis(5);

    #[test]
    fn places_are_free_when_lines_were_written() {
        let queue = Queue::new(4, COLLECT);
        assert!(queue.push(b"one\n") && queue.push(&[b'x'; PLACE + 1]));
        assert!(!queue.push(&[b'x'; PLACE + 1]), "one place is left");
        let batch = queue.next(Batch::default()).unwrap();
        assert_eq!((batch.lines, batch.bytes.len()), (2, 4 + PLACE + 1));
        assert!(queue.push(b"two\n") && !queue.push(b"three\n"), "they are being written");
        let batch = queue.next(batch).unwrap();
        assert_eq!((batch.lines, &batch.bytes[..]), (1, &b"two\n"[..]));
        assert!(queue.push(&[b'x'; 3 * PLACE]));
        assert_eq!(queue.next(batch).unwrap().lines, 1);
    }

    #[test]
    fn memory_of_many_lines_is_not_kept() {
        let queue = Queue::new(1000, COLLECT);
        let long = Batch { bytes: Vec::with_capacity(10 << 20), ..Batch::default() };
        assert!(queue.push(b"one\n"));
        assert_eq!(queue.next(long).unwrap().bytes, b"one\n");
        assert!(queue.push(b"two\n"));
        assert!(queue.next(Batch::default()).unwrap().bytes.capacity() < 10 << 20);
    }

    #[test]
    fn few_lines_are_collected() {
        let queue = Queue::new(1000, COLLECT);
        assert!(queue.push(b"one\n"));
        let began = Instant::now();
        assert_eq!(queue.next(Batch::default()).unwrap().lines, 1);
        assert!(began.elapsed() >= COLLECT);
    }

    #[test]
    fn many_lines_are_not_waited_for() {
        let long = Duration::from_secs(3600);
        let (bytes, places) = (Queue::new(1000, long), Queue::new(8, long));
        for (queue, line) in [(&bytes, &[b'x'; ENOUGH / 4][..]), (&places, b"x")] {
            std::thread::scope(|scope| {
                let writes = scope.spawn(|| queue.next(Batch::default()).unwrap().lines);
                while !writes.is_finished() {
                    // Those for which there is no room do not wake it.
                    queue.push(line);
                }
                assert!(writes.join().unwrap() >= 4);
            });
        }
    }

    #[test]
    fn the_end_is_told_after_the_last_line() {
        let queue = Queue::new(4, COLLECT);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| queue.next(Batch::default()));
            assert!(queue.push(b"one\n"));
            let batch = waits.join().unwrap().unwrap();
            assert!(queue.push(b"two\n"));
            queue.close();
            let batch = queue.next(batch).unwrap();
            assert_eq!(batch.bytes, b"two\n");
            assert!(queue.next(batch).is_none());
        });
    }
}
