//! What was refused, sent again or given up of HTTP.

use runtime::metrics::registry::Registry;
use runtime::metrics::types::{counter::Counter, family::Family};

use super::connections::Side;
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
    const ALL: [Self; 4] = [Self::Idle, Self::Head, Self::StreamIdle, Self::Ping];

    /// The value of the label `timer`.
    fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Head => "head",
            Self::StreamIdle => "stream_idle",
            Self::Ping => "ping",
        }
    }
}

/// Reasons of refusals that limits are.
const LIMITS: [&str; 6] = [
    "head_too_long",
    "too_many_fields",
    "chunk_extension_too_long",
    "trailers_too_long",
    "too_many_streams",
    "malformed",
];

type Counters = Family<Vec<(&'static str, &'static str)>, Counter>;

/// The families; clones count into the same ones.
#[derive(Clone, Default)]
pub(super) struct Http {
    refused_messages: Counters,
    retries: Counters,
    timeouts: Counters,
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
            for timer in Timer::ALL {
                self.timeouts.get_or_create(&labels(direction, [("timer", timer.name())])).inc_by(0);
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
    }

    pub(super) fn refused_message(&self, direction: Direction, side: Side, reason: &'static str) {
        let labels = labels(direction, [("side", side.name()), ("reason", reason)]);
        self.refused_messages.get_or_create(&labels).inc();
    }

    pub(super) fn retried(&self, direction: Direction) {
        self.retries.get_or_create(&labels(direction, [])).inc();
    }

    pub(super) fn timed_out(&self, direction: Direction, timer: Timer) {
        self.timeouts.get_or_create(&labels(direction, [("timer", timer.name())])).inc();
    }
}

fn labels<const N: usize>(
    direction: Direction,
    others: [(&'static str, &'static str); N],
) -> Vec<(&'static str, &'static str)> {
    [("direction", direction.name())].into_iter().chain(others).collect()
}
