//! One request and its response: counted and logged when both have ended, or one of them broke off.
//!
//! Several may be open on a connection. Like the account of the connection (`session`), that of an exchange closes its books
//! when it is dropped, however it ended. Invariant: telling it something takes no lock that anybody else holds, and allocates
//! nothing.

mod grpc;
mod span;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::access_log::{Exchanged, Line, Texts};
use super::code::Code;
use super::connections::{Side, Way};
pub(crate) use super::http::Timer;
pub(crate) use super::request::Request;
use super::series::{Extent, NO_FLAGS, Outcome, Series};
use super::session::{EXCHANGES, End, HTTP, RESPONSES, Session};
use crate::trace::Open;
use span::{Recorded, Told};

/// An open account of a request and its response.
pub(crate) struct Exchange(Box<Account>);

struct Account {
    session: Session,
    began: Instant,
    protocol: &'static str,
    is_grpc: bool,
    /// Where its trace is recorded.
    span: Option<Box<Open>>,
    /// None where nobody writes them.
    texts: Option<Texts>,
    /// How often the request was passed on.
    attempts: AtomicU32,
    received: AtomicU64,
    sent: AtomicU64,
    request_messages: AtomicU64,
    response_messages: AtomicU64,
    /// When the request was passed on, and when its response's head had come.
    asked: Moment,
    responded: Moment,
    /// Of the response; 0 while there is none.
    status: AtomicU16,
    /// [`NO_STATUS`] while there is none.
    grpc_status: AtomicU32,
    /// Where the request was passed on to.
    routes: Mutex<Option<Routes>>,
    end: End,
}

const NO_STATUS: u32 = u32::MAX;

impl Session {
    /// From now on requests are counted and logged, and not the connection.
    pub(crate) fn speaks_http(&self) {
        self.accounts().for_each(|account| {
            account.speaks(HTTP);
        });
    }

    /// A request begins that is in no trace.
    pub(crate) fn begin(&self, request: &Request<'_>) -> Exchange {
        self.begin_span(request, None)
    }

    /// A request begins, and with it the span, if its trace is recorded.
    pub(crate) fn begin_span(&self, request: &Request<'_>, span: Option<Box<Open>>) -> Exchange {
        self.speaks(EXCHANGES);
        Exchange(Box::new(Account {
            session: self.share(),
            began: Instant::now(),
            protocol: request.protocol,
            is_grpc: request.is_grpc,
            texts: (span.is_some() || self.reporter().books.access_log.is_on()).then(|| Texts::of(request)),
            span,
            attempts: AtomicU32::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            request_messages: AtomicU64::new(0),
            response_messages: AtomicU64::new(0),
            asked: Moment::default(),
            responded: Moment::default(),
            status: AtomicU16::new(0),
            grpc_status: AtomicU32::new(NO_STATUS),
            routes: Mutex::new(None),
            end: End::CUT,
        }))
    }

    /// A message of this side was refused, or its connection was.
    pub(crate) fn refused(&self, side: Side, code: Code) {
        for account in self.accounts() {
            let reporter = account.reporter();
            reporter.books.metrics.http.refused_message(reporter.direction, side, code);
        }
    }

    /// A request is sent again.
    pub(crate) fn retried_request(&self) {
        let reporter = self.reporter();
        reporter.books.metrics.http.retried(reporter.direction);
    }

    /// A time limit was met.
    pub(crate) fn timed_out(&self, timer: Timer) {
        let reporter = self.reporter();
        reporter.books.metrics.http.timed_out(reporter.direction, timer);
    }
}

impl Exchange {
    /// Bytes of the request's content were passed on, also those of a tunnel.
    pub(crate) fn received(&self, bytes: usize) {
        self.0.received.fetch_add(bytes as u64, Ordering::Relaxed);
        self.0.session.carried(Side::Client, bytes as u64);
    }

    /// Bytes of the response's content were passed on, also those of a tunnel.
    pub(crate) fn sent(&self, bytes: usize) {
        self.0.sent.fetch_add(bytes as u64, Ordering::Relaxed);
        self.0.session.carried(Side::Server, bytes as u64);
    }

    /// The request goes to where the connection is sent now, which is this pod itself for `is_self_call`; again where another
    /// server is asked.
    pub(crate) fn routed(&self, is_self_call: bool) {
        let routes = Routes::of(&self.0.session, is_self_call);
        *self.0.routes.lock().unwrap_or_else(PoisonError::into_inner) = Some(routes);
    }

    /// The request's head was passed on.
    pub(crate) fn asked(&self) {
        self.0.attempts.fetch_add(1, Ordering::Relaxed);
        self.0.asked.is_now(self.0.began);
    }

    /// The head of a final response has come from the server. The last word counts.
    pub(crate) fn responded(&self, status: u16) {
        self.0.status.store(status, Ordering::Relaxed);
        self.0.responded.is_now(self.0.began);
    }

    /// Where the client wanted to go, if this is the first on its connection to which a server has responded.
    pub(crate) fn first_response_from(&self) -> Option<SocketAddr> {
        self.0.session.speaks(RESPONSES).then(|| self.0.session.original_dst())
    }

    /// From when the request was passed on until the response's head had come.
    pub(crate) fn waited(&self) -> Option<Duration> {
        self.0.upstream_service_time()
    }

    /// This proxy responds by itself.
    pub(crate) fn answered(&self, status: u16) {
        self.0.status.store(status, Ordering::Relaxed);
        self.0.responded.never();
    }

