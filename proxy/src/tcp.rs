//! Carrying one connection: dial, detect, then HTTP or bytes, account. Both stories end here.
//!
//! It does not know where a connection goes or why; that was decided by the story.

use crate::balance::Held;
use crate::detect::{self, Detected, Protocol};
use crate::direction::Direction;
use crate::ending::{broken, client_broken, given_up};
use crate::first_speaker::FirstSpeaker;
use crate::http::{Http, h1, h2};
use crate::net::leg::Leg;
use crate::net::relay::Relay;
use crate::telemetry::session::{End, Session};
use crate::upstream::{self, Dialed, Upstream};

/// What carries connections.
#[derive(Clone, Copy)]
pub(crate) struct Means<'a> {
    pub(crate) relay: &'a Relay,
    pub(crate) detection: &'a detect::Settings,
    pub(crate) http: &'a Http,
}

/// Makes the upstream connection while the client is listened to, and carries it until both sides have ended: HTTP/1 message by
/// message, HTTP/2 stream by stream, everything else as it comes.
///
/// The client's handshake is over already, so a failed dial can only be shown as a reset: at once, and without a byte,
/// which is how a refused connection looks to most programs. A client that has asked by HTTP is answered instead.
#[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice")]
pub(crate) fn forward(
    client: Leg,
    upstream: &mut impl Upstream,
    session: Session,
    means: Means<'_>,
) -> impl Future<Output = ()> {
    async move {
        // Boxed, each of the two, since a connection would keep the room for both as long as it lasts.
        let carried = match Box::pin(until_bytes(client, upstream, &session, means)).await {
            Ok(ends) => Box::pin(carry_bytes(ends, &session, means.relay)),
            Err(end) => return session.close(*end),
        };
        let end = carried.await;
        session.close(end);
    }
}

/// What bytes are carried between.
struct Legs {
    client: Leg,
    server: Leg,
    /// The connection is the load of an endpoint.
    held: Option<Held>,
}

#[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice")]
fn carry_bytes<'a>(
    Legs { client, server, held }: Legs,
    session: &'a Session,
    relay: &'a Relay,
) -> impl Future<Output = End> {
    async move {
        let end = tokio::select! {
            biased;
            ended = relay.carry(&client, &server, session) => match ended {
                Ok(()) => End::COMPLETE,
                Err(error) => broken(&error),
            },
            silence = session.given_up() => given_up(&silence),
        };
        drop(held);
        if end == End::COMPLETE {
            client.finish();
            server.finish();
        }
        end
    }
}

/// Everything that a connection may need besides the relaying of bytes: the legs where it comes to that, or how the connection
/// ended. (It is boxed where it is moved through futures.)
#[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice")]
fn until_bytes<'a>(
    client: Leg,
    upstream: &'a mut impl Upstream,
    session: &'a Session,
    means: Means<'a>,
) -> impl Future<Output = Result<Legs, Box<End>>> {
    async move {
        let mut connection = match Box::pin(establish(client, upstream, session, means)).await? {
            Ends::Http1(connection) => connection,
            Ends::Http2(ends) => return Err(Box::new(Box::pin(streams(*ends, session, means)).await)),
            Ends::Bytes(client, server) => {
                let (server, held) = server.into_leg();
                return Ok(Legs { client, server, held });
            }
        };
        let end = tokio::select! {
            biased;
            end = connection.carry() => end,
            end = gives_up(session) => end,
        };
        if end == End::COMPLETE {
            connection.finish();
        }
        Err(Box::new(end))
    }
}

/// The streams of HTTP/2.
async fn streams<U: Upstream>(
    Streams { client, first, upstream }: Streams<'_, U>,
    session: &Session,
    means: Means<'_>,
) -> End {
    let means = h2::Means { relay: means.relay, http: means.http };
    tokio::select! {
        biased;
        end = Box::pin(h2::carry((client, first), upstream, session, means)) => end,
        end = gives_up(session) => end,
    }
}

/// Returns when a peer is no longer there. An exchange that is cut by that ends as its connection does.
async fn gives_up(session: &Session) -> End {
    let end = given_up(&session.given_up().await);
    session.presume(end.clone());
    end
}

/// What is known when a connection begins to be carried.
enum Ends<'a, U> {
    /// The client speaks HTTP/1, whether or not there is a server.
    Http1(Box<h1::Connection<'a, U>>),
    /// The same of HTTP/2.
    Http2(Box<Streams<'a, U>>),
    /// Whatever the two speak.
    Bytes(Leg, Dialed),
}

/// A client's connection on which HTTP/2 is spoken.
struct Streams<'a, U> {
    client: Leg,
    /// The server that was reached before it was known what is spoken, or why none was; nothing where none was to be.
    first: Option<Result<Dialed, End>>,
    upstream: &'a U,
}

