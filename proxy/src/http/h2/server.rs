//! One connection to a server: what its streams know of it, and what drives it until it has ended.
//!
//! It takes requests until the server says that it will not (GOAWAY), or has ended it, or nobody wanted anything for long; from
//! then on the streams that it has are carried to their ends, and it ends. Invariant: it is closed in good order, after its
//! last stream; a server that does not let itself be told so is reset soon.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use ::h2::client::{self, SendRequest};

use super::alive::Alive;
use super::face::Face;
use super::meter::Peer;
use super::metered::Metered;
use super::portion::Portion;
use super::slots::{Slots, Ticket};
use super::stuck::{Stuck, Waits};
use super::timers::Lasting;
use super::window::Window;
use super::{Means, UNTOLD_STREAMS, ended_by, leave};
use crate::balance::Held;
use crate::net::leg::Leg;
use crate::telemetry::Link;
use crate::telemetry::connections::Side;
use crate::telemetry::exchange::Timer;
use crate::telemetry::session::{End, Session};
use crate::telemetry::sockets::Counted;

/// How long a server has to hear that it is needed no more, where it does not read.
pub(super) const FAREWELL: Duration = Duration::from_secs(5);

/// How often it is looked whether there is memory for more, while nothing else happens.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

type ToServer = client::Connection<Metered, Portion>;

/// What streams know of a connection.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    /// The address of our socket.
    pub(super) local: SocketAddr,
    pub(super) began: Instant,
    pub(super) face: Arc<Face>,
    /// As long as it takes requests.
    requests: Mutex<Option<SendRequest<Portion>>>,
    slots: Slots,
    /// What of the streams' requests it does not take.
    stuck: Stuck,
    /// Its streams hold more than they should while new ones come.
    is_full: AtomicBool,
    offers_connect: AtomicBool,
    has_answered: AtomicBool,
}

/// A place in the queue of a server, and then on its connection.
pub(super) struct Seat {
    pub(super) server: Arc<Server>,
    pub(super) ticket: Ticket,
    /// It is a part of the endpoint's load.
    pub(super) held: Option<Held>,
    /// Whether the request's content waits for the server.
    waits: Waits,
}

impl Seat {
    /// A place, which `held` is about.
    pub(super) fn with(mut seat: Self, held: Option<Held>) -> Self {
        seat.held = held;
        seat
    }

    /// The request's content waits for the server, or does not, and some of it was taken, or was not.
    pub(super) fn waits(&mut self, waits: bool, has_moved: bool) {
        self.waits.set(&self.server.stuck, waits, has_moved);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.waits(false, false);
    }
}

impl Server {
    /// A place; there is no turn for it where the server [takes no more requests](Self::takes_requests).
    pub(super) fn seat(self: &Arc<Self>) -> Seat {
        Seat { server: Arc::clone(self), ticket: self.slots.ticket(), held: None, waits: Waits::default() }
    }

    /// Whether it takes requests.
    pub(super) fn takes_requests(&self) -> bool {
        self.lock(|requests| requests.is_some())
    }

    /// Whether another stream would go on at once, as far as is known: there is a slot for it, and no window is used up by
    /// streams that somebody does not read.
    pub(super) fn has_room(&self) -> bool {
        self.slots.has_room() && self.flows()
    }

    /// Whether another stream would go on when others have ended.
    pub(super) fn has_queue(&self) -> bool {
        self.takes_requests() && !self.slots.are_none() && self.flows()
    }

    fn flows(&self) -> bool {
        !self.is_full.load(Ordering::Relaxed) && !self.stuck.is_so()
    }

    /// How many streams there are, and wait to be.
    pub(super) fn load(&self) -> usize {
        self.slots.held()
    }

    /// Sends one request, as long as it takes any. (One that has sent a request would not take another while that waits for its
    /// turn, so that each is a clone.)
    pub(super) fn requests(&self) -> Option<SendRequest<Portion>> {
        self.lock(|requests| requests.clone())
    }

    /// It takes no more requests.
    pub(super) fn retire(&self) {
        // Dropped after the lock: it wakes the connection.
        let requests = self.lock(Option::take);
        drop(requests);
        self.slots.close();
    }

    /// Whether nobody waits for anything of it.
    pub(super) fn is_unused(&self) -> bool {
        self.slots.is_unused()
    }

    /// It has answered a request: it was in use, and not only begun.
    pub(super) fn answered(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
    }

    /// Whether it has.
    pub(super) fn has_answered(&self) -> bool {
        self.has_answered.load(Ordering::Relaxed)
    }

    /// Whether it has said that it takes extended CONNECT.
    pub(super) fn offers_connect(&self) -> bool {
        self.offers_connect.load(Ordering::Relaxed)
    }

    fn see_offer(&self) {
        let is_offered = |requests: &mut Option<SendRequest<Portion>>| {
            requests.as_ref().is_some_and(SendRequest::is_extended_connect_protocol_enabled)
        };
        if !self.offers_connect() && self.lock(is_offered) {
            self.offers_connect.store(true, Ordering::Relaxed);
        }
    }

