//! What the proxy keeps of a connection on which HTTP/2 is spoken and nobody asks anything: with the connection to the server that
//! was asked last, and without it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::support::{INBOUND, Proxy, accept, eventually};
use crate::{MEMORY, alone};

const CONNECTIONS: usize = 100;

/// The most of each. Nearly all of it are buffers and tables of the h2 library, which are there for each of the two connections.
const WITH_SERVER: usize = 82 * 1024;
const WITHOUT: usize = 44 * 1024;

const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
const SETTINGS_ACK: &[u8] = b"\0\0\0\x04\x01\0\0\0\0";
/// `GET http / a`, from the static table but for the authority.
const GET: &[u8] = b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01a";
/// `:status 200`.
const OK: &[u8] = b"\0\0\x01\x01\x05\0\0\0\x01\x88";

/// Reads frames up to the first of this kind.
fn until(mut stream: &TcpStream, kind: u8) {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let [_, l1, l2, is, ..] = head;
        let mut payload = [0; 4096];
        stream.read_exact(&mut payload[..usize::from(u16::from_be_bytes([l1, l2]))]).unwrap();
        if is == kind {
            return;
        }
    }
}

/// A client that was answered once, and its server.
fn answered(proxy: &Proxy, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let mut client = proxy.connect(INBOUND, listener.local_addr().unwrap());
    client.write_all(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", SETTINGS, SETTINGS_ACK, GET].concat()).unwrap();
    let mut server = accept(listener);
    server.read_exact(&mut [0; 24]).unwrap();
    until(&server, 1);
    server.write_all(&[SETTINGS, SETTINGS_ACK, OK].concat()).unwrap();
    until(&client, 1);
    (client, server)
}

#[test]
fn an_idle_connection_of_http2_keeps_little() {
    let _alone = alone();
    let proxy = Proxy::start(&["--access-log", "off"]);
    let listener = INBOUND.listener();
    // What is made once for all.
    let _first = answered(&proxy, &listener);
    let before = MEMORY.current_usage();
    let each = || MEMORY.current_usage().saturating_sub(before) / CONNECTIONS;
    let connections: Vec<_> = (0..CONNECTIONS).map(|_| answered(&proxy, &listener)).collect();
    let with_server = each();
    let (clients, servers): (Vec<_>, Vec<_>) = connections.into_iter().unzip();
    drop(servers);
    eventually("what was kept of servers is given back", || each() <= WITHOUT);
    println!("{with_server} bytes with a server, and {} without", each());
    assert!(with_server <= WITH_SERVER, "{with_server} bytes for each connection");
    drop(clients);
}
