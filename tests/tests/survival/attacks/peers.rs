//! The two ends: what is said was made before, and what comes is read and forgotten, up to the end that the other side makes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, SockRef, Socket, Type};
use tests::meshed::PATIENCE;

use crate::frames::{self, DATA, END_STREAM, HEADERS};
use crate::taken::own_processor_time;

/// What one peer does.
#[derive(Clone)]
pub(super) struct Part {
    says: Vec<u8>,
    /// How much of it in one write.
    piece: usize,
    waits: Waits,
    leaves: Leaves,
}

/// What a peer does when it has said all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Leaves {
    /// Reads what it is told, up to the end that the other side makes.
    Last,
    /// Ends its side, and reads on.
    Ending,
    /// Closes.
    Closing,
    /// Resets the connection.
    Resetting,
}

/// For what a peer waits before it says anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Waits {
    No,
    /// For bytes that end so.
    ForEnd(&'static [u8]),
    /// For the beginning of a request of HTTP/2, or for its end, after having greeted.
    ForFrame {
        is_last: bool,
    },
}

impl Part {
    /// Says this at once.
    pub(super) fn says(says: impl Into<Vec<u8>>) -> Self {
        Self { says: says.into(), piece: usize::MAX, waits: Waits::No, leaves: Leaves::Last }
    }

    /// Says it when what has come ends so.
    pub(super) fn answers(end: &'static [u8], says: impl Into<Vec<u8>>) -> Self {
        Self { waits: Waits::ForEnd(end), ..Self::says(says) }
    }

    /// Says it when there is a head of HTTP/2.
    pub(super) fn answers_frames(says: impl Into<Vec<u8>>) -> Self {
        Self { waits: Waits::ForFrame { is_last: false }, ..Self::says(says) }
    }

    /// The same when the request is whole.
    pub(super) fn answers_last_frame(says: impl Into<Vec<u8>>) -> Self {
        Self { waits: Waits::ForFrame { is_last: true }, ..Self::says(says) }
    }

    pub(super) fn in_pieces(self, piece: usize) -> Self {
        Self { piece, ..self }
    }

    /// Ends its side when it has said all.
    pub(super) fn ending(self) -> Self {
        Self { leaves: Leaves::Ending, ..self }
    }

    /// Closes then, and reads nothing more.
    pub(super) fn closing(self) -> Self {
        Self { leaves: Leaves::Closing, ..self }
    }

    /// Resets the connection then.
    pub(super) fn resetting(self) -> Self {
        Self { leaves: Leaves::Resetting, ..self }
    }
}

/// A connection to the proxy, by this port, whose bytes leave as they are written; none if it was reset at once.
pub(super) fn connect(target: SocketAddr, port: u16) -> Option<TcpStream> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into()).expect("the port");
    match socket.connect_timeout(&target.into(), PATIENCE) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
        connected => {
            connected.expect("a connection");
            let stream = TcpStream::from(socket);
            // It may be over already.
            drop(stream.set_nodelay(true));
            Some(stream)
        }
    }
}

/// Plays a part until it is over, at most until the other side ends the connection; whether anything was said, if there was.
pub(super) fn play(mut stream: &TcpStream, part: &Part) -> bool {
    stream.set_nonblocking(true).expect("the option");
    let mut buffer = [0; 64 * 1024];
    let (mut said, mut heard) = (0, Vec::new());
    let mut may_speak = part.waits == Waits::No;
    let mut has_left = part.leaves == Leaves::Last;
    if let Waits::ForFrame { .. } = part.waits {
        // The client may have gone.
        drop(stream.write_all(&frames::greeting()));
    }
    loop {
        if may_speak && said == part.says.len() && !std::mem::replace(&mut has_left, true) {
            match part.leaves {
                // The other side may have gone.
                Leaves::Last | Leaves::Ending => drop(stream.shutdown(Shutdown::Write)),
                Leaves::Closing => return true,
                Leaves::Resetting => {
                    SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("the option");
                    return true;
                }
            }
        }
        let rest = part.says.get(said..).filter(|rest| may_speak && !rest.is_empty());
        let mut is_stuck = true;
        if let Some(rest) = rest {
            match stream.write(rest.get(..part.piece).unwrap_or(rest)) {
                Ok(written) => (said, is_stuck) = (said + written, false),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return said > 0 || part.says.is_empty(),
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) => return said > 0 || part.says.is_empty(),
            Ok(length) => {
                is_stuck = false;
                if !may_speak {
                    heard.extend_from_slice(&buffer[..length]);
                    may_speak = part.waits.are_over(&heard);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return said > 0 || part.says.is_empty(),
        }
        if is_stuck {
            wait(stream, rest.is_some());
        }
    }
}

impl Waits {
    fn are_over(self, heard: &[u8]) -> bool {
        match self {
            Self::No => true,
            Self::ForEnd(end) => heard.ends_with(end),
            Self::ForFrame { is_last } => frames::walk(heard).any(|frame| match frame.kind {
                HEADERS | DATA if is_last => frame.flags & END_STREAM != 0,
                kind => kind == HEADERS && !is_last,
            }),
        }
    }
}

fn wait(stream: &TcpStream, to_write: bool) {
    let mut flags = PollFlags::POLLIN;
    flags.set(PollFlags::POLLOUT, to_write);
    let patience = PollTimeout::try_from(PATIENCE).expect("a short one");
    let ready = poll(&mut [PollFd::new(stream.as_fd(), flags)], patience).expect("a poll");
    assert!(ready > 0, "nothing has moved for {PATIENCE:?}");
}

/// Plays a server's part on each connection, one after the other.
pub(super) struct Server<'a> {
    listener: &'a TcpListener,
    part: &'a Part,
    nanoseconds: AtomicU64,
    is_over: AtomicBool,
}

impl<'a> Server<'a> {
    pub(super) fn new(listener: &'a TcpListener, part: &'a Part) -> Self {
        Self { listener, part, nanoseconds: AtomicU64::new(0), is_over: AtomicBool::new(false) }
    }

    /// The next connection that comes is the last.
    pub(super) fn stop(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// Until it is stopped.
    pub(super) fn serve(&self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.is_over.load(Ordering::Relaxed) {
                break;
            }
            drop(stream.set_nodelay(true));
            play(&stream, self.part);
            let spent = u64::try_from(own_processor_time().as_nanos()).expect("not centuries");
            self.nanoseconds.store(spent, Ordering::Relaxed);
        }
    }

    /// The processor time that it has taken so far.
    pub(super) fn spent(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }
}