    fn lock<T>(&self, with: impl FnOnce(&mut Option<SendRequest<Portion>>) -> T) -> T {
        with(&mut self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Drives a connection; ready when it has ended.
pub(super) struct Driven {
    pub(super) server: Arc<Server>,
    connection: ToServer,
    most_idle: Duration,
    idle: Lasting,
    farewell: Lasting,
    alive: Alive,
    window: Window,
    full: Lasting,
    account: Link,
    /// Its socket, where that is not its client's second one.
    socket: Option<Counted>,
}

impl Driven {
    /// Greets the server at `address`.
    pub(super) async fn greet(
        leg: Leg,
        address: SocketAddr,
        means: Means<'_>,
        session: &Session,
    ) -> Result<Self, End> {
        let settings = &means.http.settings;
        // What has no address is broken, and that is found soon.
        let local = leg.stream().local_addr().unwrap_or(address);
        let account = session.link(local, address);
        let (metered, seen) = Metered::new(leg, Peer::Server, Instant::now());
        let greeted = settings.h2.facing_server().handshake(metered).await;
        let (requests, connection) = greeted.map_err(|error| ended_by(&error, &seen, Side::Server))?;
        let server = Arc::new(Server {
            address,
            local,
            began: Instant::now(),
            face: Arc::new(Face::new(seen)),
            requests: Mutex::new(Some(requests)),
            slots: Slots::new(UNTOLD_STREAMS),
            stuck: Stuck::default(),
            is_full: AtomicBool::new(false),
            offers_connect: AtomicBool::new(false),
            has_answered: AtomicBool::new(false),
        });
        let alive = Alive::new(Arc::clone(&server.face.seen), &settings.h2);
        let (idle, farewell) = (Lasting::default(), Lasting::default());
        let most_idle = settings.http_pool_idle_timeout;
        let window = Window::new(settings.h2.http2_connection_window, means.relay.waiting_room());
        Ok(Self {
            server,
            connection,
            most_idle,
            idle,
            farewell,
            alive,
            window,
            full: Lasting::default(),
            account,
            socket: None,
        })
    }

    /// Its socket is in this account.
    pub(super) fn counted(self, socket: Option<Counted>) -> Self {
        Self { socket, ..self }
    }

    /// Whether it is.
    pub(super) fn is_counted(&self) -> bool {
        self.socket.is_some()
    }

    /// It is in the account of its client.
    pub(super) fn uncount(&mut self) {
        self.socket = None;
    }

    /// For clients that share it.
    pub(super) fn for_many(mut self) -> Self {
        self.window.for_many();
        self
    }

    /// Gives credit for what has been passed on to clients, and tells what was refused.
    pub(super) fn settle(&mut self) {
        let Self { server, connection, window, account, .. } = self;
        let ledger = &server.face.ledger;
        let paid = ledger.settle();
        let held = ledger.held();
        if let Some(window) = window.after(paid, held) {
            connection.set_target_window_size(window);
        }
        server.is_full.store(window.is_used_up(held), Ordering::Relaxed);
        if let Some(code) = server.face.seen.untold() {
            account.refused(code);
        }
    }
}

impl Future for Driven {
    type Output = Arc<Server>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Arc<Server>> {
        let driven = self.get_mut();
        let is_full = driven.server.is_full.load(Ordering::Relaxed);
        if driven.full.poll(is_full, LOOK_AGAIN, cx) {
            // There may be memory again.
            driven.settle();
        }
        let Self { server, connection, most_idle, idle, farewell, alive, account, .. } = driven;
        let ended = Pin::new(&mut *connection).poll(cx);
        if let Poll::Ready(Err(error)) = &ended {
            leave(error, &server.face.seen);
        }
        if ended.is_ready() || server.face.seen.is_leaving() || server.face.seen.is_worn() {
            server.retire();
        }
        server.slots.set_most(connection.max_concurrent_send_streams());
        server.see_offer();
        let is_unused = server.slots.poll_unused(cx).is_ready();
        let takes_requests = server.takes_requests();
        if idle.poll(is_unused && takes_requests, *most_idle, cx) {
            server.retire();
        }
        // An end that the server does not hear is a reset.
        let is_given_up = farewell.poll(is_unused && !takes_requests, FAREWELL, cx);
        let is_silent = ended.is_pending() && alive.is_over(cx, !is_unused, || connection.ping_pong());
        if is_silent {
            server.retire();
        }
        // Its streams see that the connection is gone.
        let is_dead = account.poll_given_up(cx).is_ready();
        if is_dead {
            server.retire();
        }
        if ended.is_ready() || is_given_up || is_silent || is_dead {
            if let Some(code) = server.face.seen.untold() {
                account.refused(code);
            }
            if is_silent {
                account.timed_out(Timer::Ping);
            }
            return Poll::Ready(Arc::clone(server));
        }
        Poll::Pending
    }
}
