//! Applications that know nothing of a mesh: servers and a client, as threads of this process whose sockets belong to a
//! given namespace. The program `peer` is the same for containers.
//!
//! Every server answers with what it saw; what a redirect does shows in the answers, not in rules.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::socket::{getsockopt, sockopt};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};

use crate::netns::Netns;

/// How long a client waits for a connection or an answer. Only a test that fails ever waits so long.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How a server treats a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Service {
    /// Returns every byte, and the end when it comes.
    Echo,
    /// Says who it is and what it saw (a [`Landing`] in one line of JSON), then closes.
    Landing,
    /// As [`Service::Landing`], as an HTTP/1.1 response to each request of the connection.
    Http,
}

/// What a server saw of a connection.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Landing {
    /// The server's name.
    pub label: String,
    /// The port that it listens on.
    pub port: u16,
    /// The destination before a NAT redirect (SO_ORIGINAL_DST); nothing when the connection was not translated.
    pub original: Option<SocketAddr>,
    /// The server's own address.
    pub local: SocketAddr,
    /// The client's address.
    pub peer: SocketAddr,
}

/// A listener with a thread for each connection; it ends when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    listener: Arc<TcpListener>,
    seen: Arc<Mutex<Vec<Landing>>>,
    accepting: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens in the namespace; port 0 lets the kernel choose. `label` tells servers apart in what they answer.
    pub fn start(netns: &Netns, label: &str, address: SocketAddr, service: Service) -> Result<Self> {
        let listener = netns.run(|| TcpListener::bind(address))?;
        let listener =
            listener.with_context(|| format!("{label}: cannot listen on {address} in {}", netns.name()))?;
        Self::serve(listener, label, service)
    }

    /// Serves a listener that exists already.
    pub fn serve(listener: TcpListener, label: &str, service: Service) -> Result<Self> {
        let address = listener.local_addr()?;
        let listener = Arc::new(listener);
        let seen = Arc::<Mutex<Vec<Landing>>>::default();
        let (acceptor, record, label) = (Arc::clone(&listener), Arc::clone(&seen), label.to_owned());
        let accepting = std::thread::spawn(move || {
            // The error is the shutdown of the listener when the server is dropped.
            while let Ok((stream, _)) = acceptor.accept() {
                let Ok(landing) = landing(&label, &stream) else { continue };
                record.lock().unwrap_or_else(PoisonError::into_inner).push(landing.clone());
                std::thread::spawn(move || service.converse(stream, &landing));
            }
        });
        Ok(Self { address, listener, seen, accepting: Some(accepting) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The connections it has accepted, in order. A client that has its answer is in it.
    pub fn seen(&self) -> Vec<Landing> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the server ends; it never does by itself.
    pub fn wait(mut self) {
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Wakes the thread that waits in accept.
        let _ = nix::sys::socket::shutdown(self.listener.as_raw_fd(), nix::sys::socket::Shutdown::Both);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl Service {
    /// An error is the client's business: it is who tells the test.
    fn converse(self, mut stream: TcpStream, landing: &Landing) -> Option<()> {
        let answer = serde_json::to_string(landing).ok()?;
        match self {
            Self::Echo => {
                io::copy(&mut stream.try_clone().ok()?, &mut stream).ok()?;
                stream.shutdown(Shutdown::Write).ok()
            }
            Self::Landing => writeln!(stream, "{answer}").ok(),
            Self::Http => {
                let mut requests = BufReader::new(stream.try_clone().ok()?);
                while let Some(last) = request(&mut requests).ok()? {
                    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length:";
                    write!(stream, "{head} {}\r\n\r\n{answer}\n", answer.len() + 1).ok()?;
                    if last {
                        break;
                    }
                }
                Some(())
            }
        }
    }
}

/// Reads one request without a body, and tells whether it asks for the end of the connection; nothing at that end.
fn request(reader: &mut impl BufRead) -> io::Result<Option<bool>> {
    let (mut line, mut last) = (String::new(), false);
    while reader.read_line(&mut line)? > 0 {
        if line.trim_end().is_empty() {
            return Ok(Some(last));
        }
        last |= line.trim_end().eq_ignore_ascii_case("connection: close");
        line.clear();
    }
    Ok(None)
}

fn landing(label: &str, stream: &TcpStream) -> Result<Landing> {
    let local = stream.local_addr()?;
    Ok(Landing {
        label: label.to_owned(),
        port: local.port(),
        original: original_destination(stream),
        local,
        peer: stream.peer_addr()?,
    })
}

/// The destination before translation. Conntrack answers for every connection that it follows, so what equals the local
/// address was not translated.
fn original_destination(stream: &TcpStream) -> Option<SocketAddr> {
    let local = stream.local_addr().ok()?;
    let original: SocketAddr = if local.is_ipv4() {
        let raw = getsockopt(stream, sockopt::OriginalDst).ok()?;
        (u32::from_be(raw.sin_addr.s_addr).to_be_bytes(), u16::from_be(raw.sin_port)).into()
    } else {
        let raw = getsockopt(stream, sockopt::Ip6tOriginalDst).ok()?;
        (raw.sin6_addr.s6_addr, u16::from_be(raw.sin6_port)).into()
    };
    (original != local).then_some(original)
}

/// Binds a port that was this process's a moment ago: a child that another thread forks has all sockets until it executes.
pub fn again<T>(bind: impl Fn() -> io::Result<T>) -> io::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match bind() {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                std::thread::yield_now();
            }
            other => return other,
        }
    }
}

/// What came of a connection, as the client saw it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Exchange {
    /// The address that was called.
    pub target: SocketAddr,
    /// The client's own address, once connected.
    pub local: Option<SocketAddr>,
    /// Everything that was received.
    pub received: String,
    /// What went wrong, by its kind, for example `ConnectionReset`.
    pub error: Option<String>,
}

