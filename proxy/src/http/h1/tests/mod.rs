//! Streams of bytes against what becomes of them: the messages, or the refusal. What is refused is the conformance crate's, and what
//! only a limit forbids.
//!
//! Every table is run as a whole stream and cut at every place.

mod accepted;
mod chunks;
mod cuts;
mod forwarded;
mod refused;
mod responses;

use clap::Parser;

use super::body::{AtEnd, Body, Length};
use super::request::{Asked, Request};
use super::response::Response;
use super::scan::{Kind, Scan};
use super::{Refusal, Room, Settings};

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    settings: Settings,
}

/// The defaults.
pub(super) fn settings() -> Settings {
    Command::parse_from(["proxy"]).settings
}

/// A message as the next hop gets it.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Message {
    head: String,
    content: Vec<u8>,
    is_complete: bool,
}

/// Who speaks, and in answer to what.
#[derive(Clone, Copy, Debug)]
enum Speaker {
    Client,
    Server(Asked),
}

/// What is known of a stream.
struct Reader {
    speaker: Speaker,
    settings: Settings,
    scan: Scan,
    body: Option<Body>,
    waiting: Vec<u8>,
    messages: Vec<Message>,
}

impl Reader {
    fn new(speaker: Speaker) -> Self {
        let settings = settings();
        Self {
            speaker,
            settings,
            scan: Self::scan(speaker, &settings),
            body: None,
            waiting: Vec::new(),
            messages: Vec::new(),
        }
    }

    fn scan(speaker: Speaker, settings: &Settings) -> Scan {
        let kind = match speaker {
            Speaker::Client => Kind::Request,
            Speaker::Server(_) => Kind::Response,
        };
        Scan::new(kind, settings)
    }

    fn push(&mut self, piece: &[u8]) -> Result<(), Refusal> {
        self.waiting.extend_from_slice(piece);
        loop {
            if let Some(body) = &mut self.body {
                let taken = body.walk(&self.waiting)?;
                let message = self.messages.last_mut().unwrap();
                message.content.extend(self.waiting.drain(..taken));
                if !body.is_done() {
                    return Ok(());
                }
                message.is_complete = true;
                self.body = None;
                self.scan = Self::scan(self.speaker, &self.settings);
            }
            if self.waiting.is_empty() {
                return Ok(());
            }
            let Some(range) = self.scan.look(&self.waiting)? else { return Ok(()) };
            let end = range.end;
            let head: Vec<u8> = self.waiting[range].to_vec();
            self.waiting.drain(..end);
            let (mut room, mut forwarded) = (Room::new(), Vec::new());
            let length = match self.speaker {
                Speaker::Client => {
                    let request = Request::parse(&head, &mut room, &self.settings)?;
                    request.forward(request.asked().persists, (&[], &[]), &mut forwarded);
                    request.length()
                }
                Speaker::Server(asked) => {
                    let response = Response::parse(&head, &mut room, asked, &self.settings)?;
                    response.forward(response.persists(), &mut forwarded);
                    response.length()
                }
            };
            assert!(forwarded.capacity() <= head.len() + 64, "{}", head.escape_ascii());
            let head = String::from_utf8_lossy(&forwarded).into_owned();
            self.messages.push(Message { head, content: Vec::new(), is_complete: false });
            self.body = Some(Body::new(length, &self.settings));
        }
    }

    fn end(mut self) -> Vec<Message> {
        if let (Some(body), Some(message)) = (&self.body, self.messages.last_mut()) {
            message.is_complete = body.at_end() == AtEnd::Complete;
        }
        self.messages
    }
}

/// What becomes of a stream that comes in these pieces.
fn read<'a>(speaker: Speaker, pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Message>, Refusal> {
    let mut reader = Reader::new(speaker);
    for piece in pieces {
        reader.push(piece)?;
    }
    Ok(reader.end())
}

/// The same for all cuts into two and for single bytes.
fn judge(speaker: Speaker, stream: &[u8]) -> Result<Vec<Message>, Refusal> {
    let whole = read(speaker, [stream]);
    if stream.len() <= 4096 {
        for cut in 0..stream.len() {
            let (left, right) = stream.split_at(cut);
            assert_eq!(read(speaker, [left, right]), whole, "cut at {cut}: {}", stream.escape_ascii());
        }
        assert_eq!(read(speaker, stream.chunks(1)), whole, "byte by byte: {}", stream.escape_ascii());
    }
    whole
}

/// What a server would be asked by this head.
fn asked(head: &str) -> Asked {
    let mut room = Room::new();
    Request::parse(head.as_bytes(), &mut room, &settings()).expect("a good request").asked()
}

fn length(head: &str) -> Length {
    let mut room = Room::new();
    Request::parse(head.as_bytes(), &mut room, &settings()).expect("a good request").length()
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_connection_remembers_little_between_two_bytes() {
    let size = size_of::<Scan>() + size_of::<Body>() + size_of::<Asked>();
    assert!(size <= 112, "{size} bytes");
}

#[test]
fn codes_are_unique_and_stable_words() {
    let codes: std::collections::HashSet<_> = Refusal::ALL.iter().map(|refusal| refusal.code()).collect();
    assert_eq!(codes.len(), Refusal::ALL.len());
    let is_stable = |byte: u8| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte);
    for code in codes.iter().map(|code| code.name()) {
        assert!(code.strip_prefix("http1.").is_some_and(|rule| rule.bytes().all(is_stable)), "{code}");
    }
    assert_eq!(Refusal::HeadTooLong.status(), 431);
    assert_eq!(Refusal::LengthTwice.status(), 400);
}
