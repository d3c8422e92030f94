//! One connection's account: it counts while bytes flow, and closes the books when it is dropped, however the connection
//! ended; so none is forgotten, also when its task is cancelled at the drain deadline.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Instant, SystemTime};

use tokio::sync::Notify;

use runtime::metrics::types::gauge::Gauge;

use super::access_log::{AccessLog, Line};
use super::edge::{Cluster, Edge};
use super::metrics::{Metrics, NO_FLAGS, Series};
use super::workload::{Labels, Workload};
use crate::direction::Direction;

/// Edges of one direction that have series of their own; four families of about a kilobyte each.
const MOST_EDGES: usize = 2000;

/// Opens the accounts of one direction.
pub struct Reporter {
    direction: Direction,
    workload: Workload,
    metrics: Metrics,
    open: Gauge,
    /// Of connections that ended before it was known where they go.
    unknown: Arc<Series>,
    /// What edges have; several of them may have the same labels, and a new configuration brings new edges.
    series: Mutex<HashMap<Labels, Arc<Series>>>,
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
        let nobody = match direction {
            Direction::Inbound => Edge::from(None),
            Direction::Outbound => Edge::past_services(None),
        };
        let labels = workload.tcp_labels(direction, &nobody);
        let unknown = Arc::new(Series::new(metrics, labels.clone()));
        Self {
            direction,
            workload: workload.clone(),
            metrics: metrics.clone(),
            open: metrics.open_gauge(direction),
            series: Mutex::new(HashMap::from([(labels, Arc::clone(&unknown))])),
            unknown,
            access_log,
            ended,
        }
    }

    /// A connection from `peer` to `original_dst` begins.
    ///
    /// Boxed, since each future that it is moved through would keep a place for all of it.
    pub(crate) fn open(self: &Arc<Self>, peer: SocketAddr, original_dst: SocketAddr) -> Box<Session> {
        self.open.inc();
        Box::new(Session {
            reporter: Arc::clone(self),
            peer,
            original_dst,
            sent_to: OnceLock::new(),
            started: (SystemTime::now(), Instant::now()),
            upstream: None,
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            end: End::CUT,
        })
    }

    fn series(&self, edge: &Edge) -> Arc<Series> {
        let series = edge.series.get_or_init(|| self.look_up(self.workload.tcp_labels(self.direction, edge)));
        Arc::clone(series)
    }

    fn look_up(&self, labels: Labels) -> Arc<Series> {
        let mut known = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = known.get(&labels) {
            return Arc::clone(series);
        }
        if known.len() >= MOST_EDGES {
            self.metrics.edge_unnamed(self.direction);
            return Arc::clone(&self.unknown);
        }
        let series = Arc::new(Series::new(&self.metrics, labels.clone()));
        known.insert(labels, Arc::clone(&series));
        series
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
    sent_to: OnceLock<SentTo>,
    started: (SystemTime, Instant),
    upstream: Option<Upstream>,
    received: AtomicU64,
    sent: AtomicU64,
    end: End,
}

/// Where the connection is sent, in the words of access log and metrics.
struct SentTo {
    cluster: Cluster,
    series: Arc<Series>,
}

/// The addresses of the upstream connection.
struct Upstream {
    local: SocketAddr,
    host: SocketAddr,
}

impl Session {
    /// It is known where the connection is sent, and what is at the other end. Only the first word counts, since
    /// metrics have then been told.
    pub(crate) fn sent_to(&self, cluster: Cluster, edge: &Edge) {
        self.sent_to.get_or_init(|| {
            let series = self.reporter.series(edge);
            series.opened.inc();
            SentTo { cluster, series }
        });
    }

    fn series(&self) -> &Series {
        self.sent_to.get().map_or(&self.reporter.unknown, |sent_to| &sent_to.series)
    }

    /// The upstream connection was made.
    pub(crate) fn connected(&mut self, local: SocketAddr, host: SocketAddr) {
        self.upstream = Some(Upstream { local, host });
    }

    /// Bytes came from the client and were passed on.
    pub(crate) fn received(&self, bytes: usize) {
        add(&self.received, &self.series().received, bytes);
    }

    /// Bytes went to the client.
    pub(crate) fn sent(&self, bytes: usize) {
        add(&self.sent, &self.series().sent, bytes);
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
        let Reporter { direction, unknown, access_log, ended, open, .. } = self.reporter.as_ref();
        let (cluster, series) = match self.sent_to.take() {
            Some(SentTo { cluster, series }) => (Some(cluster), series),
            None => {
                unknown.opened.inc();
                (None, Arc::clone(unknown))
            }
        };
        series.closed(self.end.flags);
        access_log.write(|| {
            Box::new(Line {
                started: self.started.0,
                duration: self.started.1.elapsed(),
                direction: *direction,
                downstream_remote: self.peer,
                original_dst: self.original_dst,
                cluster,
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
        open.dec();
        ended.notify_one();
    }
}
