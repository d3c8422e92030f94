//! One connection's account: it counts while bytes flow, and closes the books when it is dropped, however the connection
//! ended; so none is forgotten, also when its task is cancelled at the drain deadline.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use tokio::sync::Notify;

use super::access_log::{AccessLog, Line};
use super::metrics::{Metrics, NO_FLAGS, Series};
use super::workload::Workload;
use crate::direction::Direction;

/// Opens the accounts of one direction.
pub struct Reporter {
    direction: Direction,
    series: Series,
    access_log: AccessLog,
    ended: Arc<Notify>,
}

impl Reporter {
    /// Accounts go to `metrics` and `access_log`; `ended` is notified when one is closed.
    pub fn new(
        direction: Direction,
        workload: &Workload,
        metrics: &Metrics,
        access_log: AccessLog,
        ended: Arc<Notify>,
    ) -> Self {
        Self { direction, series: Series::new(metrics, workload, direction), access_log, ended }
    }

    /// A connection from `peer` to `original_dst` begins; `cluster` is where it is sent, in Istio's words.
    ///
    /// Boxed, since each future that it is moved through would keep a place for all of it.
    pub(crate) fn open(
        self: &Arc<Self>,
        peer: SocketAddr,
        original_dst: SocketAddr,
        cluster: String,
    ) -> Box<Session> {
        self.series.opened.inc();
        self.series.open.inc();
        Box::new(Session {
            reporter: Arc::clone(self),
            peer,
            original_dst,
            cluster,
            started: (SystemTime::now(), Instant::now()),
            upstream: None,
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            end: End::CUT,
        })
    }
}

/// How a connection ended, in the words of Envoy's access log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct End {
    /// `response_flags`.
    pub(crate) flags: &'static str,
    /// `connection_termination_details`.
    pub(crate) details: Option<Cow<'static, str>>,
    /// `upstream_transport_failure_reason`.
    pub(crate) failure: Option<String>,
}

impl End {
    /// Both directions ended in good order.
    pub(crate) const COMPLETE: Self = Self { flags: NO_FLAGS, details: None, failure: None };

    /// What stands when nothing else was said: the proxy ended first. Envoy's `LR` is a reset of its own making.
    const CUT: Self = Self { flags: "LR", details: Some(Cow::Borrowed("proxy ended")), failure: None };
}

/// An open account.
pub(crate) struct Session {
    reporter: Arc<Reporter>,
    peer: SocketAddr,
    original_dst: SocketAddr,
    cluster: String,
    started: (SystemTime, Instant),
    upstream: Option<Upstream>,
    received: AtomicU64,
    sent: AtomicU64,
    end: End,
}

/// The addresses of the upstream connection.
struct Upstream {
    local: SocketAddr,
    host: SocketAddr,
}

impl Session {
    /// The upstream connection was made.
    pub(crate) fn connected(&mut self, local: SocketAddr, host: SocketAddr) {
        self.upstream = Some(Upstream { local, host });
    }

    /// Bytes came from the client and were passed on.
    pub(crate) fn received(&self, bytes: usize) {
        add(&self.received, &self.reporter.series.received, bytes);
    }

    /// Bytes went to the client.
    pub(crate) fn sent(&self, bytes: usize) {
        add(&self.sent, &self.reporter.series.sent, bytes);
    }

    /// Closes the account.
    pub(crate) fn close(mut self: Box<Self>, end: End) {
        self.end = end;
    }
}

fn add(own: &AtomicU64, total: &runtime::metrics::types::counter::Counter, bytes: usize) {
    let bytes = bytes as u64;
    own.fetch_add(bytes, Ordering::Relaxed);
    total.inc_by(bytes);
}

impl Drop for Session {
    fn drop(&mut self) {
        let Reporter { direction, series, access_log, ended } = self.reporter.as_ref();
        series.closed(self.end.flags);
        access_log.write(|| {
            Box::new(Line {
                started: self.started.0,
                duration: self.started.1.elapsed(),
                direction: *direction,
                downstream_remote: self.peer,
                original_dst: self.original_dst,
                cluster: std::mem::take(&mut self.cluster),
                upstream_local: self.upstream.as_ref().map(|upstream| upstream.local),
                upstream_host: self.upstream.as_ref().map(|upstream| upstream.host),
                bytes_received: *self.received.get_mut(),
                bytes_sent: *self.sent.get_mut(),
                flags: self.end.flags,
                termination_details: self.end.details.take(),
                transport_failure: self.end.failure.take(),
            })
        });
        // Last, so that whoever waits for the end of all finds everything said.
        series.open.dec();
        ended.notify_one();
    }
}
