//! The readers by table, by property, and against rustls, which both writes hellos and reads them.

use std::io::Cursor;
use std::sync::Arc;

use proptest::prelude::*;
use rustls::pki_types::ServerName;
use rustls::server::Acceptor;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::{ClientHello, Detected, Hint, LIMIT, Memory, Ports, Protocol, Reason, detect};

/// The first flight of a client of rustls.
fn rustls_hello(name: &str, alpn: &[&str]) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut bytes = Vec::new();
    ClientConnection::new(Arc::new(config), name).unwrap().write_tls(&mut bytes).unwrap();
    bytes
}

/// The same hello in records of `size` bytes.
fn fragmented(hello: &[u8], size: usize) -> Vec<u8> {
    let record = |fragment: &[u8]| {
        let length = u16::try_from(fragment.len()).unwrap().to_be_bytes();
        [&[22, 3, 1][..], &length, fragment].concat()
    };
    hello[5..].chunks(size).flat_map(record).collect()
}

/// A hello as RFC 5246 has it, with these extensions; none at all where there is no block of them.
fn hello(version: [u8; 2], extensions: Option<&[(u16, &[u8])]>) -> Vec<u8> {
    let mut body = [&version[..], &[7; 32], &[0], &[0, 2, 0x13, 1], &[1, 0]].concat();
    if let Some(extensions) = extensions {
        let block: Vec<u8> = extensions
            .iter()
            .flat_map(|(kind, data)| [&kind.to_be_bytes()[..], &length(data), data].concat())
            .collect();
        body.extend([&length(&block)[..], &block].concat());
    }
    let message = [&[1, 0][..], &length(&body), &body].concat();
    [&[22, 3, 1][..], &length(&message), &message].concat()
}

fn length(bytes: &[u8]) -> [u8; 2] {
    u16::try_from(bytes.len()).unwrap().to_be_bytes()
}

fn server_name(name: &[u8]) -> Vec<u8> {
    let entry = [&[0][..], &length(name), name].concat();
    [&length(&entry)[..], &entry].concat()
}

fn tls(name: Option<&str>, alpn: &[&str]) -> Detected {
    let hello = ClientHello {
        server_name: name.map(Into::into),
        alpn: alpn.iter().map(|name| name.as_bytes().into()).collect(),
    };
    Detected { protocol: Protocol::Tls, reason: Reason::FirstBytes, hello: Some(Arc::new(hello)) }
}

fn opaque() -> Detected {
    Detected::opaque(Reason::Unrecognized)
}

fn http(protocol: Protocol) -> Detected {
    Detected { protocol, reason: Reason::FirstBytes, hello: None }
}

const REQUEST_LINES: [&str; 16] = [
    "GET / HTTP/1.1\r\n",
    "GET / HTTP/1.0\n",
    "\r\nPOST /a?b=c%20d HTTP/1.1\r\n",
    "\nGET * HTTP/1.1\r\n",
    "PRI / HTTP/1.1\r\n",
    "PRI * HTTP/1.1\r\n",
    "CONNECT example.com:443 HTTP/1.1\r\n",
    "M-SEARCH * HTTP/1.1\r\n",
    "get /\u{e9} HTTP/1.9\r\n",
    // Nobody should take these, and some do.
    "GET / HTTP/2.0\r\n",
    "GET / HTTP/1.x\r\n",
    "GET / HTTP/1.1 \r\n",
    "GET / HTTP/1.1\r\r\n",
    "GET  /\tHTTP/1.1\r\n",
    "GET\t/ HTTP/\n",
    "PRI * HTTP/2.0\r\nH",
];

