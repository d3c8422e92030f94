//! Splicing: pipes through which the kernel moves a long transfer without showing it.
//!
//! The kernel charges pipes to the user, and all proxies of a node may be the same one to it; so there are few, and whoever
//! gets none copies. Like the worker's buffer a pipe serves every connection of a worker, one step each; it stays with a
//! direction only while bytes are in it that the reader did not take.
//!
//! Invariant: a pipe with bytes in it never serves another connection. It goes back when it is dropped, if it is empty, and is
//! closed otherwise.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice};
use nix::unistd::pipe2;
use runtime::metrics::types::gauge::Gauge;
use tokio::io::Interest;

use super::CHUNK;
use super::buffer::{add, subtract};
use crate::net::leg::Leg;
use crate::telemetry::NoPipe;

/// Empty pipes that a worker keeps. A worker that is idle must not have what another one needs.
const KEPT: usize = 4;

thread_local! {
    /// The worker's empty pipes.
    static EMPTY: RefCell<Vec<Ends>> = const { RefCell::new(Vec::new()) };
}

/// How a pipe is made.
type Make = fn() -> Result<(OwnedFd, OwnedFd), NoPipe>;

/// The pipes of a process; clones are the same ones.
#[derive(Clone)]
pub(super) struct Pipes(Arc<Shared>);

struct Shared {
    most: usize,
    made: AtomicUsize,
    gauge: Gauge,
    make: Make,
}

impl Pipes {
    /// At most so many, whose number `gauge` shows.
    pub(super) fn new(most: usize, gauge: Gauge) -> Self {
        Self::made_by(make, most, gauge)
    }

    pub(super) fn made_by(make: Make, most: usize, gauge: Gauge) -> Self {
        Self(Arc::new(Shared { most, made: AtomicUsize::new(0), gauge, make }))
    }

    /// An empty pipe, whose bytes `buffered` will count while they are held.
    pub(super) fn take<'a>(&self, buffered: &'a Gauge) -> Result<Pipe<'a>, NoPipe> {
        let kept = EMPTY.with_borrow_mut(|empty| empty.pop_if(|ends| Arc::ptr_eq(&ends.place.0, &self.0)));
        let ends = match kept {
            Some(ends) => ends,
            None => {
                let place = self.place()?;
                let (output, input) = (self.0.make)()?;
                Ends { output, input, place }
            }
        };
        Ok(Pipe { ends: Some(ends), held: 0, buffered })
    }

    fn place(&self) -> Result<Place, NoPipe> {
        let Shared { most, made, gauge, .. } = self.0.as_ref();
        let taken = made
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |made| (made < *most).then_some(made + 1));
        taken.map_err(|_| NoPipe::InUse)?;
        gauge.inc();
        Ok(Place(Arc::clone(&self.0)))
    }
}

/// One of the pipes that there may be.
struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.made.fetch_sub(1, Ordering::Relaxed);
        self.0.gauge.dec();
    }
}

struct Ends {
    output: OwnedFd,
    input: OwnedFd,
    place: Place,
}

/// A pipe of one direction.
pub(super) struct Pipe<'a> {
    /// Until it is dropped.
    ends: Option<Ends>,
    held: usize,
    buffered: &'a Gauge,
}

impl Pipe<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Moves what has come, at most so many bytes, into the pipe, which has to be empty: then `WouldBlock` is about the source.
    ///
    /// Neither that nor 0 is the last word: before an urgent byte the kernel says both (`tcp_read_sock` stops there), and
    /// only reading goes past it.
    pub(super) fn fill(&mut self, from: &Leg, most: usize) -> io::Result<usize> {
        let Some(Ends { input, .. }) = &self.ends else { return Ok(0) };
        let moved = splice(from.stream(), None, input, None, most, FLAGS)?;
        self.held += moved;
        add(self.buffered, moved);
        Ok(moved)
    }

    /// Moves what the kernel takes now out of the pipe.
    pub(super) fn drain(&mut self, to: &Leg) -> io::Result<usize> {
        let Some(Ends { output, .. }) = &self.ends else { return Ok(0) };
        let moved = to
            .stream()
            .try_io(Interest::WRITABLE, || Ok(splice(output, None, to.stream(), None, self.held, FLAGS)?))?;
        self.held -= moved;
        subtract(self.buffered, moved);
        Ok(moved)
    }
}

impl Drop for Pipe<'_> {
    fn drop(&mut self) {
        subtract(self.buffered, self.held);
        if let (0, Some(ends)) = (self.held, self.ends.take()) {
            // The list is gone when the thread ends; then the pipe is closed.
            let _ = EMPTY.try_with(|empty| {
                let mut empty = empty.borrow_mut();
                if empty.len() < KEPT {
                    empty.push(ends);
                }
            });
        }
    }
}

const FLAGS: SpliceFFlags = SpliceFFlags::SPLICE_F_MOVE.union(SpliceFFlags::SPLICE_F_NONBLOCK);

fn make() -> Result<(OwnedFd, OwnedFd), NoPipe> {
    let (output, input) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).map_err(why)?;
    // A user who has too many gets pipes of one or two pages, and this fails; such a pipe would cost more than it spares.
    fcntl(&input, FcntlArg::F_SETPIPE_SZ(CHUNK as nix::libc::c_int)).map_err(why)?;
    Ok((output, input))
}

fn why(error: Errno) -> NoPipe {
    if error == Errno::EPERM {
        NoPipe::UserLimit
    } else if [Errno::EMFILE, Errno::ENFILE].contains(&error) {
        NoPipe::Descriptors
    } else {
        NoPipe::Failed
    }
}