/// Both ends, once it is known what is spoken; or how the connection ends.
async fn establish<'a, U: Upstream>(
    client: Leg,
    upstream: &'a mut U,
    session: &'a Session,
    means: Means<'a>,
) -> Result<Ends<'a, U>, Box<End>> {
    let mut first = FirstSpeaker::new(session.direction(), session.original_dst(), upstream.hint());
    upstream.learn().await;
    first.expect(upstream.hint());
    let limit = means.detection.detection_timeout;
    let asks = means.http.pool.is_used()
        && first.asks(&client, limit).await.map_err(|error| Box::new(client_broken(&error)))?;
    let upstream = &*upstream;
    let dialed = tokio::select! {
        biased;
        dialed = dial(upstream, session, asks) => dialed,
        // Nothing could be done before the dial with what the client says, so there is no hurry.
        Err(error) = first.client(&client, None) => return Err(Box::new(client_broken(&error))),
        error = client.broken() => return Err(Box::new(client_broken(&error))),
    };
    let (client, heard) = match &dialed {
        Some(Ok(server)) => tokio::select! {
            biased;
            heard = first.either(client, server.leg(), means.detection, means.http.settings.http_head_timeout) => {
                heard.map(|(client, heard)| (client, Some(heard))).map_err(|error| Box::new(broken(&error)))?
            }
            silence = session.given_up() => return Err(Box::new(given_up(&silence))),
        },
        // A client that has asked something can be told.
        Some(Err(_)) => first.alone(client).map_err(|error| Box::new(client_broken(&error)))?,
        None => Box::pin(asked(first, client, session, means)).await?,
    };
    let tell = || heard.as_ref().into_iter().for_each(|heard| session.detected(heard));
    match heard.as_ref().map(|heard| heard.protocol) {
        Some(Protocol::Http1) => {
            tell();
            let means = h1::Means { relay: means.relay, http: means.http };
            Ok(Ends::Http1(Box::new(h1::Connection::new((client, dialed), upstream, session, means))))
        }
        Some(Protocol::Http2) => {
            tell();
            Ok(Ends::Http2(Box::new(Streams { client, first: dialed, upstream })))
        }
        Some(Protocol::Tls | Protocol::Opaque) | None => {
            let dialed = match dialed {
                Some(dialed) => dialed,
                None => upstream.reach(session, &[], upstream::none_kept).await,
            };
            // Bytes are counted from when it is known what they are; before that it has to be known where they go.
            tell();
            Ok(Ends::Bytes(client, dialed?))
        }
    }
}

/// Connects to a server, unless the client `asks` already, or the port of another pod is declared to be one of HTTP: who is silent on
/// such a port is not taken for somebody who speaks something else. The pod's own application hears of each client at once, as
/// without the proxy, since it may have limits for those that are silent, or be gone.
async fn dial(upstream: &impl Upstream, session: &Session, asks: bool) -> Option<Result<Dialed, End>> {
    match upstream.hint() {
        _ if asks => None,
        Some(hint) if hint.is_http() && session.direction() == Direction::Outbound => None,
        Some(_) | None => Some(upstream.reach(session, &[], upstream::none_kept).await),
    }
}

/// Returns when a client has begun to ask; before, it is an idle one, with the limits of those.
async fn asked(
    first: FirstSpeaker,
    client: Leg,
    session: &Session,
    means: Means<'_>,
) -> Result<(Leg, Option<Detected>), Box<End>> {
    let end = tokio::select! {
        biased;
        asked = first.declared(&client, means.http.settings.http_head_timeout) => match asked {
            Ok(Some(first)) => return first.alone(client).map_err(|error| Box::new(client_broken(&error))),
            Ok(None) => End::COMPLETE,
            Err(error) => client_broken(&error),
        },
        silence = session.given_up() => given_up(&silence),
        () = means.http.unasked(session) => End::COMPLETE,
    };
    if end == End::COMPLETE {
        client.finish();
    }
    // For all that is known it was a client of HTTP, and no connection of bytes.
    session.speaks_http();
    Err(Box::new(end))
}

#[cfg(test)]
mod tests {
    use crate::http::h1;
    use crate::inbound::{Inbound, ToApplication};
    use crate::outbound::{Outbound, ToDestination};
    use crate::upstream::Upstream;

    fn never<T>() -> T {
        panic!("only the type is looked at")
    }

    /// The size of what a function returns, without calling it.
    fn size_of_returned<T>(_: impl FnOnce() -> T) -> usize {
        size_of::<T>()
    }

    fn size_while_http_is_spoken<U: Upstream + 'static>(_: impl FnOnce() -> U) -> usize {
        let carried =
            || super::until_bytes(never(), never::<&'static mut U>(), never::<&'static _>(), never());
        size_of::<h1::Connection<'_, U>>() + size_of_returned(carried)
    }

    /// The allocator adds 8 bytes to each.
    #[test]
    fn what_an_idle_connection_keeps_is_small() {
        // Tokio adds 104 bytes, and rounds up to 128.
        for size in [
            size_of_returned(|| Inbound::serve(never(), never())),
            size_of_returned(|| Outbound::serve(never(), never())),
        ] {
            assert!(size <= 256, "{size} bytes for the task of each connection; {MIND}");
        }
        let size =
            size_of_returned(|| super::carry_bytes(never(), never::<&'static _>(), never::<&'static _>()));
        assert!(size <= 704, "{size} bytes besides for each of which bytes alone are carried; {MIND}");
        for size in [
            size_while_http_is_spoken(never::<ToApplication<'static>>),
            size_while_http_is_spoken(never::<ToDestination<'static>>),
        ] {
            assert!(size <= 1248, "{size} bytes besides for each on which HTTP is spoken; {MIND}");
        }
    }

    const MIND: &str = "mind what is held across an await";
}
