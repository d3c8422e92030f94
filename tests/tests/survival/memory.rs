//! Little memory: many connections whose readers are slow, in a control group that the kernel would kill for it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use serde_json::Value;
use sha2::{Digest, Sha256};
use socket2::{Domain, Socket, Type};
use tests::cgroup::Cgroup;
use tests::meshed::{Meshed, PATIENCE, PORT, as_app};
use tests::netns::{Netns, Switch};
use tests::{peer, scale};

use crate::taken::Descriptors;
use crate::traffic::bytes;

const LIMIT: u64 = 50_000_000;
const BODY: usize = 1_000_000;

/// The kernel keeps little of what waits, so that it waits in the proxy; and the machine is not this test's alone.
fn small_buffers(netns: &Netns) {
    for (key, value) in
        [("net/ipv4/tcp_wmem", "4096 16384 65536"), ("net/ipv4/tcp_rmem", "4096 65536 131072")]
    {
        netns.set_sysctl(key, value).expect("the setting");
    }
}

fn connect_with_a_small_window(target: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("the option");
    socket.connect_timeout(&target.into(), PATIENCE).expect("a connection");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("the option");
    stream
}

/// What the readers are sent.
#[derive(Clone, Copy, Debug)]
enum Spoken {
    Bytes,
    /// A response of HTTP/1.
    Http,
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n";
const HEAD_END: &[u8] = b"\r\n\r\n";

impl Spoken {
    fn ask(self, mut stream: &TcpStream) {
        match self {
            Self::Bytes => {}
            Self::Http => stream.write_all(REQUEST).expect("a request is taken"),
        }
    }

    fn answer(self, mut stream: &TcpStream, body: &[u8]) {
        match self {
            Self::Bytes => {}
            Self::Http => {
                let mut request = Vec::new();
                while !request.ends_with(HEAD_END) {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).expect("a whole request");
                    request.extend(byte);
                }
                let length = body.len();
                write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n")
                    .expect("a head is taken");
            }
        }
        stream.write_all(body).expect("everything is taken");
    }

    /// Without the head.
    fn body(self, received: &[u8]) -> &[u8] {
        match self {
            Self::Bytes => received,
            Self::Http => {
                assert!(received.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", received.escape_ascii());
                let end = received.windows(HEAD_END.len()).position(|window| window == HEAD_END);
                received.get(end.expect("a head") + HEAD_END.len()..).expect("what follows the head")
            }
        }
    }
}

/// Version 1 of control groups does not count socket buffers, and version 2 does; on a machine with version 1 the kernel's part
/// of them is not tested.
#[test]
fn slow_readers_by_the_thousand_do_not_get_it_killed() {
    for spoken in [Spoken::Bytes, Spoken::Http] {
        slow_readers(spoken);
    }
}

fn slow_readers(spoken: Spoken) {
    let connections = scale::of("connections", 2_000, 1_000);
    let _descriptors = Descriptors::reserve(2 * connections);
    let cgroup = Cgroup::of_memory("small", LIMIT).expect("a limit");
    let mut switch = Switch::new("switch").expect("a switch");
    let meshed = Meshed::within(&cgroup, &mut switch, "meshed", &["--max-inbound-connections", "2000"]);
    let client = switch.attach("client").expect("a namespace");
    small_buffers(&meshed.node.netns);
    small_buffers(&client.netns);
    let target = SocketAddr::new(meshed.node.v4.into(), PORT);
    let body = bytes(1, BODY);
    let listener = as_app(&meshed.node.netns, || TcpListener::bind(target)).expect("a listener");
    let number = |path, key| {
        let administration = (Ipv4Addr::LOCALHOST, api::ports::ADMIN).into();
        let answer = meshed.node.netns.run(|| peer::http_get(administration, path, PATIENCE));
        let (status, text) = answer.expect("the namespace").expect("an answer");
        assert_eq!(status, 200, "{path}: {text}");
        let page = serde_json::from_str::<Value>(&text).expect("JSON");
        page.get(key).and_then(Value::as_u64).expect("a number")
    };
    assert_eq!(number("/memory", "limit"), LIMIT / 4096 * 4096, "the proxy sees its limit");
    let (end, most) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..connections {
                let (stream, _) = listener.accept().expect("a connection");
                let body = &body;
                let send = move || spoken.answer(&stream, body);
                let thread = thread::Builder::new().stack_size(128 * 1024);
                thread.spawn_scoped(scope, send).expect("a thread");
            }
        });
        let asking = scope.spawn(|| {
            while !end.load(Ordering::Relaxed) {
                most.fetch_max(number("/memory", "used"), Ordering::Relaxed);
            }
        });
        let connect = |_| {
            let reader = as_app(&client.netns, || connect_with_a_small_window(target));
            spoken.ask(&reader);
            reader
        };
        let readers: Vec<_> = (0..connections).map(connect).collect();
        let digest = Sha256::digest(&body);
        for mut reader in readers {
            let mut received = Vec::with_capacity(BODY);
            reader.read_to_end(&mut received).expect("all of it");
            let body = spoken.body(&received);
            assert_eq!(Sha256::digest(body), digest, "{} bytes", body.len());
        }
        end.store(true, Ordering::Relaxed);
        asking.join().expect("a thread that ends");
    });
    println!("{spoken:?}: at most {} of {LIMIT} bytes", most.load(Ordering::Relaxed));
    assert_eq!(cgroup.kills().expect("a count"), 0);
    assert_eq!(meshed.log(target, connections).len(), connections);
    assert_eq!(number("/connections", "open"), 0);
    drop(meshed);
}
