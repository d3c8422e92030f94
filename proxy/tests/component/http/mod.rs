//! HTTP/1 through the whole proxy: what its two ends see of each other, to the byte, and what they see when one of them fails.
//!
//! What is a message, and what is none, is tested beside the code; here both ends are sockets.

mod adverse;
mod broken;
mod counted;
mod drained;
mod exchanged;
mod long;
mod pooled;
mod races;
mod refused;
mod slow;
mod switched;
pub(crate) mod traced;
mod unhurried;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use serde_json::Value;

use crate::support::{INBOUND, Proxy, Way, accept};

/// Requests get no name here, so that all bytes are those of the sender.
const AS_SENT: [&str; 2] = ["--http-request-id", "keep"];

/// No connection to a server outlives its client here, so that each end sees what becomes of the other.
const PAIRED: [&str; 1] = ["--http-pool-size=0"];

const GET: &str = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn proxy(options: &[&str]) -> Proxy {
    Proxy::start(&[&AS_SENT[..], &PAIRED, options].concat())
}

/// A client and a server, as far as they are connected.
struct Ends {
    client: TcpStream,
    server: TcpStream,
    listener: TcpListener,
}

impl Ends {
    fn of(proxy: &Proxy, way: Way) -> Self {
        let listener = way.listener();
        let client = proxy.connect(way, address(&listener));
        let server = accept(&listener);
        // Pieces are segments.
        client.set_nodelay(true).unwrap();
        server.set_nodelay(true).unwrap();
        Self { client, server, listener }
    }

    fn inbound(proxy: &Proxy) -> Self {
        Self::of(proxy, INBOUND)
    }

    fn asks(&mut self, bytes: impl AsRef<[u8]>) {
        self.client.write_all(bytes.as_ref()).unwrap();
    }

    fn answers(&mut self, bytes: impl AsRef<[u8]>) {
        self.server.write_all(bytes.as_ref()).unwrap();
    }

    #[track_caller]
    fn is_asked(&self, bytes: impl AsRef<[u8]>) {
        expect(&self.server, bytes.as_ref());
    }

    #[track_caller]
    fn is_answered(&self, bytes: impl AsRef<[u8]>) {
        expect(&self.client, bytes.as_ref());
    }

    /// One exchange, of which nothing is changed on the way.
    #[track_caller]
    fn exchange(&mut self, request: impl AsRef<[u8]>, response: impl AsRef<[u8]>) {
        self.asks(&request);
        self.is_asked(request);
        self.answers(&response);
        self.is_answered(response);
    }

    /// The server has another connection from now on.
    fn serve_anew(&mut self) {
        self.server = accept(&self.listener);
    }

    fn client_ends(&self) {
        self.client.shutdown(Shutdown::Write).unwrap();
    }

    fn server_ends(&self) {
        self.server.shutdown(Shutdown::Write).unwrap();
    }
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().unwrap()
}

#[track_caller]
fn expect(mut stream: &TcpStream, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    let mut length = 0;
    while length < got.len() {
        match stream.read(&mut got[length..]) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => panic!("{error} after {:?}, and not {:?}", text(&got[..length]), text(bytes)),
        }
    }
    got.truncate(length);
    assert!(got == bytes, "{:?} and not {:?}", text(&got), text(bytes));
}

fn text(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(500)];
    format!("{} ({} bytes)", shown.escape_ascii(), bytes.len())
}

/// All that comes until the end, which has to be one in good order.
fn rest(mut stream: &TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap_or_else(|error| panic!("{error} after {}", text(&bytes)));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Status and text of an answer that the proxy gave by itself, with which the connection ends.
#[track_caller]
fn last_answer(stream: &TcpStream) -> (u16, String) {
    let answer = rest(stream);
    let (head, content) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer:?}"));
    assert!(head.contains("\r\nConnection: close"), "{head}");
    let length = format!("\r\nContent-Length: {}\r\n", content.len());
    assert!(head.contains(&length) && head.contains("\r\nServer: remora\r\n"), "{head}");
    (head.split(' ').nth(1).unwrap().parse().unwrap(), content.to_owned())
}

/// The lines of a proxy that has ended, each with some of its values.
fn told<'l, const N: usize>(lines: &'l [Value], keys: [&str; N]) -> Vec<[&'l Value; N]> {
    lines.iter().map(|line| keys.map(|key| &line[key])).collect()
}
