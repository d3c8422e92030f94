//! A client and a server that have no thread: in turn each writes what the kernel takes, and reads what is there if it reads at all,
//! until nothing moves. What is said, and where it is read to, is there before, so nothing is allocated meanwhile.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::Case;
use crate::support::{INBOUND, PATIENCE, Proxy};

/// What one peer does.
#[derive(Clone)]
pub(crate) struct Part {
    /// Said by a server as soon as anything has come.
    pub(crate) greets: Vec<u8>,
    /// Said at once by a client, and by a server when it is asked.
    pub(crate) says: Vec<u8>,
    /// How much of it in one write.
    pub(crate) piece: usize,
    /// A server's answer to each request of HTTP/1, beyond what it says.
    pub(crate) answers: &'static [u8],
    pub(crate) reads: bool,
    /// A server's: how often it is asked before it says what it has to.
    pub(crate) after: usize,
    /// Whether it speaks HTTP/2.
    pub(crate) frames: bool,
}

impl Part {
    /// Says this, and reads what it is told.
    pub(crate) fn new(says: Vec<u8>) -> Self {
        let piece = usize::MAX;
        Self { greets: vec![], says, piece, answers: b"", reads: true, after: 1, frames: false }
    }

    /// Reads nothing, or nothing more than what it is asked by.
    pub(crate) fn deaf(self) -> Self {
        Self { reads: false, ..self }
    }

    pub(crate) fn in_pieces(self, piece: usize) -> Self {
        Self { piece, ..self }
    }
}

/// How many bytes the proxy's kernel took of each.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) by_client: usize,
    pub(crate) by_server: usize,
}

/// When nothing has moved for so long, nothing will.
const QUIET: Duration = Duration::from_millis(100);

/// Plays a case on a connection to the end, at which both close.
pub(crate) fn play(proxy: &Proxy, case: &Case) -> Sent {
    let listener = INBOUND.listener();
    listener.set_nonblocking(true).unwrap();
    let mut buffer = [0; 64 * 1024];
    let (mut client, mut server) = (Peer::new(&case.client), Peer::new(&case.server));
    client.connected(proxy.connect(INBOUND, listener.local_addr().unwrap()));
    client.asked.times = case.client.after;
    loop {
        accept(&listener, &mut server);
        let moved = [client.step(&mut buffer), server.step(&mut buffer)];
        if moved == [false, false] && !wait(&listener, [&mut client, &mut server]) {
            return Sent { by_client: client.sent, by_server: server.sent };
        }
    }
}

fn accept(listener: &TcpListener, server: &mut Peer<'_>) {
    if server.stream.is_none()
        && let Ok((stream, _)) = listener.accept()
    {
        server.connected(stream);
    }
}

/// Whether anything moves again.
fn wait(listener: &TcpListener, peers: [&mut Peer<'_>; 2]) -> bool {
    let [_, server] = &peers;
    let awaits_server = if server.stream.is_none() { PollFlags::POLLIN } else { PollFlags::empty() };
    let mut all = [listener.as_fd(); 3].map(|fd| PollFd::new(fd, awaits_server));
    for (entry, peer) in all.iter_mut().zip(&peers) {
        if let Some(stream) = peer.stream.as_ref().filter(|_| !peer.is_over) {
            *entry = PollFd::new(stream.as_fd(), peer.awaits());
        }
    }
    // A server that is to say something is waited for.
    let awaited = !server.part.says.is_empty() && server.said == 0 && peers.iter().all(|peer| !peer.is_over);
    let patience = if awaited { PATIENCE } else { QUIET };
    let patience = PollTimeout::try_from(patience).expect("a short one");
    let moved = loop {
        match poll(&mut all, patience) {
            Err(nix::errno::Errno::EINTR) => {}
            moved => break moved.expect("a poll") > 0,
        }
    };
    // Told even to those who do not ask.
    let gone = PollFlags::POLLERR | PollFlags::POLLHUP;
    let [first, second, _] = all.map(|entry| entry.revents().is_some_and(|events| events.intersects(gone)));
    for (peer, is_gone) in peers.into_iter().zip([first, second]) {
        // Who reads gets to it.
        peer.is_over |= is_gone && !peer.reads();
    }
    moved
}

struct Peer<'a> {
    part: &'a Part,
    stream: Option<TcpStream>,
    asked: Asked,
    greeted: usize,
    said: usize,
    /// How many bytes of answers.
    answered: usize,
    sent: usize,
    is_over: bool,
}

