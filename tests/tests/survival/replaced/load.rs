//! Who calls the Service, by each protocol, one request after the other on connections that are kept: whoever does not get back
//! what it has sent has lost a request. Few of them may be sent a second time.

use std::io::{self, Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Scope;

use bytes::Bytes;
use futures_util::future::join_all;
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Request};
use tests::meshed::{PATIENCE, as_app};
use tests::netns::Netns;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::{HTTP1, HTTP2};
use crate::traffic::connect;

/// Connections of HTTP/1; and of HTTP/2, and of gRPC, with so many requests at a time each.
const CONNECTIONS: usize = 4;
const HTTP2_CONNECTIONS: usize = 2;
const STREAMS: usize = 4;

/// What was asked so far.
#[derive(Default)]
pub(super) struct Load {
    answered: [AtomicUsize; 3],
    /// How often a client was told that its request has gone nowhere, and asked again, as libraries do by themselves.
    again: AtomicUsize,
    failures: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Protocol {
    Http1,
    Http2,
    Grpc,
}

/// The load ends when this does.
pub(super) struct Running<'a>(&'a Load);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}

impl Load {
    /// Begins, in threads of its own.
    pub(super) fn run<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        from: &'scope Netns,
    ) -> Running<'scope> {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| as_app(from, || self.repeat(Protocol::Http1, || self.http1())));
        }
        for protocol in [Protocol::Http2, Protocol::Grpc] {
            for _ in 0..HTTP2_CONNECTIONS {
                let connection = move || runtime().block_on(self.http2(protocol));
                scope.spawn(move || as_app(from, || self.repeat(protocol, connection)));
            }
        }
        Running(self)
    }

    /// Whether there were so many of each protocol, or one was lost.
    pub(super) fn has(&self, wanted: usize) -> bool {
        self.answered().iter().all(|answered| *answered >= wanted) || !self.failures().is_empty()
    }

    pub(super) fn answered(&self) -> [usize; 3] {
        self.answered.each_ref().map(|answered| answered.load(Ordering::Relaxed))
    }

    pub(super) fn again(&self) -> usize {
        self.again.load(Ordering::Relaxed)
    }

    pub(super) fn failures(&self) -> Vec<String> {
        self.failures.lock().expect("a list").clone()
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn has_answered(&self, protocol: Protocol) {
        self.answered[protocol as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// One connection after the other; one that fails has lost a request.
    fn repeat<E: std::fmt::Display>(&self, protocol: Protocol, connection: impl Fn() -> Result<(), E>) {
        while !self.is_over() {
            if let Err(error) = connection() {
                let answered = self.answered();
                let failure = format!("{protocol:?}: {error}, when so many were answered: {answered:?}");
                self.failures.lock().expect("a list").push(failure);
            }
        }
    }

    /// Until the connection is to be closed.
    fn http1(&self) -> io::Result<()> {
        let mut stream = connect(HTTP1)?;
        for number in 0.. {
            let text = format!("{number}");
            let method = if number % 2 == 0 { "GET" } else { "POST" };
            let length = if number % 2 == 0 { 0 } else { text.len() };
            let content = &text[..length];
            let request = format!(
                "{method} /{number} HTTP/1.1\r\nHost: web\r\nContent-Length: {length}\r\n\r\n{content}"
            );
            stream.write_all(request.as_bytes())?;
            let (head, got) = response(&mut stream)?;
            if !head.starts_with("HTTP/1.1 200 ") || got != content {
                return Err(Error::new(ErrorKind::InvalidData, format!("{method} {content}: {head}{got}")));
            }
            self.has_answered(Protocol::Http1);
            if self.is_over() || head.contains("Connection: close\r\n") {
                break;
            }
        }
        Ok(())
    }

    /// Until the end.
    async fn http2(&self, protocol: Protocol) -> Result<(), String> {
        let stream = connection(HTTP2).map_err(|error| error.to_string())?;
        let (requests, connection) =
            h2::client::handshake(stream).await.map_err(|error| error.to_string())?;
        let connected = tokio::spawn(connection);
        let asking = (0..STREAMS).map(|number| {
            let requests = requests.clone();
            async move {
                for round in 0.. {
                    let text = format!("{number}, {round}");
                    let asked = timeout(PATIENCE, ask(requests.clone(), protocol, text.clone()));
                    if !asked.await.map_err(|_| format!("no answer to {text}"))?? {
                        self.again.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                    self.has_answered(protocol);
                    if self.is_over() {
                        break;
                    }
                }
                Ok(())
            }
        });
        let ended = join_all(asking).await;
        connected.abort();
        ended.into_iter().collect()
    }
}

/// Asks, and gets back what it has sent. False, if it is told that nobody has seen the request (RFC 9113, section 8.7).
async fn ask(requests: SendRequest<Bytes>, protocol: Protocol, text: String) -> Result<bool, String> {
    let told = |error: h2::Error| format!("{text}: {error}");
    let mut request = Request::post("http://web/s/m");
    if protocol == Protocol::Grpc {
        request = request.header("content-type", "application/grpc");
    }
    let mut requests = requests.ready().await.map_err(told)?;
    let request = request.body(()).expect("a request");
    let (response, mut body) = requests.send_request(request, false).map_err(told)?;
    // As gRPC has messages (its length, in four bytes, comes first).
    let length = u32::try_from(text.len()).expect("a short text").to_be_bytes();
    let content = Bytes::from([&[0], &length[..], text.as_bytes()].concat());
    // Where that fails the response tells why.
    let _ = body.send_data(content.clone(), true);
    let response = match response.await {
        Err(error) if error.is_remote() && error.reason() == Some(Reason::REFUSED_STREAM) => {
            return Ok(false);
        }
        response => response.map_err(told)?,
    };
    let (head, body) = response.into_parts();
    let (got, trailers) = self::content(body).await.map_err(told)?;
    let is_well = match protocol {
        Protocol::Grpc => trailers.get("grpc-status").is_some_and(|status| status == "0"),
        Protocol::Http1 | Protocol::Http2 => trailers.is_empty(),
    };
    if head.status != 200 || got != content || !is_well {
        return Err(format!("{text}: {head:?} {got:?} {trailers:?}"));
    }
    Ok(true)
}

/// All of it, and its trailers.
pub(super) async fn content(mut body: RecvStream) -> Result<(Bytes, HeaderMap), h2::Error> {
    let mut all = Vec::new();
    while let Some(bytes) = body.data().await {
        let bytes = bytes?;
        body.flow_control().release_capacity(bytes.len())?;
        all.extend_from_slice(&bytes);
    }
    Ok((all.into(), body.trailers().await?.unwrap_or_default()))
}

/// The head at the beginning, once it is there, and the length of the content that comes after it.
pub(super) fn head(bytes: &[u8]) -> Option<(String, usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(bytes.get(..end)?.to_vec()).expect("a head of letters");
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
    let length = length.parse().expect("a number");
    Some((head, length))
}

fn response(stream: &mut TcpStream) -> io::Result<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        if let Some((head, length)) = head(&bytes)
            && bytes.len() >= head.len() + length
        {
            let content = String::from_utf8_lossy(&bytes[head.len()..]).into_owned();
            return Ok((head, content));
        }
        let mut buffer = [0; 1024];
        match stream.read(&mut buffer)? {
            0 => return Err(Error::new(ErrorKind::UnexpectedEof, format!("{}", bytes.escape_ascii()))),
            length => bytes.extend_from_slice(&buffer[..length]),
        }
    }
}

fn connection(to: SocketAddr) -> io::Result<tokio::net::TcpStream> {
    let stream = connect(to)?;
    stream.set_nonblocking(true)?;
    tokio::net::TcpStream::from_std(stream)
}

pub(super) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
