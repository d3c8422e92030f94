//! The servers to which the requests of one client's connection go: each request to the one that is chosen for it, over one
//! connection for each address, which is made when a request needs it.
//!
//! No other client's requests go over these connections. So what one client does not read can never use up the window that
//! another one's responses need, as on connections that are shared. Invariant: for an address there is at most one connection
//! that takes requests, and who wants it while it is being made waits for that.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;

use super::MOST_ATTEMPTS;
use super::server::{Driven, Seat, Server};
use crate::balance::Held;
use crate::http;
use crate::telemetry::exchange::Exchange;
use crate::telemetry::session::{End, Session};
use crate::upstream::{self, Found, Kept, Reached, Upstream};

/// Connections that are kept although nobody needs them now.
pub(crate) const MOST_SERVERS: usize = 100;

/// What streams know of the servers.
pub(super) struct Servers<'a> {
    session: &'a Session,
    settings: &'a http::Settings,
    upstream: &'a dyn Reach,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Those that took requests when it was looked last.
    known: Vec<Arc<Server>>,
    /// Those that are not driven yet.
    greeted: Vec<Driven>,
    dialing: Vec<Dialing>,
    /// What was reached before there was a request, until there is one.
    first: Option<Result<First, End>>,
}

/// The first request goes there, as a connection does that is no HTTP's.
struct First {
    server: Arc<Server>,
    held: Option<Held>,
    is_self_call: bool,
}

/// A connection that is being made; who waits for it hears when this is gone.
struct Dialing {
    address: SocketAddr,
    waiting: Vec<oneshot::Sender<Dialed>>,
}

/// Whether the connection was made, or another one instead; or why none was.
type Dialed = Result<bool, End>;

/// What there is for an address.
pub(super) enum There {
    /// A connection.
    Seat(Seat),
    /// One that is being made.
    Soon(oneshot::Receiver<Dialed>),
}

/// Looks whether there is something for an address.
type Look<'l> = dyn FnMut(SocketAddr) -> Option<Kept<There>> + Send + 'l;

type Reaching<'s> = Pin<Box<dyn Future<Output = Result<Reached<There>, End>> + Send + 's>>;

/// An upstream as all of this knows it, whichever it is, so that it is there once in the program.
pub(super) trait Reach: Sync {
    /// See [`Upstream::reach`].
    fn reach<'s>(
        &'s self,
        session: &'s Session,
        avoid: &'s [SocketAddr],
        look: &'s mut Look<'s>,
    ) -> Reaching<'s>;
}

impl<U: Upstream> Reach for U {
    fn reach<'s>(
        &'s self,
        session: &'s Session,
        avoid: &'s [SocketAddr],
        look: &'s mut Look<'s>,
    ) -> Reaching<'s> {
        Box::pin(Upstream::reach(self, session, avoid, look))
    }
}

impl<'a> Servers<'a> {
    /// None yet.
    pub(super) fn new(session: &'a Session, settings: &'a http::Settings, upstream: &'a dyn Reach) -> Self {
        Self { session, settings, upstream, state: Mutex::default() }
    }

    /// The first one, which was reached before there was a request, or why it was not.
    pub(super) async fn begin(&self, reached: Result<upstream::Dialed, End>) {
        let first = match reached {
            Ok(reached) => {
                let (address, is_self_call) = (reached.address, reached.is_self_call);
                let (leg, held) = reached.into_leg();
                let greeted = Driven::greet(leg, address, self.settings, self.session).await;
                greeted.map(|driven| First { server: self.add(driven).server, held, is_self_call })
            }
            Err(end) => Err(end),
        };
        self.state().first = Some(first);
    }

