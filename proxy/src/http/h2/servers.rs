//! The servers to which the requests of one client's connection go: each request to the one that is chosen for it, over a
//! connection to its address, which is made when a request needs it.
//!
//! Outbound all clients of a worker share these connections: they are one pod's. A pod with many connections to a Service of many
//! endpoints has as many to each endpoint as its requests need at once, instead of the product of both numbers. Inbound no other
//! client's requests go over a client's connections, so that nothing that one peer does to a server can become another's
//! trouble. Invariant: what one client does not read, or one server's stream does not, never holds up another's for long:
//! `server` gives windows for what waits, and where that does not help, new requests go over another connection.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use runtime::shutdown::Shutdown;

use super::links::{Dial, Instead, Links, Queued, There, no_descriptor};
use super::server::{Driven, Seat, Server};
use super::{MOST_ATTEMPTS, Means};
use crate::balance::Held;
use crate::net::leg::Leg;
use crate::telemetry::exchange::Exchange;
use crate::telemetry::session::{End, Session};
use crate::telemetry::sockets::{Counted, Whose};
use crate::upstream::{self, Found, Reached, Upstream};

thread_local! {
    /// The worker's, where clients share them.
    static SHARED: Links = Links::shared();
}

/// What streams know of the servers.
pub(super) struct Servers<'a> {
    session: &'a Session,
    means: Means<'a>,
    upstream: &'a dyn Reach,
    /// Those of this client alone.
    own: Links,
    /// Those of all clients, where they share them.
    shared: Option<Links>,
    /// Such a client needs no socket but its own.
    _sharer: Option<Counted>,
    state: Mutex<State<'a>>,
}

#[derive(Default)]
struct State<'a> {
    /// Connections that are being made, while the requests that have begun it are elsewhere; others may wait for them.
    left: Vec<Left<'a>>,
    /// There are some among them that are not driven yet.
    has_left: bool,
    /// Own ones that are not driven yet.
    greeted: Vec<Driven>,
    /// What was reached before there was a request, until there is one.
    first: Option<Result<First, End>>,
    /// The one that was reached last.
    last: Weak<Server>,
}

/// The first request goes there, as a connection does that is no HTTP's.
struct First {
    seat: Seat,
    is_self_call: bool,
}

type Reaching<'s> = Pin<Box<dyn Future<Output = Result<Reached<There>, End>> + Send + 's>>;

type Left<'s> = Pin<Box<dyn Future<Output = (Arc<Dial<'s>>, Result<Option<New>, End>)> + Send + 's>>;

/// One that was made, and whether it leads back to this pod.
type New = (Driven, bool);

/// An upstream as all of this knows it, whichever it is, so that it is there once in the program.
pub(super) trait Reach: Sync {
    /// See [`Upstream::reach`]; what there is `dial` knows.
    fn reach<'s>(&'s self, session: &'s Session, avoid: Vec<SocketAddr>, dial: Arc<Dial<'s>>)
    -> Reaching<'s>;

    /// See [`Upstream::choices`].
    fn choices(&self) -> [Vec<SocketAddr>; 2];

    /// See [`Upstream::goes_to`].
    fn goes_to(&self, session: &Session, address: SocketAddr, local: SocketAddr) -> Reached<()>;
}

impl<U: Upstream> Reach for U {
    fn reach<'s>(
        &'s self,
        session: &'s Session,
        avoid: Vec<SocketAddr>,
        dial: Arc<Dial<'s>>,
    ) -> Reaching<'s> {
        Box::pin(async move { Upstream::reach(self, session, &avoid, |address| dial.look(address)).await })
    }

    fn choices(&self) -> [Vec<SocketAddr>; 2] {
        Upstream::choices(self)
    }

    fn goes_to(&self, session: &Session, address: SocketAddr, local: SocketAddr) -> Reached<()> {
        Upstream::goes_to(self, session, address, local)
    }
}

impl<'a> Servers<'a> {
    /// None yet.
    pub(super) fn new(session: &'a Session, means: Means<'a>, upstream: &'a dyn Reach) -> Self {
        let shared = means.http.pool.is_used().then(|| SHARED.with(Links::clone));
        let sharer = shared.as_ref().map(|_| means.http.room.further().sharer());
        let own = Links::own();
        Self { session, means, upstream, own, shared, _sharer: sharer, state: Mutex::default() }
    }

