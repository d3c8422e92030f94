//! A client of HTTP/2 that writes and reads frames by itself, and what it got of each stream.
//!
//! It opens the window of a stream only while it waits for its end, and that of the connection always: so a response is held up where
//! a case wants it to be, and nowhere else.

use std::fmt;
use std::net::SocketAddr;

use conformance::frames::*;
use conformance::wire::{Connection, Stop};
use tokio::net::TcpStream;

use super::cases::{Case, Step};
use crate::client::{PATIENCE, connect};

/// RFC 9113, section 6.5.2.
const INITIAL_WINDOW: u16 = 4;

/// RFC 9113, section 4.2, where nothing else was said.
const LONGEST_FRAME: usize = 16_384;

/// What there is to be had of a stream.
#[derive(Clone, Default, Eq, PartialEq)]
pub(crate) struct Stream {
    pub(crate) interim: Vec<Vec<Field>>,
    pub(crate) head: Vec<Field>,
    pub(crate) content: Vec<u8>,
    pub(crate) trailers: Vec<Field>,
    /// Requests that were promised on it.
    pub(crate) promised: Vec<Vec<Field>>,
    /// By END_STREAM.
    pub(crate) is_whole: bool,
    /// The code of the server's RST_STREAM. Of a stream that both sides have ended it says nothing (RFC 9113, 5.1), and nginx
    /// sends it or not.
    pub(crate) reset: Option<u32>,
}

/// What there is to be had of a connection.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Got {
    pub(crate) streams: Vec<Stream>,
    /// The last stream that the server says to have taken, and the code.
    pub(crate) goaway: Option<(u32, u32)>,
    /// What ended the conversation before its end.
    pub(crate) stopped: Option<String>,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { interim, head, content, trailers, promised, is_whole, reset } = self;
        for head in interim.iter().chain([head]) {
            write!(f, "\n    {}", shown(head))?;
        }
        let begin = content.get(..2_000).unwrap_or(content);
        write!(f, "\n    {} bytes \"{}\"\n    {}", content.len(), begin.escape_ascii(), shown(trailers))?;
        let promised: Vec<_> = promised.iter().map(|head| shown(head)).collect();
        write!(f, "whole: {is_whole}, reset: {reset:?}, promised: {promised:?}")
    }
}

fn shown(fields: &[Field]) -> String {
    let one = |Field { name, value, is_never_indexed }: &Field| {
        let mark = if *is_never_indexed { "!" } else { "" };
        format!("{mark}{}: {} | ", name.escape_ascii(), value.escape_ascii())
    };
    fields.iter().map(one).collect()
}

impl Stream {
    pub(crate) fn status(&self) -> Option<&[u8]> {
        self.head.iter().find(|field| field.name == b":status").map(|field| &field.value[..])
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.is_whole || self.reset.is_some()
    }
}

/// One that was opened.
#[derive(Default)]
struct Open {
    got: Stream,
    /// What the server takes.
    window: i64,
    /// What has come, and was not granted again.
    owed: u32,
    /// The client has sent all.
    is_asked: bool,
    /// The client wants nothing more of it.
    is_left: bool,
}

struct Client {
    peer: Peer<TcpStream>,
    decoder: Decoder,
    streams: Vec<Open>,
    /// What the server takes on the whole connection, and on a stream that is new.
    window: i64,
    initial: i64,
    goaway: Option<(u32, u32)>,
    stopped: Option<Stop>,
}

/// Plays the case.
pub(crate) fn converse(target: SocketAddr, case: &Case) -> Got {
    let stream = connect(target);
    stream.set_nonblocking(true).expect("the option");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let stream = TcpStream::from_std(stream).expect("a connection");
        let mut client = Client {
            peer: Peer::new(Connection::new(stream, PATIENCE)),
            decoder: Decoder::new(4_096),
            streams: Vec::new(),
            window: 65_535,
            initial: 65_535,
            goaway: None,
            stopped: None,
        };
        client.send([PREFACE, &settings(&case.settings)].concat()).await;
        for step in &case.steps {
            client.step(step).await;
        }
        let streams = client.streams.into_iter().map(|open| open.got).collect();
        Got { streams, goaway: client.goaway, stopped: client.stopped.map(|stop| stop.to_string()) }
    })
}

