//! What client and application say to each other in messages, one after the other: a request and its answer, which are the same
//! ones always.
//!
//! Proxies may change heads, so HTTP is parsed, as far as it takes to know that an answer is a good and a whole one.

use std::sync::LazyLock;

use anyhow::{Context, Result, bail, ensure};

/// The length of a request, as it is sent.
const REQUEST_LENGTH: usize = 100;
/// The length of an answer, as it is sent.
const RESPONSE_LENGTH: usize = 1024;
/// The length of an answer's content in HTTP.
const CONTENT_LENGTH: usize = 900;

const REQUEST_LINE: &[u8] = b"GET /item HTTP/1.1\r\n";
const STATUS_LINE: &[u8] = b"HTTP/1.1 200 ";
const HEAD_END: &[u8] = b"\r\n\r\n";
/// No protocol that a proxy knows begins with it.
const OPAQUE: u8 = 0;

static OPAQUE_REQUEST: [u8; REQUEST_LENGTH] = [OPAQUE; REQUEST_LENGTH];
static OPAQUE_RESPONSE: [u8; RESPONSE_LENGTH] = [OPAQUE; RESPONSE_LENGTH];
static HTTP1_REQUEST: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let head = "GET /item HTTP/1.1\r\nHost: bench.example\r\nAccept: */*\r\nUser-Agent: ";
    padded(head, REQUEST_LENGTH)
});
static HTTP1_RESPONSE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {CONTENT_LENGTH}\r\nX-Padding: ");
    let mut response = padded(&head, RESPONSE_LENGTH - CONTENT_LENGTH);
    response.resize(RESPONSE_LENGTH, b'x');
    response
});

/// Of which kind they are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Messages {
    /// Something that no proxy knows: TCP for all of them. Messages are told by their length.
    Opaque,
    /// HTTP/1.1, with connections that persist.
    Http1,
}

impl Messages {
    /// A question.
    pub(crate) fn request(self) -> &'static [u8] {
        match self {
            Self::Opaque => &OPAQUE_REQUEST,
            Self::Http1 => &HTTP1_REQUEST,
        }
    }

    /// Its answer.
    pub(crate) fn response(self) -> &'static [u8] {
        match self {
            Self::Opaque => &OPAQUE_RESPONSE,
            Self::Http1 => &HTTP1_RESPONSE,
        }
    }

    /// Whether this is all of a request, or only its beginning; an error if it is neither.
    pub(crate) fn is_request(self, bytes: &[u8]) -> Result<bool> {
        match self {
            Self::Opaque => is_long_enough(bytes, REQUEST_LENGTH),
            Self::Http1 => {
                let Some((head, content)) = split(bytes) else { return Ok(false) };
                ensure!(head.starts_with(REQUEST_LINE), "another request than that which was sent");
                is_long_enough(content, 0)
            }
        }
    }

    /// The same of an answer.
    pub(crate) fn is_response(self, bytes: &[u8]) -> Result<bool> {
        match self {
            Self::Opaque => is_long_enough(bytes, RESPONSE_LENGTH),
            Self::Http1 => {
                let Some((head, content)) = split(bytes) else { return Ok(false) };
                ensure!(head.starts_with(STATUS_LINE), "{}", String::from_utf8_lossy(head));
                let length = content_length(head)?;
                ensure!(length == CONTENT_LENGTH, "{length} bytes are announced, not {CONTENT_LENGTH}");
                is_long_enough(content, length)
            }
        }
    }
}

/// A message that may come in parts; most often it comes in one, and is looked at where it lies.
#[derive(Default)]
pub(crate) struct Incoming {
    begun: Vec<u8>,
}

impl Incoming {
    /// Takes what has come; tells whether the message is whole with it, by what `is_whole` says of all its bytes.
    pub(crate) fn take(&mut self, came: &[u8], is_whole: impl Fn(&[u8]) -> Result<bool>) -> Result<bool> {
        let in_parts = !self.begun.is_empty();
        if in_parts {
            self.begun.extend_from_slice(came);
        }
        let whole = is_whole(if in_parts { &self.begun } else { came })?;
        if whole {
            self.begun.clear();
        } else if !in_parts {
            self.begun.extend_from_slice(came);
        }
        Ok(whole)
    }
}

