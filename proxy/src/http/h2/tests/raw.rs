//! A peer that writes HTTP/2 by hand, byte for byte, and reads frames with a parser of its own.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// No event is waited for longer.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const ACK: u8 = 0x1;
pub(super) const END_STREAM: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;
pub(super) const WITH_PRIORITY: u8 = 0x20;

pub(super) const NO_ERROR: u32 = 0;
pub(super) const PROTOCOL_ERROR: u32 = 1;
pub(super) const INTERNAL_ERROR: u32 = 2;
pub(super) const FLOW_CONTROL_ERROR: u32 = 3;
pub(super) const STREAM_CLOSED: u32 = 5;
pub(super) const FRAME_SIZE_ERROR: u32 = 6;
pub(super) const REFUSED_STREAM: u32 = 7;
pub(super) const CANCEL: u32 = 8;
pub(super) const COMPRESSION_ERROR: u32 = 9;
pub(super) const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame, of which the length is what the payload has.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    long_frame(payload.len(), kind, flags, stream, payload)
}

/// A frame that says to be of another length.
pub(super) fn long_frame(length: usize, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, l1, l2, l3] = u32::try_from(length).unwrap().to_be_bytes();
    let mut frame = vec![l1, l2, l3, kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

pub(super) fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = vec![];
    for (id, value) in values {
        payload.extend(id.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    frame(SETTINGS, 0, 0, payload)
}

pub(super) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, code.to_be_bytes())
}

pub(super) fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, increment.to_be_bytes())
}

pub(super) fn ping(payload: &[u8; 8]) -> Vec<u8> {
    frame(PING, 0, 0, payload)
}

pub(super) fn goaway(last: u32, code: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, [last.to_be_bytes(), code.to_be_bytes()].concat())
}

pub(super) fn headers(stream: u32, flags: u8, block: impl AsRef<[u8]>) -> Vec<u8> {
    frame(HEADERS, flags, stream, block)
}

/// RFC 7541, section 6.2.2: literals that enter no table, with names and values as they are.
pub(super) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(name.as_bytes(), value.as_bytes())).collect()
}

pub(super) fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        bytes.extend(integer(text.len(), 7));
        bytes.extend(text);
    }
    bytes
}

/// RFC 7541, section 5.1, with the bits before the prefix 0.
fn integer(mut number: usize, prefix: u32) -> Vec<u8> {
    let most = 2_usize.pow(prefix) - 1;
    if number < most {
        return vec![number as u8];
    }
    let mut bytes = vec![most as u8];
    number -= most;
    while number >= 128 {
        bytes.push((number % 128 + 128) as u8);
        number /= 128;
    }
    bytes.push(number as u8);
    bytes
}

/// The fields that every request has.
pub(super) const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")];

/// A request with more fields.
pub(super) fn get_with(more: &[(&str, &str)]) -> Vec<u8> {
    block(&[&GET[..], more].concat())
}

/// A request that has content.
pub(super) fn post_with(more: &[(&str, &str)]) -> Vec<u8> {
    let post = [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/")];
    block(&[&post[..], more].concat())
}

/// A request without content.
pub(super) fn get(stream: u32) -> Vec<u8> {
    headers(stream, END_STREAM | END_HEADERS, get_with(&[]))
}

/// A request whose content follows.
pub(super) fn post(stream: u32) -> Vec<u8> {
    headers(stream, END_HEADERS, post_with(&[]))
}

/// What was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    /// Of RST_STREAM and GOAWAY.
    pub(super) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    pub(super) fn is_end(&self) -> bool {
        matches!(self.kind, DATA | HEADERS) && self.flags & END_STREAM != 0
    }

    /// Of a response whose sender was told to have no table of its own.
    pub(super) fn status(&self) -> Option<u16> {
        assert_eq!(self.kind, HEADERS);
        let block = match &self.payload[..] {
            // The size of the table.
            [first, rest @ ..] if first & 0xe0 == 0x20 => rest,
            block => block,
        };
        match block {
            [index @ 0x88..=0x8e, ..] => Some([200, 204, 206, 304, 400, 404, 500][usize::from(index - 0x88)]),
            // The name of the static table's eighth entry, and a value that is compressed or not.
            [0x08 | 0x48, length, rest @ ..] => {
                let value = &rest[..usize::from(length & 0x7f)];
                let digits = if length & 0x80 == 0 { value.to_vec() } else { digits(value) };
                String::from_utf8(digits).ok()?.parse().ok()
            }
            _ => None,
        }
    }
}

