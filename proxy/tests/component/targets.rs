//! What is fuzzed, and what it begins with: the tests give it mutations of the seeds, libFuzzer whatever it likes.

use proxy::detect::{LIMIT, Reason, detect};
use proxy::http::h1::body::Body;
use proxy::http::h1::request::{Asked, Method, Request};
use proxy::http::h1::response::Response;
use proxy::http::h1::scan::{Kind, Scan};
use proxy::http::h1::{Refusal, Room, Settings, Version};
use proxy::http::h2::meter::{Meter, Peer, Violation};
use proxy::trace::context::{Decision, Given, Place, SpanId, TraceId};

/// A client's first bytes: whatever they are, an answer stands, comes by [`LIMIT`] bytes, and names hosts alone.
pub(crate) fn detection(bytes: &[u8]) {
    let whole = detect(bytes);
    // Everywhere near the beginning, where the readers decide, and here and there behind it.
    let lengths = (0..bytes.len().min(64)).chain((64..bytes.len()).step_by(bytes.len() / 16 + 1));
    for length in lengths {
        let early = detect(&bytes[..length]);
        assert!(early.is_none() || early == whole, "{length} bytes: {early:?}, and all: {whole:?}");
    }
    assert!(whole.is_some() || bytes.len() < LIMIT, "no answer after {} bytes", bytes.len());
    let Some(whole) = whole else { return };
    let told = [Reason::FirstBytes, Reason::Unrecognized, Reason::TooLong];
    assert!(told.contains(&whole.reason), "{:?} is nothing that bytes tell", whole.reason);
    let name = whole.hello.as_ref().and_then(|hello| hello.server_name.as_deref()).unwrap_or_default();
    assert!(name.chars().all(|letter| letter.is_ascii_graphic() && !letter.is_ascii_uppercase()), "{name:?}");
}

/// One beginning of each kind.
pub(crate) fn detection_seeds() -> impl Iterator<Item = Vec<u8>> {
    let lines: [&[u8]; 8] = [
        b"GET / HTTP/1.1\r\nHost: web.shop.example\r\n\r\n",
        b"\r\nCONNECT web.shop.example:443 HTTP/1.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        b"EHLO mail.shop.example\r\n",
        b"GET key\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"\0\0\0\x08\x04\xd2\x16\x2f",
    ];
    let name = vector(2, &[&[0][..], &vector(2, b"web.shop.example")].concat());
    let alpn = vector(2, &[vector(1, b"h2"), vector(1, b"http/1.1")].concat());
    let extensions = [&[0, 0][..], &vector(2, &name), &[0, 16], &vector(2, &alpn)].concat();
    let body = [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0x13, 1], &[1, 0], &vector(2, &extensions)].concat();
    let message = [&[1][..], &vector(3, &body)].concat();
    let records = |size: usize| {
        message.chunks(size).flat_map(|part| [&[22, 3, 1][..], &vector(2, part)].concat()).collect::<Vec<_>>()
    };
    let hellos = [records(1), records(7), records(1 << 14)];
    lines.map(<[u8]>::to_vec).into_iter().chain(hellos)
}

/// Bytes behind their length, of so many bytes.
fn vector(width: usize, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a short one").to_be_bytes();
    [&length[length.len() - width..], bytes].concat()
}

/// A client's stream of HTTP/1 and a server's: however it is cut, the same is made of it, and what was carried is carried again
/// unchanged.
pub(crate) fn http1(bytes: &[u8]) {
    for kind in [Kind::Request, Kind::Response] {
        let whole = carry(kind, [bytes]);
        let middle = bytes.first().map_or(0, |byte| usize::from(*byte) % bytes.len());
        let (one, other) = bytes.split_at(middle);
        for cut in [carry(kind, [one, other]), carry(kind, bytes.chunks(1))] {
            assert_eq!(cut.1, whole.1, "cut at {middle}, or byte by byte");
            // Of content that turns bad, what came before that may have gone.
            assert!(
                cut.0 == whole.0 || (whole.1.is_some() && cut.0.starts_with(&whole.0)),
                "{cut:?}, {whole:?}"
            );
        }
        if whole.1.is_none() {
            assert_eq!(carry(kind, [whole.0.as_slice()]), whole, "carried again");
        }
    }
}

/// What of a stream is passed on, and why no more.
pub(crate) fn carry<'b>(
    kind: Kind,
    pieces: impl IntoIterator<Item = &'b [u8]>,
) -> (Vec<u8>, Option<Refusal>) {
    let (mut carried, mut waiting) = (Vec::new(), Vec::new());
    let mut message = Message::new(kind);
    for piece in pieces {
        waiting.extend_from_slice(piece);
        loop {
            match message.step(&waiting, &mut carried) {
                Ok(0) => break,
                Ok(used) => drop(waiting.drain(..used)),
                Err(refusal) => return (carried, Some(refusal)),
            }
        }
    }
    (carried, None)
}

