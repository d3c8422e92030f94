//! HTTP/1 messages as a stream brings them, with all their bytes. It judges nothing: what is sent here is sent on purpose.

use std::fmt;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;

/// A message, as far as it has come.
#[derive(Clone, Default, Eq, PartialEq)]
pub(crate) struct Message {
    /// From the first line to the empty line.
    pub(crate) head: Vec<u8>,
    /// What follows, as it was sent.
    pub(crate) framed: Vec<u8>,
    /// The content in it.
    pub(crate) content: Vec<u8>,
    /// The trailers in it.
    pub(crate) trailers: Vec<u8>,
    /// It has all that its head announces.
    pub(crate) is_complete: bool,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |bytes: &[u8]| bytes.get(..200).unwrap_or(bytes).escape_ascii().to_string();
        let is_complete = if self.is_complete { "" } else { ", cut off" };
        write!(f, "{} | {} bytes {}{is_complete}", part(&self.head), self.framed.len(), part(&self.framed))
    }
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    /// In order.
    Finished,
    /// By a reset.
    Reset,
    /// It did not, for as long as anybody waits.
    Silent,
}

/// What a response answers, as far as its length depends on that.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum To {
    /// GET and most others.
    Get,
    /// No content.
    Head,
    /// A tunnel, if it is granted.
    Connect,
}

/// How long the content is.
#[derive(Clone, Copy, Debug)]
enum Length {
    Exact(usize),
    Chunked,
    UntilEnd,
}

/// Reads messages from a stream.
pub(crate) struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
    end: Option<End>,
}

impl Reader {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new(), end: None }
    }

    /// How the stream ended, if it did.
    pub(crate) fn end(&self) -> Option<End> {
        self.end
    }

    /// The next head; without an empty line, if the stream ends within it; nothing, if there is none.
    pub(crate) fn head(&mut self) -> Option<Vec<u8>> {
        let length = self.until(|bytes| find(bytes, b"\r\n\r\n").map(|at| at + 4));
        let head = self.take(length.unwrap_or(self.buffer.len()));
        (!head.is_empty()).then_some(head)
    }

    /// What follows the head of a request.
    pub(crate) fn rest_of_request(&mut self, head: Vec<u8>) -> Message {
        let length = if is_chunked(&head) {
            Length::Chunked
        } else {
            Length::Exact(content_length(&head).unwrap_or(0))
        };
        self.rest(head, length)
    }

    /// The next response, interim or not.
    pub(crate) fn response(&mut self, to: To) -> Option<Message> {
        let head = self.head()?;
        let length = match (to, status(&head)) {
            (_, 100..=199 | 204 | 304) | (To::Head, _) | (To::Connect, 200..=299) => Length::Exact(0),
            (To::Get | To::Connect, _) if is_chunked(&head) => Length::Chunked,
            (To::Get | To::Connect, _) => content_length(&head).map_or(Length::UntilEnd, Length::Exact),
        };
        Some(self.rest(head, length))
    }

    /// So many bytes, or fewer at the end.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let length = self.until(|bytes| (bytes.len() >= count).then_some(count));
        self.take(length.unwrap_or(self.buffer.len()))
    }

    /// All bytes up to the end.
    pub(crate) fn all(&mut self) -> Vec<u8> {
        self.until(|_| None::<()>);
        std::mem::take(&mut self.buffer)
    }

    /// Whether something has come already.
    pub(crate) fn has_more(&mut self) -> bool {
        self.stream.set_nonblocking(true).expect("the option");
        let has_more = !self.buffer.is_empty() || self.fill();
        self.stream.set_nonblocking(false).expect("the option");
        // That nothing has come yet is no end.
        self.end = self.end.filter(|end| *end != End::Silent);
        has_more
    }

    fn rest(&mut self, head: Vec<u8>, length: Length) -> Message {
        let mut message = Message { head, ..Message::default() };
        match length {
            Length::Exact(count) => {
                message.framed = self.bytes(count);
                message.is_complete = message.framed.len() == count;
                message.content.clone_from(&message.framed);
            }
            Length::UntilEnd => {
                message.framed = self.all();
                message.is_complete = self.end == Some(End::Finished);
                message.content.clone_from(&message.framed);
            }
            Length::Chunked => message.is_complete = self.chunks(&mut message).is_some(),
        }
        message
    }

    /// Nothing, if they are not complete.
    fn chunks(&mut self, message: &mut Message) -> Option<()> {
        loop {
            let line = self.line(message)?;
            let digits = line.split(|byte| b"; \r".contains(byte)).next()?;
            let size = usize::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
            if size == 0 {
                break;
            }
            let chunk = self.bytes(size + 2);
            message.framed.extend_from_slice(&chunk);
            message.content.extend_from_slice(chunk.get(..size).unwrap_or(&chunk));
            (chunk.len() == size + 2).then_some(())?;
        }
        loop {
            let line = self.line(message)?;
            if line == b"\r\n" {
                return Some(());
            }
            message.trailers.extend_from_slice(&line);
        }
    }

    fn line(&mut self, message: &mut Message) -> Option<Vec<u8>> {
        let length = self.until(|bytes| find(bytes, b"\r\n").map(|at| at + 2));
        let line = self.take(length.unwrap_or(self.buffer.len()));
        message.framed.extend_from_slice(&line);
        length.map(|_| line)
    }

    /// Reads until `found` finds something in the buffer, or the stream ends.
    fn until<T>(&mut self, found: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        loop {
            if let Some(found) = found(&self.buffer) {
                return Some(found);
            }
            if !self.fill() {
                return None;
            }
        }
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(length);
        std::mem::replace(&mut self.buffer, rest)
    }

    fn fill(&mut self) -> bool {
        if self.end.is_some() {
            return false;
        }
        let mut bytes = [0; 64 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) => self.end = Some(End::Finished),
            Ok(length) => self.buffer.extend_from_slice(bytes.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.end = Some(End::Silent),
            Err(_) => self.end = Some(End::Reset),
        }
        self.end.is_none()
    }
}

/// The lines of a head without the first and the empty one, each without its end.
pub(crate) fn fields(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines(head).skip(1).filter(|line| !line.is_empty())
}

/// All lines of a head; an empty one before the first line is none.
pub(crate) fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// A field's name and value.
pub(crate) fn name_and_value(line: &[u8]) -> (String, &[u8]) {
    let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
    let name = String::from_utf8_lossy(line.get(..colon).unwrap_or_default()).to_ascii_lowercase();
    (name, line.get(colon + 1..).unwrap_or_default().trim_ascii())
}

/// The values of all fields of this name.
pub(crate) fn values<'a>(head: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    fields(head).map(name_and_value).filter(move |(other, _)| other == name).map(|(_, value)| value)
}

/// 0, if it is no response.
pub(crate) fn status(head: &[u8]) -> u16 {
    let line = lines(head).next().unwrap_or_default();
    let status = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    str::from_utf8(status).ok().and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// Whether Connection has this option.
pub(crate) fn has_option(head: &[u8], option: &str) -> bool {
    values(head, "connection")
        .flat_map(|value| value.split(|byte| *byte == b','))
        .any(|other| other.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
}

/// Where `needle` lies.
pub(crate) fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

fn is_chunked(head: &[u8]) -> bool {
    values(head, "transfer-encoding").any(|value| value.eq_ignore_ascii_case(b"chunked"))
}

fn content_length(head: &[u8]) -> Option<usize> {
    let value = values(head, "content-length").next()?;
    str::from_utf8(value).ok()?.parse().ok()
}
