//! A connection that has become a WebSocket's is nobody's request any more: it may be silent for longer than any may.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use tests::meshed::{Meshed, PORT, as_app};
use tests::netns::{Node, Switch};
use tests::scale;

use crate::traffic::{bytes, connect, silent_for};

const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\nHost: web\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLBmiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Of requests, so that the silence is several times as long; by default they are an hour.
const LIMITS: [&str; 2] = ["--http-idle-timeout=500ms", "--http-stream-idle-timeout=500ms"];

/// The two ends of one.
struct Upgraded {
    name: &'static str,
    client: TcpStream,
    server: TcpStream,
}

impl Upgraded {
    fn new(name: &'static str, from: &Node, to: &Node) -> Self {
        let target = SocketAddr::new(to.v4.into(), PORT);
        let listener = as_app(&to.netns, || TcpListener::bind(target)).expect("a listener");
        let mut client = as_app(&from.netns, || connect(target)).expect("a connection");
        client.write_all(REQUEST).expect("it is taken");
        let (mut server, _) = listener.accept().expect("the connection");
        assert!(head(&mut server).starts_with("GET /chat HTTP/1.1\r\n"), "{name}");
        server.write_all(RESPONSE).expect("it is taken");
        assert!(head(&mut client).starts_with("HTTP/1.1 101 "), "{name}");
        Self { name, client, server }
    }

    /// Passes bytes either way that nobody can take for others.
    fn carries(&mut self, seed: u64) {
        const LENGTH: usize = 100_000;
        let Self { name, client, server } = self;
        for (number, (from, to)) in [(&*client, &*server), (&*server, &*client)].into_iter().enumerate() {
            let text = bytes(2 * seed + number as u64, LENGTH);
            std::thread::scope(|scope| {
                scope.spawn(|| { from }.write_all(&text).expect(name));
                read(&mut { to }, &text, name);
            });
        }
    }
}

/// A message that is nothing but its head.
fn head(from: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        from.read_exact(&mut byte).expect("the rest of a head");
        head.extend(byte);
    }
    String::from_utf8(head).expect("text")
}

/// Just these bytes come next.
fn read(from: &mut impl Read, expected: &[u8], name: &str) {
    let mut came = vec![0; expected.len()];
    from.read_exact(&mut came).expect(name);
    assert!(came == expected, "{name}: other bytes");
}

#[test]
fn a_websocket_may_be_silent_for_longer_than_a_request() {
    const MINUTE: Duration = Duration::from_secs(60);
    let (silence, limits) =
        scale::of("silence, and the limits of requests", (61 * MINUTE, &[][..]), (MINUTE / 20, &LIMITS[..]));
    let mut switch = Switch::new("switch").expect("a switch");
    let meshed = Meshed::new(&mut switch, "meshed", limits);
    let plain = switch.attach("plain").expect("a namespace");
    let inbound = Upgraded::new("inbound", &plain, &meshed.node);
    let mut both = [inbound, Upgraded::new("outbound", &meshed.node, &plain)];
    both.iter_mut().for_each(|upgraded| upgraded.carries(1));
    silent_for(silence, &both[0].client);
    both.iter_mut().for_each(|upgraded| upgraded.carries(2));
    assert_eq!(meshed.metric(&["remora_http_timeouts_total{"]), 0);
    assert_eq!(meshed.metric(&["remora_dead_peers_total{"]), 0);
}