/// The message that is being read.
struct Message {
    kind: Kind,
    scan: Scan,
    body: Option<Body>,
}

impl Message {
    fn new(kind: Kind) -> Self {
        Self { kind, scan: Scan::new(kind, &SETTINGS), body: None }
    }

    /// Passes on what there is of a head or its content, and says how many bytes that took.
    fn step(&mut self, bytes: &[u8], carried: &mut Vec<u8>) -> Result<usize, Refusal> {
        if let Some(body) = &mut self.body {
            let used = body.walk(bytes)?;
            carried.extend_from_slice(&bytes[..used]);
            if body.is_done() {
                *self = Self::new(self.kind);
            }
            return Ok(used);
        }
        let Some(head) = self.scan.look(bytes)? else { return Ok(0) };
        let mut room = Room::new();
        let length = match self.kind {
            Kind::Request => {
                let request = Request::parse(&bytes[head.clone()], &mut room, &SETTINGS)?;
                request.forward(request.asked().persists, (&[], &[]), carried);
                request.length()
            }
            Kind::Response => {
                let response = Response::parse(&bytes[head.clone()], &mut room, ASKED, &SETTINGS)?;
                response.forward(response.persists(), carried);
                response.length()
            }
        };
        let body = Body::new(length, &SETTINGS);
        if body.is_done() {
            *self = Self::new(self.kind)
        } else {
            self.body = Some(body)
        }
        Ok(head.end)
    }
}

const SETTINGS: Settings = Settings {
    http_max_head: 4096,
    http_max_fields: 20,
    http_max_chunk_extension: 64,
    http_max_trailers: 256,
};

const ASKED: Asked =
    Asked { method: Method::Other, version: Version::Current, persists: true, upgrade: true };

/// A stream of each kind.
pub(crate) fn http1_seeds() -> impl Iterator<Item = Vec<u8>> {
    let streams: [&[u8]; 9] = [
        b"GET / HTTP/1.1\r\nHost: web.shop.example\r\n\r\nHEAD /a?b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        b"POST http://web:80/ HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody",
        b"\r\nPUT / HTTP/1.1\r\nhost:web\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n4;a=\"b\\\"\";c\r\nbody\r\n0\r\nX: y\r\n\r\n",
        b"GET /chat HTTP/1.1\r\nHost: web\r\nConnection: Upgrade, X\r\nX: y\r\nUpgrade: websocket\r\n\r\n",
        b"CONNECT web:443 HTTP/1.1\r\nHost: web:443\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\nKeep-Alive: x\r\n\r\nbody",
        b"HTTP/1.1 200\r\ntransfer-encoding: Chunked\r\n\r\nA\r\n0123456789\r\n00\r\n\r\nHTTP/1.1 304 x\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x01a",
        b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
    ];
    streams.map(<[u8]>::to_vec).into_iter()
}

/// A client's frames of HTTP/2 and a server's: however they are cut, the same is found in them, and whoever is left is told so by a
/// frame that is one.
pub(crate) fn http2(bytes: &[u8]) {
    for peer in [Peer::Client, Peer::Server] {
        let whole = judge(peer, [bytes]);
        let (one, other) = bytes.split_at(bytes.first().map_or(0, |byte| usize::from(*byte) % bytes.len()));
        for cut in [judge(peer, [one, other]), judge(peer, bytes.chunks(1))] {
            assert_eq!(cut, whole, "{peer:?}, cut at {}, or byte by byte", one.len());
        }
        let Some((violation, farewell)) = whole else { continue };
        let farewell = farewell.expect("nothing else is being sent");
        let mut reader = Meter::new(Peer::Server, std::time::Instant::now());
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        let heard = reader.received(&[&settings, &farewell[..]].concat(), std::time::Instant::now());
        assert_eq!(heard, Ok(()), "{violation:?}");
        assert!(farewell.ends_with(violation.code().name().as_bytes()), "{violation:?}");
    }
}

/// Why the peer has to be left, and what it is told.
fn judge<'b>(peer: Peer, pieces: impl IntoIterator<Item = &'b [u8]>) -> Option<(Violation, Option<Vec<u8>>)> {
    let now = std::time::Instant::now();
    let mut meter = Meter::new(peer, now);
    if peer == Peer::Server {
        meter.sent(PREFACE);
    }
    let violation = pieces.into_iter().find_map(|piece| meter.received(piece, now).err())?;
    Some((violation, meter.farewell(violation)))
}

