//! Backends that misbehave.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use socket2::SockRef;
use tests::meshed::{Meshed, PORT, as_app};
use tests::netns::Switch;
use tests::peer::Service;
use tests::scale;

use crate::traffic::{bytes, connect, echo};

#[test]
fn a_reset_in_the_middle_never_looks_like_an_end() {
    let mut switch = Switch::new("switch").expect("a switch");
    let [client, server] = ["client", "server"].map(|label| Meshed::new(&mut switch, label, &[]));
    let target = SocketAddr::new(server.node.v4.into(), PORT);
    let listener = as_app(&server.node.netns, || TcpListener::bind(target)).expect("a listener");
    let connections = scale::of("connections", 1_000, 200);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..connections {
                let (mut stream, _) = listener.accept().expect("a connection");
                let mut random = fastrand::Rng::with_seed(number);
                // The client has asked, so that nothing unread is what resets.
                stream.read_exact(&mut [0]).expect("a request");
                stream.write_all(&bytes(number, random.usize(0..100_000))).expect("some of the answer");
                SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("the option");
            }
        });
        for number in 0..connections {
            let mut stream = as_app(&client.node.netns, || connect(target)).expect("a connection");
            stream.write_all(b"?").expect("a request");
            let error = stream.read_to_end(&mut Vec::new()).expect_err("a truncation");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "connection {number}");
        }
    });
}

#[test]
fn a_backend_that_never_answers_holds_up_nobody() {
    let mut switch = Switch::new("switch").expect("a switch");
    let meshed = Meshed::new(&mut switch, "meshed", &[]);
    let plain = switch.attach("plain").expect("a namespace");
    let _server = meshed.serves(Service::Echo);
    let silent = SocketAddr::new(meshed.node.v4.into(), PORT + 1);
    // Its kernel makes connections, and the application never takes them.
    let listener = as_app(&meshed.node.netns, || TcpListener::bind(silent)).expect("a listener");
    let waiting: Vec<_> = (0..100)
        .map(|_| {
            let mut stream = as_app(&plain.netns, || connect(silent)).expect("a connection");
            stream.write_all(b"anybody there?").expect("a request");
            stream
        })
        .collect();
    let busy = SocketAddr::new(meshed.node.v4.into(), PORT);
    for number in 0..100 {
        as_app(&plain.netns, || echo(busy, &bytes(number, 10_000))).expect("others are served");
    }
    for mut stream in waiting {
        stream.set_nonblocking(true).expect("the option");
        assert_eq!(stream.read(&mut [0]).expect_err("nothing was said").kind(), ErrorKind::WouldBlock);
    }
    drop(listener);
}
