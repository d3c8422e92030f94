//! A connection of a client, and those to the servers of its requests: all are driven by one task, with all of their streams.
//!
//! Invariant: there are never more streams than the client was allowed, and none of them outlives the connection. A server that
//! goes away takes its streams with it, and not the client.

mod refused;
mod requests;

use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use ::h2::Reason;
use ::h2::server;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;

use super::alive::Alive;
use super::broken::Notable;
use super::meter::Peer;
use super::metered::{Metered, Seen};
use super::parts::Parts;
use super::portion::Portion;
use super::server::Driven;
use super::servers::{Reach, Servers};
use super::shared::Shared;
use super::timers::{Due, Timers};
use super::window::Window;
use super::{Means, ended_by};
use crate::http::h1::LINGER;
use crate::net::leg::Leg;
use crate::telemetry::connections::Side;
use crate::telemetry::exchange::Timer;
use crate::telemetry::session::{End, Session};
use crate::upstream::Dialed;

/// How often parts that wake each other are polled in one turn: some twice for a request and its response. Then others have theirs.
const ROUNDS: usize = 4;

type ToClient = server::Connection<Metered, Portion>;

/// The two ends of a connection.
pub(super) struct Ends<'a> {
    pub(super) client: Leg,
    /// The server that was reached already, or why it was not.
    pub(super) first: Option<Result<Dialed, End>>,
    /// Where all are.
    pub(super) upstream: &'a dyn Reach,
}

/// A client's connection.
pub(super) struct Connection<'a> {
    means: Means<'a>,
    session: &'a Session,
    downstream: ToClient,
    servers: Arc<Servers<'a>>,
    driven: FuturesUnordered<Driven>,
    streams: FuturesUnordered<Pin<Box<dyn Future<Output = Option<Notable>> + Send + 'a>>>,
    shared: Arc<Shared>,
    /// The client's connection, those to servers, and the streams.
    parts: Arc<Parts>,
    timers: Timers,
    alive: Alive,
    window: Window,
    /// None that h2 has is waiting to be handed out.
    has_all: bool,
    offers_connect: bool,
    /// Whether the client has been asked to leave, and whether it has to.
    is_draining: bool,
    is_closing: bool,
    /// Who comes while the proxy retires may ask once before it is asked to leave, or it would only come again.
    came_late: bool,
    has_asked: bool,
}

/// What is left of a connection when the client's has been closed.
pub(super) struct Leaving<'a> {
    ended: End,
    servers: Arc<Servers<'a>>,
    driven: FuturesUnordered<Driven>,
    shared: Arc<Shared>,
}

impl<'a> Connection<'a> {
    /// Greets the peers. Boxed, since whoever waits for something within a future has room for all that it moves about.
    pub(super) async fn open(
        ends: Ends<'a>,
        session: &'a Session,
        means: Means<'a>,
    ) -> Result<Box<Self>, End> {
        let Ends { client, first, upstream } = ends;
        let http = means.http;
        let (client, seen) = Metered::new(client, Peer::Client, Instant::now());
        let servers = Arc::new(Servers::new(session, means, upstream));
        let greet_client = http.settings.h2.facing_client().handshake(client);
        let greet_server = async {
            if let Some(reached) = first {
                servers.begin(reached).await;
            }
        };
        let (downstream, ()) = tokio::join!(greet_client, greet_server);
        let downstream = downstream.map_err(|error| {
            let end = ended_by(&error, &seen, Side::Client);
            seen.untold().into_iter().for_each(|code| session.refused(Side::Client, code));
            end
        })?;
        let most_quiet = http.settings.http_stream_idle_timeout;
        let waiting_room = means.relay.waiting_room();
        let waiting = waiting_room.counted();
        Ok(Box::new(Self {
            means,
            session,
            downstream,
            servers,
            driven: FuturesUnordered::new(),
            streams: FuturesUnordered::new(),
            alive: Alive::new(Arc::clone(&seen), &http.settings.h2),
            shared: Arc::new(Shared::new(seen, waiting, most_quiet)),
            parts: Arc::new(Parts::new()),
            timers: Timers::new(http),
            window: Window::new(http.settings.h2.http2_connection_window, waiting_room),
            has_all: true,
            offers_connect: false,
            is_draining: false,
            is_closing: false,
            came_late: http.retiring.is_requested(),
            has_asked: false,
        }))
    }

    /// Carries streams until the client's connection has ended.
    pub(super) async fn run(&mut self) -> End {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Closes the client's connection, which has ended so.
    pub(super) fn leave(self: Box<Self>, ended: End) -> Leaving<'a> {
        let Self { session, servers, mut driven, downstream, streams, shared, .. } = *self;
        // Streams that do not see it themselves end as the connection does.
        session.presume(ended.clone());
        drop((downstream, streams));
        // What was on its way to the client is owed to the servers, whose connections would not end before.
        driven.iter_mut().for_each(Driven::settle);
        servers.retire();
        Leaving { ended, servers, driven, shared }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let parts = Arc::clone(&self.parts);
        parts.begin_turn(cx);
        let mut ended = Poll::Pending;
        for _ in 0..ROUNDS {
            ended = self.poll_parts(&parts);
            self.settle(cx);
            if ended.is_ready() || !parts.are_woken() {
                break;
            }
        }
        self.offer_connect();
        // Last, since it depends on what is there now.
        self.poll_timers(cx);
        if ended.is_pending() && self.is_silent(&mut parts.client.context()) {
            ended = Poll::Ready(End::gone(Side::Client, Timer::Ping.code().name()));
        }
        parts.end_turn();
        ended
    }

