//! Judges what came of HTTP/1 by a reader that allows nothing: what two readers could take for different messages it takes for
//! none. It knows no limits, and repairs nothing.

use proxy::http::h1::scan::Kind;

use super::{Ended, Outcome, Seen};
use crate::targets;

/// As far as it has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Whole,
    Cut,
    /// Its content ends with the connection.
    UntilTheEnd,
    /// Nothing behind it is HTTP.
    Switches,
}

#[derive(Debug)]
struct Message {
    /// The first line, a letter a byte.
    line: String,
    fields: Vec<(String, Vec<u8>)>,
    content: Vec<u8>,
    state: State,
}

/// All messages of a stream, each read by `length`.
fn messages(mut bytes: &[u8], mut length: impl FnMut(&Message) -> Length) -> Vec<Message> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            messages.push(Message {
                line: String::new(),
                fields: vec![],
                content: vec![],
                state: State::Cut,
            });
            break;
        };
        let mut message = head(&bytes[..end]);
        let behind = &bytes[end + 4..];
        let (content, used, state) = match length(&message) {
            Length::Exact(length) if behind.len() < length => (behind.to_vec(), behind.len(), State::Cut),
            Length::Exact(length) => (behind[..length].to_vec(), length, State::Whole),
            Length::Chunked => chunks(behind),
            Length::UntilTheEnd => (behind.to_vec(), behind.len(), State::UntilTheEnd),
            Length::Switches => (vec![], behind.len(), State::Switches),
        };
        (message.content, message.state) = (content, state);
        messages.push(message);
        bytes = &behind[used..];
    }
    messages
}

fn head(bytes: &[u8]) -> Message {
    let mut lines = lines(bytes).into_iter();
    let line = lines.next().expect("a line");
    let line = line.iter().map(|byte| char::from(*byte)).collect();
    let fields = lines.map(field).collect();
    Message { line, fields, content: vec![], state: State::Whole }
}

/// Lines, in which nothing could be taken for the end of one, or of a text.
fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = bytes;
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        lines.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    lines.push(rest);
    let is_plain = |line: &&[u8]| !line.iter().any(|byte| b"\r\n\0".contains(byte));
    assert!(lines.iter().all(is_plain), "{}", bytes.escape_ascii());
    lines
}

fn field(line: &[u8]) -> (String, Vec<u8>) {
    let colon = line.iter().position(|byte| *byte == b':').expect("a colon");
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    assert!(!name.is_empty() && name.iter().all(is_letter), "no name: {}", line.escape_ascii());
    (String::from_utf8_lossy(name).to_lowercase(), value.trim_ascii().to_vec())
}

/// Content, how many bytes that took, and how far it has come.
fn chunks(bytes: &[u8]) -> (Vec<u8>, usize, State) {
    let mut content = Vec::new();
    let mut rest = bytes;
    let cut = |content| (content, bytes.len(), State::Cut);
    loop {
        let Some(end) = rest.windows(2).position(|window| window == b"\r\n") else { return cut(content) };
        let line = lines(&rest[..end])[0];
        let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
        let size = std::str::from_utf8(&line[..digits]).expect("digits");
        let size =
            usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("no size: {}", line.escape_ascii()));
        let behind = line[digits..].trim_ascii_start();
        assert!(behind.is_empty() || behind[0] == b';', "no chunk: {}", line.escape_ascii());
        rest = &rest[end + 2..];
        if size == 0 {
            break;
        }
        content.extend_from_slice(&rest[..size.min(rest.len())]);
        let Some(behind) = rest.get(size..).filter(|behind| behind.len() >= 2) else { return cut(content) };
        assert!(behind.starts_with(b"\r\n"), "a chunk of another size: {}", bytes.escape_ascii());
        rest = &behind[2..];
    }
    loop {
        let Some(end) = rest.windows(2).position(|window| window == b"\r\n") else { return cut(content) };
        let line = &rest[..end];
        rest = &rest[end + 2..];
        if line.is_empty() {
            return (content, bytes.len() - rest.len(), State::Whole);
        }
        field(lines(line)[0]);
    }
}

enum Length {
    Exact(usize),
    Chunked,
    UntilTheEnd,
    Switches,
}

impl Message {
    fn values(&self, name: &str) -> Vec<&[u8]> {
        let values = self.fields.iter().filter(|(own, _)| own == name);
        values.map(|(_, value)| value.as_slice()).collect()
    }

    /// By the one field that says it.
    fn announced(&self) -> Option<Length> {
        match (self.values("transfer-encoding").as_slice(), self.values("content-length").as_slice()) {
            ([], []) => None,
            ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") && self.line.contains("HTTP/1.1") => {
                Some(Length::Chunked)
            }
            ([], [length]) if length.iter().all(u8::is_ascii_digit) => {
                let length = String::from_utf8_lossy(length).parse().expect("no longer than what fits");
                Some(Length::Exact(length))
            }
            _ => panic!("it could have several lengths: {self:?}"),
        }
    }

    fn method(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    /// Of the proxy itself.
    fn is_own(&self) -> bool {
        self.values("server") == [b"remora"]
    }

    /// Its status, and its content where that is in one piece.
    fn is_in(&self, said: &[u8]) -> bool {
        let contains = |text: &[u8]| text.is_empty() || said.windows(text.len()).any(|window| window == text);
        let is_in_pieces = !self.values("transfer-encoding").is_empty();
        let status =
            self.line.chars().skip("HTTP/1.1".len()).map(|letter| u8::try_from(letter).expect("a byte"));
        contains(&status.collect::<Vec<_>>()) && (is_in_pieces || contains(&self.content))
    }

    fn is_cut(&self) -> bool {
        self.state == State::Cut
    }
}

