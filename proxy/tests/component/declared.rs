//! What a Service says of its ports: it wins over what is looked for, at the client and at the server.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};

use tempfile::TempDir;

use crate::detection::{ANSWER, REQUEST, end, expect, hello, only_answer};
use crate::support::{INBOUND, OUTBOUND, Proxy, Seen, THIS_POD, accept, eventually, next};

/// A proxy that knows a Service of which `listener` is the one endpoint, at a port that is declared so; as long as the directory
/// lasts.
fn declared(listener: &TcpListener, port_name: &str) -> (Proxy, TempDir) {
    declared_with(listener, port_name, &[])
}

fn declared_with(listener: &TcpListener, port_name: &str, options: &[&str]) -> (Proxy, TempDir) {
    let to = listener.local_addr().unwrap();
    let known = tempfile::tempdir().unwrap();
    std::fs::write(
        known.path().join("mail.yaml"),
        format!(
            "apiVersion: remora.dev/v1alpha1\nkind: Service\nname: mail\nnamespace: default\naddresses: [{ip}]\n\
             ports:\n- port: {port}\n  name: {port_name}\nendpoints:\n- addresses: [{ip}]\n",
            ip = to.ip(),
            port = to.port()
        ),
    )
    .unwrap();
    let directory = ["--discovery-directory", known.path().to_str().unwrap()];
    (Proxy::start(&[&directory[..], options].concat()), known)
}

#[test]
fn a_service_says_what_its_ports_speak() {
    let listener = OUTBOUND.listener();
    let (proxy, _known) = declared(&listener, "tls-mail");
    let client = proxy.connect(OUTBOUND, listener.local_addr().unwrap());
    let mut server = accept(&listener);
    server.write_all(b"220\r\n").unwrap();
    expect(&client, b"220\r\n");
    end(&client, &server);
    assert_eq!(only_answer(proxy), ("tls".into(), "hint".into()));
}

#[test]
fn nothing_is_connected_to_a_port_of_http_before_a_client_has_asked() {
    let listener = OUTBOUND.listener();
    let to = listener.local_addr().unwrap();
    let (proxy, _known) = declared(&listener, "http-web");
    let (silent, mut asking) = (proxy.connect(OUTBOUND, to), proxy.connect(OUTBOUND, to));
    asking.write_all(REQUEST).unwrap();
    // The first that comes is that of who has asked.
    let mut server = accept(&listener);
    server.read_exact(&mut [0; 4]).unwrap();
    server.write_all(ANSWER).unwrap();
    expect(&asking, ANSWER);
    silent.shutdown(Shutdown::Write).unwrap();
    assert_eq!(next(&silent), Seen::End);
    // Another protocol is carried, from when it is known to be.
    let (mut other, hello) = (proxy.connect(OUTBOUND, to), hello());
    other.write_all(&hello).unwrap();
    let mut server = accept(&listener);
    expect(&server, &hello);
    server.write_all(b"N").unwrap();
    expect(&other, b"N");
    end(&other, &server);
    // Which is a connection of bytes, and a client of HTTP that has not asked is none.
    drop(asking);
    eventually("connections to end", || proxy.metric(&["remora_open_connections{", "\"outbound\""]) == 0);
    assert_eq!(proxy.metric(&["istio_tcp_connections_closed_total{"]), 1);
}

#[test]
fn a_service_says_what_this_pods_ports_speak() {
    let listener = TcpListener::bind((THIS_POD, 0)).unwrap();
    let to = listener.local_addr().unwrap();
    let opaque = to.port().to_string();
    for (port_name, options) in [("tcp-db", vec![]), ("http-web", vec!["--opaque-ports", &opaque])] {
        let (proxy, _known) = declared_with(&listener, port_name, &options);
        let mut client = proxy.connect(INBOUND, to);
        client.write_all(REQUEST).unwrap();
        let mut server = accept(&listener);
        expect(&server, REQUEST);
        server.write_all(ANSWER).unwrap();
        expect(&client, ANSWER);
        end(&client, &server);
        assert_eq!(only_answer(proxy), ("opaque".into(), "hint".into()), "{port_name}");
    }
    // What is no request never gets to a server that might take it for one.
    let (proxy, _known) = declared(&listener, "http-web");
    for bytes in [&b"GET /\r\n\r\n"[..], b"\0\0\0\x08\x04\xd2\x16\x2f", b"GET\0/ HTTP/1.1\r\n\r\n"] {
        let mut client = proxy.connect(INBOUND, to);
        client.write_all(bytes).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        expect(&client, b"HTTP/1.1 400 Bad Request\r\n");
        let mut heard = Vec::new();
        drop(accept(&listener).read_to_end(&mut heard));
        assert_eq!(heard, b"", "{}", bytes.escape_ascii());
    }
}

#[test]
fn the_application_at_a_port_of_http_has_its_say_as_without_a_proxy() {
    let listener = TcpListener::bind((THIS_POD, 0)).unwrap();
    let to = listener.local_addr().unwrap();
    let (proxy, _known) = declared(&listener, "http-web");
    // It hears of a client that says nothing, and may leave it.
    let silent = proxy.connect(INBOUND, to);
    let mut server = accept(&listener);
    server.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    expect(&silent, b"HTTP/1.1 408 Request Timeout\r\n\r\n");
    assert_eq!(next(&silent), Seen::End);
    silent.shutdown(Shutdown::Write).unwrap();
    assert_eq!(next(&server), Seen::End);
    // Load balancers say first for whom they call.
    for header in [&b"PROXY TCP4 192.0.2.1 192.0.2.2 1 80\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"] {
        let mut client = proxy.connect(INBOUND, to);
        let says = [header, REQUEST].concat();
        client.write_all(&says).unwrap();
        let mut server = accept(&listener);
        expect(&server, &says);
        server.write_all(ANSWER).unwrap();
        expect(&client, ANSWER);
        end(&client, &server);
    }
    // Nobody is there, which a check by connecting sees.
    drop(listener);
    let mut checks = proxy.connect(INBOUND, to);
    assert!(matches!(checks.read(&mut [0]), Ok(0) | Err(_)));
    let lines = proxy.stop();
    let answers: Vec<_> = lines.iter().map(|line| line["detected_by"].as_str().unwrap_or("-")).collect();
    assert_eq!(answers, ["server_first", "first_bytes", "first_bytes", "-"]);
}

#[test]
fn half_a_request_to_a_port_of_http_makes_it_no_other_port() {
    let listener = OUTBOUND.listener();
    let (proxy, _known) = declared(&listener, "http-web");
    let mut client = proxy.connect(OUTBOUND, listener.local_addr().unwrap());
    client.write_all(b"GET / HT").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    expect(&client, b"HTTP/1.1 400 Bad Request\r\n");
}
