//! The fuzz target that is the whole way of a connection: what a client and a server say to each other, cut into pieces, over
//! sockets and through a proxy that runs in this process. What each of them got is judged by readers that know nothing of ours:
//! `messages` for HTTP/1, `frames` for HTTP/2.
//!
//! It begins with how the client is captured; pieces follow, each behind a mark that says who does what. The client's first one
//! has none, so that a seed is near to what stands in other targets.

mod frames;
mod messages;
mod play;

use std::fmt;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, LazyLock, Mutex};

use proxy::detect::{Protocol, detect};
use serde_json::Value;

use crate::support::{INBOUND, Log, OUTBOUND, PATIENCE, Proxy};
use play::{Stage, Tick};

/// Before each mark. It is in no text, and frames of HTTP/2 have it rarely.
const ESCAPE: u8 = 0xff;

/// No more is said. It fits into the buffers of sockets, so that nobody waits for a reader.
const LONGEST: usize = 32 * 1024;

/// No more pieces.
const MOST_PIECES: usize = 64;

/// Which of the two.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Side {
    Client,
    Server,
}

/// What is done.
#[derive(Debug, Eq, PartialEq)]
enum Act<'b> {
    Say(Side, &'b [u8]),
    /// By FIN.
    End(Side),
    /// By RST.
    Reset(Side),
}

/// How a side's reading ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Ended {
    Fin,
    Reset,
    /// It has left before.
    Unknown,
}

/// What a side of a connection has seen of it.
struct Seen {
    said: Vec<u8>,
    got: Vec<u8>,
    ended: Ended,
    /// It has ended the connection so itself, or did not wait for its end.
    has_reset: bool,
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { said, got, ended, has_reset } = self;
        let reset = if *has_reset { " (it has reset it)" } else { "" };
        let (said, got) = (said.escape_ascii(), got.escape_ascii());
        write!(f, "said \"{said}\", got \"{got}\" and {ended:?}{reset}")
    }
}

/// What became of a client and of what it said: what it saw, and what each server's connection saw in the order in which they were
/// made.
#[derive(Debug)]
struct Outcome {
    client: Seen,
    servers: Vec<Seen>,
}

/// All acts, in their order.
fn acts(script: &[u8]) -> Vec<Act<'_>> {
    let mut acts = Vec::new();
    let (mut mark, mut rest) = (b'c', script);
    while acts.len() < MOST_PIECES {
        let is_mark = |pair: &[u8]| pair[0] == ESCAPE && b"csCSxy".contains(&pair[1]);
        let end = rest.windows(2).position(is_mark);
        let (piece, next) =
            end.map_or((rest, None), |at| (&rest[..at], Some((rest[at + 1], &rest[at + 2..]))));
        match mark {
            b'C' => acts.push(Act::End(Side::Client)),
            b'S' => acts.push(Act::End(Side::Server)),
            b'x' => acts.push(Act::Reset(Side::Client)),
            b'y' => acts.push(Act::Reset(Side::Server)),
            _ => {}
        }
        // Whoever has ended says nothing more; the other one does.
        let speaker = if [b'c', b'S', b'y'].contains(&mark) { Side::Client } else { Side::Server };
        if !piece.is_empty() {
            acts.push(Act::Say(speaker, piece));
        }
        let Some(next) = next else { break };
        (mark, rest) = next;
    }
    acts
}

