//! What pods of a Service run: HTTP/1, HTTP/2 and gRPC ([`crate::calls`] are its clients). It gives back what it was sent, of
//! HTTP/2 each piece as it comes. It ends as applications do that care: no more connections are taken, and what was asked is
//! answered.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};
use tests::meshed::as_app;
use tests::netns::Netns;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::calls;

/// Where it listens.
pub(crate) const HTTP1_PORT: u16 = 8080;
pub(crate) const HTTP2_PORT: u16 = 8081;

/// A process, as it were.
pub(crate) enum Application {
    /// It runs.
    Running { end: watch::Sender<bool>, thread: JoinHandle<()>, answered: Arc<AtomicUsize> },
    /// It does not.
    Ended,
}

impl Application {
    pub(crate) fn start(netns: &Netns) -> Self {
        let listen = || [HTTP1_PORT, HTTP2_PORT].map(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)));
        let listeners = as_app(netns, listen).map(|listener| listener.expect("a free port"));
        let (end, is_ending) = watch::channel(false);
        let answered = Arc::<AtomicUsize>::default();
        let state = State { is_ending, answered: Arc::clone(&answered) };
        let thread = std::thread::spawn(|| calls::runtime().block_on(serve(listeners, state)));
        Self::Running { end, thread, answered }
    }

    /// How often it has answered.
    pub(crate) fn answered(&self) -> usize {
        match self {
            Self::Running { answered, .. } => answered.load(Ordering::Relaxed),
            Self::Ended => 0,
        }
    }

    /// Asks it to end, and waits until it has; how often it has answered.
    pub(crate) fn end(self) -> usize {
        match self {
            Self::Running { end, thread, answered } => {
                end.send_replace(true);
                thread.join().expect("an end in good order");
                answered.load(Ordering::Relaxed)
            }
            Self::Ended => 0,
        }
    }
}

#[derive(Clone)]
struct State {
    is_ending: watch::Receiver<bool>,
    answered: Arc<AtomicUsize>,
}

impl State {
    async fn ending(&mut self) {
        // Whoever could tell is gone, when the test is over.
        let _ = self.is_ending.wait_for(|is_ending| *is_ending).await;
    }

    fn has_answered(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }
}

async fn serve(listeners: [TcpListener; 2], mut state: State) {
    let [http1, http2] = listeners.map(|listener| {
        listener.set_nonblocking(true).expect("the option");
        tokio::net::TcpListener::from_std(listener).expect("a listener")
    });
    let mut connections = JoinSet::new();
    loop {
        let ours = state.clone();
        tokio::select! {
            () = state.ending() => break,
            accepted = http1.accept() => drop(connections.spawn(serve_http1(accepted.expect("a connection").0, ours))),
            accepted = http2.accept() => drop(connections.spawn(serve_http2(accepted.expect("a connection").0, ours))),
        }
    }
    drop((http1, http2));
    while let Some(ended) = connections.join_next().await {
        ended.expect("an end in good order");
    }
}

/// Until the client ends it, or between two requests when the application ends.
async fn serve_http1(mut stream: TcpStream, mut state: State) {
    let mut bytes = Vec::new();
    loop {
        let (head, length) = loop {
            if let Some(message) = calls::head(&bytes) {
                break message;
            }
            tokio::select! {
                () = state.ending(), if bytes.is_empty() => return,
                read = stream.read_buf(&mut bytes) => if !matches!(read, Ok(1..)) { return },
            }
        };
        while bytes.len() < head.len() + length {
            assert!(stream.read_buf(&mut bytes).await.expect("all of a request") > 0, "a part of a request");
        }
        let content = bytes.split_off(head.len());
        bytes.clear();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        if stream.write_all(&[answer.as_bytes(), &content].concat()).await.is_err() {
            return;
        }
        state.has_answered();
    }
}

/// Until the client ends it, or with the last stream when the application ends.
async fn serve_http2(stream: TcpStream, mut state: State) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    let mut is_ending = false;
    loop {
        tokio::select! {
            () = state.ending(), if !is_ending => {
                is_ending = true;
                connection.graceful_shutdown();
            }
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => {
                    let state = state.clone();
                    tokio::spawn(async move {
                        if answer(request, respond).await.is_ok() {
                            state.has_answered();
                        }
                    });
                }
                Some(Err(_)) | None => return,
            }
        }
    }
}

async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let is_grpc = request.headers().contains_key("content-type");
    let (mut content, mut body) = (request.into_body(), respond.send_response(Response::new(()), false)?);
    while let Some(bytes) = content.data().await {
        let bytes = bytes?;
        content.flow_control().release_capacity(bytes.len())?;
        body.send_data(bytes, false)?;
    }
    if !is_grpc {
        return body.send_data(Bytes::new(), true);
    }
    body.send_trailers(HeaderMap::from_iter([(
        "grpc-status".parse().expect("a name"),
        HeaderValue::from_static("0"),
    )]))
}
