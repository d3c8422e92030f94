//! A look at what a leg's peer has sent, which stays where it is.
//!
//! Invariant: a look that shows nothing new is `WouldBlock`, through tokio's own `try_io`, so that the next one waits until
//! something has come: epoll is edge-triggered, and tells of each arrival once, whatever is still unread. Tokio's own
//! pair of `readable` and `peek` would return at once as long as a single byte is unread. The price is that tokio then
//! takes the leg for empty: whoever goes on to read it asks for [`Leg::registered_anew`] first.

use std::cell::RefCell;
use std::io;
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, recv};
use tokio::io::Interest;

use super::leg::Leg;
use crate::detect::LIMIT;

thread_local! {
    /// One for each worker: looks are synchronous.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; LIMIT].into());
    #[cfg(test)]
    pub(crate) static LOOKS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Shows `look` the unread bytes, [`LIMIT`] of them at most, where there are others than the first `seen`; none are the
/// end of the stream.
pub(crate) fn peek<T>(leg: &Leg, seen: usize, look: impl FnOnce(&[u8]) -> T) -> io::Result<T> {
    #[cfg(test)]
    LOOKS.set(LOOKS.get() + 1);
    BUFFER.with_borrow_mut(|buffer| {
        let length = leg.stream().try_io(Interest::READABLE, || {
            let length = recv(leg.stream().as_raw_fd(), buffer, MsgFlags::MSG_PEEK)?;
            if length > 0 && length <= seen { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(length) }
        })?;
        Ok(look(buffer.get(..length).unwrap_or_default()))
    })
}
