//! How many connections are carried at once: as many as descriptors and memory allow, less what everything else needs.
//!
//! It only decides; who has how many is counted by `telemetry`. Invariant: a connection that is let in has descriptors for
//! both of its legs, so that a flood costs new clients a reset, and nobody else anything. Where HTTP/2 has more connections to
//! servers than clients, these are counted as well, and no more of them are made than there is `Room` for.

use std::num::NonZeroU32;

use crate::direction::Direction;
use crate::telemetry::sockets::{Further, Sockets, Whose};

/// Descriptors that are not for connections: listeners, runtimes, administration and its callers, the log, and what is
/// accepted by all workers before the count shows it.
const RESERVED: u64 = 512;

/// The two legs of a connection.
const DESCRIPTORS_EACH: u64 = 2;

/// Limits of connections.
#[derive(clap::Args, Clone, Debug, Default)]
#[group(skip)]
pub struct Settings {
    /// Inbound connections carried at once; by default three quarters of what descriptors and memory allow
    #[arg(long, env = "REMORA_MAX_INBOUND_CONNECTIONS", value_name = "NUMBER")]
    pub max_inbound_connections: Option<NonZeroU32>,

    /// Outbound connections carried at once; by default three quarters of what descriptors and memory allow
    #[arg(long, env = "REMORA_MAX_OUTBOUND_CONNECTIONS", value_name = "NUMBER")]
    pub max_outbound_connections: Option<NonZeroU32>,
}

/// The limits in use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Capacity {
    inbound: u64,
    outbound: u64,
    both: u64,
}

impl Capacity {
    /// What `descriptors`, the limit of this process, allow, and the memory, which suffices for so many. A default leaves a
    /// quarter to the other direction: callers from outside must not keep the application from calling out.
    pub fn new(settings: &Settings, descriptors: u64, memory_for: Option<u64>) -> Self {
        let reserved = if are_few(descriptors) { descriptors / 2 } else { RESERVED };
        let both = ((descriptors - reserved) / DESCRIPTORS_EACH).min(memory_for.unwrap_or(u64::MAX)).max(1);
        let of = |configured: Option<NonZeroU32>| {
            configured.map_or((both * 3 / 4).max(1), |number| u64::from(number.get()).min(both))
        };
        Self {
            inbound: of(settings.max_inbound_connections),
            outbound: of(settings.max_outbound_connections),
            both,
        }
    }

    /// The limit of both directions together.
    pub fn both(&self) -> u64 {
        self.both
    }

    /// The limit of a direction.
    pub fn of(&self, direction: Direction) -> u64 {
        match direction {
            Direction::Inbound => self.inbound,
            Direction::Outbound => self.outbound,
        }
    }

    /// Whether one more is carried where `own` of its direction and `other` of the other one are, and `further` sockets.
    pub(super) fn admits(&self, direction: Direction, (own, other): (u64, u64), further: u64) -> bool {
        own < self.of(direction) && self.carries(own + other + 1, further)
    }

    fn carries(&self, connections: u64, further: u64) -> bool {
        connections * DESCRIPTORS_EACH + further <= self.both * DESCRIPTORS_EACH
    }
}

/// The room for connections to servers beyond one for each client; clones are the same.
#[derive(Clone)]
pub(crate) struct Room {
    capacity: Capacity,
    sockets: Sockets,
}

impl Room {
    /// What `capacity` leaves.
    pub(crate) fn new(capacity: Capacity, sockets: Sockets) -> Self {
        Self { capacity, sockets }
    }

    /// Whether one more may be made.
    pub(crate) fn has_one(&self, whose: Whose) -> bool {
        self.capacity.carries(self.sockets.connections(), self.sockets.further().with_one(whose))
    }

    /// Who counts them.
    pub(crate) fn further(&self) -> &Further {
        self.sockets.further()
    }
}

/// Whether so few that connections get only half of them.
pub fn are_few(descriptors: u64) -> bool {
    descriptors / 2 < RESERVED
}

#[cfg(test)]
mod tests {
    use super::{Capacity, Direction, Settings};

    fn settings(inbound: u32, outbound: u32) -> Settings {
        Settings {
            max_inbound_connections: inbound.try_into().ok(),
            max_outbound_connections: outbound.try_into().ok(),
        }
    }

    #[test]
    fn defaults_follow_the_descriptors_and_leave_the_other_direction_its_share() {
        for (descriptors, both) in [(20_512, 10_000), (1024, 256), (2, 1), (0, 1)] {
            let capacity = Capacity::new(&Settings::default(), descriptors, None);
            assert_eq!(capacity.both, both, "{descriptors}");
            for direction in Direction::BOTH {
                assert_eq!(capacity.of(direction), (both * 3 / 4).max(1), "{descriptors}");
            }
        }
    }

    #[test]
    fn memory_may_allow_fewer_than_descriptors() {
        let capacity = Capacity::new(&settings(10, 4_000_000), 20_512, Some(2_000));
        assert_eq!((capacity.both(), capacity.of(Direction::Outbound)), (2_000, 2_000));
        assert_eq!(Capacity::new(&Settings::default(), 20_512, Some(0)).both(), 1);
    }

    #[test]
    fn a_configured_limit_holds_but_never_exceeds_the_descriptors() {
        let capacity = Capacity::new(&settings(10, 4_000_000), 20_512, None);
        assert_eq!((capacity.of(Direction::Inbound), capacity.of(Direction::Outbound)), (10, 10_000));
    }

    #[test]
    fn nobody_gets_in_beyond_the_limit_of_the_direction_or_of_both() {
        let capacity = Capacity::new(&Settings::default(), 20_512, None);
        for (own, other, further, admitted) in [
            (0, 0, 0, true),
            (7_499, 0, 0, true),
            (7_500, 0, 0, false),
            (7_499, 2_500, 0, true),
            (7_499, 2_501, 0, false),
            (7_499, 2_500, 1, false),
            (0, 0, 19_998, true),
            (0, 0, 19_999, false),
        ] {
            let admits = capacity.admits(Direction::Inbound, (own, other), further);
            assert_eq!(admits, admitted, "{own}, {other} and {further}");
        }
    }
}
