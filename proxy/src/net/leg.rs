//! One side of a carried connection, and the socket options that every leg has.
//!
//! Invariant: a leg that is closed without `Leg::finish` is closed by RST, not by FIN, whether because the other side was
//! reset, the task was cancelled at the drain deadline, or the process was killed; so a truncation never looks like an end.
//! The kernel keeps it: every leg is born with SO_LINGER 0, and only a good end takes that away.

use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd};
use std::pin::{Pin, pin};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicI32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// What it takes to notice the silent death of a peer on an idle leg.
pub(crate) const KEEPALIVE: Duration =
    Duration::from_secs(KEEPALIVE_IDLE.as_secs() + KEEPALIVE_INTERVAL.as_secs() * KEEPALIVE_PROBES as u64);

/// Idle time after which a leg is probed, the time between probes, and their number.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(3);
const KEEPALIVE_PROBES: u32 = 3;

/// A congestion control that every kernel has.
const UNPACED: &str = "reno";

static DEFAULT_PACES: LazyLock<bool> = LazyLock::new(|| {
    std::fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").is_ok_and(|name| paces(&name))
});

fn paces(congestion_control: &str) -> bool {
    congestion_control.starts_with("bbr")
}

/// A stream whose close is a reset until it has been finished.
#[derive(Debug)]
pub struct Leg {
    stream: TcpStream,
    /// The errno of a failed write, or 0. The kernel tells an error only once; a reader would take what follows for an end.
    failed: AtomicI32,
}

impl Leg {
    /// Takes a stream whose socket, or whose listener's socket, was given to [`configure`].
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, failed: AtomicI32::new(0) }
    }

    /// Of an ordinary stream.
    #[cfg(test)]
    pub(crate) fn of(stream: TcpStream) -> io::Result<Self> {
        configure(&stream)?;
        Ok(Self::new(stream))
    }

    /// The stream, for reading and writing by readiness.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Ready when there is something to read. (Tokio's `readable` is the same and keeps 150 bytes for it.)
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_read_ready(cx)
    }

    /// Reads once. A short read is taken for all that there is: the next one would only say so, and what comes later makes
    /// the leg readable again (epoll tells each arrival once). An end that came meanwhile is no arrival that is lost: tokio
    /// keeps the leg readable for ever from then on.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut short = None;
        let read = self.stream.try_io(Interest::READABLE, || match self.read_unasked(buffer)? {
            length if 0 < length && length < buffer.len() => {
                short = Some(length);
                // What tells tokio that nothing more is there.
                Err(io::ErrorKind::WouldBlock.into())
            }
            length => Ok(length),
        });
        short.map_or(read, Ok)
    }

    /// Reads once, whether or not something was said to be there.
    pub(crate) fn read_unasked(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(recv(self.stream.as_raw_fd(), buffer, MsgFlags::empty())?)
    }

    /// Whether nothing is there, not even an end, by the kernel's own word. What is there is lost.
    pub(crate) fn has_nothing(&self) -> bool {
        self.read_unasked(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Nothing more is there, as somebody has seen: the leg is readable when something comes, or at once if it has ended.
    pub(crate) fn await_arrival(&self) {
        // What tells tokio so.
        let _: io::Result<()> =
            self.stream.try_io(Interest::READABLE, || Err(io::ErrorKind::WouldBlock.into()));
    }

    /// Returns when there is something to read, and whether nothing more will come: the peer has ended its stream, or reset it.
    pub(crate) async fn readable_or_ended(&self) -> io::Result<bool> {
        Ok(self.stream.ready(Interest::READABLE).await?.is_read_closed())
    }

    /// The same leg, told anew by the kernel what there is to be read, as every socket is that is new to epoll.
    pub(crate) fn registered_anew(self) -> io::Result<Self> {
        let Self { stream, failed } = self;
        Ok(Self { stream: TcpStream::from_std(stream.into_std()?)?, failed })
    }

    /// Returns when something can be written.
    pub(crate) fn writable(&self) -> impl Future<Output = io::Result<()>> {
        poll_fn(|cx| self.stream.poll_write_ready(cx))
    }

    /// Passes an end of stream on: sends FIN, and goes on reading.
    pub(crate) fn end_writing(&self) -> io::Result<()> {
        SockRef::from(&self.stream).shutdown(Shutdown::Write)
    }

    /// Writing has failed, and so the leg is [`broken`](Self::broken). What the peer had sent before can still be read, and
    /// whoever waits for the break decides when that is over.
    pub(crate) fn fail(&self, error: &io::Error) {
        self.failed.store(error.raw_os_error().unwrap_or(Errno::EIO as i32), Ordering::Relaxed);
    }

    /// Why writing has failed, if it has: then an end that is read is none.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        match self.failed.load(Ordering::Relaxed) {
            0 => None,
            errno => Some(io::Error::from_raw_os_error(errno)),
        }
    }

    /// Returns when the leg is broken (reset by the peer, declared dead by keep-alive, or writing has failed); a FIN does
    /// not break it. A reader that is polled first has had another turn by then.
    pub(crate) async fn broken(&self) -> io::Error {
        self.until_broken().await;
        // A reader may not be at the error yet, since its budget was spent or tokio has not yet heard from the kernel; now
        // both are renewed, and it gets there first.
        tokio::task::yield_now().await;
        self.break_error()
    }

    /// Returns when the leg is broken; what came before may still be unread.
    pub(crate) async fn until_broken(&self) {
        let mut error = pin!(self.stream.ready(Interest::ERROR));
        poll_fn(|cx| match self.failed.load(Ordering::Relaxed) {
            0 => error.as_mut().poll(cx).map(drop),
            _ => Poll::Ready(()),
        })
        .await;
    }

    /// What has broken it. The kernel tells that once, and a reader that comes later takes it for an end.
    pub(crate) fn break_error(&self) -> io::Error {
        self.failure().unwrap_or_else(|| match self.stream.take_error() {
            Ok(Some(error)) | Err(error) => error,
            // Another reader of SO_ERROR was faster; what is known is that the kernel reported an error.
            Ok(None) => io::ErrorKind::ConnectionReset.into(),
        })
    }

    /// Both directions ended in good order: the close is an ordinary one.
    pub(crate) fn finish(self) {
        // Should it fail, the close is a reset of a connection that the kernel has given up already.
        drop(self.into_stream());
    }

    /// The stream without the invariant, for somebody else's protocol.
    pub(crate) fn into_stream(self) -> io::Result<TcpStream> {
        SockRef::from(&self.stream).set_linger(None)?;
        Ok(self.stream)
    }
}