/// RFC 9113, section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Of HTTP/2: a connection of each kind, as a client begins it, and as a server does.
pub(crate) fn http2_seeds() -> impl Iterator<Item = Vec<u8>> {
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        [&vector(3, payload)[..3], &[kind, flags, 0, 0, 0, stream], payload].concat()
    };
    let settings = [frame(4, 0, 0, &[0, 3, 0, 0, 0, 100, 0, 4, 0, 1, 0, 0]), frame(4, 1, 0, b"")].concat();
    // By the static table (RFC 7541, appendix A): GET, http, /, and an authority; 200.
    let asked = [&[0x82, 0x86, 0x84, 0x41, 3][..], b"web"].concat();
    let bodies = [
        frame(1, 5, 1, &asked),
        [frame(1, 4, 1, &asked), frame(0, 0, 1, b"body"), frame(0, 9, 1, b"\x02more\0\0")].concat(),
        [frame(1, 0, 1, &asked[..2]), frame(9, 0, 1, &asked[2..4]), frame(9, 4, 1, &asked[4..])].concat(),
        [
            frame(1, 0x2c, 1, &[&[1, 0, 0, 0, 0, 16], &asked[..], &[0]].concat()),
            frame(8, 0, 1, &[0, 0, 1, 0]),
        ]
        .concat(),
        [frame(6, 0, 0, b"01234567"), frame(2, 0, 3, &[0, 0, 0, 1, 7]), frame(3, 0, 1, &[0, 0, 0, 8])]
            .concat(),
        [frame(1, 4, 1, &asked), frame(1, 5, 1, &[0x40, 1, b't', 1, b'v']), frame(7, 0, 0, &[0; 8])].concat(),
        [frame(1, 4, 1, &[0x88]), frame(0, 1, 1, b"hello"), frame(5, 4, 1, &[0, 0, 0, 2, 0x82])].concat(),
        [frame(8, 0, 0, &[0, 0, 1, 0]), frame(0xbe, 0, 0, b"?")].concat(),
    ];
    let both =
        bodies.map(|frames| [[PREFACE, &settings, &frames].concat(), [&settings[..], &frames].concat()]);
    both.into_iter().flatten()
}

/// Fields of a request, one a line: whatever they say of traces, the next hop reads the trace and the decision that came, and this
/// hop's span; and nothing that is written breaks a head.
pub(crate) fn trace(bytes: &[u8]) {
    let came = fields(bytes);
    let given = read(&came);
    let span = SpanId::parse(b"0123456789abcdef").expect("an id");
    let new = TraceId::long(b"4bf92f3577b34da6a3ce929d0e0e4736").expect("an id");
    let trace = given.parent().map_or(new, |parent| parent.trace);
    let decision = given.decision().unwrap_or(Decision::Accept);
    let edits = given.edits(&Place { trace, span, decision });
    for (name, value) in &edits.added {
        let is_plain = |byte: u8| byte == b'-' || byte.is_ascii_lowercase() || byte.is_ascii_digit();
        assert!(value.bytes().all(is_plain), "{name}: {value:?}");
    }
    let is_kept = |(name, _): &Field<'_>| !edits.replaced.iter().any(|gone| gone.eq_ignore_ascii_case(name));
    let kept = came.iter().filter(|field| is_kept(field)).copied();
    let goes: Vec<_> =
        kept.chain(edits.added.iter().map(|(name, value)| (*name, value.as_bytes()))).collect();
    let told = read(&goes);
    let parent = told.parent().expect("there is a trace now");
    assert_eq!((parent.trace, parent.span), (trace, span), "{given:?}, then {told:?}");
    assert_eq!((told.decision(), told.state()), (Some(decision), given.state()), "{given:?}, then {told:?}");
}

type Field<'b> = (&'b str, &'b [u8]);

fn read(fields: &[Field<'_>]) -> Given {
    Given::read(fields.iter().copied())
}

fn fields(bytes: &[u8]) -> Vec<Field<'_>> {
    bytes.split(|byte| *byte == b'\n').filter_map(field).collect()
}

fn field(line: &[u8]) -> Option<Field<'_>> {
    let at = line.iter().position(|byte| *byte == b':')?;
    Some((str::from_utf8(&line[..at]).ok()?, &line[at + 1..]))
}

/// What each format says, alone and beside others.
pub(crate) fn trace_seeds() -> impl Iterator<Item = Vec<u8>> {
    let fields: [&[u8]; 7] = [
        b"traceparent:00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\ntracestate:a=1\ntracestate:b=2",
        b"Traceparent:cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02-what-comes",
        b"b3:a3ce929d0e0e4736-00f067aa0ba902b7-d-0123456789abcdef\nx-b3-traceid:a3ce929d0e0e4736",
        b"b3:0\ntracestate:a=1",
        b"X-B3-TraceId:4bf92f3577b34da6a3ce929d0e0e4736\nX-B3-SpanId:00f067aa0ba902b7\nX-B3-ParentSpanId:1\nX-B3-Sampled:1",
        b"x-b3-traceid:a3ce929d0e0e4736\nx-b3-spanid:00f067aa0ba902b7\nx-b3-flags:1",
        b"traceparent:00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00\nb3:a3ce929d0e0e4736-00f067aa0ba902b7-1\nx-b3-sampled:0",
    ];
    fields.map(<[u8]>::to_vec).into_iter()
}