/// Whether what the client says, before anybody does anything else, is HTTP.
fn asks(acts: &[Act<'_>]) -> bool {
    let pieces = acts.iter().map_while(|act| match act {
        Act::Say(Side::Client, piece) => Some(*piece),
        Act::Say(..) | Act::End(_) | Act::Reset(_) => None,
    });
    let detected = detect(&pieces.collect::<Vec<_>>().concat());
    detected.is_some_and(|detected| matches!(detected.protocol, Protocol::Http1 | Protocol::Http2))
}

/// A client and a server through a proxy: both see an end; what is no HTTP has come as it was said; and of HTTP a server has got
/// nothing but messages that its client sent, each read the same by a reader that is not ours, and nothing that was cut off looks
/// whole.
pub(crate) fn composition(bytes: &[u8]) {
    let Some((way, script)) = bytes.split_first() else { return };
    if script.len() > LONGEST {
        return;
    }
    let mut mesh = MESH.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let Mesh { proxy, lines, tick } = &mut *mesh;
    let mut stage = Stage::new(proxy, tick, if way & 1 == 0 { OUTBOUND } else { INBOUND });
    if way & 2 != 0 {
        // The next client of a server of HTTP may ask before the server is connected.
        drop(stage.play(&acts(LESSON)));
    }
    let acts = acts(script);
    let (address, ends) = stage.play(&acts);
    let [spoken, by] = lines.spoken(address);
    let is_http = ["http1", "http2"].contains(&spoken.as_str());
    // The kernel may give a port again that another conversation's server had, and that is remembered.
    assert!(is_http || by == "memory" || !asks(&acts), "HTTP was taken for {spoken:?} by {by:?}");
    let outcome = ends.end(|server| spoken == "http1" && messages::is_idle(server));
    match spoken.as_str() {
        "http1" => messages::judge(&outcome),
        "http2" => frames::judge(&outcome),
        _ => judge_bytes(&outcome),
    }
}

/// What is carried as bytes.
fn judge_bytes(Outcome { client, servers }: &Outcome) {
    let [server] = servers.as_slice() else {
        assert!(servers.is_empty() && client.got.is_empty(), "bytes of nobody, or several servers");
        assert_ne!(client.ended, Ended::Fin, "the server was not connected");
        return;
    };
    for (said, got) in [(&client.said, &server.got), (&server.said, &client.got)] {
        assert!(said.starts_with(got), "{} came as {}", said.escape_ascii(), got.escape_ascii());
    }
    if !client.has_reset && !server.has_reset {
        assert_eq!([client.ended, server.ended], [Ended::Fin; 2], "nobody has reset it, and it was reset");
        assert_eq!([client.said.len(), server.said.len()], [server.got.len(), client.got.len()]);
    }
}

/// A proxy, what it tells, and a connection through it.
struct Mesh {
    proxy: Proxy,
    lines: Lines,
    tick: Tick,
}

/// One for all: it begins slowly, and what an earlier client has left must not change what becomes of the next.
static MESH: LazyLock<Mutex<Mesh>> = LazyLock::new(|| {
    let lines = Lines::default();
    let proxy = Proxy::start_with(&OPTIONS, Log::default(), lines.clone());
    let tick = Tick::new(&proxy);
    Mutex::new(Mesh { proxy, lines, tick })
});

/// Of HTTP.
const LESSON: &[u8] = b"GET / HTTP/1.1\r\nHost: web\r\n\r\n\xffsHTTP/1.1 204 No Content\r\n\r\n";

/// Nothing depends on earlier clients, or on how long a piece takes; and limits are those of [`targets::http1`](crate::targets::http1).
const OPTIONS: [&str; 6] = [
    "--detection-timeout=30s",
    "--detection-memory=2",
    "--http-max-head=4096",
    "--http-max-fields=20",
    "--http-max-chunk-extension=64",
    "--http-max-trailers=256",
];

/// The lines of the access log that nobody has asked for.
#[derive(Clone, Default)]
struct Lines(Arc<(Mutex<Vec<Value>>, Condvar)>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let (lines, came) = &*self.0;
        let new = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.lock().unwrap().extend(new.map(|line| serde_json::from_slice::<Value>(line).expect("JSON")));
        came.notify_all();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// What was spoken by this client, and what has told that, as is told of it when it has left.
    fn spoken(&self, client: SocketAddr) -> [String; 2] {
        let (lines, came) = &*self.0;
        let of_client = |line: &Value| line["downstream_remote_address"] == client.to_string();
        let waits = |lines: &mut Vec<Value>| !lines.iter().any(of_client);
        let (mut lines, timeout) = came.wait_timeout_while(lines.lock().unwrap(), PATIENCE, waits).unwrap();
        assert!(!timeout.timed_out(), "nothing is told of {client}");
        let line = lines.iter().find(|line| of_client(line)).expect("it was waited for");
        let spoken =
            ["detected_protocol", "detected_by"].map(|key| line[key].as_str().unwrap_or_default().to_owned());
        lines.clear();
        spoken
    }
}

/// A conversation of each kind.
pub(crate) fn seeds() -> impl Iterator<Item = Vec<u8>> {
    let conversations: [&[u8]; 13] = [
        b"GET / HTTP/1.1\r\nHost: web\r\n\r\n\xffsHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
        b"POST /a HTTP/1.1\r\nHost: web\r\nContent-Length: 8\r\n\r\nbody\xffcmore\xffsHTTP/1.1 204 No Content\r\n\r\n\xffcGET /b HTTP/1.1\r\nHost: web\r\n\r\n\xffsHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbo\xffsdy\r\n0\r\nX: y\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n\xffsHTTP/1.1 100 Continue\r\n\r\n\xffc4;a=b\r\nbody\r\n0\r\n\r\n\xffsHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"GET /1 HTTP/1.1\r\nHost: web\r\n\r\nHEAD /2 HTTP/1.1\r\nHost: web\r\n\r\n\xffsHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1\xffsHTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n\xffS",
        b"GET / HTTP/1.0\r\n\r\n\xffsHTTP/1.0 200 OK\r\n\r\nuntil the end\xffS",
        b"GET /chat HTTP/1.1\r\nHost: web\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\xffsHTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x01a\xffc\x81\x01b\xffC",
        b"CONNECT web:443 HTTP/1.1\r\nHost: web:443\r\n\r\n\xffsHTTP/1.1 200 OK\r\n\r\n\xffcbytes\xffsbytes\xffy",
        b"POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: web\r\n\r\n\xffsHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 100\r\n\r\nnot all\xffsHTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nnor\xffx",
        b"\xffs220 mail.shop.example\r\n\xffcEHLO client\r\n\xffs250 mail.shop.example\r\n\xffcQUIT\r\n\xffC221 bye\r\n\xffS",
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03\xffsGET / HTTP/1.1\r\n\r\n\xffCstill\xffS",
        b"*1\r\n$4\r\nPING\r\n\xffs+PONG\r\n\xffx",
        b"GET /c\xffcut HTT\xffcP/1.1\r\nHost: w\xffceb\r\n\r\n\xffsHTTP/1.\xffs1 500 x\r\nContent-Length: 1\xffs\r\n\r\n1\xffyx",
    ];
    let ways = (0..4_u8).cycle();
    ways.zip(conversations.map(<[u8]>::to_vec).into_iter().chain(frames::conversations()))
        .map(|(way, conversation)| [vec![way], conversation].concat())
}
