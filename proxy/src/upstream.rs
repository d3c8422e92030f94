//! The way to the other end of a connection: what the stories know, and who carries a connection asks for.

use std::convert::Infallible;
use std::net::SocketAddr;

use crate::balance::Held;
use crate::detect::Hint;
use crate::net::leg::Leg;
use crate::net::original_dst::OriginalDst;
use crate::telemetry::session::{End, Session};

/// The way to the other end of a connection, for all of it or for one request after the other.
pub(crate) trait Upstream: Sync {
    /// How the port is declared, as far as that is known: all of it after [`learn`](Self::learn).
    fn hint(&self) -> Option<Hint>;

    /// Asks what is known of the destination, which is to be done first.
    fn learn(&mut self) -> impl Future<Output = ()> + Send;

    /// Chooses a server, one of `avoid` only if there is no other, and takes the connection to it that `kept` gives for its
    /// address, or makes one; tries others where that fails. The error is how the connection or the request ends then.
    ///
    /// The last thing that it does is to tell the account where it goes now. Several may be on the way at once: the account
    /// has the last word of them, and whoever needs his own asks for it before he waits for anything else.
    fn reach<C: Send>(
        &self,
        session: &Session,
        avoid: &[SocketAddr],
        kept: impl FnMut(SocketAddr) -> Option<Kept<C>> + Send,
    ) -> impl Future<Output = Result<Reached<C>, End>> + Send;

    /// The addresses of all servers that may be chosen now: of those that are preferred, and of the others.
    fn choices(&self) -> [Vec<SocketAddr>; 2];

    /// What is asked goes to `address` after all, which was chosen before, by a connection of the socket `local` that is there: the
    /// account is told so.
    fn goes_to(&self, session: &Session, address: SocketAddr, local: SocketAddr) -> Reached<()>;
}

/// A connection to a server that is there already.
#[derive(Debug)]
pub(crate) struct Kept<C> {
    pub(crate) connection: C,
    /// The address of our socket.
    pub(crate) local: SocketAddr,
}

/// A server that was reached.
#[derive(Debug)]
pub(crate) struct Reached<C> {
    pub(crate) found: Found<C>,
    pub(crate) address: SocketAddr,
    /// It is the load of an endpoint, as long as this lasts.
    pub(crate) held: Option<Held>,
    /// It is this pod's own application: what is asked is told to two accounts.
    pub(crate) is_self_call: bool,
}

/// How.
#[derive(Debug)]
pub(crate) enum Found<C> {
    /// By a connection that was there.
    Kept(C),
    /// By one that was made.
    New(Leg),
}

impl<C> Reached<C> {
    /// Another pod, or the application.
    pub(crate) fn at(address: SocketAddr, found: Found<C>) -> Self {
        Self { found, address, held: None, is_self_call: false }
    }

    /// By what is `kept` for the address, of which the account is told.
    pub(crate) fn by_kept(
        session: &Session,
        address: SocketAddr,
        kept: &mut impl FnMut(SocketAddr) -> Option<Kept<C>>,
    ) -> Option<Self> {
        let Kept { connection, local } = kept(address)?;
        session.connected(local, address);
        Some(Self::at(address, Found::Kept(connection)))
    }
}

/// A server that was reached by a connection of its own.
pub(crate) type Dialed = Reached<Infallible>;

/// The way to a server where no connection is kept.
pub(crate) fn none_kept(_: SocketAddr) -> Option<Kept<Infallible>> {
    None
}

impl Dialed {
    /// The connection.
    pub(crate) fn leg(&self) -> &Leg {
        match &self.found {
            Found::New(leg) => leg,
            Found::Kept(never) => match *never {},
        }
    }

    /// The connection, and what lasts as long.
    pub(crate) fn into_leg(self) -> (Leg, Option<Held>) {
        match self.found {
            Found::New(leg) => (leg, self.held),
            Found::Kept(never) => match never {},
        }
    }
}

/// Tells the account of a connection that was made to `to`. The kernel need not be asked for that address; it knows the
/// other one alone.
pub(crate) fn connected(session: &Session, server: &Leg, to: OriginalDst) {
    if let Ok(local) = server.stream().local_addr() {
        session.connected(local, to.address());
    }
}
