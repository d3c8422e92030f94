//! A server that breaks the rules of a connection on which nobody waits for it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;

use tests::meshed::{Meshed, PATIENCE, PORT, as_app};
use tests::netns::Switch;

use crate::frames::{END_HEADERS, END_STREAM, GET, HEADERS, OK, frame, greeting, opening, ping, walk};

/// Reads until a frame has come that is the end of a stream.
fn read_to_the_end(mut stream: &TcpStream) {
    let (mut heard, mut buffer) = (Vec::new(), [0; 4_096]);
    while !walk(&heard).any(|frame| frame.kind == HEADERS && frame.flags & END_STREAM != 0) {
        let length = stream.read(&mut buffer).expect("more");
        assert!(length > 0, "it has ended after {heard:?}");
        heard.extend_from_slice(&buffer[..length]);
    }
}

#[test]
fn a_server_is_named_that_floods_while_nobody_asks() {
    let mut switch = Switch::new("switch").expect("a switch");
    let meshed = Meshed::new(&mut switch, "meshed", &[]);
    let plain = switch.attach("plain").expect("a namespace");
    let target = SocketAddr::new(plain.v4.into(), PORT);
    let listener = as_app(&plain.netns, || TcpListener::bind(target)).expect("a listener");
    let (answered, is_answered) = channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.set_read_timeout(Some(PATIENCE)).expect("the option");
            read_to_the_end(&stream);
            let answer = frame(HEADERS, END_HEADERS | END_STREAM, 1, OK);
            stream.write_all(&[greeting(), answer].concat()).expect("an answer");
            is_answered.recv_timeout(PATIENCE).expect("a client that has it");
            // The proxy need not take all. It answers pings while it reads them, and an answer to who has
            // gone would end the connection before the flood does: the server stays until it is left.
            drop(stream.write_all(&ping(&[0; 8]).repeat(1_000)));
            drop(stream.read_to_end(&mut Vec::new()));
        });
        let asks = frame(HEADERS, END_HEADERS | END_STREAM, 1, GET);
        let mut client = as_app(&meshed.node.netns, || TcpStream::connect(target)).expect("a connection");
        client.set_read_timeout(Some(PATIENCE)).expect("the option");
        client.write_all(&opening(&asks)).expect("a request");
        read_to_the_end(&client);
        answered.send(()).expect("the server");
        let named = format!("direction=outbound server={target} reason=\"http2.ping_flood\"");
        let is_told = |progress: &tests::exec::Progress| {
            progress.stderr.lines().any(|line| line.contains(" WARN ") && line.contains(&named)).then_some(())
        };
        meshed.proxy.wait_for(&named, PATIENCE, is_told).expect("its name");
        let is_left_out = |line: &str| line.contains("http2.ping_flood");
        assert!(!meshed.proxy.progress().stdout.lines().any(is_left_out), "no request was harmed");
    });
}
