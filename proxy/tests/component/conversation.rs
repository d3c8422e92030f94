//! Two programs that talk through the proxy as a script says: both of them in one thread, which waits for what the kernel
//! tells about their sockets and for nothing else.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;

use fastrand::Rng;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::SockRef;

use crate::support::PATIENCE;

/// From 1 on; each order of magnitude as often as another.
fn size(random: &mut Rng, most_bits: u32) -> usize {
    let bits = random.u32(..=most_bits);
    1 + random.usize(..1 << bits)
}

/// What a program does next, besides reading.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Act {
    /// Sends so many bytes.
    Send(usize),
    /// Does nothing until the other one has everything.
    Quiet,
    /// Sends FIN.
    End,
    /// Closes by RST.
    Reset,
}

/// How reading ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Ended {
    /// By FIN.
    Fin,
    /// By RST.
    Reset,
}

/// One of the programs.
pub(crate) struct Program {
    stream: Option<TcpStream>,
    acts: VecDeque<Act>,
    /// The most that it reads at once.
    piece: usize,
    /// What it sends, over and over.
    period: Vec<u8>,
    pub(crate) sent: usize,
    pub(crate) received: usize,
    pub(crate) ended: Option<Ended>,
}

/// 2 MiB, at which splicing begins, is passed by many.
const LARGEST_BITS: u32 = 22;

impl Program {
    /// With a script of its own; `may_reset` says whether it may end by RST.
    pub(crate) fn new(stream: TcpStream, random: &mut Rng, may_reset: bool) -> Self {
        stream.set_nonblocking(true).unwrap();
        let mut acts = VecDeque::new();
        for _ in 0..random.u8(..8) {
            acts.push_back(Act::Send(size(random, LARGEST_BITS)));
            if random.u8(..3) == 0 {
                acts.push_back(Act::Quiet);
            }
        }
        acts.push_back(if may_reset && random.bool() { Act::Reset } else { Act::End });
        // No multiple of any buffer.
        let period = (0..100_003).map(|_| random.u8(..)).collect();
        Self {
            stream: Some(stream),
            acts,
            piece: 1024 + size(random, 18),
            period,
            sent: 0,
            received: 0,
            ended: None,
        }
    }

    fn is_done(&self) -> bool {
        self.stream.is_none() || (self.acts.is_empty() && self.ended.is_some())
    }

    fn waits_for(&self) -> PollFlags {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, self.ended.is_none());
        flags.set(PollFlags::POLLOUT, matches!(self.acts.front(), Some(Act::Send(_))));
        flags
    }

    /// So many bytes of what it sends, from a place on, or fewer.
    fn bytes(&self, place: usize, most: usize) -> &[u8] {
        let from = &self.period[place % self.period.len()..];
        &from[..most.min(from.len())]
    }

    fn read(&mut self, from: &Self) {
        let Some(mut stream) = self.stream.as_ref() else { return };
        if self.ended.is_some() {
            return;
        }
        let mut piece = vec![0; self.piece];
        match stream.read(&mut piece) {
            Ok(0) => self.ended = Some(Ended::Fin),
            Ok(length) => {
                let mut got = &piece[..length];
                while !got.is_empty() {
                    let expected = from.bytes(self.received, got.len());
                    assert!(got.starts_with(expected), "other bytes than were sent, after {}", self.received);
                    self.received += expected.len();
                    got = &got[expected.len()..];
                }
                assert!(self.received <= from.sent, "more than was sent");
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => self.broken(&error),
        }
    }

    /// Acts as long as it need not wait; `arrived` is what the other one has.
    fn act(&mut self, arrived: usize) {
        while let (Some(act), Some(mut stream)) = (self.acts.pop_front(), self.stream.as_ref()) {
            match act {
                Act::Send(length) => match stream.write(self.bytes(self.sent, length)) {
                    Ok(taken) => {
                        self.sent += taken;
                        if taken < length {
                            self.acts.push_front(Act::Send(length - taken));
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.acts.push_front(act);
                        return;
                    }
                    Err(error) => self.broken(&error),
                },
                Act::Quiet if arrived < self.sent => {
                    self.acts.push_front(act);
                    return;
                }
                Act::Quiet => {}
                Act::End => {
                    // A reset that has just come ends it too; reading says so.
                    if let Err(error) = stream.shutdown(Shutdown::Write) {
                        assert_eq!(error.kind(), io::ErrorKind::NotConnected, "{error}");
                    }
                }
                Act::Reset => {
                    SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
                    self.stream = None;
                }
            }
        }
    }

    fn broken(&mut self, error: &io::Error) {
        let kind = error.kind();
        assert!(matches!(kind, io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe), "{error}");
        self.ended = Some(Ended::Reset);
        self.acts.clear();
    }

    /// Whether it ended by itself, and not in good order.
    pub(crate) fn has_reset(&self) -> bool {
        self.stream.is_none()
    }
}

/// Lets the two talk until both are done.
pub(crate) fn talk(one: &mut Program, other: &mut Program) {
    let patience = PollTimeout::try_from(PATIENCE).expect("fits");
    loop {
        one.read(other);
        other.read(one);
        one.act(other.received);
        other.act(one.received);
        let waiting: Vec<&Program> =
            [&*one, &*other].into_iter().filter(|program| !program.is_done()).collect();
        // Who was quiet may go on since the other one has just read.
        let goes_on =
            |program: &Program, arrived| program.acts.front() == Some(&Act::Quiet) && arrived == program.sent;
        if waiting.is_empty() {
            return;
        }
        if goes_on(one, other.received) || goes_on(other, one.received) {
            continue;
        }
        let mut sockets: Vec<PollFd<'_>> = waiting
            .iter()
            .filter_map(|program| Some(PollFd::new(program.stream.as_ref()?.as_fd(), program.waits_for())))
            .collect();
        let told = poll(&mut sockets, patience).unwrap_or_else(|error| {
            assert_eq!(error, nix::errno::Errno::EINTR);
            1
        });
        assert!(
            told > 0,
            "nothing happens within {PATIENCE:?}; received {} and {}",
            one.received,
            other.received
        );
    }
}
