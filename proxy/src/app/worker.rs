//! A worker: a thread with a single-threaded runtime, its own listeners, and every connection that they accept.
//!
//! Nothing is shared between workers but counters. When a worker ends, the connections that are left are dropped, which
//! resets them and closes their accounts.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use runtime::shutdown::{self, Shutdown, Trigger};
use tokio::sync::mpsc;

use super::lifecycle::{Accepting, Closing};
use crate::direction::Direction;
use crate::inbound::Inbound;
use crate::net::accept::{Accepted, Acceptor, Gate};
use crate::net::listen::Listeners;
use crate::outbound::Outbound;
use crate::telemetry::WORKER;

/// Shorter than any timer that many connections have.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// What workers do with connections.
#[derive(Clone)]
pub(super) struct Stories {
    pub(super) inbound: Arc<Inbound>,
    pub(super) inbound_gate: Gate,
    pub(super) outbound: Arc<Outbound>,
    pub(super) outbound_gate: Gate,
}

/// The running workers.
pub(super) struct Workers {
    end: Trigger,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Ends all, resetting what is left.
    pub(super) fn end(self) {
        self.end.request();
        for thread in self.threads {
            // A panic aborts the process, so a thread has always ended in good order.
            let _ = thread.join();
        }
    }
}

/// One worker before its thread runs.
pub(super) struct Worker {
    listeners: Vec<(std::net::TcpListener, Direction, Accepting, Shutdown)>,
    stories: Stories,
    end: Shutdown,
    failed: mpsc::Sender<String>,
}

impl Worker {
    /// Starts a worker for each of `listeners`. The future returns when one of them has failed.
    pub(super) fn start_all(
        listeners: Vec<Listeners>,
        stories: Stories,
        closing: &Closing,
    ) -> io::Result<(Workers, impl Future<Output = String> + use<>)> {
        let (trigger, end) = shutdown::channel();
        let (failed, mut failure) = mpsc::channel(1);
        let mut threads = Vec::with_capacity(listeners.len());
        for (number, Listeners { inbound, outbound }) in listeners.into_iter().enumerate() {
            let inbound = inbound.into_iter().map(|listener| (listener, Direction::Inbound));
            let outbound = outbound.into_iter().map(|listener| (listener, Direction::Outbound));
            let listeners = inbound.chain(outbound).map(|(listener, direction)| {
                let (accepting, closing) = closing.accepting(direction);
                (listener, direction, accepting, closing)
            });
            let worker = Self {
                listeners: listeners.collect(),
                stories: stories.clone(),
                end: end.clone(),
                failed: failed.clone(),
            };
            threads
                .push(thread::Builder::new().name(format!("{WORKER}{number}")).spawn(move || worker.run())?);
        }
        let failure = async move {
            match failure.recv().await {
                Some(error) => error,
                None => std::future::pending().await,
            }
        };
        Ok((Workers { end: trigger, threads }, failure))
    }

    fn run(self) {
        let failed = self.failed.clone();
        let result = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .and_then(|runtime| runtime.block_on(self.carry()));
        if let Err(error) = result {
            // Full means that another worker has failed too.
            let _ = failed.try_send(error.to_string());
        }
    }

    /// Carries connections until the end is requested; returning drops what is left of them.
    async fn carry(mut self) -> io::Result<()> {
        for (listener, direction, accepting, closing) in self.listeners {
            let Stories { inbound, inbound_gate, outbound, outbound_gate } = self.stories.clone();
            match direction {
                Direction::Inbound => {
                    let acceptor = Acceptor::new(listener, inbound_gate)?;
                    let story = move |accepted| drop(tokio::spawn(Arc::clone(&inbound).serve(accepted)));
                    tokio::spawn(accept(acceptor, closing, accepting, story));
                }
                Direction::Outbound => {
                    let acceptor = Acceptor::new(listener, outbound_gate)?;
                    let story = move |accepted| drop(tokio::spawn(Arc::clone(&outbound).serve(accepted)));
                    tokio::spawn(accept(acceptor, closing, accepting, story));
                }
            }
        }
        // Tokio wakes its own thread, by a write to an eventfd, for a timer that is due before all others; with no other
        // one, that is each dial's. One that is always due earlier saves each connection a system call.
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        loop {
            tokio::select! {
                () = self.end.requested() => return Ok(()),
                _ = heartbeat.tick() => {}
            }
        }
    }
}

/// Hands over connections until the listener has to close, and then its backlog.
async fn accept(
    mut acceptor: Acceptor,
    mut closing: Shutdown,
    accepting: Accepting,
    story: impl Fn(Accepted),
) {
    loop {
        tokio::select! {
            biased;
            () = closing.requested() => break,
            accepted = acceptor.next() => story(accepted),
        }
    }
    acceptor.close().into_iter().for_each(&story);
    drop(accepting);
}
