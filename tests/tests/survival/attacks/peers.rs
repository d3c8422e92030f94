//! The two ends: what is said was made before, and what comes is read and forgotten, up to the end that the other side makes.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tests::meshed::PATIENCE;

use crate::frames::{self, DATA, END_STREAM, HEADERS};
use crate::taken::own_processor_time;

/// What one peer does.
pub(super) struct Part {
    says: Vec<u8>,
    /// How much of it in one write.
    piece: usize,
    waits: Waits,
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
        Self { says: says.into(), piece: usize::MAX, waits: Waits::No }
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
}

/// A connection to the proxy, whose bytes leave as they are written.
pub(super) fn connect(target: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&target, PATIENCE).expect("a connection");
    stream.set_nodelay(true).expect("the option");
    stream
}

/// Plays a part until the other side ends the connection; how many bytes were said.
pub(super) fn play(mut stream: &TcpStream, part: &Part) -> usize {
    stream.set_nonblocking(true).expect("the option");
    let mut buffer = [0; 64 * 1024];
    let (mut said, mut heard) = (0, Vec::new());
    let mut may_speak = part.waits == Waits::No;
    if let Waits::ForFrame { .. } = part.waits {
        stream.write_all(&frames::greeting()).expect("room for it");
    }
    loop {
        let rest = part.says.get(said..).filter(|rest| may_speak && !rest.is_empty());
        let mut is_stuck = true;
        if let Some(rest) = rest {
            match stream.write(rest.get(..part.piece).unwrap_or(rest)) {
                Ok(written) => (said, is_stuck) = (said + written, false),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return said,
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) => return said,
            Ok(length) => {
                is_stuck = false;
                if !may_speak {
                    heard.extend_from_slice(&buffer[..length]);
                    may_speak = part.waits.are_over(&heard);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return said,
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
}

impl<'a> Server<'a> {
    pub(super) fn new(listener: &'a TcpListener, part: &'a Part) -> Self {
        Self { listener, part, nanoseconds: AtomicU64::new(0) }
    }

    /// Until a connection comes after that.
    pub(super) fn serve_until(&self, is_over: &AtomicBool) {
        while let Ok((stream, _)) = self.listener.accept() {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            stream.set_nodelay(true).expect("the option");
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
