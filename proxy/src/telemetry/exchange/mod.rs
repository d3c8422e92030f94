//! One request and its response: counted and logged when both have ended, or one of them broke off.
//!
//! Several may be open on a connection. Like the account of the connection (`session`), that of an exchange closes its books
//! when it is dropped, however it ended. Invariant: telling it something takes no lock that anybody else holds, and allocates
//! nothing.

mod grpc;

use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::connections::{Side, Way};
use super::http::Timer;
use super::series::{Extent, Outcome, Series};
use super::session::{EXCHANGES, End, HTTP, Session};

/// What is told of a request when it begins. Text is as it was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Request<'a> {
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`.
    pub(crate) protocol: &'static str,
    /// Empty where it could not be read.
    pub(crate) method: &'a [u8],
    /// The request's target; empty where it could not be read.
    pub(crate) path: &'a [u8],
    /// Whom it is for.
    pub(crate) authority: Option<&'a [u8]>,
    /// The field of this name.
    pub(crate) user_agent: Option<&'a [u8]>,
    /// The field of this name.
    pub(crate) x_forwarded_for: Option<&'a [u8]>,
    /// `x-request-id`.
    pub(crate) request_id: Option<&'a [u8]>,
    /// Whether the content's type is that of gRPC.
    pub(crate) is_grpc: bool,
}

/// An open account of a request and its response.
pub(crate) struct Exchange(Box<Account>);

struct Account {
    session: Session,
    began: Instant,
    is_grpc: bool,
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
        self.accounts().for_each(|account| account.speaks(HTTP));
    }

    /// A request begins.
    pub(crate) fn begin(&self, request: &Request<'_>) -> Exchange {
        self.speaks(EXCHANGES);
        Exchange(Box::new(Account {
            session: self.share(),
            began: Instant::now(),
            is_grpc: request.is_grpc,
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

    /// A message of this side was refused, for a reason that the metric names.
    pub(crate) fn refused_message(&self, side: Side, reason: &'static str) {
        for account in self.accounts() {
            let reporter = account.reporter();
            reporter.books.metrics.http.refused_message(reporter.direction, side, reason);
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

    /// The request's head was passed on, to where the connection is sent now; again where another server was asked after
    /// one that did not accept it.
    pub(crate) fn asked(&self) {
        let routes = Routes::of(&self.0.session);
        *self.0.routes.lock().unwrap_or_else(PoisonError::into_inner) = Some(routes);
        self.0.asked.is_now(self.0.began);
    }

    /// The head of a final response has come, from the server or by this proxy. The last word counts.
    pub(crate) fn responded(&self, status: u16) {
        self.0.status.store(status, Ordering::Relaxed);
        self.0.responded.is_now(self.0.began);
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
            NO_STATUS if self.is_grpc => grpc::status_of(code),
            NO_STATUS => None,
            told => Some(told),
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let duration = self.began.elapsed();
        let code = *self.status.get_mut();
        let grpc_status = self.known_grpc_status(code);
        let outcome = Outcome {
            is_grpc: self.is_grpc,
            code: if (100..600).contains(&code) { code } else { 0 },
            flags: self.end.flags,
            grpc_status: grpc_status.map(grpc::known).filter(|_| self.is_grpc),
        };
        let extent = Extent {
            duration,
            request_bytes: *self.received.get_mut(),
            response_bytes: *self.sent.get_mut(),
            request_messages: *self.request_messages.get_mut(),
            response_messages: *self.response_messages.get_mut(),
        };
        let routes = self.routes.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        for route in routes.unwrap_or_else(|| Routes::of(&self.session)).into_iter() {
            route.series.exchanged(outcome, &extent);
        }
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
    fn of(session: &Session) -> Self {
        let route = |session: Session| {
            session.speaks(EXCHANGES);
            Route { series: session.series(), way: session.connection().way(), session }
        };
        Self(route(session.share()), session.inbound().map(|inbound| Box::new(route(inbound))))
    }

    fn into_iter(self) -> impl Iterator<Item = Route> {
        [self.0].into_iter().chain(self.1.map(|route| *route))
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
}

#[cfg(test)]
mod tests;
