//! One connection's account: it counts while bytes flow, and closes the books when it is dropped, however the connection
//! ended; so none is forgotten, also when its task is cancelled at the drain deadline.
//!
//! A connection is counted as TCP from when it is known that it speaks no HTTP. One that does is an account for those of its
//! exchanges (`exchange`), which keep it open, and leaves a line of its own only if there was none.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Notify;

use runtime::metrics::types::gauge::Gauge;

use super::access_log::{AccessLog, Line};
use super::connections::{Connection, Connections, Pair, RelayMode, Side, Silence};
use super::detections::Detections;
use super::edge::{Cluster, Edge};
pub(crate) use super::end::End;
use super::metrics::{Metrics, REFUSED_BY_MEMORY};
use super::names::Names;
use super::series::Series;
use super::workload::Workload;
use crate::detect::{Detected, Protocol};
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
    /// Notified when one has ended, and when one to a server has.
    pub ended: Arc<Notify>,
}

/// What is told apart.
#[derive(clap::Args, Clone, Copy, Debug)]
#[group(skip)]
pub struct Settings {
    /// Pairs of workloads, in each direction, that have metrics of their own, at 0.3 KiB each and 0.6 KiB for each outcome of
    /// their requests; more are counted as unknown
    #[arg(long, env = "REMORA_MAX_EDGES", default_value_t = 500, value_name = "NUMBER",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub max_edges: u32,
}

/// Opens the accounts of one direction.
pub struct Reporter {
    pub(super) direction: Direction,
    workload: Arc<Workload>,
    open: Gauge,
    detections: Detections,
    /// Of connections that ended before it was known where they go.
    unknown: Arc<Series>,
    /// What edges have; several of them may have the same names, and a new configuration brings new edges.
    series: Mutex<HashMap<Names, Arc<Series>>>,
    most_edges: usize,
    pub(super) books: Books,
}

impl Reporter {
    /// Keeps its accounts in `books`.
    pub fn new(settings: Settings, direction: Direction, workload: Arc<Workload>, books: Books) -> Self {
        let nobody = match direction {
            Direction::Inbound => Edge::from(None),
            Direction::Outbound => Edge::past_services(None),
        };
        let names = nobody.names(direction, &workload);
        let unknown = books.metrics.edges.add(names.clone());
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
        Session(Arc::new(Account {
            reporter: Arc::clone(self),
            connection,
            http: AtomicU8::new(NO_HTTP),
            tcp: OnceLock::new(),
            state: Mutex::new(State { series: None, inbound: None, end: End::CUT }),
            is_self_call,
        }))
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
        let series = self.books.metrics.edges.add(names.clone());
        known.insert(names, Arc::clone(&series));
        series
    }
}

/// An open account; it is closed when the session and all of its exchanges are gone. Shared and so small, since each future
/// that it is moved through would keep a place for all of it.
pub(crate) struct Session(Arc<Account>);

struct Account {
    reporter: Arc<Reporter>,
    connection: Arc<Connection>,
    /// [`NO_HTTP`], [`HTTP`], [`EXCHANGES`] or [`RESPONSES`]; it only grows.
    http: AtomicU8,
    /// Where bytes are counted, once it is known that they are not HTTP's.
    tcp: OnceLock<Flow>,
    state: Mutex<State>,
    /// Whether this is the second account of the same connection.
    is_self_call: bool,
}

const NO_HTTP: u8 = 0;
/// No request has begun yet.
pub(super) const HTTP: u8 = 1;
/// At least one has.
pub(super) const EXCHANGES: u8 = 2;
/// A server has responded to one.
pub(super) const RESPONSES: u8 = 3;

/// Bytes that are counted while they flow.
struct Flow {
    series: Arc<Series>,
    inbound: Option<Session>,
}

/// What its own worker changes, and nobody else looks at.
struct State {
    /// Of the edge, once it is known.
    series: Option<Arc<Series>>,
    /// Of the same connection, when the pod calls itself: it is told all that this one is told.
    inbound: Option<Session>,
    end: End,
}