fn id(stream: usize) -> u32 {
    u32::try_from(2 * stream + 1).expect("a few streams")
}

impl Client {
    async fn step(&mut self, step: &Step) {
        match step {
            Step::Ask { block, is_all } => {
                self.streams.push(Open { window: self.initial, is_asked: *is_all, ..Open::default() });
                let flags = if *is_all { END_STREAM } else { 0 };
                self.send(head(id(self.streams.len() - 1), flags, block)).await;
            }
            Step::Content { of, bytes, is_all } => self.content(*of, bytes, *is_all).await,
            Step::Trailers { of, block } => {
                self.send(head(id(*of), END_STREAM, block)).await;
                self.streams.iter_mut().skip(*of).take(1).for_each(|open| open.is_asked = true);
            }
            Step::Interim(of) => self.until(*of, |got| !got.interim.is_empty()).await,
            Step::End(of) => {
                self.grant(*of).await;
                while !self.is_over(*of, Stream::has_ended) {
                    self.next().await;
                    self.grant(*of).await;
                }
            }
            Step::Reset(of) => self.until(*of, |got| got.reset.is_some()).await,
            Step::Bytes { of, count } => self.until(*of, |got| got.content.len() >= *count).await,
            Step::Leave { of, after } => {
                self.until(*of, |got| got.content.len() >= *after).await;
                if let Some(open) = self.streams.get_mut(*of) {
                    open.is_left = true;
                    open.got.content.truncate(*after);
                }
                self.send(reset(id(*of), CANCEL)).await;
            }
        }
    }

    async fn until(&mut self, of: usize, done: impl Fn(&Stream) -> bool) {
        while !self.is_over(of, &done) {
            self.next().await;
        }
    }

    /// Nothing more is to be expected.
    fn is_over(&self, of: usize, done: impl Fn(&Stream) -> bool) -> bool {
        let is_done = self.streams.get(of).is_none_or(|open| done(&open.got) || open.got.reset.is_some());
        is_done || self.stopped.is_some() || self.goaway.is_some_and(|(last, _)| id(of) > last)
    }

    /// As far as the windows let it, and as long as the stream is not reset.
    async fn content(&mut self, of: usize, bytes: &[u8], is_all: bool) {
        let mut rest = bytes;
        loop {
            let Some(open) = self.streams.get_mut(of) else { return };
            if open.got.reset.is_some() || self.stopped.is_some() {
                return;
            }
            let most = usize::try_from(self.window.min(open.window)).unwrap_or(0).min(LONGEST_FRAME);
            let (piece, left) = rest.split_at(most.min(rest.len()));
            if piece.is_empty() && !rest.is_empty() {
                self.next().await;
                continue;
            }
            open.window -= piece.len() as i64;
            self.window -= piece.len() as i64;
            open.is_asked |= is_all && left.is_empty();
            let flags = if open.is_asked { END_STREAM } else { 0 };
            self.send(frame(DATA, flags, id(of), piece)).await;
            rest = left;
            if rest.is_empty() {
                return;
            }
        }
    }

    async fn send(&mut self, bytes: Vec<u8>) {
        // Who does not take it says why by frames that can still be read, or has ended.
        let _: Result<(), Stop> = self.peer.send_reading(bytes).await;
    }

    async fn grant(&mut self, of: usize) {
        let Some(open) = self.streams.get_mut(of) else { return };
        let owed = std::mem::take(&mut open.owed);
        if owed > 0 && !open.got.has_ended() {
            self.send(window_update(id(of), owed)).await;
        }
    }

    async fn next(&mut self) {
        match self.peer.next().await {
            Ok(frame) => self.take(frame).await,
            Err(stop) => self.stopped = Some(stop),
        }
    }