/// As tokio's own stream, for protocols that others implement.
impl AsyncRead for Leg {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Leg {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Nothing is kept back.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Sends FIN; that the close is not a reset takes `finish`.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.end_writing())
    }
}

/// Sets what every leg has ([`configure_any`]), and keep-alive. On a listener, accepted sockets inherit it (Linux clones the
/// listener's socket), which saves eight system calls a connection.
pub(super) fn configure<S: AsFd>(socket: &S) -> io::Result<()> {
    configure_any(socket)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES);
    SockRef::from(socket).set_tcp_keepalive(&keepalive)
}

/// The same for a leg to an application on this machine: without keep-alive, which our own kernel would answer, whatever the
/// application does, and [unpaced](unpace).
pub(super) fn configure_local<S: AsFd>(socket: &S) -> io::Result<()> {
    unpace(socket);
    configure_any(socket)
}

/// Where the default congestion control paces, takes another one, for a leg that does not leave the machine: BBR sends by a timer
/// at the rate that it has measured, and between two sockets of one kernel there is no link that has a rate.
pub(super) fn unpace<S: AsFd>(socket: &S) {
    if *DEFAULT_PACES {
        take_unpaced(socket);
    }
}

fn take_unpaced<S: AsFd>(socket: &S) {
    // An administrator may have left it out of tcp_allowed_congestion_control; a leg that is paced works, too.
    let _ = setsockopt(socket, sockopt::TcpCongestion, &UNPACED.into());
}

/// Reset on close, no Nagle delay, urgent bytes in the stream.
fn configure_any<S: AsFd>(socket: &S) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_tcp_nodelay(true)?;
    // An urgent byte has its place in the stream (RFC 6093, section 3.1); without this Linux takes it out, and it is lost.
    socket.set_out_of_band_inline(true)
}

#[cfg(test)]
mod tests {
    use super::{UNPACED, paces, take_unpaced};
    use nix::sys::socket::{getsockopt, sockopt};

    #[test]
    fn what_paces_is_known_and_its_substitute_does_not() {
        for (name, is_paced) in [("bbr\n", true), ("bbr2\n", true), ("cubic\n", false), (UNPACED, false)] {
            assert_eq!(paces(name), is_paced, "{name:?}");
        }
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        take_unpaced(&socket);
        assert_eq!(getsockopt(&socket, sockopt::TcpCongestion).unwrap(), UNPACED);
    }
}
