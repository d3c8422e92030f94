//! One side of a carried connection, and the socket options that every leg has.
//!
//! Invariant: a leg that is closed without `Leg::finish` is closed by RST, not by FIN, whether because the other side was
//! reset, the task was cancelled at the drain deadline, or the process was killed; so a truncation never looks like an end.
//! The kernel keeps it: every leg is born with SO_LINGER 0, and only a good end takes that away.

use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Idle time after which a leg is probed, the time between probes, and their number: 19 s to notice a silent death.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(3);
const KEEPALIVE_PROBES: u32 = 3;

/// A stream whose close is a reset until it has been finished.
#[derive(Debug)]
pub struct Leg(TcpStream);

impl Leg {
    /// Takes a stream whose socket, or whose listener's socket, was given to [`configure`].
    pub(super) fn new(stream: TcpStream) -> Self {
        Self(stream)
    }

    /// The stream, for reading and writing by readiness.
    pub fn stream(&self) -> &TcpStream {
        &self.0
    }

    /// Returns when there is something to read. (Tokio's `readable` is the same and keeps 150 bytes for it.)
    pub(crate) async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.0.poll_read_ready(cx)).await
    }

    /// Returns when something can be written.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        poll_fn(|cx| self.0.poll_write_ready(cx)).await
    }

    /// Passes an end of stream on: sends FIN, and goes on reading.
    pub(crate) fn end_writing(&self) -> io::Result<()> {
        SockRef::from(&self.0).shutdown(Shutdown::Write)
    }

    /// Returns when the leg is broken (reset by the peer, or declared dead by keep-alive); a FIN does not break it. What
    /// can still be read is not looked at.
    pub(crate) async fn broken(&self) -> io::Error {
        let broken = self.0.ready(Interest::ERROR).await;
        // Tokio's budget may have stopped a reader that is not yet at the error; with a new one it gets there first.
        tokio::task::yield_now().await;
        match broken {
            Ok(_) => match self.0.take_error() {
                Ok(Some(error)) | Err(error) => error,
                // Another reader of SO_ERROR was faster; what is known is that the kernel reported an error.
                Ok(None) => io::ErrorKind::ConnectionReset.into(),
            },
            Err(error) => error,
        }
    }

    /// Both directions ended in good order: the close is an ordinary one.
    pub(crate) fn finish(self) {
        // Should it fail, the close is a reset of a connection that the kernel has given up already.
        drop(self.into_stream());
    }

    /// The stream without the invariant, for somebody else's protocol.
    pub(crate) fn into_stream(self) -> io::Result<TcpStream> {
        SockRef::from(&self.0).set_linger(None)?;
        Ok(self.0)
    }
}

/// Sets what every leg has: reset on close, no Nagle delay, keep-alive. On a listener, accepted sockets inherit it (Linux
/// clones the listener's socket), which saves six system calls a connection.
pub(super) fn configure<S: AsFd>(socket: &S) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)
}