    /// The status of a gRPC response, which its trailers tell, or its head where it has nothing else.
    pub(crate) fn grpc_status(&self, status: u32) {
        self.0.grpc_status.store(status, Ordering::Relaxed);
    }

    /// A gRPC message of the client was passed on.
    pub(crate) fn request_message(&self) {
        self.0.request_messages.fetch_add(1, Ordering::Relaxed);
    }

    /// A gRPC message of the server was passed on.
    pub(crate) fn response_message(&self) {
        self.0.response_messages.fetch_add(1, Ordering::Relaxed);
    }

    /// Closes the account.
    pub(crate) fn close(mut self, end: End) {
        self.presume(end);
    }

    /// How the exchange will have ended if it is closed without a word.
    pub(crate) fn presume(&mut self, end: End) {
        self.0.end = end;
    }
}

impl Account {
    /// The status of a gRPC response, also where only HTTP has told it.
    fn known_grpc_status(&self, code: u16) -> Option<u32> {
        match self.grpc_status.load(Ordering::Relaxed) {
            _ if !self.is_grpc => None,
            NO_STATUS => grpc::status_of(code),
            told => Some(told),
        }
    }
}

impl Account {
    /// The end as the log tells it, where nobody has said more.
    fn logged_end(&mut self) -> End {
        let mut end = std::mem::replace(&mut self.end, End::COMPLETE);
        if end.flags == NO_FLAGS && end.details.is_none() && self.responded.get().is_some() {
            end.details = Some(Cow::Borrowed(VIA_UPSTREAM));
        }
        end
    }

    fn upstream_service_time(&self) -> Option<Duration> {
        Some(self.responded.get()?.saturating_sub(self.asked.get()?))
    }
}

/// Envoy's `response_code_details` of a response that the server made.
const VIA_UPSTREAM: &str = "via_upstream";

impl Drop for Account {
    fn drop(&mut self) {
        if self.end == End::CUT {
            self.end = self.session.presumed();
        }
        let duration = self.began.elapsed();
        let status = *self.status.get_mut();
        let grpc_status = self.known_grpc_status(status);
        let outcome = Outcome {
            is_grpc: self.is_grpc,
            code: if (100..600).contains(&status) { status } else { 0 },
            flags: self.end.flags,
            grpc_status: grpc_status.map(grpc::known),
        };
        let extent = Extent {
            duration,
            request_bytes: *self.received.get_mut(),
            response_bytes: *self.sent.get_mut(),
            request_messages: *self.request_messages.get_mut(),
            response_messages: *self.response_messages.get_mut(),
        };
        let routes = self.routes.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let (end, texts, span) = (self.logged_end(), self.texts.take(), self.span.take());
        let attempts = *self.attempts.get_mut();
        let record =
            |Route { session, series, way }: Route, span: Option<&Open>, end, texts: Option<Texts>| {
                series.exchanged(outcome, &extent);
                let Some(texts) = texts else { return };
                let (upstream_service_time, connection) =
                    (self.upstream_service_time(), session.connection());
                let (accepted, since) = connection.started;
                let started = accepted + self.began.saturating_duration_since(since);
                if let Some(open) = span {
                    let (protocol, texts, extent) = (self.protocol, &texts, &extent);
                    let told = Told { protocol, texts, attempts, outcome, grpc_status, extent };
                    Recorded { open, started, told, connection, way: &way, names: series.names() }.record();
                }
                let exchange =
                    Exchanged { texts, protocol: self.protocol, status, upstream_service_time, grpc_status };
                session.reporter().books.access_log.write(|| Line {
                    started,
                    bytes_received: extent.request_bytes,
                    bytes_sent: extent.response_bytes,
                    exchange: Some(exchange),
                    ..Line::of(connection, duration, way, end)
                });
            };
        let Routes(outer, inbound) = routes.unwrap_or_else(|| Routes::of(&self.session, false));
        if let Some(inbound) = inbound {
            // What came back to the pod is a part of what the pod asked.
            let child = span.as_ref().map(|span| span.child());
            record(*inbound, child.as_ref(), end.clone(), texts.clone());
        }
        record(outer, span.as_deref(), end, texts);
    }
}

/// Where a request goes, in the words of one account of its connection.
struct Route {
    session: Session,
    series: Arc<Series>,
    way: Way,
}

/// The routes of all accounts: two, where the pod calls itself.
struct Routes(Route, Option<Box<Route>>);

impl Routes {
    fn of(session: &Session, is_self_call: bool) -> Self {
        let route = |session: Session| {
            session.speaks(EXCHANGES);
            Route { series: session.series(), way: session.connection().way(), session }
        };
        let inbound = session.inbound().filter(|_| is_self_call);
        Self(route(session.share()), inbound.map(|inbound| Box::new(route(inbound))))
    }
}

/// A time after the begin of something, which may not have come.
#[derive(Default)]
struct Moment(AtomicU64);

impl Moment {
    fn is_now(&self, began: Instant) {
        let since = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // Of 0 nothing is known.
        self.0.store(since.max(1), Ordering::Relaxed);
    }

    fn never(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn get(&self) -> Option<Duration> {
        let since = self.0.load(Ordering::Relaxed);
        (since > 0).then(|| Duration::from_nanos(since))
    }
}

#[cfg(test)]
mod tests;