    /// The first one, which was reached before there was a request, or why it was not.
    pub(super) async fn begin(&self, reached: Result<upstream::Dialed, End>) {
        let first = match reached {
            Ok(reached) if self.shared.is_some() && !reached.is_self_call => {
                return self.begin_shared(reached).await;
            }
            Ok(reached) => {
                let (address, is_self_call) = (reached.address, reached.is_self_call);
                let (leg, held) = reached.into_leg();
                let greeted = self.greet(leg, address).await;
                // A client that shares has no second socket of its own.
                let socket = self.shared.as_ref().map(|_| self.means.http.room.further().one(Whose::Shared));
                let seat = greeted.map(|driven| self.add(driven.counted(socket), is_self_call));
                seat.map(|seat| First { seat: Seat::with(seat, held), is_self_call })
            }
            Err(end) => Err(end),
        };
        let mut state = self.state();
        state.last = first.as_ref().map_or(Weak::new(), |first| Arc::downgrade(&first.seat.server));
        state.first = Some(first);
    }

    /// The same where clients share connections: it is for whoever comes first, if there was none.
    async fn begin_shared(&self, reached: upstream::Dialed) {
        let address = reached.address;
        let (leg, _) = reached.into_leg();
        let seat = match self.shared.as_ref().and_then(|links| links.seat(address, true)) {
            Some(seat) => {
                leg.finish();
                self.session.connected(seat.server.local, address);
                Ok(seat)
            }
            None => {
                let greeted = self.greet(leg, address).await;
                let socket = self.means.http.room.further().one(Whose::Shared);
                greeted.map(|driven| self.add(driven.counted(Some(socket)), false))
            }
        };
        let mut state = self.state();
        match seat {
            Ok(seat) => state.last = Arc::downgrade(&seat.server),
            Err(end) => state.first = Some(Err(end)),
        }
    }

    /// A place at the server that is chosen for the request, which is told where it goes.
    pub(super) async fn reach(&self, exchange: &Exchange) -> Result<Seat, End> {
        let first = self.state().first.take();
        match first {
            Some(Ok(First { seat, is_self_call })) if seat.server.takes_requests() => {
                exchange.routed(is_self_call);
                return Ok(seat);
            }
            // The next request makes another attempt.
            Some(Err(end)) => return Err(end),
            Some(Ok(_)) | None => {}
        }
        // Others have tried these, or there can be no connection to them.
        let mut in_vain = Vec::new();
        let (mut failures, mut queued) = (0, Queued::default());
        loop {
            let mut begun = self.begin_dial(in_vain.clone());
            let reached = match begun.or_turn(&mut queued).await {
                Ok(Ok(reached)) => reached,
                Ok(Err(end)) => {
                    begun.dial.is_over(&Err(end.clone()));
                    return self.in_spite(begun.dial.in_spite(), exchange, end);
                }
                Err(seat) => {
                    begun.leave();
                    return Ok(self.goes_to(seat, exchange));
                }
            };
            let dial = &begun.dial;
            exchange.routed(reached.is_self_call);
            let (address, mut dialed) = match reached.found {
                Found::Kept(There::Seat(seat)) => return Ok(self.takes(seat, reached.held)),
                Found::New(leg) => {
                    let seat = self.made(leg, (reached.address, reached.is_self_call), dial).await?;
                    return Ok(self.takes(seat, reached.held));
                }
                Found::Kept(There::Soon(dialed)) => (reached.address, dialed),
                // Others are asked for at once, since a Service may have thousands.
                Found::Kept(There::Never) => match dial.instead(&self.upstream.choices()) {
                    Instead::Seat(seat) => return Ok(self.goes_to(seat, exchange)),
                    Instead::Soon(address, dialed) => (address, dialed),
                    Instead::Never => return self.in_spite(None, exchange, no_descriptor()),
                },
            };
            // Who waits is no load of the endpoint yet.
            drop(reached.held);
            match dial.or_turn(&mut queued, &mut dialed).await {
                // Who dialed may have left instead.
                Ok(Ok(Ok(true)) | Err(_)) => {}
                // That one had no other to try, or has tried others; this one may have some.
                Ok(Ok(_)) if failures < MOST_ATTEMPTS && !in_vain.contains(&address) => {
                    failures += 1;
                    in_vain.push(address);
                }
                Ok(Ok(failed)) => {
                    let end = failed.err().unwrap_or_else(waited_in_vain);
                    return self.in_spite(dial.in_spite(), exchange, end);
                }
                Err(seat) => return Ok(self.goes_to(seat, exchange)),
            }
        }
    }

