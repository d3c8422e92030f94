//! A connection of a client, and the one to its server: both are driven by one task, with all of their streams.
//!
//! Invariant: there are never more streams than the client was allowed, and none of them outlives the connection.

mod requests;

use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ::h2::Reason;
use ::h2::client::{self, SendRequest};
use ::h2::server;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::meter::{Peer, Rejected, Violation};
use super::metered::{Metered, Seen};
use super::portion::{Ledger, Portion};
use super::shared::Shared;
use super::slots::Slots;
use super::stream::Notable;
use super::timers::{Due, Timers};
use super::{MOST_BROKEN, Means, Refusal, UNTOLD_STREAMS, WINDOW};
use crate::net::leg::Leg;
use crate::telemetry::connections::Side;
use crate::telemetry::exchange::Timer;
use crate::telemetry::session::{End, Session};

/// How long the server has to hear that the client is gone, where it does not read.
const FAREWELL: Duration = Duration::from_secs(5);

/// What has been passed on of one side's content before that side gets a larger window.
const MUCH: usize = WINDOW as usize;

type ToClient = server::Connection<Metered, Portion>;
type ToServer = client::Connection<Metered, Portion>;

/// A pair of connections.
pub(super) struct Connection<'a> {
    means: Means<'a>,
    session: &'a Session,
    downstream: ToClient,
    /// Until it has ended, and how; or why there is none.
    upstream: Result<ToServer, End>,
    /// Until then.
    requests: Option<SendRequest<Portion>>,
    slots: Slots,
    streams: FuturesUnordered<Pin<Box<dyn Future<Output = Option<Notable>> + Send>>>,
    shared: Arc<Shared>,
    timers: Timers,
    /// What has been passed on of each side's content, and the window that the side has.
    passed: [(usize, u32); 2],
    rejected: [[u32; 2]; 2],
    violated: [Option<Violation>; 2],
    refused: u32,
    offers_connect: bool,
    /// Whether the client has been asked to leave, and whether it has to.
    is_draining: bool,
    is_closing: bool,
    /// Who comes while the proxy retires may ask once before it is asked to leave, or it would only come again; and so may
    /// who comes while there is no server.
    came_late: bool,
    had_server: bool,
    has_asked: bool,
}

impl<'a> Connection<'a> {
    /// Greets both peers.
    pub(super) async fn open(
        client: Leg,
        server: Result<Leg, End>,
        session: &'a Session,
        means: Means<'a>,
    ) -> Result<Self, End> {
        let (now, http) = (Instant::now(), means.http);
        let (client, seen_of_client) = Metered::new(client, Peer::Client, now);
        let greet_client = async {
            let greeted = http.settings.h2.facing_client().handshake(client).await;
            greeted.map_err(|error| client_broken(&error, &seen_of_client))
        };
        let greet_server = async {
            let server = match server {
                Ok(server) => server,
                Err(end) => return (Err(end), Arc::default()),
            };
            let (server, seen) = Metered::new(server, Peer::Server, now);
            let greeted = http.settings.h2.facing_server().handshake(server).await;
            (greeted.map_err(|error| server_broken(&error, &seen)), seen)
        };
        let (downstream, (greeted, seen_of_server)) = tokio::join!(greet_client, greet_server);
        let (requests, upstream) = match greeted {
            Ok((requests, upstream)) => (Some(requests), Ok(upstream)),
            Err(end) => (None, Err(end)),
        };
        let had_server = upstream.is_ok();
        let most_quiet = http.settings.http_stream_idle_timeout;
        Ok(Self {
            means,
            session,
            downstream: downstream?,
            upstream,
            requests,
            slots: Slots::new(UNTOLD_STREAMS),
            streams: FuturesUnordered::new(),
            shared: Arc::new(Shared::new(seen_of_client, seen_of_server, means.relay.waiting(), most_quiet)),
            timers: Timers::new(http),
            passed: [(0, WINDOW as u32); 2],
            rejected: [[0; 2]; 2],
            violated: [None; 2],
            refused: 0,
            offers_connect: false,
            is_draining: false,
            is_closing: false,
            came_late: http.retiring.is_requested(),
            had_server,
            has_asked: false,
        })
    }

