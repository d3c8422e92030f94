//! How connections and requests end, in the words of Envoy's access log.

use crate::net::dial::DialError;
use crate::net::relay::{Broken, NotContent};
use crate::telemetry::connections::{Side, Silence};
use crate::telemetry::session::End;

/// The peer is no longer there, which the kernel alone would say a quarter of an hour later.
pub(crate) fn given_up(silence: &Silence) -> End {
    let Silence { side, lasts } = silence;
    End::gone(*side, format!("{}: silent for {} s with data on the way to it", side.name(), lasts.as_secs()))
}

/// Envoy's `SI`: stream idle timeout.
fn half_closed(idle: &Broken) -> End {
    End { flags: "SI", details: Some(idle.to_string().into()), failure: None }
}

pub(crate) fn broken(broken: &Broken) -> End {
    match broken {
        Broken::Client(error) => client_broken(error),
        Broken::Server(error) => server_broken(error),
        idle @ Broken::HalfClosed(_) => half_closed(idle),
        Broken::NotContent(side, why) => not_content(*side, *why),
    }
}

pub(crate) fn client_broken(error: &std::io::Error) -> End {
    End::gone(Side::Client, format!("client: {error}"))
}

pub(crate) fn server_broken(error: &std::io::Error) -> End {
    End::gone(Side::Server, format!("server: {error}"))
}

/// The server has ended in good order, and has not answered.
pub(crate) fn unanswered() -> End {
    End::gone(Side::Server, "server: ended before an answer")
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

/// A side has ended within a message, or it is no message: Envoy's `DPE` and `UPE`, downstream and upstream protocol errors.
fn not_content(side: Side, why: NotContent) -> End {
    let flags = match (side, why) {
        (Side::Client, NotContent::Truncated) => "DC",
        (Side::Client, NotContent::Malformed) => "DPE",
        (Side::Server, NotContent::Truncated) => "UC",
        (Side::Server, NotContent::Malformed) => "UPE",
    };
    End { flags, details: Some(format!("{}: {why}", side.name()).into()), failure: None }
}
