//! What did not become a carried connection: refusals and failed accepts, counted always and logged with a limit.

use std::fmt::Display;
use std::io;
use std::net::SocketAddr;

use runtime::metrics::types::gauge::Gauge;

use super::metrics::Metrics;
use super::sockets::Further;
use super::throttle::Throttles;
use crate::direction::Direction;

/// The account of one direction's listeners.
#[derive(Clone)]
pub struct Acceptance {
    direction: Direction,
    metrics: Metrics,
    /// Of this direction, and of the other.
    open: (Gauge, Gauge),
    further: Further,
    throttles: Throttles,
}

impl Acceptance {
    /// Counts into `metrics`.
    pub fn new(direction: Direction, metrics: Metrics) -> Self {
        let open = (metrics.open_gauge(direction), metrics.open_gauge(direction.other()));
        let further = metrics.sockets().further().clone();
        Self { direction, metrics, open, further, throttles: Throttles::default() }
    }

    /// How many connections are being carried: of this direction, and of the other.
    pub(crate) fn open(&self) -> (u64, u64) {
        let count = |gauge: &Gauge| u64::try_from(gauge.get()).unwrap_or(0);
        (count(&self.open.0), count(&self.open.1))
    }

    /// How many sockets there are beyond the two of each.
    pub(crate) fn further(&self) -> u64 {
        self.further.count()
    }

    /// A connection from `peer` was refused.
    pub(crate) fn refused(&self, reason: &'static str, peer: SocketAddr, detail: &dyn Display) {
        self.metrics.refused(self.direction, reason);
        if let Some(left_out) = self.throttles.permit(reason) {
            tracing::warn!(direction = %self.direction, %peer, reason, left_out, "connection refused: {detail}");
        }
    }

    /// accept(2) failed.
    pub(crate) fn accept_failed(&self, error: &io::Error) {
        self.metrics.accept_failed(self.direction);
        if let Some(left_out) = self.throttles.permit("accept") {
            tracing::warn!(direction = %self.direction, %error, left_out, "a connection could not be accepted");
        }
    }
}