    /// Carries streams until the client's connection has ended.
    pub(super) async fn run(mut self) -> End {
        let ended = poll_fn(|cx| self.poll(cx)).await;
        let Self { upstream, requests, downstream, streams, .. } = self;
        drop((downstream, streams, requests));
        match upstream {
            Ok(upstream) => {
                // An end that the server does not hear is a reset.
                let _ = tokio::time::timeout(FAREWELL, upstream).await;
                ended
            }
            Err(end) if ended == End::COMPLETE => end,
            Err(_) => ended,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let ended = self.poll_client(cx);
        if ended.is_ready() {
            // Streams see it themselves, and tell the server.
            self.shared.client_is_gone();
        }
        self.poll_streams(cx);
        self.poll_server(cx);
        // What has come from the server.
        self.poll_streams(cx);
        self.settle();
        self.tell_refused();
        self.offer_connect(cx);
        // Last, since it depends on what is there now.
        self.poll_timers(cx);
        if self.upstream.is_err() && (self.had_server || self.has_asked) && self.is_idle() {
            self.close(cx, Reason::NO_ERROR);
        }
        ended
    }

    fn poll_timers(&mut self, cx: &mut Context<'_>) {
        let is_within_head = self.shared.seen(Side::Client).is_within_head();
        let is_idle = self.is_idle();
        let Due { retires, closes, is_idle: has_idled, is_late } =
            self.timers.poll(cx, is_idle, is_within_head);
        if closes || (retires && (self.has_asked || !self.came_late)) {
            self.drain(cx);
        }
        if closes && is_idle {
            self.close(cx, Reason::NO_ERROR);
        }
        if has_idled {
            self.session.timed_out(Timer::Idle);
            self.close(cx, Reason::NO_ERROR);
        }
        if is_late {
            self.session.timed_out(Timer::Head);
            self.close(cx, Reason::ENHANCE_YOUR_CALM);
        }
    }

    fn poll_server(&mut self, cx: &mut Context<'_>) {
        if let Ok(upstream) = &mut self.upstream
            && let Poll::Ready(closed) = Pin::new(upstream).poll(cx)
        {
            self.requests = None;
            self.upstream = Err(match closed {
                Ok(()) => End::COMPLETE,
                Err(error) => server_broken(&error, self.shared.seen(Side::Server)),
            });
            self.drain(cx);
        }
        if self.shared.seen(Side::Server).is_leaving() {
            self.drain(cx);
        }
        if let Some(requests) = &self.requests {
            self.slots.set_most(requests.current_max_send_streams());
        }
    }

    /// Whether there is no stream, and nothing that is still to be sent of one.
    fn is_idle(&self) -> bool {
        self.streams.is_empty() && !self.downstream.has_streams()
    }

    /// Takes requests; ready when the connection has ended.
    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            match self.downstream.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => self.begin(request, respond, cx),
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(client_broken(&error, self.shared.seen(Side::Client)));
                }
                Poll::Ready(None) if self.refused >= MOST_BROKEN => {
                    let details = Some("client: too many requests were refused".into());
                    return Poll::Ready(End { flags: "DPE", details, failure: None });
                }
                Poll::Ready(None) => return Poll::Ready(End::COMPLETE),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn poll_streams(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(notable)) = self.streams.poll_next_unpin(cx) {
            match notable {
                Some(Notable::Refused(side, refusal)) => self.count_refused(side, refusal, cx),
                Some(Notable::Idle) => self.session.timed_out(Timer::StreamIdle),
                None => {}
            }
        }
    }

    /// Asks the client to open no more streams.
    fn drain(&mut self, cx: &mut Context<'_>) {
        if !mem::replace(&mut self.is_draining, true) {
            self.downstream.graceful_shutdown();
            // It says so when it is asked again.
            cx.waker().wake_by_ref();
        }
    }

    /// Ends the connection, also where the client does not leave.
    fn close(&mut self, cx: &mut Context<'_>, reason: Reason) {
        if !mem::replace(&mut self.is_closing, true) {
            self.downstream.abrupt_shutdown(reason);
            // It says so when it is asked again.
            cx.waker().wake_by_ref();
        }
    }

    /// Gives credit for what has been passed on.
    fn settle(&mut self) {
        let most = self.means.http.settings.h2.http2_connection_window;
        let window = if self.means.relay.has_room(most as usize) { most } else { WINDOW as u32 };
        let [from_client, from_server] = &mut self.passed;
        if let Some(window) = earned(from_client, &self.shared.from_client, window) {
            self.downstream.set_target_window_size(window);
        }
        if let Some(window) = earned(from_server, &self.shared.from_server, window)
            && let Ok(upstream) = &mut self.upstream
        {
            upstream.set_target_window_size(window);
        }
    }

    /// What h2 refuses it does not tell, but for a reset; and why the meter has left a peer.
    fn tell_refused(&mut self) {
        for (side, told) in Side::BOTH.into_iter().zip(&mut self.violated) {
            if let (None, Some(violation)) = (&told, self.shared.seen(side).violation()) {
                *told = Some(violation);
                self.session.refused_message(side, violation.code());
            }
        }
        for (side, told) in Side::BOTH.into_iter().zip(&mut self.rejected) {
            for (rejected, told) in Rejected::ALL.into_iter().zip(told) {
                let refusal = match rejected {
                    Rejected::Malformed => Refusal::Malformed,
                    Rejected::TooMany => Refusal::TooManyStreams,
                };
                for _ in *told..self.shared.rejected(side, rejected) {
                    *told += 1;
                    self.session.refused_message(side, refusal.code());
                }
            }
        }
    }

    /// RFC 8441, section 3: what the server has said may be said to the client.
    fn offer_connect(&mut self, cx: &mut Context<'_>) {
        let Some(requests) = &self.requests else { return };
        if !self.offers_connect && requests.is_extended_connect_protocol_enabled() {
            // Not before the client has acknowledged what it was told first.
            self.offers_connect = self.downstream.enable_connect_protocol().is_ok();
            if self.offers_connect {
                cx.waker().wake_by_ref();
            }
        }
    }
}

/// Pays what is owed; the window that the side gets now, if it changes.
fn earned((passed, has): &mut (usize, u32), ledger: &Ledger, window: u32) -> Option<u32> {
    let paid = ledger.settle();
    *passed = passed.saturating_add(paid);
    (paid > 0 && *passed >= MUCH && *has != window).then(|| {
        *has = window;
        window
    })
}

fn client_broken(error: &::h2::Error, seen: &Seen) -> End {
    broken(error, seen, Side::Client, ["DC", "DPE"])
}

fn server_broken(error: &::h2::Error, seen: &Seen) -> End {
    broken(error, seen, Side::Server, ["UC", "UPE"])
}

/// A connection that has ended otherwise than it should: because of the peer's end, or of what it sent.
fn broken(error: &::h2::Error, seen: &Seen, side: Side, [gone, violated]: [&'static str; 2]) -> End {
    let violation = seen.violation().map(|violation| violation.code().to_owned());
    let flags = if violation.is_some() || error.is_library() { violated } else { gone };
    let what = violation.unwrap_or_else(|| error.to_string());
    End { flags, details: Some(format!("{}: {what}", side.name()).into()), failure: None }
}
