//! Who calls through a proxy that ends: by each protocol, one request after the other until the connection is said to take no
//! more, and some whose request or call is open then. All of them see that through, or panic.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::Scope;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::{join, join_all};
use h2::RecvStream;
use h2::client::SendRequest;
use tests::meshed::{PATIENCE, as_app};
use tests::netns::Netns;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::application::{HTTP1_PORT, HTTP2_PORT};
use crate::calls::{self, Outcome, Protocol, runtime};
use crate::traffic::connect;

/// Connections of HTTP/1: who ask without a pause, who ask again when the proxy is ending, and who have sent half a request then.
const BUSY: usize = 4;
const QUIET: usize = 2;
const HALFWAY: usize = 2;
/// Connections of HTTP/2, and of gRPC, with so many requests without a pause each, and so many that are open at the end.
const HTTP2: usize = 2;
const STREAMS: usize = 8;
const HELD: usize = 2;

/// For how long a connection on which nothing is asked is still kept.
const GRACE: Duration = Duration::from_secs(1);

/// Connections of a load, without one that is idle.
const CONNECTIONS: usize = BUSY + QUIET + HALFWAY + 2 * HTTP2;
/// Those of them of which each tells that its request or call is open.
const OPEN: usize = QUIET + HALFWAY + 2 * HTTP2 * HELD;
/// HTTP/1, HTTP/2 and gRPC.
pub(super) const PROTOCOLS: usize = 3;

/// What is asked in one direction.
pub(super) struct Load {
    /// How many were answered in both directions by each protocol, and how many of them are an event.
    pub(super) all: Arc<[AtomicUsize; PROTOCOLS]>,
    pub(super) wanted: usize,
    pub(super) events: mpsc::Sender<()>,
    /// Since when the proxy is, once it is.
    pub(super) is_ending: watch::Receiver<Option<Instant>>,
    /// Whether what is open may end. If not at first, it lasts longer than a connection on which nothing is asked.
    pub(super) may_end: watch::Sender<bool>,
    pub(super) answered: [AtomicUsize; PROTOCOLS],
    /// How many were sent when the connection had been said to take no more, which the client did not yet know.
    pub(super) late: AtomicUsize,
}

/// Of HTTP/1, with the number of its connection.
type Client = fn(&Load, TcpStream, usize);

