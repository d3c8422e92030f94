//! Lines between those who make them and the one who writes them: bytes in one piece, so that no line is allocated here and
//! freed there.
//!
//! Invariant: the lock is held for a copy or less, never for a write, and bytes that nobody takes are bounded whatever lines
//! contain.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The bytes of a place. Few lines take more; those of 14 KiB, which a peer can cause by what has to be escaped, take as many
/// places.
pub(super) const PLACE: usize = 1024;

/// What an empty queue keeps of its memory.
const KEPT: usize = 256 * 1024;

/// The queue. Its two ends are whoever has it; the last one to add lines has to [`close`](Self::close) it.
pub(super) struct Queue {
    most: usize,
    waiting: Mutex<Waiting>,
    came: Condvar,
}

#[derive(Default)]
struct Waiting {
    batch: Batch,
    /// Taken by lines that are waiting or being written.
    places: usize,
    is_closed: bool,
}

/// Whole lines.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
    places: usize,
}

impl Queue {
    /// With so many places.
    pub(super) fn new(most: usize) -> Self {
        Self { most, waiting: Mutex::default(), came: Condvar::new() }
    }

    /// Adds a line; false if there is no room.
    pub(super) fn push(&self, line: &[u8]) -> bool {
        let mut waiting = self.lock();
        let places = line.len().div_ceil(PLACE);
        if waiting.places + places > self.most {
            return false;
        }
        let was_empty = waiting.batch.bytes.is_empty();
        waiting.places += places;
        waiting.batch.places += places;
        waiting.batch.lines += 1;
        waiting.batch.bytes.extend_from_slice(line);
        drop(waiting);
        if was_empty {
            self.came.notify_one();
        }
        true
    }

    /// Nobody will add anything.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.came.notify_one();
    }

    /// Returns when there is a line; false when there will be none.
    pub(super) fn wait(&self) -> bool {
        let is_idle = |waiting: &mut Waiting| waiting.batch.bytes.is_empty() && !waiting.is_closed;
        let waiting = self.came.wait_while(self.lock(), is_idle).unwrap_or_else(PoisonError::into_inner);
        !waiting.batch.bytes.is_empty()
    }

    /// Whether it is better not to wait for more: there is much, or there will be none.
    pub(super) fn is_urgent(&self) -> bool {
        let waiting = self.lock();
        waiting.is_closed || waiting.places > self.most / 2
    }

    /// Exchanges what is waiting for `written`, whose places are free now.
    pub(super) fn take(&self, mut written: Batch) -> Batch {
        written.bytes.clear();
        written.bytes.shrink_to(KEPT);
        let mut waiting = self.lock();
        waiting.places -= written.places;
        std::mem::replace(&mut waiting.batch, Batch { bytes: written.bytes, ..Batch::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Batch, PLACE, Queue};

    #[test]
    fn places_are_free_when_lines_were_written() {
        let queue = Queue::new(4);
        assert!(!queue.is_urgent());
        assert!(queue.push(b"one\n") && queue.push(&[b'x'; PLACE + 1]) && queue.is_urgent());
        assert!(!queue.push(&[b'x'; PLACE + 1]), "one place is left");
        let batch = queue.take(Batch::default());
        assert_eq!((batch.lines, batch.bytes.len()), (2, 4 + PLACE + 1));
        assert!(queue.push(b"two\n") && !queue.push(b"three\n"), "they are being written");
        let batch = queue.take(batch);
        assert_eq!((batch.lines, &batch.bytes[..]), (1, &b"two\n"[..]));
        assert!(queue.push(&[b'x'; 3 * PLACE]));
        assert_eq!(queue.take(batch).lines, 1);
        // What was longest is not kept.
        assert!(
            queue.take(Batch { bytes: Vec::with_capacity(10 << 20), ..Batch::default() }).bytes.is_empty()
        );
        assert!(queue.take(Batch::default()).bytes.capacity() < 10 << 20);
    }

    #[test]
    fn the_end_is_told_after_the_last_line() {
        let queue = Queue::new(4);
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| queue.wait());
            assert!(queue.push(b"one\n"));
            assert!(waits.join().unwrap());
            queue.close();
            assert!(queue.wait() && queue.is_urgent());
            drop(queue.take(Batch::default()));
            assert!(!queue.wait());
        });
    }
}
