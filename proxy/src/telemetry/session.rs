//! One connection's account: it counts while bytes flow, and closes the books when it is dropped, however the connection
//! ended; so none is forgotten, also when its task is cancelled at the drain deadline.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::Notify;

use runtime::metrics::types::gauge::Gauge;

use super::access_log::{AccessLog, Line};
use super::connections::{Connection, Connections, Pair, RelayMode, Side, Silence};
use super::detections::Detections;
use super::edge::{Cluster, Edge};
use super::metrics::{Metrics, NO_FLAGS, Series};
use super::names::Names;
use super::workload::Workload;
use crate::detect::Detected;
use crate::direction::Direction;

/// Where accounts are kept; clones are the same place.
#[derive(Clone)]
pub struct Books {
    /// Counters.
    pub metrics: Metrics,
    /// Takes a line for each connection that has ended.
    pub access_log: AccessLog,
    /// Shows those that have not.
    pub connections: Connections,
    /// Notified when one has ended.
    pub ended: Arc<Notify>,
}

/// What is told apart.
#[derive(clap::Args, Clone, Copy, Debug)]
#[group(skip)]
pub struct Settings {
    /// Pairs of workloads, in each direction, that have metrics of their own, at 1.2 KiB each; more are counted as unknown
    #[arg(long, env = "REMORA_MAX_EDGES", default_value_t = 500, value_name = "NUMBER",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub max_edges: u32,
}

/// Opens the accounts of one direction.
pub struct Reporter {
    direction: Direction,
    workload: Arc<Workload>,
    open: Gauge,
    detections: Detections,
    /// Of connections that ended before it was known where they go.
    unknown: Arc<Series>,
    /// What edges have; several of them may have the same names, and a new configuration brings new edges.
    series: Mutex<HashMap<Names, Arc<Series>>>,
    most_edges: usize,
    books: Books,
}

impl Reporter {
    /// Keeps its accounts in `books`.
    pub fn new(settings: Settings, direction: Direction, workload: Arc<Workload>, books: Books) -> Self {
        let nobody = match direction {
            Direction::Inbound => Edge::from(None),
            Direction::Outbound => Edge::past_services(None),
        };
        let names = nobody.names(direction, &workload);
        let unknown = Arc::new(Series::new(&books.metrics, names.clone()));
        Self {
            direction,
            workload,
            open: books.metrics.open_gauge(direction),
            detections: books.metrics.detections(direction),
            series: Mutex::new(HashMap::from([(names, Arc::clone(&unknown))])),
            unknown,
            most_edges: usize::try_from(settings.max_edges).unwrap_or(usize::MAX),
            books,
        }
    }

    /// The connection of the socket `client` to `original_dst` begins.
    pub(crate) fn open(self: &Arc<Self>, client: Pair, original_dst: SocketAddr) -> Session {
        self.account(client, original_dst, false)
    }

    /// The pod calls itself: the connection of the socket `client`, which has an account as outbound, goes on inbound.
    pub(crate) fn open_self_call(self: &Arc<Self>, client: Pair, original_dst: SocketAddr) -> Session {
        self.account(client, original_dst, true)
    }

    fn account(self: &Arc<Self>, client: Pair, original_dst: SocketAddr, is_self_call: bool) -> Session {
        self.open.inc();
        self.books.metrics.self_calls.inc_by(is_self_call.into());
        let connection = self.books.connections.enter(self.direction, client, original_dst);
        let account = Account {
            reporter: Arc::clone(self),
            connection,
            series: OnceLock::new(),
            inbound: OnceLock::new(),
            is_self_call,
            end: End::CUT,
        };
        Session(Box::new(account))
    }

    /// Another endpoint is tried.
    pub(crate) fn retried(&self) {
        self.books.metrics.connect_retries.inc();
    }

    fn series(&self, edge: &Edge) -> Arc<Series> {
        let series = edge.series.get_or_init(|| self.look_up(edge.names(self.direction, &self.workload)));
        Arc::clone(series)
    }

