//! Connections to servers, by address: those of one client's connection, or those that all clients of a worker share.
//!
//! Invariant: who wants a connection that is being made waits for that one, whoever makes it, and hears when it is given up. Where
//! it takes long, he waits in the queue of one that there is, too, and takes what comes first. None is made for which there is no
//! descriptor: who could have another one is content with those that there are, and where there is none to that server, one that
//! nobody needs makes room.

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep};

use super::server::{Seat, Server};
use super::slots::Closed;
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
    /// Nothing, and there can be nothing: no descriptor is left.
    Never,
}

/// What there is where no connection to the chosen address can be made.
pub(super) enum Instead {
    /// A connection to another one.
    Seat(Seat),
    /// One that is being made, and to whom.
    Soon(SocketAddr, oneshot::Receiver<Dialed>),
    /// Nothing.
    Never,
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

    /// A place in the queue of the connection to `address` that has the fewest streams, of those that lack nothing but slots.
    fn queue(&self, address: SocketAddr) -> Option<Seat> {
        let state = self.state();
        let there = state.known.get(&address)?.iter().filter(|server| server.has_queue());
        Some(there.min_by_key(|server| server.load())?.seat())
    }

    /// The connection to one of `addresses` that has the fewest streams, of those with room if there are any.
    fn any(&self, addresses: &[SocketAddr]) -> Option<Arc<Server>> {
        let state = self.state();
        let there = addresses.iter().filter_map(|address| state.known.get(address)).flatten();
        there.filter(|server| server.takes_requests()).min_by_key(|server| crowd(server)).map(Arc::clone)
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

    /// Waits for the connection to `address` that is being made, if one is.
    fn wait(&mut self, address: SocketAddr) -> Option<oneshot::Receiver<Dialed>> {
        let waiting = self.dialing.get_mut(&address)?;
        // Who has gone is forgotten when there would have to be more room.
        if waiting.len() == waiting.capacity() {
            waiting.retain(|waits| !waits.is_closed());
        }
        let (sender, made) = oneshot::channel();
        waiting.push(sender);
        Some(made)
    }

    /// Ends the oldest one that nobody needs; false if there is none.
    fn retire_one(&self) -> bool {
        let all = self.known.values().flatten();
        let unused = all.filter(|server| server.is_unused() && server.takes_requests());
        let oldest = unused.min_by_key(|server| server.began);
        oldest.inspect(|server| server.retire()).is_some()
    }
}

/// How little one is to be chosen. Where nothing goes on, it is of no use that few wait.
fn crowd(server: &Server) -> (bool, bool, usize) {
    (!server.has_room(), !server.has_queue(), server.load())
}

/// The longest that a connection takes to be made where somebody accepts it, and the way is no long one.
pub(super) const PATIENCE: Duration = Duration::from_millis(100);

/// The patience grows with each look in vain, up to so many times.
const MOST_LOOKS: u32 = 10;

/// What one request has done about a connection, while it has not reached a server.
pub(super) struct Dial<'a> {
    links: Links,
    room: &'a Room,
    /// Where it is looked first: those of this client alone, where others are shared.
    own: Option<Links>,
    state: Mutex<Looked>,
}

#[derive(Default)]
struct Looked {
    /// What it dials, for all who want that.
    dials: Option<SocketAddr>,
    /// The account of the connection that is made, unless it is its client's first.
    socket: Option<Counted>,
    /// What it has looked for.
    wanted: Vec<SocketAddr>,
    /// The request does without it.
    is_left: bool,
}

impl<'a> Dial<'a> {
    /// Nothing yet.
    pub(super) fn new(links: Links, own: Option<Links>, room: &'a Room) -> Self {
        Self { links, own, room, state: Mutex::default() }
    }

    /// What there is for `address`; if nothing is, it is being dialed from now on, and what was dialed before was so in vain.
    pub(super) fn look(&self, address: SocketAddr) -> Option<Kept<There>> {
        self.is_over(&Ok(false));
        let soon = |made| Some(Kept { connection: There::Soon(made), local: NO_SOCKET });
        let whose = self.links.whose;
        let is_first = whose == Whose::Own && self.links.state().is_empty();
        let may_add = is_first || self.room.has_one(whose);
        let own = self.own.as_ref().and_then(|own| own.seat(address, may_add));
        if let Some(seat) = own.or_else(|| self.links.seat(address, may_add)) {
            let local = seat.server.local;
            return Some(Kept { connection: There::Seat(seat), local });
        }
        let mut looked = self.looked();
        if looked.is_left {
            // Nobody wants another one.
            return soon(oneshot::channel().1);
        }
        looked.wanted.push(address);
        let mut state = self.links.state();
        if let Some(made) = state.wait(address) {
            return soon(made);
        }
        if !may_add && !state.retire_one() {
            return Some(Kept { connection: There::Never, local: NO_SOCKET });
        }
        state.dialing.insert(address, vec![]);
        looked.socket = (!is_first).then(|| self.room.further().one(whose));
        looked.dials = Some(address);
        None
    }

    /// What `made` gives for what was looked for last. Where that takes long, it may be a place elsewhere instead, whose turn it is;
    /// `made` may still go on.
    pub(super) async fn or_turn<T>(
        &self,
        queued: &mut Queued,
        made: &mut (impl Future<Output = T> + Unpin),
    ) -> Result<T, Seat> {
        poll_fn(|cx| match Pin::new(&mut *made).poll(cx) {
            Poll::Ready(made) => Poll::Ready(Ok(made)),
            Poll::Pending => queued.poll(self, cx).map(Err),
        })
        .await
    }

