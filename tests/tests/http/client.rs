//! The client of a conversation, and what it got.

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use crate::message::{End, Message, Reader, To, has_option, lines, status};
use crate::script::{Afterwards, HOST, Shape, Step};

/// Only a test that fails waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The target of the request that shows whether a connection was kept.
pub(crate) const AFTERWARDS: &str = "/afterwards";

/// What a client got.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    /// Responses, interim ones too.
    pub(crate) messages: Vec<Message>,
    /// What came outside of messages: of a tunnel, or after all of them.
    pub(crate) raw: Vec<u8>,
    /// The connection was kept after the shape, and so another request was answered.
    pub(crate) was_kept: bool,
    pub(crate) end: End,
}

struct Client {
    stream: TcpStream,
    reader: Reader,
    random: fastrand::Rng,
    got: Got,
}

/// Plays the client's part; `seed` is what cuts are made of.
pub(crate) fn converse(target: SocketAddr, shape: &Shape, seed: u64, signal: &mpsc::Sender<()>) -> Got {
    let stream = connect(target);
    let got = Got { messages: Vec::new(), raw: Vec::new(), was_kept: false, end: End::Silent };
    let reader = Reader::new(stream.try_clone().expect("a second handle"));
    let mut client = Client { stream, reader, random: fastrand::Rng::with_seed(seed), got };
    // Large messages are sent while their responses come.
    for step in &shape.steps {
        client.step(step, signal);
    }
    client.afterwards(shape.afterwards);
    client.got
}

/// A connection whose reads and writes do not wait for ever, and whose bytes leave as they are written.
pub(crate) fn connect(target: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&target, PATIENCE).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("the option");
    stream.set_write_timeout(Some(PATIENCE)).expect("the option");
    stream.set_nodelay(true).expect("the option");
    stream
}

/// Writes bytes in pieces that chance makes; short ones and long ones. An error is of the connection.
pub(crate) fn write_cut(mut stream: &TcpStream, bytes: &[u8], random: &mut fastrand::Rng) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let most = if random.bool() { 8 } else { bytes.len() / 4 + 8 };
        let (piece, left) = rest.split_at(random.usize(1..=most.min(rest.len())));
        if stream.write_all(piece).is_err() {
            return;
        }
        rest = left;
    }
}

impl Client {
    /// What can't be sent shows in what is got.
    fn step(&mut self, step: &Step, signal: &mpsc::Sender<()>) {
        match step {
            Step::Send(bytes) => drop(self.stream.write_all(bytes)),
            Step::Cut(bytes) => write_cut(&self.stream, bytes, &mut self.random),
            Step::Interim => drop(self.message(To::Get)),
            Step::Final(to) => while self.message(*to).is_some_and(is_interim) {},
            Step::Bytes(count) => {
                let bytes = self.reader.bytes(*count);
                self.got.raw.extend_from_slice(&bytes);
            }
            Step::Finish => drop(self.stream.shutdown(Shutdown::Write)),
            Step::Signal => signal.send(()).expect("a server that listens"),
            Step::End => self.read_to_the_end(),
        }
    }

    /// Its status.
    fn message(&mut self, to: To) -> Option<u16> {
        let message = self.reader.response(to)?;
        let status = status(&message.head);
        self.got.messages.push(message);
        Some(status)
    }

    fn afterwards(&mut self, afterwards: Afterwards) {
        let is_open = self.reader.end().is_none();
        if afterwards == Afterwards::Asks && is_open && !self.was_told_to_close() {
            let request = format!("GET {AFTERWARDS} HTTP/1.1\r\n{HOST}Connection: close\r\n\r\n");
            let _ = self.stream.write_all(request.as_bytes());
            let before = self.got.messages.len();
            while self.message(To::Get).is_some_and(is_interim) {}
            self.got.was_kept = self.got.messages.len() > before;
        }
        self.read_to_the_end();
        self.got.end = self.reader.end().expect("it was read to the end");
    }

    /// By the last response.
    fn was_told_to_close(&self) -> bool {
        self.got.messages.last().is_some_and(|last| {
            let is_old = lines(&last.head).next().is_some_and(|line| line.starts_with(b"HTTP/1.0"));
            has_option(&last.head, "close") || (is_old && !has_option(&last.head, "keep-alive"))
        })
    }

    fn read_to_the_end(&mut self) {
        let rest = self.reader.all();
        self.got.raw.extend_from_slice(&rest);
    }
}

fn is_interim(status: u16) -> bool {
    (100..200).contains(&status) && status != 101
}
