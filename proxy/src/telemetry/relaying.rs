//! How bytes are carried: what the relay counts, looked up once for the process.

use runtime::metrics::types::{counter::Counter, gauge::Gauge};

use super::connections::RelayMode;
use super::metrics::Metrics;

/// The relay's series; clones are the same ones.
#[derive(Clone)]
pub struct Relaying {
    pub(crate) copy: ByMode,
    pub(crate) splice: ByMode,
    /// Directions that began to be spliced.
    pub(crate) switches: Counter,
    /// Pipes that there are.
    pub(crate) pipes: Gauge,
    /// Half-closed connections that met the time limit.
    pub(crate) half_closed_reset: Counter,
    no_pipe: [(NoPipe, Counter); 4],
}

/// The series of a mode.
#[derive(Clone)]
pub(crate) struct ByMode {
    /// Bytes that were passed on.
    pub(crate) bytes: Counter,
    /// Bytes that are held for readers that do not take them.
    pub(crate) buffered: Gauge,
}

/// Why a long transfer is copied nevertheless.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum NoPipe {
    /// All pipes are.
    InUse,
    /// No descriptor is left.
    Descriptors,
    /// The kernel grants this user no more memory for pipes.
    UserLimit,
    /// The kernel says so.
    Failed,
}

impl NoPipe {
    const ALL: [Self; 4] = [Self::InUse, Self::Descriptors, Self::UserLimit, Self::Failed];

    /// The value of the label `reason`.
    fn name(self) -> &'static str {
        match self {
            Self::InUse => "in_use",
            Self::Descriptors => "descriptors",
            Self::UserLimit => "user_limit",
            Self::Failed => "failed",
        }
    }
}

impl Relaying {
    /// Counts into `metrics`.
    pub fn new(metrics: &Metrics) -> Self {
        let by_mode = |mode: RelayMode| ByMode {
            bytes: metrics.relay_bytes(mode.name()),
            buffered: metrics.relay_buffered(mode.name()),
        };
        Self {
            copy: by_mode(RelayMode::Copy),
            splice: by_mode(RelayMode::Splice),
            switches: metrics.relay_switches.clone(),
            pipes: metrics.relay_pipes.clone(),
            half_closed_reset: metrics.relay_half_closed_reset.clone(),
            no_pipe: NoPipe::ALL.map(|reason| (reason, metrics.relay_no_pipe(reason.name()))),
        }
    }

    /// Bytes that are held for readers.
    pub(crate) fn buffered(&self) -> u64 {
        u64::try_from(self.copy.buffered.get() + self.splice.buffered.get()).unwrap_or(0)
    }

    pub(crate) fn of(&self, mode: RelayMode) -> &ByMode {
        match mode {
            RelayMode::Copy => &self.copy,
            RelayMode::Splice => &self.splice,
        }
    }

    /// A transfer that would be spliced is copied.
    pub(crate) fn no_pipe(&self, reason: NoPipe) {
        self.no_pipe.iter().filter(|(known, _)| *known == reason).for_each(|(_, counter)| {
            counter.inc();
        });
    }

    /// How often that was so.
    #[cfg(test)]
    pub(crate) fn refusals(&self, reason: NoPipe) -> u64 {
        self.no_pipe.iter().filter(|(known, _)| *known == reason).map(|(_, counter)| counter.get()).sum()
    }
}
