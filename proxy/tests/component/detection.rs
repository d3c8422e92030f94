//! What is told about protocols, and that nobody waits for it to be known: every byte reaches the other end, whoever speaks first.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use serde_json::Value;

use crate::support::{INBOUND, OUTBOUND, Proxy, Seen, Way, accept, eventually, next, reset};

/// Nothing that is not an event may let these tests go on.
const FOR_EVER: [&str; 5] = ["--detection-timeout", "1h", "--http-request-id", "keep", "--http-pool-size=0"];
pub(crate) const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
pub(crate) const REQUEST: &[u8] = b"GET /a?b HTTP/1.1\r\nHost: web\r\n\r\n";

pub(crate) fn hello() -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from("web.example").unwrap();
    let mut bytes = Vec::new();
    ClientConnection::new(Arc::new(config), name).unwrap().write_tls(&mut bytes).unwrap();
    bytes
}

pub(crate) fn expect(mut stream: &TcpStream, bytes: &[u8]) {
    let mut received = vec![0; bytes.len()];
    stream.read_exact(&mut received).expect("all bytes");
    assert_eq!(received, bytes);
}

/// Ends both sides in good order, whoever had spoken.
pub(crate) fn end(client: &TcpStream, server: &TcpStream) {
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(next(server), Seen::End);
    server.shutdown(Shutdown::Write).unwrap();
    assert_eq!(next(client), Seen::End);
}

fn answer(line: &Value) -> (&str, &str) {
    let of = |key: &str| line[key].as_str().unwrap_or_else(|| panic!("{key} in {line}"));
    let is_http = line["protocol"] != Value::Null;
    assert_eq!(is_http, of("detected_protocol") == "http1" && of("detected_by") == "first_bytes", "{line}");
    (of("detected_protocol"), of("detected_by"))
}

/// The one connection's answer, after the proxy's end.
pub(crate) fn only_answer(proxy: Proxy) -> (String, String) {
    let lines = proxy.stop();
    assert_eq!(lines.len(), 1);
    let (protocol, reason) = answer(&lines[0]);
    (protocol.to_owned(), reason.to_owned())
}

#[test]
fn what_clients_say_first_is_told_and_arrives() {
    let beginnings = [
        (hello(), "tls", "first_bytes"),
        (REQUEST.to_vec(), "http1", "first_bytes"),
        (b"\0\0\0\x08\x04\xd2\x16\x2f".to_vec(), "opaque", "unrecognized"),
    ];
    for way in Way::all() {
        let proxy = Proxy::start(&FOR_EVER);
        for (bytes, ..) in &beginnings {
            let (mut client, mut server) = proxy.pair(way);
            client.write_all(bytes).unwrap();
            expect(&server, bytes);
            server.write_all(ANSWER).unwrap();
            expect(&client, ANSWER);
            end(&client, &server);
        }
        let direction = if way.inbound { "direction=\"inbound\"" } else { "direction=\"outbound\"" };
        for (_, protocol, reason) in &beginnings {
            let labels = [format!("protocol=\"{protocol}\""), format!("reason=\"{reason}\"")];
            let parts = ["remora_detected_connections_total{", direction, &labels[0], &labels[1]];
            assert_eq!(proxy.metric(&parts), 1, "{parts:?}");
        }
        let lines = proxy.stop();
        let answers: Vec<_> = lines.iter().map(answer).collect();
        assert_eq!(answers, beginnings.each_ref().map(|(_, protocol, reason)| (*protocol, *reason)));
        assert_eq!(lines[0]["requested_server_name"], "web.example");
        assert_eq!(lines[0]["detected_alpn"], serde_json::json!(["h2"]));
        assert_eq!(lines[1]["requested_server_name"], Value::Null);
    }
}

#[test]
fn a_server_that_speaks_first_waits_for_nobody() {
    let greetings: [&[u8]; 2] = [b"220 mail.example ESMTP\r\n", b"\x4a\0\0\0\x0a8.0.36\0"];
    for way in Way::all() {
        for greeting in greetings {
            let proxy = Proxy::start(&FOR_EVER);
            let (mut client, mut server) = proxy.pair(way);
            server.write_all(greeting).unwrap();
            expect(&client, greeting);
            client.write_all(b"EHLO client\r\n").unwrap();
            expect(&server, b"EHLO client\r\n");
            end(&client, &server);
            assert_eq!(only_answer(proxy), ("opaque".into(), "server_first".into()));
        }
    }
}