    fn look_up(&self, names: Names) -> Arc<Series> {
        let mut known = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = known.get(&names) {
            return Arc::clone(series);
        }
        // The unknown one is none of them.
        if known.len() > self.most_edges {
            self.books.metrics.edge_unnamed(self.direction);
            return Arc::clone(&self.unknown);
        }
        let series = Arc::new(Series::new(&self.books.metrics, names.clone()));
        known.insert(names, Arc::clone(&series));
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

/// An open account. Boxed, since each future that it is moved through would keep a place for all of it.
pub(crate) struct Session(Box<Account>);

struct Account {
    reporter: Arc<Reporter>,
    connection: Arc<Connection>,
    /// Of the edge, once it is known.
    series: OnceLock<Arc<Series>>,
    /// Of the same connection, when the pod calls itself: it is told all that this one is told.
    inbound: OnceLock<Session>,
    /// Whether this is the second account of the same connection.
    is_self_call: bool,
    end: End,
}

impl Session {
    /// It is known where the connection is sent, and what is at the other end. Only the first word counts, since
    /// metrics have then been told.
    pub(crate) fn sent_to(&self, cluster: Cluster, edge: &Edge) {
        self.0.series.get_or_init(|| {
            let series = self.0.reporter.series(edge);
            series.opened.inc();
            self.0.connection.sent_to(cluster);
            series
        });
    }

    /// The client's socket.
    pub(crate) fn client(&self) -> Pair {
        self.0.connection.client
    }

    /// Where the client wanted to go.
    pub(crate) fn original_dst(&self) -> SocketAddr {
        self.0.connection.original_dst
    }

    /// The connection has come back to this pod, which has `inbound` as another account of it.
    pub(crate) fn comes_back(&self, mut inbound: Session) {
        // The two end together from now on.
        inbound.presume(End::CUT);
        self.0.inbound.get_or_init(|| inbound);
    }

    /// Both accounts, where there are two.
    fn accounts(&self) -> impl Iterator<Item = &Session> {
        [self].into_iter().chain(self.0.inbound.get())
    }

    fn series(&self) -> &Series {
        self.0.series.get().unwrap_or(&self.0.reporter.unknown)
    }

    /// The upstream connection was made.
    pub(crate) fn connected(&self, local: SocketAddr, host: SocketAddr) {
        self.accounts().for_each(|account| account.0.connection.connected(Pair { local, remote: host }));
    }

    /// What is spoken has become known.
    pub(crate) fn detected(&self, detected: &Detected) {
        for account in self.accounts() {
            account.0.reporter.detections.count(detected);
            account.0.connection.speaks(detected.clone());
        }
    }

    /// From now on bytes are carried this way.
    pub(crate) fn relayed(&self, mode: RelayMode) {
        self.accounts().for_each(|account| account.0.connection.relayed(mode));
    }

    /// Bytes came from the client and were passed on.
    pub(crate) fn received(&self, bytes: usize) {
        let bytes = bytes as u64;
        for account in self.accounts() {
            account.0.connection.add_received(bytes);
            account.series().received.inc_by(bytes);
        }
    }

    /// Bytes went to the client.
    pub(crate) fn sent(&self, bytes: usize) {
        let bytes = bytes as u64;
        for account in self.accounts() {
            account.0.connection.add_sent(bytes);
            account.series().sent.inc_by(bytes);
        }
    }

    /// This side has ended its stream, and the other one was told.
    pub(crate) fn half_closed(&self, side: Side) {
        self.accounts().for_each(|account| account.0.connection.ended(side));
    }

    /// Returns when the connection was given up, since a peer does not answer any more: both legs are to be reset.
    pub(crate) async fn given_up(&self) -> Silence {
        match self.0.inbound.get() {
            None => self.0.connection.given_up().await,
            // Boxed, since every connection would keep the room that few need.
            Some(inbound) => Box::pin(self.either_given_up(inbound)).await,
        }
    }

    async fn either_given_up(&self, other: &Self) -> Silence {
        tokio::select! {
            silence = self.0.connection.given_up() => silence,
            silence = other.0.connection.given_up() => silence,
        }
    }

    /// Closes the account.
    pub(crate) fn close(mut self, end: End) {
        if let Some(inbound) = self.0.inbound.take() {
            inbound.close(end.clone());
        }
        self.0.end = end;
    }

    /// How the connection will have ended if it is closed without a word.
    pub(crate) fn presume(&mut self, end: End) {
        self.0.end = end;
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let Reporter { direction, unknown, books, open, .. } = self.reporter.as_ref();
        let connection = self.connection.as_ref();
        let series = self.series.get().unwrap_or_else(|| {
            unknown.opened.inc();
            unknown
        });
        series.closed(self.end.flags);
        let (started, since) = connection.started;
        let (bytes_received, bytes_sent) = connection.bytes();
        books.access_log.write(|| {
            Box::new(Line {
                started,
                duration: since.elapsed(),
                direction: *direction,
                downstream_remote: connection.client.remote,
                original_dst: connection.original_dst,
                cluster: connection.cluster().cloned(),
                upstream_local: connection.server().map(|server| server.local),
                upstream_host: connection.server().map(|server| server.remote),
                detected: connection.detected().cloned(),
                bytes_received,
                bytes_sent,
                flags: self.end.flags,
                termination_details: self.end.details.take(),
                transport_failure: self.end.failure.take(),
            })
        });
        books.connections.leave(connection);
        books.metrics.self_calls.dec_by(self.is_self_call.into());
        // Last, so that whoever waits for the end of all finds everything said.
        open.dec();
        books.ended.notify_one();
    }
}
