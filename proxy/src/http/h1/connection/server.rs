//! The server of one client's connection: the connection that takes its next request, if it is still there and the same server
//! is chosen again.
//!
//! Invariant: a connection goes to the pool only after a whole response, if its server knows of no client: what was asked on it
//! does not tell who asks next.

use std::future::pending;
use std::net::SocketAddr;

use super::{Connection, Inlet};
use crate::balance::Held;
use crate::http::pool::{Idle, Key};
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
    key: Key,
    /// The address of our socket.
    local: Option<SocketAddr>,
    /// Whether it has carried a request; the server may be about to end it.
    pub(super) is_used: bool,
    pub(super) is_self_call: bool,
    /// It has been authenticated for one client (NTLM and Negotiate do that, RFC 4559, section 6), and stays with it.
    pub(super) is_bound: bool,
}

impl Link {
    fn dialed(leg: Leg, key: Key, is_self_call: bool) -> Self {
        let local = leg.stream().local_addr().ok();
        Self { leg, key, local, is_used: false, is_self_call, is_bound: false }
    }

    fn kept(Idle { leg, local }: Idle, key: Key) -> Self {
        Self { leg, key, local: Some(local), is_used: true, is_self_call: false, is_bound: false }
    }

    /// What may go to the pool.
    fn into_idle(self) -> Result<(Key, Idle), Leg> {
        let Self { leg, key, local, is_used, is_self_call, is_bound } = self;
        match local {
            Some(local) if is_used && !is_self_call && !is_bound => Ok((key, Idle { leg, local })),
            _ => Err(leg),
        }
    }
}

impl Open<'_> {
    /// Whether a request can be sent on it that no server has.
    async fn is_usable(&mut self, repeats: Repeats) -> bool {
        let Self { link, inlet, .. } = self;
        !inlet.has_stirred(&link.leg).await && (repeats.may || link.leg.has_nothing())
    }
}

impl<'a> Server<'a> {
    /// The one that was reached before anything was asked, or why none was.
    pub(super) fn first(first: Result<Dialed, End>, session: &Session, relay: &'a Relay) -> Self {
        match first {
            Ok(dialed) => {
                let key = Key { server: dialed.address, client: session.client().remote.ip() };
                let is_self_call = dialed.is_self_call;
                let (leg, held) = dialed.into_leg();
                Self::Open(Open {
                    link: Link::dialed(leg, key, is_self_call),
                    inlet: Inlet::new(relay),
                    held,
                })
            }
            Err(end) => Self::Failed(end),
        }
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

/// How a request may be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repeats {
    /// It may be sent again.
    pub(super) may: bool,
    /// It is.
    pub(super) is: bool,
}

impl<'a, U: Upstream> Connection<'a, U> {
    /// Has a connection to the server that is chosen for a request: the one that is here, one of the pool, or a new one, which
    /// is what a request gets that is sent again. The first one is there before anything is chosen.
    pub(super) async fn reach(&mut self, repeats: Repeats) -> Result<(), End> {
        let (mut here, mut inlet) = match std::mem::replace(&mut self.server, Server::None) {
            Server::Failed(end) => return Err(end),
            Server::None => (None, None),
            Server::Open(open) if !open.link.is_used => {
                self.server = Server::Open(open);
                return Ok(());
            }
            Server::Open(mut open) => match open.is_usable(repeats).await {
                true if open.link.is_bound => {
                    self.server = Server::Open(open);
                    return Ok(());
                }
                true => (Some(open.link), Some(open.inlet)),
                false => (None, None),
            },
        };
        let pool = &self.means.http.pool;
        let client = self.session.client().remote.ip();
        let kept = |server: SocketAddr| {
            let key = Key { server, client };
            let pooled = || Some(Link::kept(pool.take(key, repeats.may)?, key));
            if repeats.is {
                return None;
            }
            let link = here.take_if(|link| link.key == key).or_else(pooled)?;
            Some(Kept { local: link.local?, connection: link })
        };
        let reached = self.upstream.reach(self.session, kept).await;
        if let Some(link) = here {
            inlet = None;
            self.leave(link);
        }
        let Reached { found, address: server, held, is_self_call } = reached?;
        if !is_self_call {
            self.session.goes_elsewhere();
        }
        let link = match found {
            Found::Kept(link) => link,
            Found::New(leg) => Link::dialed(leg, Key { server, client }, is_self_call),
        };
        // What was read of the connection that is here stays with it.
        let inlet = inlet.filter(|_| link.is_used).unwrap_or_else(|| Inlet::new(self.means.relay));
        self.server = Server::Open(Open { link, inlet, held });
        Ok(())
    }

    /// The client needs its server no more.
    pub(super) fn leave_server(&mut self) {
        if let Server::Open(open) = std::mem::replace(&mut self.server, Server::None) {
            self.leave(open.link);
        }
    }

    fn leave(&self, link: Link) {
        match link.into_idle() {
            Ok((key, idle)) => self.means.http.pool.put(key, idle),
            Err(leg) => leg.finish(),
        }
    }
}