impl Load {
    /// Begins, in threads of its own.
    pub(super) fn run<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        from: &'scope Netns,
        to: IpAddr,
    ) {
        let [http1, http2] = [HTTP1_PORT, HTTP2_PORT].map(|port| SocketAddr::new(to, port));
        let idle = usize::from(self.has_idle());
        let kinds: [(usize, Client); 4] =
            [(BUSY, Self::busy), (QUIET, Self::quiet), (HALFWAY, Self::halfway), (idle, Self::idle)];
        for (kind, (count, client)) in kinds.into_iter().enumerate() {
            for number in 0..count {
                let begin = move || client(self, connect(http1).expect("a connection"), 10 * kind + number);
                scope.spawn(move || as_app(from, begin));
            }
        }
        for protocol in [Protocol::Http2, Protocol::Grpc] {
            for _ in 0..HTTP2 {
                scope.spawn(move || as_app(from, || runtime().block_on(self.http2(http2, protocol))));
            }
        }
    }

    /// How many connections it has, and how many events tell of them.
    pub(super) fn counts(&self) -> (usize, usize) {
        let idle = usize::from(self.has_idle());
        (CONNECTIONS + idle, OPEN + idle)
    }

    fn has_idle(&self) -> bool {
        !*self.may_end.borrow()
    }

    fn tells(&self) {
        self.events.send(()).expect("the test waits");
    }

    fn has_answered(&self, protocol: Protocol) {
        self.answered[protocol as usize].fetch_add(1, Ordering::Relaxed);
        if self.all[protocol as usize].fetch_add(1, Ordering::Relaxed) + 1 == self.wanted {
            self.tells();
        }
    }

    /// Until the proxy is ending; since when it is.
    fn waits_for_the_end(&self) -> Instant {
        self.tells();
        let mut is_ending = self.is_ending.clone();
        let since = runtime().block_on(is_ending.wait_for(Option::is_some)).expect("the test runs");
        since.expect("it is")
    }

    async fn waits_until_it_may_end(&self) {
        let mut may_end = self.may_end.subscribe();
        let told = timeout(PATIENCE, may_end.wait_for(|may_end| *may_end)).await;
        told.expect("an end of who is idle").expect("the test runs");
    }

    fn busy(&self, mut stream: TcpStream, connection: usize) {
        for number in 0.. {
            let content = if number % 2 == 0 { String::new() } else { text(connection, number) };
            if self.http1(&mut stream, &content) {
                return;
            }
        }
    }

    fn quiet(&self, mut stream: TcpStream, connection: usize) {
        assert!(!self.http1(&mut stream, &text(connection, 0)), "the proxy is not ending");
        let since = self.waits_for_the_end();
        stream.set_nonblocking(true).expect("the option");
        if stream.peek(&mut [0]).is_ok() {
            // This machine was too busy for us to ask in time.
            assert!(since.elapsed() >= GRACE, "it may not ask again");
            return;
        }
        stream.set_nonblocking(false).expect("the option");
        assert!(self.http1(&mut stream, &text(connection, 1)), "it may ask again");
    }

    fn halfway(&self, mut stream: TcpStream, connection: usize) {
        let content = text(connection, LONG);
        let request = calls::http1(&content);
        let (half, rest) = request.as_bytes().split_at(request.len() / 2);
        stream.write_all(half).expect("half a request");
        self.waits_for_the_end();
        runtime().block_on(self.waits_until_it_may_end());
        stream.write_all(rest).expect("the other half");
        assert!(self.is_last(&mut stream, &content), "it may ask again");
    }

    fn idle(&self, mut stream: TcpStream, connection: usize) {
        assert!(!self.http1(&mut stream, &text(connection, 0)), "the proxy is not ending");
        self.tells();
        assert_eq!(stream.read(&mut [0]).expect("an end in good order"), 0);
        self.may_end.send_replace(true);
    }

    fn http1(&self, stream: &mut TcpStream, content: &str) -> bool {
        stream.write_all(calls::http1(content).as_bytes()).expect("a connection that is kept");
        self.is_last(stream, content)
    }

    /// Takes an answer, and the end after the last one.
    fn is_last(&self, stream: &mut TcpStream, content: &str) -> bool {
        let is_last = calls::is_last(stream, content).expect("an answer");
        self.has_answered(Protocol::Http1);
        if is_last {
            assert_eq!(stream.read(&mut [0]).expect("an end in good order"), 0);
        }
        is_last
    }

    async fn http2(&self, to: SocketAddr, protocol: Protocol) {
        let (requests, connected) = calls::http2(to).await.expect("a connection");
        let (asking, told) = watch::channel(());
        let held = join_all((0..HELD).map(|_| self.hold(requests.clone(), protocol, told.clone())));
        let asked = async {
            join_all((0..STREAMS).map(|stream| self.ask(requests.clone(), protocol, stream))).await;
            drop(asking);
        };
        join(asked, held).await;
        drop(requests);
        let ended = timeout(PATIENCE, connected).await.expect("an end").expect("a task");
        ended.expect("an end in good order");
    }

    /// Until the connection takes no more.
    async fn ask(&self, requests: SendRequest<Bytes>, protocol: Protocol, stream: usize) {
        for number in 0.. {
            match calls::ask(requests.clone(), protocol, &text(stream, number)).await {
                Ok(Outcome::Answered) => self.has_answered(protocol),
                Ok(Outcome::Unsent) => return,
                Ok(Outcome::Late) => {
                    self.late.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                other => panic!("{protocol:?}, after {number}: {other:?}"),
            }
        }
    }

    /// A call that goes on when the connection takes no more.
    async fn hold(&self, requests: SendRequest<Bytes>, protocol: Protocol, mut told: watch::Receiver<()>) {
        let (response, mut body) = calls::begin(requests, protocol).await.expect("a new connection");
        body.send_data(calls::message("before"), false).expect("a stream that is open");
        let response = timeout(PATIENCE, response).await.expect("a head").expect("a response");
        assert_eq!(response.status(), 200);
        let mut answers = response.into_body();
        comes_back("before", &mut answers).await;
        self.tells();
        told.changed().await.expect_err("it says nothing, and ends");
        self.waits_until_it_may_end().await;
        body.send_data(calls::message("after"), false).expect("a stream that is open");
        comes_back("after", &mut answers).await;
        body.send_data(calls::message("last"), true).expect("a stream that is open");
        comes_back("last", &mut answers).await;
        let end = async {
            while let Some(bytes) = answers.data().await {
                assert!(bytes.expect("an end in good order").is_empty(), "more than was sent");
            }
            answers.trailers().await.expect("trailers").unwrap_or_default()
        };
        let trailers = timeout(PATIENCE, end).await.expect("an end");
        assert!(calls::is_end(protocol, &trailers), "{trailers:?}");
        self.has_answered(protocol);
    }
}

/// Which of a connection's requests is a long one; one of so many is.
const LONG: usize = 15;

/// What no other request of the connection has.
fn text(connection: usize, number: usize) -> String {
    format!("{connection}, {number}; ").repeat(if number % 16 == LONG { 2_000 } else { 1 })
}

async fn comes_back(text: &str, answers: &mut RecvStream) {
    let (sent, mut got) = (calls::message(text), Vec::new());
    while got.len() < sent.len() {
        let bytes = timeout(PATIENCE, answers.data()).await.expect("a message");
        let bytes = bytes.expect("not an end").expect("a stream that is open");
        answers.flow_control().release_capacity(bytes.len()).expect("what has come");
        got.extend_from_slice(&bytes);
    }
    assert_eq!(got, sent);
}