/// RFC 7541, appendix B, as far as it is about digits: the first three have five bits, the others six.
fn digits(bytes: &[u8]) -> Vec<u8> {
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let mut rest = &bits[..];
    let mut digits = vec![];
    while digits.len() < 3 {
        let five = u8::from_str_radix(&rest[..5], 2).unwrap();
        let (digit, length) =
            if five < 3 { (five, 5) } else { (u8::from_str_radix(&rest[..6], 2).unwrap() - 0x19 + 3, 6) };
        digits.push(b'0' + digit);
        rest = &rest[length..];
    }
    digits
}

/// A connection.
pub(super) struct Raw {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Raw {
    pub(super) fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self { stream, unread: vec![] }
    }

    /// Writes all, unless the other side has gone.
    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        timeout(PATIENCE, self.stream.write_all(bytes.as_ref())).await.expect("the bytes are taken")
    }

    /// Greets as a client, and reads nothing.
    pub(super) async fn greet(&mut self, values: &[(u16, u32)]) {
        self.send([PREFACE, &settings(values), &frame(SETTINGS, ACK, 0, [])].concat()).await.unwrap();
    }

    /// Greets as a server, after the client's preface has come.
    pub(super) async fn welcome(&mut self, values: &[(u16, u32)]) {
        self.expect_preface().await;
        self.send([settings(values), frame(SETTINGS, ACK, 0, [])].concat()).await.unwrap();
    }

    pub(super) async fn expect_preface(&mut self) {
        while self.unread.len() < PREFACE.len() {
            assert!(self.fill().await.unwrap() > 0, "a preface");
        }
        assert_eq!(self.unread.drain(..PREFACE.len()).collect::<Vec<_>>(), PREFACE);
    }

    async fn fill(&mut self) -> io::Result<usize> {
        timeout(PATIENCE, self.stream.read_buf(&mut self.unread)).await.expect("something is sent")
    }

    /// The next frame; none when the other side has ended, or reset, the connection.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some([l1, l2, l3, kind, flags, s1, s2, s3, s4]) = self.unread.first_chunk().copied() {
                let length = u32::from_be_bytes([0, l1, l2, l3]) as usize;
                if self.unread.len() >= 9 + length {
                    let payload = self.unread.drain(..9 + length).skip(9).collect();
                    let stream = u32::from_be_bytes([s1, s2, s3, s4]);
                    return Some(Frame { kind, flags, stream, payload });
                }
            }
            if self.fill().await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// The next frame for which `wanted` has something.
    pub(super) async fn wait_for<T>(&mut self, mut wanted: impl FnMut(&Frame) -> Option<T>) -> T {
        let mut seen = vec![];
        while let Some(frame) = self.next().await {
            if let Some(found) = wanted(&frame) {
                return found;
            }
            seen.push((frame.kind, frame.flags, frame.stream, frame.payload.len()));
        }
        panic!("the connection has ended after {seen:?}");
    }

    /// The next frame of this type.
    pub(super) async fn next_of(&mut self, kind: u8) -> Frame {
        self.wait_for(|frame| (frame.kind == kind).then(|| frame.clone())).await
    }

    /// The socket.
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }
}

/// What was caused by the frames before the first has come before the answer of the last.
const PINGS: [[u8; 8]; 3] = [*b"test one", *b"test two", *b"test end"];

/// All frames up to the answer of the last PING, or up to the end.
pub(super) async fn read_to_the_last(peer: &mut Raw) -> Result<Vec<Frame>, Vec<Frame>> {
    let mut frames = vec![];
    let mut pings = PINGS.iter();
    // The proxy may be gone before all is written.
    let _ = peer.send(ping(pings.next().unwrap())).await;
    while let Some(frame) = peer.next().await {
        let is_answer = frame.kind == PING && frame.flags & ACK != 0 && frame.payload[..4] == *b"test";
        frames.push(frame);
        if is_answer {
            let Some(next) = pings.next() else { return Ok(frames) };
            let _ = peer.send(ping(next)).await;
        }
    }
    Err(frames)
}

pub(super) fn codes(frames: &[Frame], kind: u8) -> Vec<u32> {
    frames.iter().filter(|frame| frame.kind == kind).map(Frame::code).collect()
}