    /// The account of the connection, which is there now.
    pub(super) fn take_socket(&self) -> Option<Counted> {
        self.looked().socket.take()
    }

    /// The request does without it, and others may wait for it.
    pub(super) fn is_left(&self) {
        self.looked().is_left = true;
    }

    /// A place where there is one to wait for, since no more connections can be made.
    pub(super) fn in_spite(&self) -> Option<Seat> {
        self.any_seat(&self.looked().wanted)
    }

    /// A place on a connection to one of `addresses`, whether or not there is room.
    pub(super) fn any_seat(&self, addresses: &[SocketAddr]) -> Option<Seat> {
        let there = self.all().filter_map(|links| links.any(addresses));
        Some(there.min_by_key(|server| crowd(server))?.seat())
    }

    /// What there is for `choices`, in the order in which they are preferred, where no more connections can be made. One that is being
    /// made is better than one on which nothing goes on.
    pub(super) fn instead(&self, choices: &[Vec<SocketAddr>]) -> Instead {
        let seat = choices.iter().find_map(|addresses| self.any_seat(addresses));
        let goes_on = |seat: &Seat| seat.server.has_room() || seat.server.has_queue();
        let seat = match seat {
            Some(seat) if goes_on(&seat) => return Instead::Seat(seat),
            seat => seat,
        };
        let mut looked = self.looked();
        let mut state = self.links.state();
        let soon = choices.iter().flatten().find_map(|address| Some((*address, state.wait(*address)?)));
        if let Some((address, made)) = soon {
            looked.wanted.push(address);
            return Instead::Soon(address, made);
        }
        seat.map_or(Instead::Never, Instead::Seat)
    }

    /// Tells those who wait.
    pub(super) fn is_over(&self, dialed: &Dialed) {
        for waits in self.leave() {
            // Who has gone meanwhile need not be told.
            let _ = waits.send(dialed.clone());
        }
    }

    fn leave(&self) -> Vec<oneshot::Sender<Dialed>> {
        let mut looked = self.looked();
        looked.socket = None;
        let address = looked.dials.take();
        address.and_then(|address| self.links.state().dialing.remove(&address)).unwrap_or_default()
    }

    fn queue(&self) -> Option<Seat> {
        let wanted = self.looked().wanted.last().copied()?;
        self.all().find_map(|links| links.queue(wanted))
    }

    fn all(&self) -> impl Iterator<Item = &Links> {
        self.own.iter().chain([&self.links])
    }

    /// Whether others wait for what it dials.
    pub(super) fn is_wanted(&self) -> bool {
        let looked = self.looked();
        let state = self.links.state();
        looked
            .dials
            .and_then(|address| state.dialing.get(&address))
            .is_some_and(|waiting| waiting.iter().any(|waits| !waits.is_closed()))
    }

    fn looked(&self) -> MutexGuard<'_, Looked> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Dial<'_> {
    fn drop(&mut self) {
        // Who waits sees that nobody dials any more.
        drop(self.leave());
    }
}

/// Envoy's `UO`: what the proxy has itself is used up.
pub(super) fn no_descriptor() -> End {
    let failure = "no descriptor is left for a further connection; raise the limit of the container";
    End { flags: "UO", details: None, failure: Some(failure.to_owned()) }
}

/// A place in a queue, once the patience for something better is over. A request keeps it, whatever else it waits for.
#[derive(Default)]
pub(super) struct Queued {
    patience: Option<Pin<Box<Sleep>>>,
    seat: Option<Seat>,
    /// How often there was none.
    looks: u32,
}

impl Queued {
    /// Ready when it is its turn.
    fn poll(&mut self, dial: &Dial<'_>, cx: &mut Context<'_>) -> Poll<Seat> {
        loop {
            if let Some(mut seat) = self.seat.take() {
                match seat.ticket.poll(cx) {
                    Poll::Ready(Ok(())) => return Poll::Ready(seat),
                    Poll::Ready(Err(Closed)) => {}
                    Poll::Pending => {
                        self.seat = Some(seat);
                        return Poll::Pending;
                    }
                }
            }
            let patience = self.patience.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
            ready!(patience.as_mut().poll(cx));
            self.seat = dial.queue();
            // Where there is none, there may be one later; many may look for it.
            self.looks = (self.looks + 1).min(MOST_LOOKS);
            patience.as_mut().reset(Instant::now() + PATIENCE * self.looks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Dial, Links, NO_SOCKET, Room};
    use crate::net::capacity::Capacity;
    use crate::telemetry::metrics::Metrics;

    #[test]
    fn who_has_waited_and_has_gone_wants_nothing_and_leaves_nothing() {
        let room = Room::new(Capacity::new(&Default::default(), 20_000, None), Metrics::default().sockets());
        let links = Links::shared();
        let dial = || Dial::new(links.clone(), None, &room);
        let (dials, waits) = (dial(), dial());
        assert!(dials.look(NO_SOCKET).is_none());
        let made = waits.look(NO_SOCKET);
        assert!(made.is_some() && dials.is_wanted());
        for _ in 0..1_000 {
            assert!(waits.look(NO_SOCKET).is_some());
        }
        let waiting = links.state().dialing.values().flatten().count();
        assert!(waiting < 10, "{waiting} for one");
        drop(made);
        assert!(!dials.is_wanted());
    }
}
