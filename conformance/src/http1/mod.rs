//! HTTP/1 messages that two readers could understand differently, as to where they end or whom they are for (RFC 9112, section
//! 11): none may be passed on, and none may be answered as if it were clear.
//!
//! Reading order: [`requests()`] and [`responses()`] are the messages, grouped by the [`Rule`] that they break; [`server_face()`] and
//! [`client_face()`] send them. What only a limit forbids is not among them.

mod answer;
mod chunks;
mod client_face;
mod heads;
mod responses;
mod rule;
mod server_face;

pub use client_face::client_face;
pub use responses::{Response, responses};
pub use rule::Rule;
pub use server_face::{BEHIND_ANOTHER, Port, preflight, server_face};

/// A request of which nothing can be wrong.
pub const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Where a message is broken, and so what a reader knows when it comes there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// The first line: whoever looks at a connection's first bytes need not take it for HTTP.
    Line,
    /// The head.
    Head,
    /// The content, of which something may have been on its way already.
    Content,
}

/// A message.
#[derive(Clone, Debug)]
pub struct Message {
    /// What it breaks.
    pub rule: Rule,
    /// Where.
    pub part: Part,
    /// The rule, and the bytes that break it.
    pub name: String,
    /// All of it.
    pub bytes: Vec<u8>,
}

impl Message {
    /// Named by what tells it from others.
    fn new((rule, part): (Rule, Part), what: impl AsRef<[u8]>, bytes: impl Into<Vec<u8>>) -> Self {
        let name = format!("{}: {}", rule.name, what.as_ref().escape_ascii());
        Self { rule, part, name, bytes: bytes.into() }
    }

    /// Whether a peer of several protocols takes it for HTTP by its first line, or by the one behind an empty line: a word, another
    /// one, and what begins like a version. Others are for whoever is known to speak HTTP.
    pub fn begins_as_http(&self) -> bool {
        if self.part != Part::Line {
            return true;
        }
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        let bytes = self.bytes.strip_prefix(b"\r\n").or_else(|| self.bytes.strip_prefix(b"\n"));
        let line = bytes.unwrap_or(&self.bytes).split(|byte| *byte == b'\n').next().unwrap_or_default();
        let end = line.iter().rposition(|byte| *byte != b'\r').map_or(0, |last| last + 1);
        let line = line.get(..end).unwrap_or_default();
        let words: Vec<_> = line.split(is_blank).filter(|word| !word.is_empty()).collect();
        let [method, _, version] = words[..] else { return false };
        line.starts_with(method)
            && method.iter().all(is_token)
            && version.starts_with(b"HTTP/")
            && line.iter().all(|byte| is_blank(byte) || byte.is_ascii_graphic())
    }
}

/// All requests.
pub fn requests() -> Vec<Message> {
    [heads::all(), chunks::of_requests()].concat()
}