    /// Greets a server that was dialed, and tells those who wait for it.
    async fn made(
        &self,
        leg: Leg,
        (address, is_self_call): (SocketAddr, bool),
        dial: &Dial<'_>,
    ) -> Result<Seat, End> {
        let greeted = self.greet(leg, address).await;
        let seat = greeted.map(|driven| self.add(driven.counted(dial.take_socket()), is_self_call));
        dial.is_over(&seat.as_ref().map(|_| true).map_err(End::clone));
        seat
    }

    /// It is where the request goes, which was chosen for it.
    fn takes(&self, seat: Seat, held: Option<Held>) -> Seat {
        self.state().last = Arc::downgrade(&seat.server);
        Seat::with(seat, held)
    }

    fn begin_dial(&self, avoid: Vec<SocketAddr>) -> Begun<'_, 'a> {
        let dial = Arc::new(self.dial());
        let reaching = Some(self.upstream.reach(self.session, avoid, Arc::clone(&dial)));
        Begun { servers: self, dial, reaching }
    }

    fn dial(&self) -> Dial<'a> {
        let (links, own) = match &self.shared {
            Some(shared) => (shared, Some(self.own.clone())),
            None => (&self.own, None),
        };
        Dial::new(links.clone(), own, &self.means.http.room)
    }

    /// The dial goes on without the request that has begun it.
    fn leave(&self, reaching: Reaching<'a>, dial: Arc<Dial<'a>>) {
        dial.is_left();
        let (means, session) = (self.means, self.session);
        let left = async move {
            let made = async {
                let Reached { found, address, is_self_call, .. } = reaching.await?;
                let Found::New(leg) = found else { return Ok(None) };
                let driven = Driven::greet(leg, address, means, session).await?;
                Ok(Some((driven, is_self_call)))
            };
            (dial, made.await)
        };
        let mut state = self.state();
        state.left.push(Box::pin(left));
        state.has_left = true;
    }

    fn poll_left(&self, cx: &mut Context<'_>) {
        let mut left = {
            let mut state = self.state();
            state.has_left = false;
            std::mem::take(&mut state.left)
        };
        left.retain_mut(|left| {
            let Poll::Ready((dial, made)) = left.as_mut().poll(cx) else { return true };
            // Nobody has a place there yet.
            let add =
                |(driven, is_self_call): New| self.add(driven.counted(dial.take_socket()), is_self_call);
            let made = made.map(|made| made.map(add));
            dial.is_over(&made.map(|made| made.is_some()));
            false
        });
        if !left.is_empty() {
            self.state().left.append(&mut left);
        }
    }

    /// A place on a connection that perhaps has no room, where no more could be made because of `end`.
    fn in_spite(&self, seat: Option<Seat>, exchange: &Exchange, end: End) -> Result<Seat, End> {
        let Some(seat) = seat else {
            self.session.unconnected();
            exchange.routed(false);
            return Err(end);
        };
        Ok(self.goes_to(seat, exchange))
    }

    /// It is where the request goes, though the account may have been told of another endpoint since that was chosen.
    fn goes_to(&self, seat: Seat, exchange: &Exchange) -> Seat {
        let reached = self.upstream.goes_to(self.session, seat.server.address, seat.server.local);
        exchange.routed(reached.is_self_call);
        self.takes(seat, reached.held)
    }

    /// Greets a server. Apart from what it is a part of, which would have room for it as long as it is there.
    async fn greet(&self, leg: Leg, address: SocketAddr) -> Result<Driven, End> {
        Box::pin(Driven::greet(leg, address, self.means, self.session)).await
    }

    /// A connection is there: for all clients, unless it leads back to this pod, where it is a part of this client's account.
    fn add(&self, driven: Driven, is_self_call: bool) -> Seat {
        let seat = driven.server.seat();
        match &self.shared {
            Some(links) if !is_self_call => {
                links.add(&driven.server);
                tokio::spawn(drive(
                    Box::new(driven.for_many()),
                    links.clone(),
                    self.means.http.retiring.clone(),
                ));
            }
            Some(_) | None => {
                self.own.add(&driven.server);
                self.state().greeted.push(driven);
            }
        }
        seat
    }

    /// Whether what is passed on to them is sent by other tasks.
    pub(super) fn are_driven_elsewhere(&self) -> bool {
        self.shared.is_some()
    }

    /// Drives all of its own.
    pub(super) fn poll(&self, driven: &mut FuturesUnordered<Driven>, cx: &mut Context<'_>) {
        self.poll_left(cx);
        driven.extend(std::mem::take(&mut self.state().greeted));
        while let Poll::Ready(Some(ended)) = driven.poll_next_unpin(cx) {
            self.own.remove(&ended);
            let is_it = |first: &First| Arc::ptr_eq(&first.seat.server, &ended);
            // Its endpoint has no load by it any more.
            self.state().first.take_if(|first| first.as_ref().is_ok_and(is_it));
        }
        if self.shared.is_none() && driven.iter().all(Driven::is_counted) {
            // It is the client's second socket.
            driven.iter_mut().next().map(Driven::uncount);
        }
    }

    /// Ready when all of its own have ended.
    pub(super) fn poll_all(&self, driven: &mut FuturesUnordered<Driven>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll(driven, cx);
        if driven.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Why the first one was not there, if nobody was told.
    pub(super) fn failure(&self) -> Option<End> {
        self.state().first.take().and_then(Result::err)
    }

    /// A request is sent again.
    pub(super) fn retried(&self) {
        self.session.retried_request();
    }

    /// Whether there are some that have not been driven.
    pub(super) fn has_greeted(&self) -> bool {
        let state = self.state();
        state.has_left || !state.greeted.is_empty()
    }

    /// Whether the one that was asked last takes extended CONNECT.
    pub(super) fn offer_connect(&self) -> bool {
        self.state().last.upgrade().is_some_and(|server| server.offers_connect())
    }

    /// None of its own is needed any more.
    pub(super) fn retire(&self) {
        // The futures are dropped after the lock.
        let left = std::mem::take(&mut self.state().left);
        drop(left);
        self.own.retire();
    }

    fn state(&self) -> MutexGuard<'_, State<'a>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A dial of one request. If that goes elsewhere the dial goes on, and if it is broken off, for those who wait for it.
struct Begun<'s, 'a> {
    servers: &'s Servers<'a>,
    dial: Arc<Dial<'a>>,
    /// Until it has come to its end.
    reaching: Option<Reaching<'a>>,
}

impl Begun<'_, '_> {
    async fn or_turn(&mut self, queued: &mut Queued) -> Result<Result<Reached<There>, End>, Seat> {
        let Some(reaching) = &mut self.reaching else { return Ok(Err(waited_in_vain())) };
        let reached = self.dial.or_turn(queued, reaching).await?;
        self.reaching = None;
        Ok(reached)
    }

    fn leave(&mut self) {
        if let Some(reaching) = self.reaching.take() {
            self.servers.leave(reaching, Arc::clone(&self.dial));
        }
    }
}

impl Drop for Begun<'_, '_> {
    fn drop(&mut self) {
        if self.dial.is_wanted() {
            self.leave();
        }
    }
}

/// Drives a connection that clients share. When the proxy goes away, it ends as soon as nobody needs it.
async fn drive(mut driven: Box<Driven>, links: Links, mut retiring: Shutdown) {
    let mut retires = pin!(retiring.requested());
    let mut is_retiring = false;
    let ended = std::future::poll_fn(|cx| {
        is_retiring = is_retiring || retires.as_mut().poll(cx).is_ready();
        if is_retiring && driven.server.is_unused() {
            driven.server.retire();
        }
        driven.server.face.ledger.wakes(cx);
        driven.settle();
        Pin::new(&mut *driven).poll(cx)
    });
    let ended = ended.await;
    links.remove(&ended);
    // Who has had a stream there may keep what is known of it.
    drop(driven);
    if let Some(leg) = ended.face.seen.take_finished() {
        leg.finish();
    }
}

/// Envoy's `UF` with `URX`, as for a connection of one's own.
fn waited_in_vain() -> End {
    End { flags: "UF,URX", details: None, failure: Some("no endpoint could be connected".to_owned()) }
}