impl Exchange {
    /// The landing that a [`Service::Landing`] or [`Service::Http`] answered with.
    pub fn landing(&self) -> Result<Landing> {
        let answer = self.received.lines().last().unwrap_or_default();
        serde_json::from_str(answer)
            .with_context(|| format!("{}: not an answer of a landing server: {self:?}", self.target))
    }
}

/// Connects, sends, ends its side, and reads to the end. A failure is part of the answer.
pub fn call(target: SocketAddr, send: &[u8]) -> Exchange {
    Call { source: None, target, patience: PATIENCE, half_close: true }.run(send)
}

/// The same from this address.
pub fn call_from(source: IpAddr, target: SocketAddr, send: &[u8]) -> Exchange {
    Call { source: Some(source), target, patience: PATIENCE, half_close: true }.run(send)
}

struct Call {
    source: Option<IpAddr>,
    target: SocketAddr,
    patience: Duration,
    half_close: bool,
}

impl Call {
    fn run(&self, send: &[u8]) -> Exchange {
        let mut exchange =
            Exchange { target: self.target, local: None, received: String::new(), error: None };
        let mut received = Vec::new();
        if let Err(error) = self.converse(&mut exchange, send, &mut received) {
            exchange.error = Some(format!("{:?}", error.kind()));
        }
        exchange.received = String::from_utf8_lossy(&received).into_owned();
        exchange
    }

    fn converse(&self, exchange: &mut Exchange, send: &[u8], received: &mut Vec<u8>) -> io::Result<()> {
        let socket = Socket::new(Domain::for_address(self.target), Type::STREAM, None)?;
        if let Some(source) = self.source {
            socket.bind(&SocketAddr::new(source, 0).into())?;
        }
        socket.connect_timeout(&self.target.into(), self.patience)?;
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(self.patience))?;
        exchange.local = Some(stream.local_addr()?);
        stream.write_all(send)?;
        if self.half_close {
            stream.shutdown(Shutdown::Write)?;
        }
        stream.read_to_end(received).map(|_| ())
    }
}

/// A GET on a connection of its own. The client's side stays open, since servers may take its end for a client that went
/// away.
pub fn http_call(target: SocketAddr, path: &str, patience: Duration) -> Exchange {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n");
    Call { source: None, target, patience, half_close: false }.run(request.as_bytes())
}

/// As [`http_call`]; gives status and body.
pub fn http_get(target: SocketAddr, path: &str, patience: Duration) -> Result<(u16, String)> {
    let exchange = http_call(target, path, patience);
    let (head, body) =
        exchange.received.split_once("\r\n\r\n").with_context(|| format!("GET {path}: {exchange:?}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.with_context(|| format!("GET {path}: no status: {exchange:?}"))?, body.to_owned()))
}
