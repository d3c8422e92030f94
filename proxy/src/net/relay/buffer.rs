//! Copying: the one buffer of a worker, and what is left of it when a reader does not take everything.
//!
//! Invariant: the buffer is borrowed within one step, which does not wait; so the connections of a worker cannot meet in it.

use std::cell::RefCell;
use std::io;

use runtime::metrics::types::gauge::Gauge;

use super::CHUNK;
use crate::net::leg::Leg;

thread_local! {
    /// The kernel gives pages of it when they are used first.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; CHUNK].into());
}

/// Lends the worker's buffer to a step.
pub(super) fn with<T>(step: impl FnOnce(&mut [u8]) -> T) -> T {
    BUFFER.with_borrow_mut(|buffer| step(buffer))
}

/// Bytes that were read and could not be written at once, in memory of their own.
pub(crate) struct Rest<'a> {
    bytes: Box<[u8]>,
    written: usize,
    /// How much memory is held by all.
    buffered: &'a Gauge,
}

impl<'a> Rest<'a> {
    pub(super) fn new(bytes: &[u8], buffered: &'a Gauge) -> Self {
        add(buffered, bytes.len());
        Self { bytes: bytes.into(), written: 0, buffered }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left().is_empty()
    }

    /// Writes what the kernel takes now.
    pub(super) fn write(&mut self, to: &Leg) -> io::Result<usize> {
        let written = to.stream().try_write(self.left())?;
        self.written += written;
        Ok(written)
    }

    fn left(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }
}

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        // All of it is there until the last byte is taken.
        subtract(self.buffered, self.bytes.len());
    }
}

/// Bytes that were read before somebody could do something with them.
pub(crate) struct Ahead<'a> {
    bytes: Vec<u8>,
    /// How many of them are forgotten.
    consumed: usize,
    /// How much memory is held by all.
    buffered: &'a Gauge,
}

impl<'a> Ahead<'a> {
    pub(super) fn new(buffered: &'a Gauge) -> Self {
        Self { bytes: Vec::new(), consumed: 0, buffered }
    }

    /// These ones.
    pub(super) fn of(bytes: Vec<u8>, buffered: &'a Gauge) -> Self {
        add(buffered, bytes.len());
        Self { bytes, consumed: 0, buffered }
    }

    /// In the order in which they came.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.consumed..).unwrap_or_default()
    }

    /// Keeps more of them, in the place of those that are forgotten: there may be no moment at which all are.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        subtract(self.buffered, self.consumed);
        drop(self.bytes.drain(..self.consumed.min(self.bytes.len())));
        self.consumed = 0;
        self.bytes.extend_from_slice(bytes);
        add(self.buffered, bytes.len());
    }

    /// Forgets the first ones.
    pub(crate) fn consume(&mut self, bytes: usize) {
        self.consumed = self.consumed.saturating_add(bytes);
        // All of it is there until the last byte is used.
        if self.bytes().is_empty() {
            subtract(self.buffered, self.bytes.len());
            (self.bytes, self.consumed) = (Vec::new(), 0);
        }
    }
}

impl Drop for Ahead<'_> {
    fn drop(&mut self) {
        subtract(self.buffered, self.bytes.len());
    }
}

/// Counts bytes that are held now.
pub(super) fn add(buffered: &Gauge, bytes: usize) {
    buffered.inc_by(i64::try_from(bytes).unwrap_or(i64::MAX));
}

/// Counts bytes that are held no longer.
pub(super) fn subtract(buffered: &Gauge, bytes: usize) {
    buffered.dec_by(i64::try_from(bytes).unwrap_or(i64::MAX));
}
