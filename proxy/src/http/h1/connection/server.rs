//! The server of one client's connection: the connection that takes its next request, if it is still there and the same server
//! is chosen again.
//!
//! Invariant: a connection goes to the pool only after a whole response, if its server knows of no client: what was asked on it
//! does not tell who asks next.

use std::future::pending;
use std::net::SocketAddr;

use tokio::time::Instant;

use super::{Connection, Inlet, Means};
use crate::balance::Held;
use crate::http::pool::{Idle, Pool};
use crate::net::leg::Leg;
use crate::net::relay::Relay;
use crate::telemetry::session::{End, Session};
use crate::upstream::{Dialed, Found, Kept, Reached, Upstream};

/// The connection to the server.
pub(super) enum Server<'a> {
    /// It is made when it is needed.
    None,
    /// It could not be made.
    Failed(End),
    /// It is there.
    Open(Open<'a>),
}

/// A connection to a server, and how far its responses are read.
pub(super) struct Open<'a> {
    pub(super) link: Link,
    pub(super) inlet: Inlet<'a>,
    /// It is the load of an endpoint, while a request is on its way.
    pub(super) held: Option<Held>,
}

/// A connection to a server.
pub(super) struct Link {
    pub(super) leg: Leg,
    server: SocketAddr,
    /// The address of our socket.
    local: Option<SocketAddr>,
    /// When its last response was whole; from then on the server may be about to end it.
    pub(super) used: Option<Instant>,
    pub(super) is_self_call: bool,
    /// It has been authenticated for one client (NTLM and Negotiate do that, RFC 4559, section 6), and stays with it.
    pub(super) is_bound: bool,
}

impl Link {
    fn dialed(leg: Leg, server: SocketAddr, is_self_call: bool) -> Self {
        let local = leg.stream().local_addr().ok();
        Self { leg, server, local, used: None, is_self_call, is_bound: false }
    }

    fn kept(Idle { leg, local, used }: Idle, server: SocketAddr) -> Self {
        Self { leg, server, local: Some(local), used: Some(used), is_self_call: false, is_bound: false }
    }

    /// Whether nothing is known that speaks against another request; `repeats` tells how bad it were.
    fn is_usable(&self, repeats: Repeats) -> bool {
        repeats.may || self.leg.has_nothing()
    }

    /// Leaves it to others, where it may be.
    fn leave(self, pool: &Pool) {
        let Self { leg, server, local, used, is_self_call, is_bound } = self;
        match (local, used) {
            (Some(local), Some(used)) if !is_self_call && !is_bound => {
                pool.put(server, Idle { leg, local, used });
            }
            _ => leg.finish(),
        }
    }
}

/// How a request may be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repeats {
    /// It may be sent again.
    pub(super) may: bool,
    /// It is.
    pub(super) is: bool,
}

impl<'a> Server<'a> {
    /// The one that was reached before anything was asked, or why none was.
    pub(super) fn first(first: Result<Dialed, End>, relay: &'a Relay) -> Self {
        match first {
            Ok(dialed) => {
                let (server, is_self_call) = (dialed.address, dialed.is_self_call);
                let (leg, held) = dialed.into_leg();
                let link = Link::dialed(leg, server, is_self_call);
                Self::Open(Open { link, inlet: Inlet::new(relay), held })
            }
            Err(end) => Self::Failed(end),
        }
    }

    /// Has a connection to the server that is chosen for a request: the one that is here, one of the pool, or a new one, which
    /// is what a request gets that is sent again. The first one is there before anything is chosen.
    pub(super) async fn reach(
        &mut self,
        upstream: &impl Upstream,
        session: &Session,
        means: Means<'a>,
        repeats: Repeats,
    ) -> Result<(), End> {
        let (mut here, inlet) = match std::mem::replace(self, Self::None) {
            Self::Failed(end) => return Err(end),
            Self::None => (None, None),
            Self::Open(mut open) => {
                let has_ended = open.link.used.is_some() && open.inlet.has_stirred(&open.link.leg).await;
                let is_set = open.link.used.is_none() || (open.link.is_bound && open.link.is_usable(repeats));
                if is_set && !has_ended {
                    *self = Self::Open(open);
                    return Ok(());
                }
                let Open { link, inlet, .. } = open;
                (Some(link).filter(|link| !(has_ended || link.is_bound)), Some(inlet))
            }
        };
        let (pool, mut stays) = (&means.http.pool, false);
        let kept = |server: SocketAddr| {
            if repeats.is {
                return None;
            }
            let here = here.take_if(|link| link.server == server).filter(|link| link.is_usable(repeats));
            stays = here.is_some();
            let link = here.or_else(|| Some(Link::kept(pool.take(server, repeats.may)?, server)))?;
            Some(Kept { local: link.local?, connection: link })
        };
        let reached = upstream.reach(session, &[], kept).await.inspect_err(|_| session.unconnected());
        if let Some(link) = here {
            link.leave(pool);
        }
        let Reached { found, address: server, held, is_self_call } = reached?;
        if !is_self_call {
            session.goes_elsewhere();
        }
        let link = match found {
            Found::Kept(link) => link,
            Found::New(leg) => Link::dialed(leg, server, is_self_call),
        };
        // What was read of the connection that is here stays with it.
        let inlet = inlet.filter(|_| stays).unwrap_or_else(|| Inlet::new(means.relay));
        *self = Self::Open(Open { link, inlet, held });
        Ok(())
    }

    /// Returns when a server that was asked nothing says something, which is its end, or a complaint that nothing came.
    pub(super) async fn stirs(&mut self) {
        match self {
            Self::Open(open) => open.inlet.stirs(&open.link.leg).await,
            Self::None | Self::Failed(_) => pending().await,
        }
    }

    /// It is needed no more.
    pub(super) fn close(&mut self) {
        if let Self::Open(open) = std::mem::replace(self, Self::None) {
            open.link.leg.finish();
        }
    }
}

impl<U> Connection<'_, U> {
    /// The client needs its server no more.
    pub(super) fn leave_server(&mut self) {
        if let Server::Open(open) = std::mem::replace(&mut self.server, Server::None) {
            open.link.leave(&self.means.http.pool);
        }
    }
}
