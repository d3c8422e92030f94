//! Which of two endpoints is asked by `--load-balancer peak-ewma`: not the one that is slow, and not the one that fails.
//!
//! What this machine does meanwhile makes the good one look slow now and then, so that not every round has to tell them apart. One
//! that nobody took for slow or broken would be asked by every other request at least, at one of the two places in each round.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use h2::{Reason, server};
use http::Response;

use crate::discovery::{Mesh, WEB, endpoints, listeners, web};
use crate::http2::{client, get, runtime, soon};

const REQUESTS: usize = 20;
const ROUNDS: usize = 5;

/// More than a new endpoint is thought to need.
const SLOW: Duration = Duration::from_millis(100);

const GET: &str = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Manner {
    Fast,
    Slow,
    /// It ends what it was asked.
    Broken,
}

/// `asked` tells how many requests came to one of two endpoints, by its place.
fn is_avoided(asked: impl Fn(usize) -> usize) {
    for place in 0..2 {
        let rounds: Vec<_> =
            (0..ROUNDS).map(|_| asked(place)).take_while(|asked| *asked > REQUESTS / 3).collect();
        assert!(rounds.len() < ROUNDS, "at {place}: {rounds:?} of {REQUESTS}");
    }
}

fn mesh(listeners: &[TcpListener], protocol: &str) -> Mesh {
    let text = web(&endpoints(listeners)).replace("tcp", protocol);
    Mesh::with(&text, &["--load-balancer=peak-ewma", "--http-request-id=keep"])
}

/// The other one is fast.
fn manner(bad: Manner, place: usize, at: usize) -> Manner {
    if place == at { bad } else { Manner::Fast }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time is what an endpoint is judged by; nothing is awaited"
)]
fn be_slow() {
    std::thread::sleep(SLOW);
}

fn answer(mut stream: TcpStream, manner: Manner, asked: &AtomicUsize) {
    stream.set_nodelay(true).unwrap();
    let mut request = [0; GET.len()];
    while stream.read_exact(&mut request).is_ok() {
        asked.fetch_add(1, Ordering::SeqCst);
        match manner {
            Manner::Fast => {}
            Manner::Slow => be_slow(),
            Manner::Broken => return,
        }
        if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}

fn serve(listener: &TcpListener, manner: Manner) -> Arc<AtomicUsize> {
    let (listener, asked) = (listener.try_clone().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let counted = Arc::clone(&counted);
            std::thread::spawn(move || answer(stream, manner, &counted));
        }
    });
    asked
}

/// Asks one request after the other, each on a connection of its own.
fn ask(mesh: &Mesh) {
    for _ in 0..REQUESTS {
        let mut client = mesh.connect(WEB);
        client.write_all(GET.as_bytes()).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 ") || answer.starts_with("HTTP/1.1 503 "), "{answer}");
    }
}

fn http1(bad: Manner, other: Manner, place: usize) -> usize {
    let listeners = listeners(2);
    let mesh = mesh(&listeners, "http");
    let manner = |at| if at == place { bad } else { other };
    let asked: Vec<_> = listeners.iter().zip(0..).map(|(listener, at)| serve(listener, manner(at))).collect();
    ask(&mesh);
    let asked: Vec<_> = asked.iter().map(|asked| asked.load(Ordering::SeqCst)).collect();
    assert_eq!(asked.iter().sum::<usize>(), REQUESTS);
    asked[place]
}

#[test]
fn one_that_is_slow_over_http1() {
    is_avoided(|place| http1(Manner::Slow, Manner::Fast, place));
}

#[test]
fn one_that_breaks_off_over_http1() {
    is_avoided(|place| http1(Manner::Broken, Manner::Fast, place));
}

#[test]
fn one_that_breaks_off_beside_one_that_is_slow() {
    is_avoided(|place| http1(Manner::Broken, Manner::Slow, place));
}

#[test]
fn one_that_cannot_be_connected() {
    is_avoided(|place| {
        let mut listeners = listeners(2);
        let mesh = mesh(&listeners, "http");
        drop(listeners.remove(place));
        serve(&listeners[0], Manner::Fast);
        ask(&mesh);
        usize::try_from(mesh.proxy.metric(&["remora_connect_retries_total "])).unwrap()
    });
}

async fn answer_http2(listener: TcpListener, manner: Manner, asked: Arc<AtomicUsize>) {
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        // What is new would wait for the kernel's acknowledgement, for longer than a new endpoint is thought to need.
        stream.set_nodelay(true).unwrap();
        let asked = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut connection = server::handshake(stream).await.unwrap();
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                asked.fetch_add(1, Ordering::SeqCst);
                if manner == Manner::Slow {
                    tokio::time::sleep(SLOW).await;
                }
                match manner {
                    Manner::Fast | Manner::Slow => drop(respond.send_response(Response::new(()), true)),
                    Manner::Broken => respond.send_reset(Reason::INTERNAL_ERROR),
                }
            }
        });
    }
}

fn http2(bad: Manner, place: usize) -> usize {
    let listeners = listeners(2);
    let mesh = mesh(&listeners, "grpc");
    let caller = mesh.connect(WEB);
    runtime().block_on(async {
        let asked = [0, 1].map(|_| Arc::new(AtomicUsize::new(0)));
        for (at, listener) in listeners.into_iter().enumerate() {
            tokio::spawn(answer_http2(listener, manner(bad, place, at), Arc::clone(&asked[at])));
        }
        let mut requests = client(caller).await;
        for _ in 0..REQUESTS {
            let _ = soon(requests.send_request(get(), true).unwrap().0).await;
        }
        let asked = asked.map(|asked| asked.load(Ordering::SeqCst));
        assert_eq!(asked.iter().sum::<usize>(), REQUESTS);
        asked[place]
    })
}

#[test]
fn one_that_is_slow_over_http2() {
    is_avoided(|place| http2(Manner::Slow, place));
}

#[test]
fn one_that_resets_over_http2() {
    is_avoided(|place| http2(Manner::Broken, place));
}