fn requests(bytes: &[u8]) -> Vec<Message> {
    messages(bytes, |request| {
        let parts: Vec<_> = request.line.split(' ').collect();
        let is_line = matches!(parts[..], [_, _, "HTTP/1.0" | "HTTP/1.1"]) && !parts.contains(&"");
        assert!(is_line, "no request: {request:?}");
        match request.announced() {
            _ if request.method() == "CONNECT" || !request.values("upgrade").is_empty() => Length::Switches,
            Some(length) => length,
            None => Length::Exact(0),
        }
    })
}

/// Those of requests by these methods; what is behind the last of them is the proxy's own.
fn responses(bytes: &[u8], asked: &[Message]) -> Vec<Message> {
    let mut methods = asked.iter().map(Message::method);
    let mut method = methods.next();
    messages(bytes, |response| {
        let status = status(response);
        let length = response.announced();
        if status != 101 && (100..200).contains(&status) {
            return Length::Exact(0);
        }
        let of = std::mem::replace(&mut method, methods.next());
        match (of, status) {
            (_, 101) | (Some("CONNECT"), 200..300) => Length::Switches,
            (Some("HEAD"), _) | (_, 204 | 304) => Length::Exact(0),
            _ => length.unwrap_or(Length::UntilTheEnd),
        }
    })
}

fn status(response: &Message) -> u16 {
    let line = response.line.as_bytes();
    let is_status = line.starts_with(b"HTTP/1.1 ") || line.starts_with(b"HTTP/1.0 ");
    assert!(is_status && matches!(line.get(12), None | Some(b' ')), "no response: {response:?}");
    response.line[9..12].parse().unwrap_or_else(|_| panic!("no status: {response:?}"))
}

/// Whether it has whole requests, and nothing else.
pub(super) fn is_idle(server: &Seen) -> bool {
    requests(&server.got).iter().all(|request| request.state == State::Whole)
}

/// See the module.
pub(super) fn judge(outcome: &Outcome) {
    let Outcome { client, servers } = outcome;
    // Byte by byte, so that of content that turns bad everything is there that may have gone before.
    let (carried, _) = targets::carry(Kind::Request, client.said.chunks(1));
    let asked = requests(&carried);
    let mut next = 0;
    for server in servers {
        let got = requests(&server.got);
        for message in &got {
            let is_next = asked.get(next).is_some_and(|asked| is_of(message, asked));
            let is_again = next.checked_sub(1).is_some_and(|last| is_again(message, &asked[last]));
            assert!(is_next || is_again, "{message:?} was never asked, or twice: {outcome:?}");
            next += usize::from(is_next);
        }
        assert_ends(server, &got, outcome);
    }
    let answers = responses(&client.got, &asked);
    assert_ends(client, &answers, outcome);
    let last = answers.iter().filter(|answer| !answer.is_cut() && !(100..200).contains(&status(answer)));
    assert!(last.count() <= asked.len() + 1, "more answers than requests: {outcome:?}");
    for answer in answers.iter().filter(|answer| !answer.line.is_empty() && !answer.is_own()) {
        let is_said = servers.iter().any(|server| answer.is_in(&server.said));
        assert!(is_said, "{answer:?} was never said: {outcome:?}");
    }
}

/// What was cut off does not look whole.
fn assert_ends(seen: &Seen, messages: &[Message], outcome: &Outcome) {
    let is_cut = messages.last().is_some_and(Message::is_cut);
    assert!(!is_cut || seen.ended != Ended::Fin, "a part ends as if it were whole: {outcome:?}");
}

/// Whether it is the same request, or the part of it that has come.
fn is_of(message: &Message, asked: &Message) -> bool {
    let has_no_head = message.is_cut() && message.line.is_empty();
    let fields = |of: &Message| {
        let hops = ["connection", "x-request-id"];
        let kept = of.fields.iter().filter(|(name, _)| !hops.contains(&name.as_str()));
        kept.cloned().collect::<Vec<_>>()
    };
    let is_head = message.line == asked.line && fields(message) == fields(asked);
    let is_content = if message.is_cut() {
        asked.content.starts_with(&message.content)
    } else {
        message.state == asked.state && message.content == asked.content
    };
    has_no_head || (is_head && is_content)
}

/// Sent once more, which not every request may be.
fn is_again(message: &Message, asked: &Message) -> bool {
    let may = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"].contains(&asked.method());
    may && is_of(message, asked)
}