impl Session {
    /// It is known where the connection is sent, and what is at the other end. A later request may go elsewhere.
    pub(crate) fn sent_to(&self, cluster: Cluster, edge: &Edge) {
        let series = self.0.reporter.series(edge);
        self.0.state().series = Some(series);
        self.0.connection.sent_to(cluster);
    }

    /// The client's socket.
    pub(crate) fn client(&self) -> Pair {
        self.0.connection.client
    }

    /// Whose clients they are.
    pub(crate) fn direction(&self) -> Direction {
        self.0.connection.direction
    }

    /// Where the client wanted to go.
    pub(crate) fn original_dst(&self) -> SocketAddr {
        self.0.connection.original_dst
    }

    /// The connection of `caller` comes back to this pod, and speaks what it speaks there.
    pub(crate) fn speaks_as(&self, caller: &Session) {
        self.0.http.store(caller.0.http.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// What stands if nothing more is said.
    pub(super) fn presumed(&self) -> End {
        self.0.state().end.clone()
    }

    /// The connection has come back to this pod, which has `inbound` as another account of it.
    pub(crate) fn comes_back(&self, inbound: Session) {
        // The two end together from now on.
        inbound.presume(End::CUT);
        let former = self.0.state().inbound.replace(inbound);
        if let Some(former) = former {
            former.close(End::COMPLETE);
        }
    }

    /// What is asked now goes nowhere, since no server was reached.
    pub(crate) fn unconnected(&self) {
        self.accounts().for_each(|account| account.0.connection.unconnected());
    }

    /// What the client speaks takes more memory than there is: it is turned away after all.
    pub(crate) fn lacks_memory(&self) -> End {
        let Reporter { direction, books, .. } = &*self.0.reporter;
        books.metrics.refused(*direction, REFUSED_BY_MEMORY);
        End { flags: "UO", details: Some("memory is short".into()), failure: None }
    }

    /// What is asked from now on goes elsewhere than to this pod, whether or not the last request did.
    pub(crate) fn goes_elsewhere(&self) {
        let inbound = self.0.state().inbound.take();
        if let Some(inbound) = inbound {
            inbound.close(End::COMPLETE);
        }
    }

    /// Both accounts, where there are two.
    pub(super) fn accounts(&self) -> impl Iterator<Item = Session> {
        [self.share()].into_iter().chain(self.inbound())
    }

    pub(super) fn share(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    pub(super) fn inbound(&self) -> Option<Session> {
        self.0.state().inbound.as_ref().map(Self::share)
    }

    pub(super) fn reporter(&self) -> &Arc<Reporter> {
        &self.0.reporter
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.0.connection
    }

    /// Of where the connection is sent now.
    pub(super) fn series(&self) -> Arc<Series> {
        self.0.state().series.clone().unwrap_or_else(|| Arc::clone(&self.0.reporter.unknown))
    }

    /// The upstream connection was made.
    pub(crate) fn connected(&self, local: SocketAddr, host: SocketAddr) {
        self.accounts().for_each(|account| account.0.connection.connected(Pair { local, remote: host }));
    }

    /// What is sent on goes over connections that have accounts of their own.
    pub(crate) fn uses_links(&self) {
        self.accounts().for_each(|account| account.0.connection.uses_links());
    }

    /// What is spoken has become known.
    pub(crate) fn detected(&self, detected: &Detected) {
        for account in self.accounts() {
            account.0.reporter.detections.count(detected);
            account.0.connection.speaks(detected.clone());
        }
        match detected.protocol {
            Protocol::Tls | Protocol::Opaque => self.speaks_no_http(),
            // If nobody speaks it with the peers, it is relayed.
            Protocol::Http1 | Protocol::Http2 => {}
        }
    }

    /// From now on bytes are carried this way.
    pub(crate) fn relayed(&self, mode: RelayMode) {
        if self.0.http.load(Ordering::Relaxed) == NO_HTTP {
            self.speaks_no_http();
        }
        self.accounts().for_each(|account| account.0.connection.relayed(mode));
    }

    /// The connection is counted from now on.
    fn speaks_no_http(&self) {
        self.0.tcp.get_or_init(|| {
            let (series, inbound) = (self.series(), self.inbound());
            series.opened();
            if let Some(inbound) = &inbound {
                inbound.speaks_no_http();
            }
            Flow { series, inbound }
        });
    }

    /// The connection speaks HTTP, and is at least so far with it; whether that is news.
    pub(super) fn speaks(&self, http: u8) -> bool {
        self.0.http.fetch_max(http, Ordering::Relaxed) < http
    }

    /// Bytes came from the client and were passed on.
    pub(crate) fn received(&self, bytes: usize) {
        let counted = bytes as u64;
        self.0.connection.add_received(counted);
        if let Some(Flow { series, inbound }) = self.0.tcp.get() {
            series.received(counted);
            inbound.iter().for_each(|inbound| inbound.received(bytes));
        }
    }

    /// Bytes went to the client.
    pub(crate) fn sent(&self, bytes: usize) {
        let counted = bytes as u64;
        self.0.connection.add_sent(counted);
        if let Some(Flow { series, inbound }) = self.0.tcp.get() {
            series.sent(counted);
            inbound.iter().for_each(|inbound| inbound.sent(bytes));
        }
    }

    /// Bytes of an exchange came from this side and were passed on: they are counted as its own.
    pub(super) fn carried(&self, from: Side, bytes: u64) {
        let add = |connection: &Connection| match from {
            Side::Client => connection.add_received(bytes),
            Side::Server => connection.add_sent(bytes),
        };
        add(&self.0.connection);
        if let Some(inbound) = &self.0.state().inbound {
            add(&inbound.0.connection);
        }
    }

    /// This side has ended its stream, and the other one was told.
    pub(crate) fn half_closed(&self, side: Side) {
        self.accounts().for_each(|account| account.0.connection.ended(side));
    }

    /// Returns when the connection was given up, since a peer does not answer any more: both legs are to be reset.
    pub(crate) async fn given_up(&self) -> Silence {
        match self.inbound() {
            None => self.0.connection.given_up().await,
            // Boxed, since every connection would keep the room that few need.
            Some(inbound) => Box::pin(self.either_given_up(Arc::clone(&inbound.0.connection))).await,
        }
    }

    async fn either_given_up(&self, other: Arc<Connection>) -> Silence {
        tokio::select! {
            silence = self.0.connection.given_up() => silence,
            silence = other.given_up() => silence,
        }
    }

    /// Closes the account.
    pub(crate) fn close(self, end: End) {
        if let Some(inbound) = self.inbound() {
            inbound.close(end.clone());
        }
        self.presume(end);
    }

    /// How the connection will have ended if it is closed without a word.
    pub(crate) fn presume(&self, end: End) {
        self.0.state().end = end;
    }
}

impl Account {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let end = std::mem::replace(&mut state.end, End::COMPLETE);
        let Reporter { unknown, books, open, .. } = self.reporter.as_ref();
        let http = *self.http.get_mut();
        if http == NO_HTTP {
            let series = self.tcp.get().map(|flow| &flow.series).unwrap_or_else(|| {
                // Nobody has said anything yet, and a connection it was.
                let series = state.series.as_ref().unwrap_or(unknown);
                series.opened();
                series
            });
            series.closed(end.flags);
        }
        if http < EXCHANGES {
            let lasted = self.connection.started.1.elapsed();
            books.access_log.write(|| Line::of(&self.connection, lasted, self.connection.way(), end));
        }
        books.connections.leave(&self.connection);
        books.metrics.self_calls.dec_by(self.is_self_call.into());
        // Last, so that whoever waits for the end of all finds everything said.
        open.dec();
        books.ended.notify_one();
    }
}