fn is_long_enough(bytes: &[u8], length: usize) -> Result<bool> {
    ensure!(bytes.len() <= length, "more came than was asked for");
    Ok(bytes.len() == length)
}

/// Head and content, once the head is complete.
fn split(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = message.windows(HEAD_END.len()).position(|window| window == HEAD_END)?;
    message.split_at_checked(end + HEAD_END.len())
}

fn content_length(head: &[u8]) -> Result<usize> {
    let mut lengths = head.split(|byte| *byte == b'\n').filter_map(|line| {
        let (name, value) = line.split_at_checked(line.iter().position(|byte| *byte == b':')?)?;
        name.eq_ignore_ascii_case(b"content-length").then_some(value)
    });
    let value = lengths.next().context("an answer without Content-Length")?;
    let text = std::str::from_utf8(value)?.trim_start_matches(':').trim();
    if lengths.next().is_some() {
        bail!("an answer with Content-Length twice");
    }
    text.parse().with_context(|| format!("Content-Length: {text}"))
}

/// `head`, filled up to a length that includes its end.
fn padded(head: &str, length: usize) -> Vec<u8> {
    let mut bytes = head.as_bytes().to_vec();
    bytes.resize(length - HEAD_END.len(), b'x');
    bytes.extend(HEAD_END);
    bytes
}

#[cfg(test)]
mod tests {
    use super::{Incoming, Messages, REQUEST_LENGTH, RESPONSE_LENGTH};

    const BOTH: [Messages; 2] = [Messages::Opaque, Messages::Http1];

    #[test]
    fn messages_are_known_when_they_are_whole() {
        for protocol in BOTH {
            let (request, response) = (protocol.request(), protocol.response());
            assert_eq!((request.len(), response.len()), (REQUEST_LENGTH, RESPONSE_LENGTH));
            for cut in 0..REQUEST_LENGTH {
                assert!(!protocol.is_request(&request[..cut]).unwrap(), "{protocol:?} {cut}");
            }
            for cut in 0..RESPONSE_LENGTH {
                assert!(!protocol.is_response(&response[..cut]).unwrap(), "{protocol:?} {cut}");
            }
            assert!(protocol.is_request(request).unwrap() && protocol.is_response(response).unwrap());
            protocol.is_request(&[request, b"x"].concat()).unwrap_err();
            protocol.is_response(&[response, b"x"].concat()).unwrap_err();
        }
    }

    #[test]
    fn a_proxy_may_change_a_head_and_not_what_it_says() {
        let with = |head: &str| [head.as_bytes(), b"\r\n\r\n", &[b'x'; 900]].concat();
        let is_response = |head| Messages::Http1.is_response(&with(head)).ok();
        assert_eq!(is_response("HTTP/1.1 200 OK\r\nserver: envoy\r\ncontent-length:900"), Some(true));
        for bad in [
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 900",
            "HTTP/1.0 200 OK\r\ncontent-length: 900",
            "HTTP/1.1 200 OK\r\nx: 1",
            "HTTP/1.1 200 OK\r\ncontent-length: x",
            "HTTP/1.1 200 OK\r\ncontent-length: 901",
            "HTTP/1.1 200 OK\r\ncontent-length: 899",
            "HTTP/1.1 200 OK\r\ncontent-length: 900\r\nContent-Length: 900",
        ] {
            assert_eq!(is_response(bad), None, "{bad}");
        }
        assert!(Messages::Http1.is_request(b"POST /item HTTP/1.1\r\n\r\n").is_err());
    }

    #[test]
    fn parts_are_put_together_and_messages_kept_apart() {
        let response = Messages::Http1.response();
        let mut incoming = Incoming::default();
        for cut in [1, 20, 500, RESPONSE_LENGTH] {
            let (first, rest) = response.split_at(cut);
            let whole = [first, rest].map(|part| {
                (!part.is_empty())
                    .then(|| incoming.take(part, |all| Messages::Http1.is_response(all)).unwrap())
            });
            let expected = if rest.is_empty() { [Some(true), None] } else { [Some(false), Some(true)] };
            assert_eq!(whole, expected, "{cut}");
        }
    }
}
