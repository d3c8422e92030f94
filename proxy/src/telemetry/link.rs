//! The account of an upstream connection that requests of several clients' connections may use, or that one of several is.
//!
//! What is sent over it is told to the accounts of the exchanges; here is what concerns the connection itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use runtime::metrics::types::gauge::Gauge;

use super::code::Code;
use super::connections::{Linked, Pair, Side, Silence};
use super::http::Timer;
use super::session::{Reporter, Session};

/// An open one.
pub(crate) struct Link {
    /// Two where the pod calls itself.
    reporters: Vec<Arc<Reporter>>,
    host: SocketAddr,
    linked: Linked,
    open: Gauge,
}

impl Session {
    /// The account of an upstream connection that was made now.
    pub(crate) fn link(&self, local: SocketAddr, host: SocketAddr) -> Link {
        let reporters = self.accounts().map(|account| Arc::clone(account.reporter())).collect();
        let Reporter { books, direction, .. } = self.reporter().as_ref();
        let linked = books.connections.link(*direction, Pair { local, remote: host });
        let open = books.metrics.http.links(*direction);
        open.inc();
        Link { reporters, host, linked, open }
    }
}

impl Link {
    /// The server is left, since it does not keep to the rules. Perhaps nobody has asked it anything who would be told.
    pub(crate) fn refused(&self, code: Code) {
        for reporter in &self.reporters {
            reporter.books.metrics.http.refused_message(reporter.direction, Side::Server, code);
        }
        if let Some(reporter) = self.reporters.first() {
            reporter.books.metrics.http.left_server(reporter.direction, self.host, code);
        }
    }

    /// A time limit was met.
    pub(crate) fn timed_out(&self, timer: Timer) {
        if let Some(reporter) = self.reporters.first() {
            reporter.books.metrics.http.timed_out(reporter.direction, timer);
        }
    }

    /// Ready when the server is not there any more. One task polls it.
    pub(crate) fn poll_given_up(&mut self, cx: &mut Context<'_>) -> Poll<Silence> {
        self.linked.poll_given_up(cx)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.open.dec();
        // The end of all waits for it.
        if let Some(reporter) = self.reporters.first() {
            reporter.books.ended.notify_one();
        }
    }
}
