//! Connections to servers, by address: those of one client's connection, or those that all clients of a worker share.
//!
//! Invariant: who wants a connection that is being made waits for that one, whoever makes it, and hears when it is given up. None
//! is made for which there is no descriptor: who could have another one is content with those that there are, and where there is none
//! to that server, one that nobody needs makes room.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::server::{Seat, Server};
use super::{MOST_EACH, MOST_SERVERS};
use crate::net::capacity::Room;
use crate::telemetry::session::End;
use crate::telemetry::sockets::{Counted, Whose};
use crate::upstream::Kept;

/// Clones are the same ones.
#[derive(Clone)]
pub(super) struct Links {
    state: Arc<Mutex<State>>,
    whose: Whose,
}

#[derive(Default)]
struct State {
    /// Those that took requests when it was looked last, the oldest first.
    known: HashMap<SocketAddr, Vec<Arc<Server>>>,
    /// Those that are being made, and who waits.
    dialing: HashMap<SocketAddr, Vec<oneshot::Sender<Dialed>>>,
}

/// Whether the connection was made, or another one instead; or why none was.
pub(super) type Dialed = Result<bool, End>;

/// What there is for an address.
pub(super) enum There {
    /// A connection.
    Seat(Seat),
    /// One that is being made.
    Soon(oneshot::Receiver<Dialed>),
}

/// Where there is no socket yet that could be told.
const NO_SOCKET: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Servers often have one thread for a connection, which would have to do the work of all clients.
const ENOUGH: usize = 100;

impl Links {
    /// None yet, of one client, which had all of its streams on one connection.
    pub(super) fn own() -> Self {
        Self { state: Arc::default(), whose: Whose::Own }
    }

    /// None yet, of many clients.
    pub(super) fn shared() -> Self {
        Self { state: Arc::default(), whose: Whose::Shared }
    }

    /// A place on a connection to `address`; on one that has no room only where there can be no other one.
    pub(super) fn seat(&self, address: SocketAddr, may_add: bool) -> Option<Seat> {
        let state = self.state();
        let there =
            || state.known.get(&address).into_iter().flatten().filter(|server| server.takes_requests());
        let fits = |server: &&Arc<Server>| server.load() < self.enough() && server.has_room();
        let server = there().find(fits).or_else(|| {
            let is_all = !may_add || there().count() >= MOST_EACH;
            there().min_by_key(|server| server.load()).filter(|_| is_all)
        })?;
        Some(server.seat())
    }

    /// A place on the connection to one of `addresses` that has the fewest streams, whether or not it has room.
    fn any_seat(&self, addresses: &[SocketAddr]) -> Option<Seat> {
        let state = self.state();
        let there = addresses.iter().filter_map(|address| state.known.get(address)).flatten();
        let there = there.filter(|server| server.takes_requests());
        Some(there.min_by_key(|server| server.load())?.seat())
    }

    /// One more. Where there are too many, the oldest one that nobody needs is ended; it is known until it has.
    pub(super) fn add(&self, server: &Arc<Server>) {
        let mut state = self.state();
        let all = || state.known.values().flatten();
        if all().count() >= MOST_SERVERS {
            state.retire_one();
        }
        state.known.entry(server.address).or_default().push(Arc::clone(server));
    }

    /// Streams of a connection to which more come only where there can be no other one.
    fn enough(&self) -> usize {
        match self.whose {
            Whose::Own => usize::MAX,
            Whose::Shared => ENOUGH,
        }
    }

    /// One that has ended.
    pub(super) fn remove(&self, server: &Arc<Server>) {
        let mut state = self.state();
        let Some(known) = state.known.get_mut(&server.address) else { return };
        known.retain(|other| !Arc::ptr_eq(other, server));
        if known.is_empty() {
            state.known.remove(&server.address);
        }
    }

    /// None of them is needed any more.
    pub(super) fn retire(&self) {
        self.state().known.values().flatten().for_each(|server| server.retire());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// There is none, and none is being made.
    fn is_empty(&self) -> bool {
        self.known.is_empty() && self.dialing.is_empty()
    }

    /// Ends the oldest one that nobody needs; false if there is none.
    fn retire_one(&self) -> bool {
        let all = self.known.values().flatten();
        let unused = all.filter(|server| server.is_unused() && server.takes_requests());
        let oldest = unused.min_by_key(|server| server.began);
        oldest.inspect(|server| server.retire()).is_some()
    }
}

/// What one request has done about a connection, while it has not reached a server.
pub(super) struct Dial<'a> {
    links: Links,
    room: &'a Room,
    /// The account of the connection that is made, unless it is its client's first.
    pub(super) socket: Option<Counted>,
    /// What it dials, for all who want that.
    address: Option<SocketAddr>,
    /// What it has looked for.
    wanted: Vec<SocketAddr>,
}

impl<'a> Dial<'a> {
    /// Nothing yet.
    pub(super) fn new(links: Links, room: &'a Room) -> Self {
        Self { links, room, socket: None, address: None, wanted: vec![] }
    }

    /// What there is for `address`; if nothing is, it is being dialed from now on, and what was dialed before was so in vain.
    pub(super) fn look(&mut self, address: SocketAddr) -> Option<Kept<There>> {
        self.is_over(&Ok(false));
        let whose = self.links.whose;
        let is_first = whose == Whose::Own && self.links.state().is_empty();
        let may_add = is_first || self.room.has_one(whose);
        if let Some(seat) = self.links.seat(address, may_add) {
            let local = seat.server.local;
            return Some(Kept { connection: There::Seat(seat), local });
        }
        self.wanted.push(address);
        let mut state = self.links.state();
        if let Some(waiting) = state.dialing.get_mut(&address) {
            let (sender, made) = oneshot::channel();
            waiting.push(sender);
            return Some(Kept { connection: There::Soon(made), local: NO_SOCKET });
        }
        if !may_add && !state.retire_one() {
            let (sender, given_up) = oneshot::channel();
            // It is there until the next line.
            let _ = sender.send(Err(no_descriptor()));
            return Some(Kept { connection: There::Soon(given_up), local: NO_SOCKET });
        }
        state.dialing.insert(address, vec![]);
        self.socket = (!is_first).then(|| self.room.further().one(whose));
        self.address = Some(address);
        None
    }

    /// A place where there is one to wait for, since no more connections can be made.
    pub(super) fn in_spite(&self) -> Option<Seat> {
        self.links.any_seat(&self.wanted)
    }

    /// Tells those who wait.
    pub(super) fn is_over(&mut self, dialed: &Dialed) {
        for waits in self.leave() {
            // Who has gone meanwhile need not be told.
            let _ = waits.send(dialed.clone());
        }
    }

    fn leave(&mut self) -> Vec<oneshot::Sender<Dialed>> {
        self.socket = None;
        let address = self.address.take();
        address.and_then(|address| self.links.state().dialing.remove(&address)).unwrap_or_default()
    }
}

impl Drop for Dial<'_> {
    fn drop(&mut self) {
        // Who waits sees that nobody dials any more.
        drop(self.leave());
    }
}

/// Envoy's `UO`: what the proxy has itself is used up.
fn no_descriptor() -> End {
    let failure = "no descriptor is left for a further connection; raise the limit of the container";
    End { flags: "UO", details: None, failure: Some(failure.to_owned()) }
}
