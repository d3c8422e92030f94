//! What was refused, sent again or given up of HTTP, and which connections are kept for it.

use std::net::SocketAddr;

use runtime::metrics::registry::Registry;
use runtime::metrics::types::{counter::Counter, family::Family, gauge::Gauge};

use super::code::Code;
use super::connections::Side;
use super::sockets::Further;
use super::throttle::Throttles;
use crate::direction::Direction;

/// The time limits of connections that speak HTTP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Timer {
    /// Between requests.
    Idle,
    /// Of a message's head.
    Head,
    /// Of an exchange that has begun and does not go on.
    StreamIdle,
    /// Of an answer to a PING.
    Ping,
}

impl Timer {
    /// All that there are.
    pub(crate) const ALL: [Self; 4] = [Self::Idle, Self::Head, Self::StreamIdle, Self::Ping];

    /// As logs name what met it, where they say anything of it, and the label `timer`.
    pub(crate) const fn code(self) -> Code {
        Code::new(match self {
            Self::Idle => "idle_timeout",
            Self::Head => "request_head_timeout",
            Self::StreamIdle => "stream_idle_timeout",
            Self::Ping => "ping_timeout",
        })
    }
}

/// Reasons of refusals that limits are, and what h2 has found of a message.
pub(crate) const LIMITS: [&str; 11] = [
    "http1.head_too_long",
    "http1.too_many_fields",
    "http1.interim_flood",
    "http1.chunk_extension_too_long",
    "http1.trailers_too_long",
    "http2.head_too_long",
    "http2.too_many_fields",
    "http2.trailers_too_long",
    "http2.too_many_streams",
    "http2.enhance_your_calm",
    "http2.malformed",
];

type Labels = Vec<(&'static str, &'static str)>;
type Counters = Family<Labels, Counter>;

/// The families; clones count into the same ones.
#[derive(Clone, Default)]
pub(super) struct Http {
    refused_messages: Counters,
    retries: Counters,
    timeouts: Counters,
    pooled: Pooled,
    links: Family<Labels, Gauge>,
    further: Further,
    throttles: Throttles,
}

/// What is told of the connections to servers that wait for a request of whoever comes; clones tell the same.
#[derive(Clone, Default)]
pub(crate) struct Pooled {
    waiting: Gauge,
    reuses: Counter,
    evictions: Counter,
}

impl Pooled {
    /// How many there are.
    pub(crate) fn count(&self) -> i64 {
        self.waiting.get()
    }

    /// One more waits.
    pub(crate) fn came(&self) {
        self.waiting.inc();
    }

    /// One waits no more.
    pub(crate) fn left(&self) {
        self.waiting.dec();
    }

    /// It was taken for a request.
    pub(crate) fn taken(&self) {
        self.reuses.inc();
    }

    /// It had to make room.
    pub(crate) fn evicted(&self) {
        self.evictions.inc();
    }
}

impl Http {
    /// What limits do has its series before the first one, so that a rate sees that one.
    pub(super) fn register(&self, to: &mut Registry) {
        for direction in Direction::BOTH {
            for (side, reason) in Side::BOTH.into_iter().flat_map(|side| LIMITS.map(|reason| (side, reason)))
            {
                let labels = labels(direction, [("side", side.name()), ("reason", reason)]);
                self.refused_messages.get_or_create(&labels).inc_by(0);
            }
            self.retries.get_or_create(&labels(direction, [])).inc_by(0);
            self.links(direction);
            for timer in Timer::ALL {
                self.timeouts.get_or_create(&labels(direction, [("timer", timer.code().name())])).inc_by(0);
            }
        }
        to.register(
            "remora_http_refused_messages",
            "HTTP messages that were refused, by who sent them and why",
            self.refused_messages.clone(),
        );
        to.register("remora_http_retries", "Requests that were sent again", self.retries.clone());
        to.register(
            "remora_http_timeouts",
            "HTTP connections and exchanges that met a time limit",
            self.timeouts.clone(),
        );
        to.register(
            "remora_http2_server_connections",
            "Connections of HTTP/2 to servers",
            self.links.clone(),
        );
        to.register(
            "remora_http_pool_connections",
            "Connections to servers that wait for a request of any client",
            self.pooled.waiting.clone(),
        );
        to.register(
            "remora_http_pool_reuses",
            "Those that were taken for a request",
            self.pooled.reuses.clone(),
        );
        to.register(
            "remora_http_pool_evictions",
            "Those that made room for others",
            self.pooled.evictions.clone(),
        );
    }

    pub(super) fn pooled(&self) -> Pooled {
        self.pooled.clone()
    }

    pub(super) fn further(&self) -> Further {
        self.further.clone()
    }

    pub(super) fn refused_message(&self, direction: Direction, side: Side, code: Code) {
        let labels = labels(direction, [("side", side.name()), ("reason", code.name())]);
        self.refused_messages.get_or_create(&labels).inc();
    }

    /// A connection to a server is left. A server may do so again and again.
    pub(super) fn left_server(&self, direction: Direction, server: SocketAddr, code: Code) {
        let reason = code.name();
        if let Some(left_out) = self.throttles.permit(reason) {
            tracing::warn!(%direction, %server, reason, left_out, "a connection to a server is left");
        }
    }

    /// How many connections of HTTP/2 to servers there are.
    pub(super) fn links(&self, direction: Direction) -> Gauge {
        self.links.get_or_create(&labels(direction, [])).clone()
    }

    pub(super) fn retried(&self, direction: Direction) {
        self.retries.get_or_create(&labels(direction, [])).inc();
    }

    pub(super) fn timed_out(&self, direction: Direction, timer: Timer) {
        self.timeouts.get_or_create(&labels(direction, [("timer", timer.code().name())])).inc();
    }
}

fn labels<const N: usize>(direction: Direction, others: [(&'static str, &'static str); N]) -> Labels {
    [("direction", direction.name())].into_iter().chain(others).collect()
}
