//! Peers that say nothing: because they are gone, or because they have nothing to say.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest, Sha256};
use socket2::{Domain, Socket, Type};
use tests::meshed::{Meshed, PATIENCE, PORT, as_app};
use tests::netns::{Netns, Switch};
use tests::{peer, scale};

use crate::traffic::{bytes, connect};

/// Instead of the default, 20 s, so that nobody waits for long.
const LIMIT: Duration = Duration::from_secs(4);
const OPTIONS: [&str; 2] = ["--dead-peer-timeout", "4s"];

/// From now on nothing of TCP comes to the namespace and nothing leaves it, and nobody is told.
fn cut_off(netns: &Netns) {
    for program in ["iptables", "ip6tables"] {
        for chain in ["INPUT", "OUTPUT"] {
            let mut command = Command::new(program);
            command.args(["-I", chain, "-p", "tcp", "-j", "DROP"]);
            netns.tool("iptables", &mut command).expect("the rule");
        }
    }
}

/// Writes until that fails; gives how, and when it could last.
fn write_until_reset(mut stream: TcpStream) -> (ErrorKind, Instant) {
    let block = vec![7; 64 * 1024];
    stream.set_write_timeout(Some(PATIENCE)).expect("the option");
    loop {
        if let Err(error) = stream.write_all(&block) {
            return (error.kind(), Instant::now());
        }
    }
}

fn read_to_nowhere(mut stream: TcpStream) {
    // Its end is that of the test.
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

/// The one connection that is being carried.
fn shown(meshed: &Meshed) -> Value {
    let target = (Ipv4Addr::LOCALHOST, api::ports::ADMIN).into();
    let answer = meshed.node.netns.run(|| peer::http_get(target, "/connections", PATIENCE));
    let (_, page) = answer.expect("the namespace").expect("an answer");
    let page: Value = serde_json::from_str(&page).expect("JSON");
    page.pointer("/connections/0").cloned().expect("a connection")
}

/// The application on `sender`'s side sees a reset in time, and `meshed` says why.
fn assert_noticed(
    meshed: &Meshed,
    sender: TcpStream,
    gone: &Netns,
    (flags, side): (&str, &str),
    to: SocketAddr,
) {
    let sending = std::thread::spawn(move || write_until_reset(sender));
    // It flows.
    let moved = || {
        let row = shown(meshed);
        let bytes = |key: &str| row.get(key).and_then(Value::as_u64).expect("bytes");
        bytes("bytes_received") + bytes("bytes_sent")
    };
    let before = moved();
    while moved() < before + (1 << 20) {}
    cut_off(gone);
    let cut = Instant::now();
    let (error, noticed) = sending.join().expect("a thread that ends");
    assert!([ErrorKind::ConnectionReset, ErrorKind::BrokenPipe].contains(&error), "{side}: {error:?}");
    let taken = noticed.saturating_duration_since(cut);
    assert!(taken > LIMIT / 2 && taken < 5 * LIMIT, "{side}: noticed after {taken:?}");
    let line = meshed.log(to, 1).remove(0);
    let text = |key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default();
    let details = text("connection_termination_details");
    assert_eq!(text("response_flags"), flags, "{line}");
    assert!(details.starts_with(&format!("{side}: silent for ")), "{line}");
    assert_eq!(meshed.metric(&["remora_dead_peers_total{", &format!("side=\"{side}\"")]), 1);
}

#[test]
fn a_client_that_is_gone_is_noticed_while_it_is_sent_to() {
    for family in 0..2 {
        let mut switch = Switch::new("switch").expect("a switch");
        let meshed = Meshed::new(&mut switch, "meshed", &OPTIONS);
        let client = switch.attach("client").expect("a namespace");
        let target = SocketAddr::new(meshed.node.addresses()[family], PORT);
        let listener = as_app(&meshed.node.netns, || TcpListener::bind(target)).expect("a listener");
        let stream = as_app(&client.netns, || connect(target)).expect("a connection");
        std::thread::spawn(move || read_to_nowhere(stream));
        let (sender, _) = listener.accept().expect("the connection");
        assert_noticed(&meshed, sender, &client.netns, ("DC", "client"), target);
    }
}

#[test]
fn a_server_that_is_gone_is_noticed_while_it_is_sent_to() {
    for family in 0..2 {
        let mut switch = Switch::new("switch").expect("a switch");
        let meshed = Meshed::new(&mut switch, "meshed", &OPTIONS);
        let server = switch.attach("server").expect("a namespace");
        let target = SocketAddr::new(server.addresses()[family], PORT);
        let listener = as_app(&server.netns, || TcpListener::bind(target)).expect("a listener");
        let sender = as_app(&meshed.node.netns, || connect(target)).expect("a connection");
        let (stream, _) = listener.accept().expect("the connection");
        std::thread::spawn(move || read_to_nowhere(stream));
        assert_noticed(&meshed, sender, &server.netns, ("UC", "server"), target);
    }
}

/// A client that has little room for what it does not read.
fn connect_with_a_small_window(target: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("the option");
    socket.connect(&target.into()).expect("a connection");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("the option");
    stream
}

#[test]
fn a_reader_that_pauses_at_a_shut_window_is_alive_and_gets_everything() {
    let mut switch = Switch::new("switch").expect("a switch");
    let limits = scale::of("pause, in limits of 4 s", 75, 3);
    let meshed = Meshed::new(&mut switch, "meshed", &OPTIONS);
    let client = switch.attach("client").expect("a namespace");
    let text = bytes(1, 32 << 20);
    let target = SocketAddr::new(IpAddr::from(meshed.node.v4), PORT);
    let listener = as_app(&meshed.node.netns, || TcpListener::bind(target)).expect("a listener");
    let mut reader = as_app(&client.netns, || connect_with_a_small_window(target));
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let (mut stream, _) = listener.accept().expect("the connection");
            stream.write_all(&text).expect("everything is taken");
        });
        let mut received = vec![0];
        reader.read_exact(&mut received).expect("the first byte");
        // Each limit is looked at four times.
        let looks = || meshed.metric(&["remora_dead_peer_sweeps_total{", "complete"]);
        let until = looks() + 4 * limits;
        while looks() < until {
            std::thread::yield_now();
        }
        assert!(!sending.is_finished(), "so much was to wait that the window is shut");
        reader.read_to_end(&mut received).expect("all of the rest");
        sending.join().expect("a thread that ends");
        assert_eq!(Sha256::digest(&received), Sha256::digest(&text), "{} bytes", received.len());
    });
    drop(reader);
    assert_eq!(meshed.log(target, 1)[0]["response_flags"], "-");
    assert_eq!(meshed.metric(&["remora_dead_peers_total{"]), 0);
}
