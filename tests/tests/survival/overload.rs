//! Three times as many clients as are allowed, or as memory suffices for: those that are let in get whole answers, all others are
//! reset at once, for a reason that is counted. And when they have left, everybody is let in again.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use tests::cgroup::Cgroup;
use tests::meshed::{Meshed, PATIENCE, PORT, as_app};
use tests::netns::{Node, Switch};
use tests::{peer, scale};

use crate::frames::{self, DATA, END_HEADERS, END_STREAM, HEADERS, frame};
use crate::taken::{Descriptors, descriptors};
use crate::traffic::{bytes, connect, eventually};

/// Within the window that a stream has at first.
const BODY: usize = 50_000;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    fn request(self) -> Vec<u8> {
        match self {
            Self::Http1 => b"GET / HTTP/1.1\r\nHost: web\r\n\r\n".to_vec(),
            Self::Http2 => frames::opening(&frame(HEADERS, END_HEADERS | END_STREAM, 1, frames::GET)),
        }
    }

    fn is_asked(self, heard: &[u8]) -> bool {
        match self {
            Self::Http1 => heard.ends_with(b"\r\n\r\n"),
            Self::Http2 => frames::walk(heard).any(|frame| frame.kind == HEADERS),
        }
    }

    fn answer(self, body: &[u8]) -> Vec<u8> {
        match self {
            Self::Http1 => {
                [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body]
                    .concat()
            }
            Self::Http2 => {
                let content: Vec<u8> = body.chunks(10_000).flat_map(|part| frame(DATA, 0, 1, part)).collect();
                let head = frame(HEADERS, END_HEADERS, 1, frames::OK);
                [frames::greeting(), head, content, frame(DATA, END_STREAM, 1, b"")].concat()
            }
        }
    }

    /// The content of an answer, once it is whole.
    fn content(self, heard: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Http1 => {
                let end = heard.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
                heard.get(end..).filter(|content| content.len() >= BODY).map(<[u8]>::to_vec)
            }
            Self::Http2 => {
                let content = || frames::walk(heard).filter(|frame| frame.kind == DATA);
                content()
                    .any(|frame| frame.flags & END_STREAM != 0)
                    .then(|| content().flat_map(|frame| frame.payload).copied().collect())
            }
        }
    }
}

/// A client that has asked, and what it has heard.
struct Client {
    stream: TcpStream,
    heard: Vec<u8>,
}

impl Client {
    /// Nothing, if it is turned away before it has asked.
    fn new(target: SocketAddr, protocol: Protocol) -> Option<Self> {
        let asked = connect(target).and_then(|mut stream| {
            stream.write_all(&protocol.request())?;
            Ok(stream)
        });
        asked.map(|stream| Self { stream, heard: Vec::new() }).inspect_err(is_reset).ok()
    }

    /// Hears what is there; false when it is turned away.
    fn hears(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => panic!("an end that looks like one in good order, after {} bytes", self.heard.len()),
            Ok(length) => self.heard.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => {
                is_reset(&error);
                return false;
            }
        }
        true
    }

    /// Whether it may still be answered.
    fn is_let_in(&mut self) -> bool {
        self.stream.set_nonblocking(true).expect("the option");
        self.hears()
    }

    fn content(mut self, protocol: Protocol) -> Vec<u8> {
        self.stream.set_nonblocking(false).expect("the option");
        loop {
            if let Some(content) = protocol.content(&self.heard) {
                return content;
            }
            let before = self.heard.len();
            assert!(
                self.hears() && self.heard.len() > before,
                "who was let in is answered, after {before} bytes"
            );
        }
    }
}

/// The application's end, and what it has heard.
struct Server {
    stream: TcpStream,
    heard: Vec<u8>,
    has_ended: bool,
}

impl Server {
    fn new(stream: TcpStream) -> Self {
        stream.set_nonblocking(true).expect("the option");
        Self { stream, heard: Vec::new(), has_ended: false }
    }

    /// Whether a request has come, whose client waits.
    fn is_asked(&mut self, protocol: Protocol) -> bool {
        let mut buffer = [0; 1024];
        match self.stream.read(&mut buffer) {
            Ok(length @ 1..) => self.heard.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => self.has_ended = true,
        }
        !self.has_ended && protocol.is_asked(&self.heard)
    }

    /// Whoever was let in says whether it has all of it.
    fn answers(&self, answer: &[u8]) {
        self.stream.set_nonblocking(false).expect("the option");
        let _ = (&self.stream).write_all(answer);
    }
}

/// There is no other way to be turned away.
fn is_reset(error: &Error) {
    let reset = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    assert!(reset.contains(&error.kind()), "{error}");
}

/// A pod that is asked by more clients than it can serve.
struct Lab {
    meshed: Meshed,
    plain: Node,
    listener: TcpListener,
    target: SocketAddr,
    cgroup: Cgroup,
    _switch: Switch,
}