impl<'a> Peer<'a> {
    fn new(part: &'a Part) -> Self {
        Self {
            part,
            stream: None,
            asked: Asked::default(),
            greeted: 0,
            said: 0,
            answered: 0,
            sent: 0,
            is_over: false,
        }
    }

    fn connected(&mut self, stream: TcpStream) {
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        self.stream = Some(stream);
    }

    /// What it has to say next.
    fn next(&self) -> &'a [u8] {
        let part = self.part;
        let is_asked = self.asked.times >= part.after;
        let has_begun = is_asked || self.asked.read > 0;
        if has_begun && self.greeted < part.greets.len() {
            return &part.greets[self.greeted..];
        }
        if is_asked && self.said < part.says.len() {
            let rest = &part.says[self.said..];
            return &rest[..rest.len().min(part.piece)];
        }
        if self.answered < part.answers.len() * self.asked.times {
            &part.answers[self.answered % part.answers.len()..]
        } else {
            b""
        }
    }

    fn reads(&self) -> bool {
        self.part.reads || self.asked.times < self.part.after
    }

    fn awaits(&self) -> PollFlags {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, self.reads() && !self.is_over);
        flags.set(PollFlags::POLLOUT, !self.is_over && !self.next().is_empty());
        flags
    }

    /// Whether anything was written or read.
    fn step(&mut self, buffer: &mut [u8]) -> bool {
        let wrote = self.write();
        let read = self.reads() && self.read(buffer);
        wrote || read
    }

    fn write(&mut self) -> bool {
        let (next, Some(stream)) = (self.next(), &self.stream) else { return false };
        if self.is_over || next.is_empty() {
            return false;
        }
        match (&*stream).write(next) {
            Ok(written) => {
                self.sent += written;
                let counted = if self.greeted < self.part.greets.len() {
                    &mut self.greeted
                } else if self.said < self.part.says.len() {
                    &mut self.said
                } else {
                    &mut self.answered
                };
                *counted += written;
                true
            }
            Err(error) => self.failed(&error),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> bool {
        let Some(stream) = &self.stream else { return false };
        if self.is_over {
            return false;
        }
        match (&*stream).read(buffer) {
            Ok(0) => {
                self.is_over = true;
                true
            }
            Ok(read) => {
                let frames = self.part.frames;
                buffer[..read].iter().for_each(|byte| self.asked.read(*byte, frames));
                true
            }
            Err(error) => self.failed(&error),
        }
    }

    /// Whether that is a change.
    fn failed(&mut self, error: &io::Error) -> bool {
        let waits = [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted].contains(&error.kind());
        self.is_over = !waits;
        !waits
    }
}

/// How often a peer has been asked.
#[derive(Default)]
pub(crate) struct Asked {
    times: usize,
    read: usize,
    /// How much of the end of a head has come, or of a frame's header.
    matched: usize,
    /// Of a frame.
    length: usize,
    rest: usize,
}

impl Asked {
    pub(crate) fn times(&self) -> usize {
        self.times
    }

    /// By this byte and what came before it.
    pub(crate) fn read(&mut self, byte: u8, frames: bool) {
        self.read += 1;
        match frames {
            false => self.read_text(byte),
            // The preface.
            true if self.read > 24 => self.read_frame(byte),
            true => {}
        }
    }

    fn read_text(&mut self, byte: u8) {
        self.matched = match byte {
            _ if byte == b"\r\n\r\n"[self.matched] => self.matched + 1,
            b'\r' => 1,
            _ => 0,
        };
        if self.matched == 4 {
            (self.matched, self.times) = (0, self.times + 1);
        }
    }

    fn read_frame(&mut self, byte: u8) {
        if self.rest > 0 {
            self.rest -= 1;
            return;
        }
        match self.matched {
            0..3 => self.length = (self.length << 8) + usize::from(byte),
            3 => self.times += usize::from(byte == HEADERS),
            _ => {}
        }
        self.matched += 1;
        if self.matched == 9 {
            (self.rest, self.length, self.matched) = (self.length, 0, 0);
        }
    }
}

/// RFC 9113, section 6.2.
const HEADERS: u8 = 1;
