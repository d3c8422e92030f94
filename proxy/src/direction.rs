//! The two directions of traffic, as everything else names them.

use std::fmt;

/// Seen from the pod.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Direction {
    /// From others to the pod's application.
    Inbound,
    /// From the pod's application to others.
    Outbound,
}

impl Direction {
    /// Both, in the order in which arrays of two are indexed.
    pub const BOTH: [Self; 2] = [Self::Inbound, Self::Outbound];

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Inbound => Self::Outbound,
            Self::Outbound => Self::Inbound,
        }
    }

    /// The value of the label `direction`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }

    /// Istio's label `reporter`: which end of the connection this proxy speaks for.
    pub fn reporter(self) -> &'static str {
        match self {
            Self::Inbound => "destination",
            Self::Outbound => "source",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
