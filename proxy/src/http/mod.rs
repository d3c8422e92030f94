//! HTTP: what its messages are, and how they are carried.
//!
//! No version is translated into another one: what came as HTTP/1 goes as HTTP/1.

mod authority;
pub mod h1;
pub mod h2;
mod pipeline;
pub(crate) mod pool;
mod repeat;
mod request_id;

use std::time::Duration;

use runtime::duration;
use runtime::shutdown::Shutdown;
use tokio::time::sleep;

use crate::balance::Held;
use crate::first_speaker;
use crate::net::capacity::Room;
use crate::telemetry::exchange::{Exchange, Timer};
use crate::telemetry::session::Session;
use pool::Pool;

use crate::trace::Tracer;

/// How HTTP is carried.
#[derive(clap::Args, Clone, Copy, Debug)]
#[group(skip)]
pub struct Settings {
    /// How long a client may take from the first byte of a request's head to the last
    #[arg(long, env = "REMORA_HTTP_HEAD_TIMEOUT", default_value = "10s", value_name = "DURATION",
          value_parser = duration::within(duration::SHORTEST..=duration::DAY))]
    pub http_head_timeout: Duration,

    /// How long a client may keep a connection without a request
    #[arg(long, env = "REMORA_HTTP_IDLE_TIMEOUT", default_value = "1h", value_name = "DURATION",
          value_parser = duration::within(duration::SHORTEST..=LONGEST))]
    pub http_idle_timeout: Duration,

    /// How long a request may be without a byte in either direction before it is given up
    #[arg(long, env = "REMORA_HTTP_STREAM_IDLE_TIMEOUT", default_value = "1h", value_name = "DURATION",
          value_parser = duration::within(duration::SHORTEST..=LONGEST))]
    pub http_stream_idle_timeout: Duration,

    /// What requests without an x-request-id get
    #[arg(
        long,
        env = "REMORA_HTTP_REQUEST_ID",
        default_value = "generate",
        value_enum,
        value_name = "ACTION"
    )]
    pub http_request_id: RequestId,

    /// Outbound connections that are kept for further requests of HTTP/1 when their client has left or goes elsewhere; 0 keeps
    /// none, and few descriptors fewer. With 0 clients of HTTP/2 share none either
    #[arg(long, env = "REMORA_HTTP_POOL_SIZE", default_value_t = 128, value_name = "NUMBER",
          value_parser = clap::value_parser!(u32).range(0..=65_536))]
    pub http_pool_size: u32,

    /// How long such a connection is kept without a request
    #[arg(long, env = "REMORA_HTTP_POOL_IDLE_TIMEOUT", default_value = "30s", value_name = "DURATION",
          value_parser = duration::within(duration::SHORTEST..=duration::DAY))]
    pub http_pool_idle_timeout: Duration,

    /// The most of everything in a message of HTTP/1.
    #[command(flatten)]
    pub h1: h1::Settings,

    /// What peers of HTTP/2 are told, and held to.
    #[command(flatten)]
    pub h2: h2::Settings,
}

/// What is done about requests that have no name. One that came is never changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum RequestId {
    /// A new one, by which all hops of a request are found.
    Generate,
    /// None.
    Keep,
}

/// What carrying HTTP takes, in one direction.
pub struct Http {
    /// How it is carried.
    pub settings: Settings,
    /// Follows traces.
    pub tracer: Tracer,
    /// Clients are asked to go elsewhere, since the proxy will.
    pub retiring: Shutdown,
    /// The listeners are closed.
    pub closing: Shutdown,
    /// Connections to servers that wait.
    pub(crate) pool: Pool,
    /// For more than one connection to a server for each client.
    pub(crate) room: Room,
}

/// How long a connection without a request is kept when its listener has closed: a request may be on the way, and would be
/// lost.
pub(crate) const GRACE: Duration = Duration::from_secs(1);

/// The head of a final response has come from a server, which is the load of an endpoint by `held`, or is none.
fn responded(exchange: &Exchange, status: u16, held: Option<&Held>) {
    exchange.responded(status);
    if let Some((held, after)) = held.zip(exchange.waited()) {
        held.responded(after, status);
    }
    if let Some(destination) = exchange.first_response_from() {
        first_speaker::speaks_http(destination);
    }
}

impl Http {
    /// Returns when a client that has not begun to ask is to be left, in good order.
    pub(crate) async fn unasked(&self, session: &Session) {
        let mut closing = self.closing.clone();
        tokio::select! {
            () = closing.requested() => sleep(GRACE).await,
            () = sleep(self.settings.http_idle_timeout) => session.timed_out(Timer::Idle),
        }
    }
}

/// Some requests wait for days.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::{h1, h2};
    use crate::telemetry::Code;
    use crate::telemetry::exchange::Timer;
    use crate::telemetry::http::LIMITS;

    fn codes() -> Vec<Code> {
        let refusals = h1::Refusal::ALL.map(h1::Refusal::code);
        let unended = h1::Unended::ALL.map(h1::Unended::code);
        let violations = h2::meter::Violation::ALL.map(h2::meter::Violation::code);
        [&refusals[..], &unended, &h2::Refusal::ALL.map(h2::Refusal::code), &violations].concat()
    }

    #[test]
    fn series_that_are_there_from_the_start_are_of_reasons() {
        for limit in LIMITS {
            assert!(codes().iter().any(|code| code.name() == limit), "{limit}");
        }
    }

    #[test]
    fn users_are_told_what_there_is() {
        let readme = include_str!("../../../README.md");
        for code in codes().into_iter().chain(Timer::ALL.map(Timer::code)) {
            assert!(readme.contains(&format!("`{code}`")), "{code}");
        }
    }
}
