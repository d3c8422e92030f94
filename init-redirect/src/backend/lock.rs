//! One run at a time: what one reads, another must not change before it has written.
//!
//! The lock is a listening socket with a name in the network namespace, so it needs no file, holds for all that could change
//! the same rules, and ends with its process. Who waits is connected to it, and hears its end at once. Programs that we start
//! inherit it: when we are killed, what they still write is written before the next run reads.

use std::io::{self, ErrorKind, Read};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use super::Error;

const NAME: &str = "remora-init-redirect";

/// How long we wait for another run. One takes milliseconds; a verification a fraction of a second.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often we try for a name that is taken by a socket that does not listen. It has ended or is about to listen, within
/// microseconds, or it is none of ours.
const TRIES: u32 = 10_000;

/// Held as long as it lives.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "it is open, which is all that it is for")] UnixListener);

impl Lock {
    /// Waits for whoever has it.
    pub(super) fn take() -> Result<Self, Error> {
        let failed =
            |error: io::Error| Error::Program { program: "locking".to_owned(), message: error.to_string() };
        let address = SocketAddr::from_abstract_name(NAME).map_err(failed)?;
        let begun = Instant::now();
        let mut deaf = 0;
        loop {
            match UnixListener::bind_addr(&address) {
                Err(error) if error.kind() == ErrorKind::AddrInUse => {}
                other => return other.and_then(Self::inherited).map_err(failed),
            }
            let left = PATIENCE.saturating_sub(begun.elapsed());
            if left.is_zero() || deaf == TRIES {
                let lock = format!("the lock of init-redirect (Unix socket @{NAME})");
                return Err(Error::Locked { lock, seconds: begun.elapsed().as_secs() });
            }
            match UnixStream::connect_addr(&address) {
                Ok(holder) => wait_for_end(holder, left),
                Err(_) => {
                    deaf += 1;
                    thread::yield_now();
                }
            }
        }
    }

    fn inherited(listener: UnixListener) -> io::Result<Self> {
        fcntl(&listener, FcntlArg::F_SETFD(FdFlag::empty()))?;
        Ok(Self(listener))
    }
}

/// Returns when the holder is gone, or the time is over.
fn wait_for_end(mut holder: UnixStream, left: Duration) {
    if holder.set_read_timeout(Some(left)).is_ok() {
        // It never says anything: whatever comes means that it is gone, or that the time is over.
        let _ = holder.read(&mut [0]);
    }
}
