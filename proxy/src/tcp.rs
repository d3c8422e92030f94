//! Carrying one connection as TCP: dial, detect, relay, account. Both stories end here.
//!
//! It does not know where a connection goes or why; that was decided by the story.

use crate::detect::{self, Hint};
use crate::first_speaker::FirstSpeaker;
use crate::net::dial::DialError;
use crate::net::leg::Leg;
use crate::net::original_dst::OriginalDst;
use crate::net::relay::{Broken, Relay};
use crate::telemetry::connections::{Side, Silence};
use crate::telemetry::session::{End, Session};

/// The way to the other end of a connection.
pub(crate) trait Upstream {
    /// How the port is declared, as far as that is known: all of it when [`dial`](Self::dial) has returned.
    fn hint(&self) -> Option<Hint>;

    /// Makes the upstream connection, and tells the account where it goes and that it is [`connected`]. What the way has
    /// to keep while the connection lasts, it keeps in itself. The error is how the connection ends then.
    fn dial(&mut self, session: &Session) -> impl Future<Output = Result<Leg, End>> + Send;
}

/// Tells the account of a connection that was made to `to`. The kernel need not be asked for that address; it knows the
/// other one alone.
pub(crate) fn connected(session: &Session, server: &Leg, to: OriginalDst) {
    if let Ok(local) = server.stream().local_addr() {
        session.connected(local, to.address());
    }
}

/// Makes the upstream connection while the client is listened to, and relays until both sides have ended. What they speak
/// is told to the account, and changes nothing else: all protocols are relayed.
///
/// The client's handshake is over already, so a failed dial can only be shown as a reset: at once, and without a byte,
/// which is how a refused connection looks to most programs.
pub(crate) async fn forward(
    client: Leg,
    upstream: &mut impl Upstream,
    session: Session,
    relay: &Relay,
    detection: &detect::Settings,
) {
    // Boxed, since a connection would keep the room for it as long as it lasts.
    let (client, server) = match Box::pin(establish(client, upstream, &session, detection)).await {
        Ok(legs) => legs,
        Err(end) => return session.close(end),
    };
    let end = tokio::select! {
        biased;
        ended = relay.carry(&client, &server, &session) => match ended {
            Ok(()) => End::COMPLETE,
            Err(error) => broken(&error),
        },
        silence = session.given_up() => given_up(&silence),
    };
    if end == End::COMPLETE {
        client.finish();
        server.finish();
    }
    session.close(end);
}

/// Both legs, once it is known what is spoken; or how the connection ends.
async fn establish(
    client: Leg,
    upstream: &mut impl Upstream,
    session: &Session,
    detection: &detect::Settings,
) -> Result<(Leg, Leg), End> {
    let mut first = FirstSpeaker::new(session.original_dst(), upstream.hint());
    let dialed = tokio::select! {
        biased;
        dialed = upstream.dial(session) => dialed,
        // Nothing could be done before the dial with what the client says, so there is no hurry.
        Err(error) = first.client(&client, None) => Err(client_broken(&error)),
        error = client.broken() => Err(client_broken(&error)),
    };
    let server = dialed?;
    first.expect(upstream.hint());
    let heard = tokio::select! {
        biased;
        heard = first.either(client, &server, detection) => heard,
        silence = session.given_up() => return Err(given_up(&silence)),
    };
    let (client, detected) = heard.map_err(|error| broken(&error))?;
    session.detected(&detected);
    Ok((client, server))
}

/// The peer is no longer there, which the kernel alone would say a quarter of an hour later.
fn given_up(silence: &Silence) -> End {
    let Silence { side, lasts } = silence;
    let flags = match side {
        Side::Client => "DC",
        Side::Server => "UC",
    };
    let details = format!("{}: silent for {} s with data on the way to it", side.name(), lasts.as_secs());
    End { flags, details: Some(details.into()), failure: None }
}

/// Envoy's `SI`: stream idle timeout.
fn half_closed(idle: &Broken) -> End {
    End { flags: "SI", details: Some(idle.to_string().into()), failure: None }
}

fn broken(broken: &Broken) -> End {
    match broken {
        Broken::Client(error) => client_broken(error),
        Broken::Server(error) => server_broken(error),
        idle @ Broken::HalfClosed(_) => half_closed(idle),
    }
}

/// Envoy's `DC`: downstream connection termination.
fn client_broken(error: &std::io::Error) -> End {
    End { flags: "DC", details: Some(format!("client: {error}").into()), failure: None }
}

/// Envoy's `UC`: upstream connection termination.
fn server_broken(error: &std::io::Error) -> End {
    End { flags: "UC", details: Some(format!("server: {error}").into()), failure: None }
}

/// Envoy's `UF` with `URX` (failed, and no attempt is left); `UO` is what it says when its own resources are used up.
pub(crate) fn not_connected(error: &DialError) -> End {
    let flags = match error {
        DialError::Exhausted(_) | DialError::NoSourcePort => "UO",
        DialError::Refused | DialError::TimedOut(_) | DialError::Unreachable(_) | DialError::Other(_) => {
            "UF,URX"
        }
    };
    End { flags, details: None, failure: Some(error.to_string()) }
}

#[cfg(test)]
mod tests {
    use crate::inbound::Inbound;
    use crate::outbound::Outbound;

    /// The size of what a function returns, without calling it.
    fn size_of_returned<T>(_: impl FnOnce() -> T) -> usize {
        size_of::<T>()
    }

    /// Tokio adds 104 bytes, and rounds up to 128.
    #[test]
    fn the_task_of_an_idle_connection_has_1_kib() {
        fn never<T>() -> T {
            panic!("only the type is looked at")
        }
        for size in [
            size_of_returned(|| Inbound::serve(never(), never())),
            size_of_returned(|| Outbound::serve(never(), never())),
        ] {
            assert!(size <= 920, "{size} bytes for each connection; mind what is held across an await");
        }
    }
}