    /// Once each that has something to do.
    fn poll_parts(&mut self, parts: &Parts) -> Poll<End> {
        // First, so that no request goes to a server that has left.
        if parts.servers.take() {
            self.servers.poll(&mut self.driven, &mut parts.servers.context());
        }
        let mut ended = Poll::Pending;
        if parts.client.take() {
            ended = self.poll_client(&mut parts.client.context());
        }
        if ended.is_ready() {
            // Streams see it themselves, and tell the servers.
            self.shared.client_is_gone();
            parts.streams.wake();
        }
        if parts.streams.take() {
            self.poll_streams(&mut parts.streams.context());
        }
        if self.servers.has_greeted() {
            // These have their first turn.
            parts.servers.wake();
        }
        ended
    }

    /// Gives credit for what has been passed on, and tells what was refused.
    fn settle(&mut self, cx: &Context<'_>) {
        let ledger = &self.shared.client.ledger;
        if self.servers.are_driven_elsewhere() {
            ledger.wakes(cx);
        }
        if let Some(window) = self.window.after(ledger.settle(), ledger.held()) {
            self.downstream.set_target_window_size(window);
        }
        self.tell_refused();
        self.driven.iter_mut().for_each(Driven::settle);
    }

    fn poll_timers(&mut self, cx: &mut Context<'_>) {
        let is_within_head = self.shared.client.seen.is_within_head();
        let is_idle = self.is_idle();
        let Due { retires, closes, is_idle: has_idled, is_late } =
            self.timers.poll(cx, is_idle, is_within_head);
        if closes || (retires && (self.has_asked || !self.came_late)) {
            self.drain();
        }
        if closes && is_idle {
            self.close(Reason::NO_ERROR);
        }
        if has_idled {
            self.session.timed_out(Timer::Idle);
            self.close(Reason::NO_ERROR);
        }
        if is_late {
            self.is_late();
            self.close(Reason::ENHANCE_YOUR_CALM);
        }
    }

    /// Whether the client is not there any more.
    fn is_silent(&mut self, cx: &mut Context<'_>) -> bool {
        let has_streams = !self.is_idle();
        let is_silent = self.alive.is_over(cx, has_streams, || self.downstream.ping_pong());
        if is_silent {
            self.session.timed_out(Timer::Ping);
        }
        is_silent
    }

    /// Whether there is no stream, and nothing that is still to be sent of one.
    fn is_idle(&self) -> bool {
        self.streams.is_empty() && !self.downstream.has_streams()
    }

    /// Takes requests; ready when the connection has ended.
    fn poll_client(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.has_all = false;
        while !self.has_all {
            match self.downstream.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.shared.client.seen.begins(respond.stream_id().as_u32());
                    self.begin(request, respond);
                    // h2 reads before it hands out each of those that wait.
                    if self.shared.client.seen.take_turn() {
                        cx.waker().wake_by_ref();
                        break;
                    }
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(self.ended(Some(&error))),
                Poll::Ready(None) => return Poll::Ready(self.ended(None)),
                Poll::Pending => self.has_all = true,
            }
        }
        if self.shared.client.seen.is_worn() {
            self.drain();
        }
        Poll::Pending
    }

    fn poll_streams(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(notable)) = self.streams.poll_next_unpin(cx) {
            match notable {
                Some(Notable::Refused(side, refusal)) => self.session.refused(side, refusal.code()),
                Some(Notable::Idle) => self.session.timed_out(Timer::StreamIdle),
                None => {}
            }
        }
    }

    /// Asks the client to open no more streams.
    fn drain(&mut self) {
        if !mem::replace(&mut self.is_draining, true) {
            self.downstream.graceful_shutdown();
            // It says so when it is asked again.
            self.parts.client.wake();
        }
    }

    /// Ends the connection, also where the client does not leave.
    fn close(&mut self, reason: Reason) {
        if !mem::replace(&mut self.is_closing, true) {
            self.downstream.abrupt_shutdown(reason);
            // It says so when it is asked again.
            self.parts.client.wake();
        }
    }

    /// RFC 8441, section 3: what the server has said may be said to the client.
    fn offer_connect(&mut self) {
        if !self.offers_connect && self.servers.offer_connect() {
            // Not before the client has acknowledged what it was told first.
            self.offers_connect = self.downstream.enable_connect_protocol().is_ok();
            if self.offers_connect {
                self.parts.client.wake();
            }
        }
    }
}

impl Leaving<'_> {
    /// Ready when all have ended; tells how the client's connection did.
    pub(super) async fn end(mut self) -> End {
        let server_ends = poll_fn(|cx| self.servers.poll_all(&mut self.driven, cx));
        tokio::join!(server_ends, linger(&self.shared.client.seen));
        match self.servers.failure() {
            Some(end) if self.ended == End::COMPLETE => end,
            _ => self.ended,
        }
    }
}

/// Waits until a client that was left in good order has ended its side, and lets it read what it was told last: to close
/// earlier would reset the connection if it still sends. One that has broken the rules of frames is not listened to.
async fn linger(seen: &Seen) {
    let Some(mut leg) = seen.take_finished() else { return };
    if !seen.has_violated() {
        let _ = timeout(LINGER, tokio::io::copy(&mut leg, &mut tokio::io::sink())).await;
    }
    leg.finish();
}