/// A beginning of each kind, and what it is.
fn beginnings() -> Vec<(Vec<u8>, Detected)> {
    let modern = rustls_hello("Web.Shop.example", &["h2", "http/1.1"]);
    let mut beginnings: Vec<(Vec<u8>, Detected)> = [1, 3, 4, 5, 100]
        .map(|size| (fragmented(&modern, size), tls(Some("web.shop.example"), &["h2", "http/1.1"])))
        .into();
    beginnings.extend([
        (modern, tls(Some("web.shop.example"), &["h2", "http/1.1"])),
        (rustls_hello("192.0.2.1", &[]), tls(None, &[])),
        (hello([3, 0], None), tls(None, &[])),
        (hello([3, 3], Some(&[])), tls(None, &[])),
        (hello([3, 1], Some(&[(0, &server_name(b"a_b.example"))])), tls(Some("a_b.example"), &[])),
        (hello([3, 1], Some(&[(0, &server_name(b"Web.example."))])), tls(Some("web.example"), &[])),
        (hello([3, 1], Some(&[(0, &server_name(b"."))])), tls(None, &[])),
        (hello([3, 3], Some(&[(0, &server_name(b"a b\n"))])), tls(None, &[])),
        (hello([3, 3], Some(&[(0, &server_name(&[b'a'; 254]))])), tls(None, &[])),
        (hello([3, 3], Some(&[(0x0a0a, b""), (16, &[0, 3, 2, b'h', b'2'])])), tls(None, &["h2"])),
        (hello([3, 3], Some(&[(0, &server_name(b"a")), (0, &server_name(b"b"))])), opaque()),
        (hello([3, 3], Some(&[(0, &[0, 9, 0])])), opaque()),
        (hello([3, 3], Some(&[(16, &[0, 1, 0])])), opaque()),
        (hello([2, 0], None), opaque()),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(), http(Protocol::Http2)),
    ]);
    beginnings.extend(REQUEST_LINES.map(|line| (line.into(), http(Protocol::Http1))));
    let others: [&[u8]; 20] = [
        b"EHLO mail.example\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"get key\r\n",
        b"PING\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"\0\0\0\x08\x04\xd2\x16\x2f",
        b"AMQP\0\0\x09\x01",
        b"\x10\x0c\0\x04MQTT",
        b"GET /\r\n",
        b"GET  HTTP/1.1\r\n",
        b"GET / a HTTP/1.1\r\n",
        b"GET / HTTP/1.1 200\r\n",
        b"GET / HTTPS/1.1\r\n",
        b"GET / HTTP/1.1\rX",
        b" GET / HTTP/1.1\r\n",
        b"\r\n\r\nGET / HTTP/1.1\r\n",
        b"\x16\x03\x01\0\0",
        b"\x16\x03\x01\x40\x01\x01",
        b"\x16\x03\x01\0\x05\x02",
        b"\x15\x03\x01\0\x02\x02\x28",
    ];
    beginnings.extend(others.map(|bytes| (bytes.into(), opaque())));
    beginnings
}