impl Lab {
    fn new(limit: u64, options: &[&str]) -> Self {
        let cgroup = Cgroup::of_memory("overload", limit).expect("a limit");
        let mut switch = Switch::new("switch").expect("a switch");
        let meshed =
            Meshed::within(&cgroup, &mut switch, "meshed", &[&["--access-log", "off"], options].concat());
        let plain = switch.attach("plain").expect("a namespace");
        let target = SocketAddr::new(meshed.node.v4.into(), PORT);
        let listener = as_app(&meshed.node.netns, || TcpListener::bind(target)).expect("a listener");
        listener.set_nonblocking(true).expect("the option");
        Self { meshed, plain, listener, target, cgroup, _switch: switch }
    }

    /// So many clients ask, and the application answers nobody until it is clear who is let in. How many were.
    fn asked_by(&self, count: usize, protocol: Protocol) -> usize {
        let (mut servers, mut clients) = (Vec::new(), Vec::new());
        let mut accept = || {
            servers.extend(
                std::iter::from_fn(|| self.listener.accept().ok()).map(|(stream, _)| Server::new(stream)),
            );
            servers.iter_mut().filter_map(|server| server.is_asked(protocol).then_some(())).count()
        };
        as_app(&self.plain.netns, || {
            for _ in 0..count {
                clients.extend(Client::new(self.target, protocol));
                accept();
            }
        });
        eventually("each is let in or turned away", || {
            clients.retain_mut(Client::is_let_in);
            accept() == clients.len()
        });
        let (body, let_in) = (bytes(1, BODY), clients.len());
        let answer = protocol.answer(&body);
        std::thread::scope(|scope| {
            scope.spawn(|| servers.iter().for_each(|server| server.answers(&answer)));
            for client in clients {
                assert!(client.content(protocol) == body, "another answer");
            }
        });
        let_in
    }

    fn number(&self, path: &str, key: &str) -> u64 {
        let administration = (Ipv4Addr::LOCALHOST, api::ports::ADMIN).into();
        let answer = self.meshed.node.netns.run(|| peer::http_get(administration, path, PATIENCE));
        let (status, text) = answer.expect("the namespace").expect("an answer");
        assert_eq!(status, 200, "{path}: {text}");
        let page = serde_json::from_str::<serde_json::Value>(&text).expect("JSON");
        page.get(key).and_then(serde_json::Value::as_u64).expect("a number")
    }

    fn refused(&self, reason: &str) -> usize {
        let reason = format!("reason=\"{reason}\"");
        let refused = self.meshed.metric(&["remora_refused_connections_total{", &reason]);
        usize::try_from(refused).expect("thousands")
    }

    /// As before the first client came.
    fn is_back(&self, descriptors_before: usize) {
        eventually("all have left", || self.number("/connections", "open") == 0);
        let pid = self.meshed.proxy.pid();
        eventually("descriptors are given back", || descriptors(pid) <= descriptors_before + 2);
        assert_eq!(self.cgroup.kills().expect("a count"), 0);
    }
}

/// Three times as many as are `allowed` come, of each protocol in turn, and the others are counted under `reason`.
fn come_and_go(lab: &Lab, (allowed, reason): (usize, &str), protocols: &[Protocol]) {
    lab.asked_by(1, Protocol::Http1);
    let before = descriptors(lab.meshed.proxy.pid());
    for (round, protocol) in (1..).zip(protocols) {
        assert_eq!(lab.asked_by(3 * allowed, *protocol), allowed, "{protocol:?}");
        assert_eq!(lab.refused(reason), round * 2 * allowed);
        lab.is_back(before);
        assert_eq!(lab.asked_by(1, *protocol), 1, "everybody is let in again");
    }
}

#[test]
fn beyond_the_connections_that_are_allowed_all_are_reset_and_nobody_else_notices() {
    const ALLOWED: usize = 100;
    let _descriptors = Descriptors::reserve(4 * ALLOWED);
    let lab = Lab::new(50_000_000, &["--max-inbound-connections", &ALLOWED.to_string()]);
    come_and_go(&lab, (ALLOWED, "limit"), &[Protocol::Http1, Protocol::Http2, Protocol::Http1]);
}

/// What is promised to a connection of HTTP/2, of half of the memory.
const HTTP2_CONNECTION: u64 = 128 * 1024;

/// Not by connections, of which fewer are there than are allowed, but by what those of HTTP/2 take.
#[test]
fn beyond_the_memory_that_there_is_all_are_reset_and_nobody_is_killed() {
    let limit = scale::of("bytes of memory", 50_000_000, 25_000_000);
    let allowed = usize::try_from(limit / 2 / HTTP2_CONNECTION).expect("hundreds");
    let _descriptors = Descriptors::reserve(4 * allowed);
    come_and_go(&Lab::new(limit, &[]), (allowed, "memory"), &[Protocol::Http2; 3]);
}
