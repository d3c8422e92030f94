//! HTTP/2 (RFC 9113) as client and application speak it here: one request at a time on a connection, always the same ones, with
//! prior knowledge. Fields are not decoded; a good response is known by its first byte.

use anyhow::{Result, bail, ensure};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const CONTENT_LENGTH: usize = 900;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// Of HEADERS and DATA; nobody here sends any.
const PADDED: u8 = 8;

/// RFC 7541: GET, http, and the rest as literals that are not indexed.
const REQUEST: &[u8] =
    b"\x82\x86\x04\x05/item\x01\x0dbench.example\x0f\x04\x03*/*\x0f\x2b\x20xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
/// 200, which is `STATUS`, and the content's length.
const RESPONSE: &[u8] = b"\x88\x0f\x0d\x03900";
const STATUS: u8 = 0x88;

/// What is left of a connection's window at its beginning: RFC 9113, sections 6.9.1 and 6.9.2.
const MORE_WINDOW: u32 = 0x7fff_ffff - 65_535;

/// A client's end of a connection.
#[derive(Default)]
pub(crate) struct Asking {
    frames: Frames,
    /// The preface was given out: nothing else is said before it.
    has_begun: bool,
    /// The stream of the last request; 0 before the first.
    stream: u32,
    content: usize,
}

impl Asking {
    /// The next request.
    pub(crate) fn request(&mut self) -> Vec<u8> {
        let mut bytes = self.beginning();
        self.stream = if self.stream == 0 { 1 } else { self.stream + 2 };
        self.content = 0;
        append(&mut bytes, HEADERS, END_STREAM | END_HEADERS, self.stream, REQUEST);
        bytes
    }

    /// Takes what has come: whether the response is whole with it, and what there is to be said.
    pub(crate) fn take(&mut self, came: &[u8]) -> Result<(bool, Vec<u8>)> {
        let (mut is_whole, mut replies) = (false, Vec::new());
        let Self { frames, stream, content, .. } = self;
        frames.take(came, |frame| {
            frame.reply(&mut replies);
            match frame.kind {
                HEADERS if frame.stream == *stream => {
                    ensure!(frame.payload.first() == Some(&STATUS), "another status than 200");
                }
                DATA if frame.stream == *stream => {
                    ensure!(frame.flags & PADDED == 0, "padding");
                    *content += frame.payload.len();
                    is_whole = frame.flags & END_STREAM != 0;
                    ensure!(!is_whole || *content == CONTENT_LENGTH, "{content} bytes of {CONTENT_LENGTH}");
                }
                RST_STREAM | GOAWAY => bail!("a frame of kind {}: {:?}", frame.kind, frame.payload),
                _ => {}
            }
            Ok(())
        })?;
        // A server may speak first.
        if !replies.is_empty() {
            replies.splice(..0, self.beginning());
        }
        Ok((is_whole, replies))
    }

    /// What is said before everything else, once.
    fn beginning(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if !std::mem::replace(&mut self.has_begun, true) {
            bytes.extend(PREFACE);
            append(&mut bytes, SETTINGS, 0, 0, &[]);
            append(&mut bytes, WINDOW_UPDATE, 0, 0, &MORE_WINDOW.to_be_bytes());
        }
        bytes
    }
}

/// The application's end.
#[derive(Default)]
pub(crate) struct Answering {
    frames: Frames,
    /// So much of the client's preface has come.
    preface: usize,
}

impl Answering {
    /// Takes what has come: what there is to be said.
    pub(crate) fn take(&mut self, came: &[u8]) -> Result<Vec<u8>> {
        let mut replies = Vec::new();
        if self.preface == 0 {
            append(&mut replies, SETTINGS, 0, 0, &[]);
        }
        let (begin, came) = came.split_at(came.len().min(PREFACE.len() - self.preface));
        ensure!(PREFACE.get(self.preface..self.preface + begin.len()) == Some(begin), "no preface");
        self.preface += begin.len();
        self.frames.take(came, |frame| {
            frame.reply(&mut replies);
            if frame.kind == HEADERS && frame.flags & END_STREAM != 0 {
                append(&mut replies, HEADERS, END_HEADERS, frame.stream, RESPONSE);
                append(&mut replies, DATA, END_STREAM, frame.stream, &[b'x'; CONTENT_LENGTH]);
            }
            Ok(())
        })?;
        Ok(replies)
    }
}

struct Frame<'b> {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &'b [u8],
}

impl Frame<'_> {
    /// What everybody says to it.
    fn reply(&self, to: &mut Vec<u8>) {
        match self.kind {
            SETTINGS if self.flags & ACK == 0 => append(to, SETTINGS, ACK, 0, &[]),
            PING if self.flags & ACK == 0 => append(to, PING, ACK, 0, self.payload),
            _ => {}
        }
    }
}

fn append(to: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    to.extend(&length[1..]);
    to.extend([kind, flags]);
    to.extend(stream.to_be_bytes());
    to.extend(payload);
}

/// Frames that may come in parts.
#[derive(Default)]
struct Frames {
    begun: Vec<u8>,
}

impl Frames {
    fn take(&mut self, came: &[u8], mut each: impl FnMut(Frame<'_>) -> Result<()>) -> Result<()> {
        let in_parts = !self.begun.is_empty();
        if in_parts {
            self.begun.extend_from_slice(came);
        }
        let all = if in_parts { &self.begun } else { came };
        let mut left = all;
        while let Some((head, rest)) = left.split_first_chunk::<9>() {
            let [high, middle, low, kind, flags, stream @ ..] = *head;
            let length = usize::try_from(u32::from_be_bytes([0, high, middle, low]))?;
            let Some((payload, rest)) = rest.split_at_checked(length) else { break };
            each(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })?;
            left = rest;
        }
        if in_parts {
            let taken = all.len() - left.len();
            self.begun.drain(..taken);
        } else {
            self.begun = left.to_vec();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Answering, Asking, PREFACE};

    #[test]
    fn the_two_ends_understand_each_other_whatever_the_parts() {
        for part in [1, 7, 100, 10_000] {
            let (mut client, mut server) = (Asking::default(), Answering::default());
            let mut answered = 0;
            for round in 1..=5 {
                let mut to_server = client.request();
                while !to_server.is_empty() {
                    let mut to_client = Vec::new();
                    for bytes in to_server.chunks(part) {
                        to_client.extend(server.take(bytes).unwrap());
                    }
                    to_server.clear();
                    for bytes in to_client.chunks(part) {
                        let (is_whole, replies) = client.take(bytes).unwrap();
                        answered += usize::from(is_whole);
                        to_server.extend(replies);
                    }
                }
                assert_eq!(answered, round, "in parts of {part}");
            }
        }
    }

    #[test]
    fn the_preface_comes_first_and_once_when_the_server_has_spoken_first() {
        let mut client = Asking::default();
        let (_, mut said) = client.take(b"\0\0\0\x04\0\0\0\0\0").unwrap();
        assert!(said.starts_with(PREFACE), "{said:?}");
        said.extend(client.request());
        let answer = Answering::default().take(&said).unwrap();
        assert!(client.take(&answer).unwrap().0, "{said:?}");
    }

    #[test]
    fn what_is_no_good_response_is_none() {
        let mut client = Asking::default();
        client.request();
        client.take(b"\0\0\x01\x01\x04\0\0\0\x01\x8d").unwrap_err();
        client.take(b"\0\0\x01\0\x01\0\0\0\x01x").unwrap_err();
        Answering::default().take(b"GET / HTTP/1.1\r\n\r\n").unwrap_err();
    }
}