#[test]
fn the_first_bytes_tell_the_protocol() {
    for (bytes, expected) in beginnings() {
        assert_eq!(detect(&bytes), Some(expected), "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_beginning_of_a_beginning_is_undecided_or_right_already() {
    for (bytes, expected) in beginnings() {
        let decided =
            (0..bytes.len()).filter_map(|length| detect(&bytes[..length]).map(|found| (length, found)));
        for (length, found) in decided {
            assert_eq!(found, expected, "{length} bytes of {}", bytes.escape_ascii());
            assert_eq!(expected.protocol, Protocol::Opaque, "{} was whole at {length}", bytes.escape_ascii());
        }
    }
}

#[test]
fn no_more_than_the_limit_is_looked_at() {
    let line = |length: usize| [b"GET /", &vec![b'a'; length][..], b" HTTP/1.1\r\n"].concat();
    let too_long = Some(Detected::opaque(Reason::TooLong));
    let rest = "GET / HTTP/1.1\r\n".len();
    assert_eq!(detect(&line(LIMIT - rest)), Some(http(Protocol::Http1)));
    // A longer line is HTTP's if it asks for a path or a URL.
    assert_eq!(detect(&line(LIMIT - rest + 1)), Some(http(Protocol::Http1)));
    assert_eq!(detect(&line(LIMIT - rest + 1)[..LIMIT - 1]), None);
    let begun = |begin: &str| detect(&[begin.as_bytes(), &vec![b'a'; LIMIT]].concat());
    for begin in ["\r\nPUT /", "get  HTTP://", "POST / HTTP/1."] {
        assert_eq!(begun(begin), Some(http(Protocol::Http1)), "{begin}");
    }
    for begin in ["get ", "EHLO mail", "CONNECT web", "GET ?/"] {
        assert_eq!(begun(begin), too_long, "{begin}");
    }
    // A hello says first how long it will be.
    assert_eq!(detect(&[22, 3, 1, 0x40, 0, 1, 0, 0x40, 1]), too_long);
    assert_eq!(detect(&[22, 3, 1, 0x40, 0, 1, 0, 0x40, 0]), None);
    // In records of one byte each, a short hello is long as well.
    let hello = hello([3, 3], Some(&[(21, &[0; 4000])]));
    assert_eq!(detect(&hello), Some(tls(None, &[])));
    assert_eq!(detect(&fragmented(&hello, 1)), too_long);
    assert_eq!(detect(&fragmented(&hello, 1)[..LIMIT - 1]), None);
}

/// What rustls reads of a hello; nothing if it takes it for none.
fn rustls_reads(bytes: &[u8]) -> Option<ClientHello> {
    let mut acceptor = Acceptor::default();
    let mut rest = Cursor::new(bytes);
    loop {
        if acceptor.read_tls(&mut rest).ok()? == 0 {
            return None;
        }
        if let Some(accepted) = acceptor.accept().ok()? {
            let hello = accepted.client_hello();
            return Some(ClientHello {
                server_name: hello.server_name().map(|name| name.to_ascii_lowercase().into()),
                alpn: hello.alpn().into_iter().flatten().map(Into::into).collect(),
            });
        }
    }
}

proptest! {
    // proptest prints the failing case and its seed.
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn an_answer_stands_whatever_follows(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0_usize..300) {
        let cut = cut.min(bytes.len());
        if let Some(found) = detect(&bytes[..cut]) {
            prop_assert_eq!(Some(found), detect(&bytes));
        }
    }

    #[test]
    fn so_does_one_about_a_damaged_beginning(
        which in any::<prop::sample::Index>(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        tail in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut bytes = which.get(&beginnings()).0.clone();
        for (at, byte) in damage {
            *at.get_mut(&mut bytes) = byte;
        }
        bytes.extend(tail);
        let whole = detect(&bytes);
        for length in 0..bytes.len() {
            if let Some(found) = detect(&bytes[..length]) {
                prop_assert_eq!(Some(found), whole);
                break;
            }
        }
    }

    #[test]
    fn rustls_reads_the_same_in_what_it_writes(
        name in "[a-z]([a-z0-9-]{0,20}[a-z0-9])?(\\.[a-z]([a-z0-9-]{0,10}[a-z0-9])?){0,3}",
        alpn in proptest::collection::vec("[a-z0-9/.]{1,10}", 0..4),
        size in 1_usize..600,
        damage in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let alpn: Vec<&str> = alpn.iter().map(String::as_str).collect();
        let mut bytes = fragmented(&rustls_hello(&name, &alpn), size);
        if let Some((at, byte)) = damage {
            *at.get_mut(&mut bytes) = byte;
            // A server may overlook what tells TLS from other protocols, as rustls does the versions; but no server sees
            // another name.
            let found = detect(&bytes).and_then(|found| found.hello);
            if let (Some(hello), Some(found)) = (rustls_reads(&bytes), found) {
                prop_assert_eq!(found.as_ref(), &hello);
            }
        } else {
            let found = detect(&bytes);
            prop_assert_eq!(&found, &Some(tls(Some(&name), &alpn)));
            prop_assert_eq!(found.unwrap().hello.map(|hello| (*hello).clone()), rustls_reads(&bytes));
        }
    }
}

#[test]
fn a_declared_protocol_is_read_as_kubernetes_and_istio_write_it() {
    for (app_protocol, port_name, expected) in [
        (Some("http"), None, Some(Hint::Http)),
        (Some("HTTPS"), Some("http"), Some(Hint::Tls)),
        (Some("kubernetes.io/h2c"), Some("tcp"), Some(Hint::Http2)),
        (Some("example.com/own"), Some("grpc-api"), Some(Hint::Http2)),
        (None, Some("http"), Some(Hint::Http)),
        (None, Some("http2-web"), Some(Hint::Http2)),
        (None, Some("grpc-web-ui"), Some(Hint::Http)),
        (None, Some("tls-any"), Some(Hint::Tls)),
        (None, Some("mysql"), Some(Hint::Opaque)),
        (None, Some("tcp-db"), Some(Hint::Opaque)),
        (None, Some("httpx"), None),
        (None, Some("web"), None),
        (None, None, None),
    ] {
        assert_eq!(Hint::declared(app_protocol, port_name), expected, "{app_protocol:?} {port_name:?}");
    }
}

#[test]
fn the_proxy_protocol_is_known_as_soon_as_nothing_else_can_come() {
    let proxied = Some(Detected { protocol: Protocol::Opaque, reason: Reason::FirstBytes, hello: None });
    for (bytes, first) in [
        (&b"PROXY TCP4 192.0.2.1 192.0.2.2 1 80\r\n"[..], 12),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 1 80\r\n", 12),
        (b"PROXY UNKNOWN\r\n", 14),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c", 12),
    ] {
        for length in 1..=bytes.len() {
            let expected = if length < first { None } else { proxied.clone() };
            assert_eq!(detect(&bytes[..length]), expected, "{}", bytes[..length].escape_ascii());
        }
    }
    for other in [
        &b"PROXY TCP5 192"[..],
        b"PROXY / HTTP/1.1\r\n",
        b"\r\n\r\nGET / HTTP/1.1\r\n",
        b"\r\n\r\n\0\r\nEXIT",
    ] {
        assert_ne!(detect(other), proxied, "{}", other.escape_ascii());
    }
}

#[test]
fn a_hint_wins_over_what_tells_little() {
    for hint in [Hint::Tls, Hint::Http, Hint::Http2] {
        for reason in [Reason::ServerFirst, Reason::Ended, Reason::Incomplete, Reason::Unrecognized] {
            let settled = hint.settle(Detected::opaque(reason));
            assert_ne!(settled.protocol, Protocol::Opaque, "{hint:?}");
            assert_eq!(settled.reason, Reason::Hint);
        }
    }
    assert_eq!(Hint::Http.settle(http(Protocol::Http2)), http(Protocol::Http2));
    assert_eq!(Hint::Tls.settle(tls(Some("a"), &[])), tls(Some("a"), &[]));
    for seen in [tls(Some("a"), &[]), http(Protocol::Http1)] {
        assert_eq!(Hint::Http2.settle(seen.clone()), seen, "it says what it is");
    }
    assert_eq!(Hint::Tls.settle(http(Protocol::Http1)).protocol, Protocol::Tls);
    assert_eq!(Hint::Opaque.settle(http(Protocol::Http1)), Detected::opaque(Reason::Hint));
}

#[test]
fn all_answers_are_among_the_kinds() {
    let answers = beginnings().into_iter().map(|(_, detected)| detected);
    let opaque = Detected::KINDS.into_iter().filter(|(protocol, _)| *protocol == Protocol::Opaque);
    for seen in answers.chain(opaque.map(|(_, reason)| Detected::opaque(reason))) {
        for hint in [Hint::Opaque, Hint::Tls, Hint::Http, Hint::Http2] {
            let settled = hint.settle(seen.clone());
            assert!(Detected::KINDS.contains(&(settled.protocol, settled.reason)), "{settled:?}");
        }
        if seen.protocol != Protocol::Opaque {
            assert!(Detected::KINDS.contains(&(seen.protocol, seen.reason)), "{seen:?}");
        }
    }
}

#[test]
fn what_was_opaque_is_trusted_longer_each_time_and_never_for_ever() {
    let mut memory = Memory::new(20);
    assert_eq!(memory.recall(1), None);
    for trust in [1, 3, 7, 15, 31, 63, 63] {
        memory.learn(1, &Detected::opaque(Reason::ServerFirst));
        let recalled = std::iter::from_fn(|| memory.recall(1));
        assert_eq!(recalled.take(100).count(), trust);
    }
    memory.learn(1, &opaque());
    while memory.recall(1).is_some() {}
    memory.learn(1, &http(Protocol::Http1));
    assert_eq!((memory.recall(1), memory.asks(1)), (None, false));
    memory.speaks_http(1);
    assert_eq!((memory.recall(1), memory.asks(1)), (None, true));
    memory.learn(1, &opaque());
    assert_eq!(memory.recall(1), Some(Detected::opaque(Reason::Memory)));
    assert_eq!(memory.recall(1), None, "trust begins anew");
}

#[test]
fn what_tells_nothing_of_the_destination_is_not_remembered() {
    let mut memory = Memory::new(20);
    for reason in [Reason::Ended, Reason::TooLong, Reason::Hint] {
        memory.learn(1, &Detected::opaque(reason));
        assert_eq!(memory.recall(1), None, "{reason:?}");
    }
}

#[test]
fn memory_is_bounded_and_keeps_what_is_used() {
    let mut memory = Memory::new(20);
    let often = 1_000_000;
    for _ in 0..6 {
        memory.learn(often, &opaque());
    }
    for destination in 0..60 {
        memory.learn(destination, &opaque());
        assert!(memory.recall(often).is_some(), "{destination}");
        assert!(memory.len() <= 20);
    }
    assert!(memory.recall(0).is_none());
    assert!(memory.recall(59).is_some());
}

#[test]
fn lists_of_ports_are_read_and_written() {
    for text in ["", "25", "25,3306-3307,65535"] {
        assert_eq!(text.parse::<Ports>().unwrap().to_string(), text);
    }
    let ports: Ports = " 25 , 3306-3308".parse().unwrap();
    assert!(ports.contain(25) && ports.contain(3308) && !ports.contain(26) && !ports.contain(3309));
    for bad in ["0", "65536", "smtp", "25;26", "25,,26", "26-25", "+25", "25-", "*", "-"] {
        let error = bad.parse::<Ports>().unwrap_err().to_string();
        assert!(error.contains("neither a port nor a range"), "{bad}: {error}");
    }
}
