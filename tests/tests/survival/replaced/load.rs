//! Who calls the Service, by each protocol, one request after the other on connections that are kept. Few of them may be sent a
//! second time.

use std::io::{self, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Scope;

use futures_util::future::join_all;
use tests::meshed::as_app;
use tests::netns::Netns;

use super::{HTTP1, HTTP2};
use crate::calls::{self, Outcome, Protocol, is_last, runtime};
use crate::traffic::connect;

/// Connections of HTTP/1; and of HTTP/2, and of gRPC, with so many requests at a time each.
const CONNECTIONS: usize = 4;
const HTTP2_CONNECTIONS: usize = 2;
const STREAMS: usize = 4;

/// What was asked so far.
#[derive(Default)]
pub(super) struct Load {
    answered: [AtomicUsize; 3],
    /// How often a client was told that its request has gone nowhere, and asked again, as libraries do by themselves.
    again: AtomicUsize,
    failures: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

/// The load ends when this does.
pub(super) struct Running<'a>(&'a Load);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}

impl Load {
    /// Begins, in threads of its own.
    pub(super) fn run<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        from: &'scope Netns,
    ) -> Running<'scope> {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| as_app(from, || self.repeat(Protocol::Http1, || self.http1())));
        }
        for protocol in [Protocol::Http2, Protocol::Grpc] {
            for _ in 0..HTTP2_CONNECTIONS {
                let connection = move || runtime().block_on(self.http2(protocol));
                scope.spawn(move || as_app(from, || self.repeat(protocol, connection)));
            }
        }
        Running(self)
    }

    /// Whether there were so many of each protocol, or one was lost.
    pub(super) fn has(&self, wanted: usize) -> bool {
        self.answered().iter().all(|answered| *answered >= wanted) || !self.failures().is_empty()
    }

    pub(super) fn answered(&self) -> [usize; 3] {
        self.answered.each_ref().map(|answered| answered.load(Ordering::Relaxed))
    }

    pub(super) fn again(&self) -> usize {
        self.again.load(Ordering::Relaxed)
    }

    pub(super) fn failures(&self) -> Vec<String> {
        self.failures.lock().expect("a list").clone()
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn has_answered(&self, protocol: Protocol) {
        self.answered[protocol as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// One connection after the other; one that fails has lost a request.
    fn repeat<E: std::fmt::Display>(&self, protocol: Protocol, connection: impl Fn() -> Result<(), E>) {
        while !self.is_over() {
            if let Err(error) = connection() {
                let answered = self.answered();
                let failure = format!("{protocol:?}: {error}, when so many were answered: {answered:?}");
                self.failures.lock().expect("a list").push(failure);
            }
        }
    }

    /// Until the connection is to be closed.
    fn http1(&self) -> io::Result<()> {
        let mut stream = connect(HTTP1)?;
        for number in 0.. {
            let content = if number % 2 == 0 { String::new() } else { format!("{number}") };
            stream.write_all(calls::http1(&content).as_bytes())?;
            let is_last = is_last(&mut stream, &content)?;
            self.has_answered(Protocol::Http1);
            if self.is_over() || is_last {
                break;
            }
        }
        Ok(())
    }

    /// Until the end.
    async fn http2(&self, protocol: Protocol) -> Result<(), String> {
        let (requests, connected) = calls::http2(HTTP2).await?;
        let asking = (0..STREAMS).map(|number| {
            let requests = requests.clone();
            async move {
                for round in 0.. {
                    let text = format!("{number}, {round}");
                    match calls::ask(requests.clone(), protocol, &text).await? {
                        Outcome::Answered => {}
                        Outcome::Refused => {
                            self.again.fetch_add(1, Ordering::Relaxed);
                            continue;
                        }
                        other @ (Outcome::Late | Outcome::Unsent) => {
                            return Err(format!("{text}: {other:?}"));
                        }
                    }
                    self.has_answered(protocol);
                    if self.is_over() {
                        break;
                    }
                }
                Ok(())
            }
        });
        let ended = join_all(asking).await;
        connected.abort();
        ended.into_iter().collect()
    }
}