/// Why connections to servers behind `listeners`, one after the other, which speak first, are taken for opaque.
fn server_first(proxy: Proxy, listeners: &[&TcpListener]) -> Vec<String> {
    for listener in listeners {
        let mut client = proxy.connect(OUTBOUND, listener.local_addr().unwrap());
        let mut server = crate::support::accept(listener);
        server.write_all(b"220\r\n").unwrap();
        expect(&client, b"220\r\n");
        client.write_all(b"EHLO\r\n").unwrap();
        expect(&server, b"EHLO\r\n");
        end(&client, &server);
    }
    proxy.stop().iter().map(|line| answer(line).1.to_owned()).collect()
}

#[test]
fn a_known_server_first_destination_is_carried_without_a_look() {
    let listener = OUTBOUND.listener();
    let reasons = server_first(Proxy::start(&FOR_EVER), &[&listener; 4]);
    assert_eq!(reasons, ["server_first", "memory", "server_first", "memory"]);
}

#[test]
fn more_destinations_than_are_remembered_are_looked_at_again() {
    let [first, second, third] = [OUTBOUND; 3].map(|way| way.listener());
    let visits = [&first, &second, &third, &first];
    let reasons =
        |memory: &[&'static str]| server_first(Proxy::start(&[&FOR_EVER[..], memory].concat()), &visits);
    assert_eq!(reasons(&["--detection-memory", "2"])[3], "server_first");
    assert_eq!(reasons(&["--detection-memory", "8"])[3], "memory");
}

#[test]
fn one_byte_at_a_time_is_the_same() {
    for (bytes, protocol) in [(hello(), "tls"), (REQUEST.to_vec(), "http1")] {
        for way in [INBOUND, OUTBOUND] {
            let proxy = Proxy::start(&FOR_EVER);
            let (mut client, mut server) = proxy.pair(way);
            // Without delay (TCP_NODELAY) each is a segment of its own.
            client.set_nodelay(true).unwrap();
            for byte in &bytes {
                client.write_all(&[*byte]).unwrap();
            }
            expect(&server, &bytes);
            server.write_all(ANSWER).unwrap();
            expect(&client, ANSWER);
            end(&client, &server);
            assert_eq!(only_answer(proxy), (protocol.into(), "first_bytes".into()));
        }
    }
}

#[test]
fn after_silence_of_both_either_may_speak() {
    for client_speaks in [true, false] {
        let proxy = Proxy::start(&FOR_EVER[2..]);
        let (mut client, mut server) = proxy.pair(OUTBOUND);
        // The page is made when the connection is open, and its protocol is unknown as long as nobody speaks.
        eventually("the connection is open", || {
            let page = proxy.get(&proxy.addresses.administration, "/connections");
            page.contains("\"state\":\"open\"") && page.contains("\"detected_protocol\":null")
        });
        let (speaker, listener) =
            if client_speaks { (&mut client, &mut server) } else { (&mut server, &mut client) };
        speaker.write_all(REQUEST).unwrap();
        expect(listener, REQUEST);
        server.write_all(ANSWER).unwrap();
        expect(&client, ANSWER);
        end(&client, &server);
        let expected = if client_speaks { ("http1", "first_bytes") } else { ("opaque", "server_first") };
        assert_eq!(only_answer(proxy), (expected.0.into(), expected.1.into()));
    }
}

#[test]
fn an_end_without_a_byte_arrives_and_leaves_the_way_back_open() {
    let proxy = Proxy::start(&FOR_EVER);
    let (client, mut server) = proxy.pair(INBOUND);
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(next(&server), Seen::End);
    server.write_all(ANSWER).unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    expect(&client, ANSWER);
    assert_eq!(next(&client), Seen::End);
    assert_eq!(only_answer(proxy), ("opaque".into(), "ended".into()));
}

#[test]
fn half_a_beginning_arrives_when_its_time_is_over_or_its_client_ends() {
    for bytes in [hello(), REQUEST.to_vec()] {
        let half = &bytes[..bytes.len() / 4];
        let proxy = Proxy::start(&[]);
        let (mut client, mut server) = proxy.pair(OUTBOUND);
        client.write_all(half).unwrap();
        expect(&server, half);
        // The rest is carried as it comes.
        client.write_all(&bytes[half.len()..]).unwrap();
        expect(&server, &bytes[half.len()..]);
        server.write_all(ANSWER).unwrap();
        expect(&client, ANSWER);
        end(&client, &server);
        assert_eq!(only_answer(proxy), ("opaque".into(), "incomplete".into()));

        let proxy = Proxy::start(&FOR_EVER);
        let (mut client, server) = proxy.pair(OUTBOUND);
        client.write_all(half).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        expect(&server, half);
        assert_eq!(next(&server), Seen::End);
        drop(server);
        drop(client);
        assert_eq!(only_answer(proxy), ("opaque".into(), "ended".into()));
    }
}

/// It has a reader that waits, and that can answer.
#[test]
fn half_a_request_makes_what_spoke_http_no_other_protocol() {
    let proxy = Proxy::start(&["--http-head-timeout", "300ms"]);
    for direction in [INBOUND, OUTBOUND] {
        let listener = direction.listener();
        let address = listener.local_addr().unwrap();
        let mut client = proxy.connect(direction, address);
        client.write_all(REQUEST).unwrap();
        let mut server = accept(&listener);
        expect(&server, b"GET /a?b HTTP/1.1\r\n");
        server.write_all(ANSWER).unwrap();
        expect(&client, ANSWER);
        let mut slow = proxy.connect(direction, address);
        slow.write_all(b"GE").unwrap();
        let _unasked = accept(&listener);
        expect(&slow, b"HTTP/1.1 408 Request Timeout\r\n");
        // TLS is none.
        let (mut secret, half) = (proxy.connect(direction, address), &hello()[..20]);
        secret.write_all(half).unwrap();
        expect(&accept(&listener), half);
    }
}

/// ZooKeeper, for one, takes the first letters of a request for a length.
#[test]
fn a_request_that_is_not_answered_makes_no_port_one_of_http() {
    let proxy = Proxy::start(&["--http-request-id", "keep"]);
    for direction in [INBOUND, OUTBOUND] {
        let listener = direction.listener();
        let address = listener.local_addr().unwrap();
        let mut stranger = proxy.connect(direction, address);
        stranger.write_all(REQUEST).unwrap();
        let server = accept(&listener);
        expect(&server, REQUEST);
        drop(server);
        expect(&stranger, b"HTTP/1.1 503 Service Unavailable\r\n");
        let mut client = proxy.connect(direction, address);
        client.write_all(b"ruok").unwrap();
        let mut server = accept(&listener);
        expect(&server, b"ruok");
        server.write_all(b"imok").unwrap();
        expect(&client, b"imok");
    }
}

#[test]
fn a_server_that_answers_half_a_beginning_is_heard() {
    let proxy = Proxy::start(&FOR_EVER);
    let (mut client, mut server) = proxy.pair(OUTBOUND);
    client.write_all(b"GE").unwrap();
    server.write_all(b"what?").unwrap();
    expect(&client, b"what?");
    expect(&server, b"GE");
    client.write_all(b"T\n").unwrap();
    expect(&server, b"T\n");
    end(&client, &server);
    assert_eq!(only_answer(proxy), ("opaque".into(), "server_first".into()));
}

#[test]
fn resets_are_resets_before_anything_is_known_too() {
    let proxy = Proxy::start(&FOR_EVER);
    let (mut client, server) = proxy.pair(OUTBOUND);
    client.write_all(b"GE").unwrap();
    // Before that it would be an attempt that failed.
    eventually("the upstream connection is known", || {
        proxy.get(&proxy.addresses.administration, "/connections").contains("\"state\":\"open\"")
    });
    reset(server);
    assert_eq!(next(&client), Seen::Reset);
    let (client, server) = proxy.pair(INBOUND);
    reset(client);
    assert_eq!(next(&server), Seen::Reset);
    let mut flags: Vec<_> =
        proxy.stop().iter().map(|line| line["response_flags"].as_str().unwrap().to_owned()).collect();
    flags.sort();
    assert_eq!(flags, ["DC", "UC"]);
}

#[test]
fn opaque_ports_of_the_pod_are_not_looked_at() {
    let listener = INBOUND.listener();
    let to = listener.local_addr().unwrap();
    let ports = to.port().to_string();
    let proxy = Proxy::start(&[
        "--opaque-ports",
        &ports,
        "--detection-timeout",
        "1h",
        "--http-request-id",
        "keep",
        // So that the server's end is that of the client.
        "--http-pool-size=0",
    ]);
    // The same port of another pod is another matter.
    for way in [INBOUND, OUTBOUND] {
        let mut client = proxy.connect(way, to);
        let mut server = crate::support::accept(&listener);
        client.write_all(REQUEST).unwrap();
        expect(&server, REQUEST);
        server.write_all(ANSWER).unwrap();
        expect(&client, ANSWER);
        end(&client, &server);
    }
    // Half a request goes at once where nobody waits for the rest.
    let mut client = proxy.connect(INBOUND, to);
    let server = crate::support::accept(&listener);
    client.write_all(b"GE").unwrap();
    expect(&server, b"GE");
    end(&client, &server);
    let lines = proxy.stop();
    let answers: Vec<_> = lines.iter().map(answer).collect();
    assert_eq!(answers, [("opaque", "hint"), ("http1", "first_bytes"), ("opaque", "hint")]);
}