    /// A place at the server that is chosen for the request, which is told where it goes.
    pub(super) async fn reach(&self, exchange: &Exchange) -> Result<Seat, End> {
        let first = self.state().first.take();
        match first {
            Some(Ok(First { server, held, is_self_call })) if server.takes_requests() => {
                exchange.routed(is_self_call);
                return Ok(Seat { held, ..server.seat() });
            }
            // The next request makes another attempt.
            Some(Err(end)) => return Err(end),
            Some(Ok(_)) | None => {}
        }
        // Others have tried these.
        let mut in_vain = Vec::new();
        loop {
            let mut dial = Dial { servers: self, address: None };
            let reached =
                self.upstream.reach(self.session, &in_vain, &mut |address| dial.look(address)).await;
            let reached = match reached {
                Ok(reached) => reached,
                Err(end) => {
                    dial.is_over(Err(end.clone()));
                    return Err(end);
                }
            };
            exchange.routed(reached.is_self_call);
            let seat = match reached.found {
                Found::Kept(There::Seat(seat)) => seat,
                Found::Kept(There::Soon(dialed)) => match dialed.await {
                    // Who dialed may have left instead.
                    Ok(Ok(true)) | Err(_) => continue,
                    Ok(Ok(false)) if in_vain.len() < MOST_ATTEMPTS as usize => {
                        in_vain.push(reached.address);
                        continue;
                    }
                    Ok(Ok(false)) => return Err(waited_in_vain()),
                    Ok(Err(end)) => return Err(end),
                },
                Found::New(leg) => {
                    let greeted = Driven::greet(leg, reached.address, self.settings, self.session).await;
                    let seat = greeted.map(|driven| self.add(driven));
                    dial.is_over(seat.as_ref().map(|_| true).map_err(End::clone));
                    seat?
                }
            };
            return Ok(Seat { held: reached.held, ..seat });
        }
    }

    fn add(&self, driven: Driven) -> Seat {
        let seat = driven.server.seat();
        let mut state = self.state();
        if state.known.len() >= MOST_SERVERS
            && let Some(unused) = state.known.iter().find(|server| server.is_unused())
        {
            // The oldest one. It leaves the list when it has ended.
            unused.retire();
        }
        state.known.push(Arc::clone(&driven.server));
        state.greeted.push(driven);
        seat
    }

    /// Drives them all.
    pub(super) fn poll(&self, driven: &mut FuturesUnordered<Driven>, cx: &mut Context<'_>) {
        driven.extend(std::mem::take(&mut self.state().greeted));
        while let Poll::Ready(Some(ended)) = driven.poll_next_unpin(cx) {
            let ended = ended.tell(self.session);
            let mut state = self.state();
            state.known.retain(|server| !Arc::ptr_eq(server, &ended));
            // Its endpoint has no load by it any more.
            state.first.take_if(|first| first.as_ref().is_ok_and(|first| Arc::ptr_eq(&first.server, &ended)));
        }
    }

    /// Ready when all have ended.
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
        !self.state().greeted.is_empty()
    }

    /// Whether one of them takes extended CONNECT.
    pub(super) fn offer_connect(&self) -> bool {
        self.state().known.iter().any(|server| server.offers_connect())
    }

    /// None of them is needed any more.
    pub(super) fn retire(&self) {
        self.state().known.iter().for_each(|server| server.retire());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Envoy's `UF` with `URX`, as for a connection of one's own.
fn waited_in_vain() -> End {
    End { flags: "UF,URX", details: None, failure: Some("no endpoint could be connected".to_owned()) }
}

const NO_SOCKET: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// What one request has done about a connection, while it has not reached a server.
struct Dial<'s, 'a> {
    servers: &'s Servers<'a>,
    /// What it dials, for all who want that.
    address: Option<SocketAddr>,
}

impl Dial<'_, '_> {
    /// What there is for `address`; if nothing is, it is being dialed from now on, and what was dialed before was so in vain.
    fn look(&mut self, address: SocketAddr) -> Option<Kept<There>> {
        self.is_over(Ok(false));
        let mut state = self.servers.state();
        let fits = |server: &&Arc<Server>| server.address == address && server.takes_requests();
        if let Some(server) = state.known.iter().find(fits) {
            return Some(Kept { connection: There::Seat(server.seat()), local: server.local });
        }
        match state.dialing.iter_mut().find(|dialing| dialing.address == address) {
            Some(dialing) => {
                let (sender, made) = oneshot::channel();
                dialing.waiting.push(sender);
                // It has no socket that could be told; who waits asks again.
                return Some(Kept { connection: There::Soon(made), local: NO_SOCKET });
            }
            None => {
                state.dialing.push(Dialing { address, waiting: vec![] });
                self.address = Some(address);
            }
        }
        None
    }

    /// Tells those who wait.
    fn is_over(&mut self, dialed: Dialed) {
        for waits in self.leave() {
            // Who has gone meanwhile need not be told.
            let _ = waits.send(dialed.clone());
        }
    }

    fn leave(&mut self) -> Vec<oneshot::Sender<Dialed>> {
        let Some(address) = self.address.take() else { return vec![] };
        let mut state = self.servers.state();
        let place = state.dialing.iter().position(|dialing| dialing.address == address);
        place.map_or(vec![], |place| state.dialing.swap_remove(place).waiting)
    }
}

impl Drop for Dial<'_, '_> {
    fn drop(&mut self) {
        // Who waits sees that nobody dials any more.
        drop(self.leave());
    }
}