    async fn take(&mut self, frame: Frame) {
        let is_ack = frame.flags & ACK != 0;
        match frame.kind {
            SETTINGS if !is_ack => self.settings(&frame.payload).await,
            PING if !is_ack => self.send(conformance::frames::frame(PING, ACK, 0, frame.payload)).await,
            GOAWAY => {
                let last = frame.payload.first_chunk().map_or(0, |last| u32::from_be_bytes(*last));
                self.goaway = Some((last, frame.code()));
            }
            WINDOW_UPDATE => {
                let by = frame.payload.first_chunk().map_or(0, |by| i64::from(u32::from_be_bytes(*by)));
                match self.open(frame.stream) {
                    Some(open) => open.window += by,
                    None if frame.stream == 0 => self.window += by,
                    None => {}
                }
            }
            RST_STREAM => {
                let is_closed = |open: &Open| open.is_asked && open.got.is_whole;
                if let Some(open) = self.wanted(frame.stream).filter(|open| !is_closed(open)) {
                    open.got.reset.get_or_insert(frame.code());
                }
            }
            DATA => self.data(&frame).await,
            HEADERS | PUSH_PROMISE => self.head(frame).await,
            _ => {}
        }
    }

    /// None of the client's own, for streams that the server opens.
    fn open(&mut self, stream: u32) -> Option<&mut Open> {
        let is_own = stream % 2 == 1;
        self.streams.get_mut(stream as usize / 2).filter(|_| is_own)
    }

    fn wanted(&mut self, stream: u32) -> Option<&mut Open> {
        self.open(stream).filter(|open| !open.is_left)
    }

    async fn settings(&mut self, payload: &[u8]) {
        for setting in payload.chunks(6) {
            let [i1, i2, value @ ..] = setting else { continue };
            if u16::from_be_bytes([*i1, *i2]) == INITIAL_WINDOW {
                let value = value.first_chunk().map_or(0, |value| i64::from(u32::from_be_bytes(*value)));
                let more = value - std::mem::replace(&mut self.initial, value);
                self.streams.iter_mut().for_each(|open| open.window += more);
            }
        }
        self.send(frame(SETTINGS, ACK, 0, [])).await;
    }

    async fn data(&mut self, frame: &Frame) {
        let length = u32::try_from(frame.payload.len()).unwrap_or(u32::MAX);
        if let Some(open) = self.wanted(frame.stream) {
            open.owed += length;
            open.got.content.extend(frame.content().unwrap_or_default());
            open.got.is_whole |= frame.is_end();
        }
        if length > 0 {
            self.send(window_update(0, length)).await;
        }
    }

    /// With the frames that go on with it.
    async fn head(&mut self, frame: Frame) {
        let mut block = frame.content().unwrap_or_default().to_vec();
        let mut is_last = frame.flags & END_HEADERS != 0;
        while !is_last {
            match self.peer.next().await {
                Ok(more) => {
                    is_last = more.flags & END_HEADERS != 0;
                    block.extend(more.payload);
                }
                Err(stop) => {
                    self.stopped = Some(stop);
                    return;
                }
            }
        }
        let is_promise = frame.kind == PUSH_PROMISE;
        let block = if is_promise { block.get(4..).unwrap_or_default() } else { &block };
        let mut fields = self.decoder.read(block).expect("a block that can be read");
        // The ways are gone one after another.
        fields.iter_mut().filter(|field| field.name == b"date").for_each(|date| date.value = b"(any)".into());
        let Some(Open { got, .. }) = self.wanted(frame.stream) else { return };
        got.is_whole |= frame.is_end();
        let is_interim = fields.iter().any(|field| field.name == b":status" && field.value.starts_with(b"1"));
        if is_promise {
            got.promised.push(fields);
        } else if is_interim {
            got.interim.push(fields);
        } else if got.head.is_empty() {
            got.head = fields;
        } else {
            got.trailers = fields;
        }
    }
}

/// HEADERS, and CONTINUATION where it is long.
fn head(stream: u32, flags: u8, block: &[u8]) -> Vec<u8> {
    let mut pieces = block.chunks(LONGEST_FRAME).enumerate().peekable();
    let mut bytes = Vec::new();
    while let Some((number, piece)) = pieces.next() {
        let (kind, flags) = if number == 0 { (HEADERS, flags) } else { (CONTINUATION, 0) };
        let last = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        bytes.extend(frame(kind, flags | last, stream, piece));
    }
    bytes
}
