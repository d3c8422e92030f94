//! When the listeners close and when the process ends, as a pure state machine: time and open connections are arguments.
//!
//! Native sidecar: `proxy drain` (preStop) starts the inbound delay, during which it still accepts, since endpoints are
//! removed everywhere only after a while; then inbound closes and outbound stays open for the application. SIGTERM comes
//! when the applications are gone: both close at once, and the process ends with the last connection or at the deadline.
//!
//! Legacy sidecar: SIGTERM comes together with the application's, so it starts the delay, and outbound stays open until
//! the last connection or the deadline.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use runtime::duration;

/// How the proxy ends.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// How long inbound connections are still accepted after the drain began
    ///
    /// Never shorter than what it takes until every peer has heard that the pod is going away: refusing earlier than the
    /// application would loses requests.
    #[arg(long, env = api::env::DRAIN_DELAY, default_value = "20s", value_name = "DURATION",
          value_parser = duration::within(Duration::ZERO..=duration::DAY))]
    pub drain_delay: Duration,

    /// How long open connections may last after SIGTERM; then they are reset
    ///
    /// Below the pod's terminationGracePeriodSeconds (30 unless set), after which the kubelet kills.
    #[arg(long, env = api::env::DRAIN_DEADLINE, default_value = "25s", value_name = "DURATION",
          value_parser = duration::within(Duration::ZERO..=duration::DAY))]
    pub drain_deadline: Duration,

    /// How the proxy runs in the pod, which decides what SIGTERM means
    #[arg(long, env = api::env::SIDECAR_MODE, default_value = "native", value_enum, value_name = "MODE")]
    pub sidecar_mode: SidecarMode,
}

/// How the proxy runs in the pod.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum SidecarMode {
    /// An init container that restarts: SIGTERM comes after the applications have ended.
    Native,
    /// An ordinary container: SIGTERM comes when the applications get theirs.
    Legacy,
}

/// Which listeners should be open.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Doors {
    /// Inbound accepts.
    pub inbound: bool,
    /// Outbound accepts.
    pub outbound: bool,
}

/// What still keeps the process.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Load {
    /// Connections being carried, by direction.
    pub connections: u64,
    /// How many of them are calls of the pod to itself, and so counted in both directions.
    pub self_calls: u64,
    /// Listeners that were told to close and still hand over what had been waiting in them.
    pub closing: usize,
    /// Connections to servers, which several connections may share and which outlive them for as long as it takes to say so.
    pub links: u64,
}

impl Load {
    /// As whoever made them counts.
    pub fn seen(&self) -> u64 {
        self.connections.saturating_sub(self.self_calls)
    }

    /// Nobody is carried, and nobody will be.
    fn is_none(&self) -> bool {
        self.connections == 0 && self.closing == 0
    }
}

/// Why the process ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// No connection is left.
    Idle,
    /// The deadline has passed; what is left is reset.
    Deadline {
        /// How many.
        cut: u64,
    },
    /// A second signal; what is left is reset.
    SecondSignal {
        /// How many.
        cut: u64,
    },
}

/// The state of a drain.
#[derive(Clone, Debug)]
pub struct Drain {
    settings: Settings,
    inbound_closes: Option<Instant>,
    ends: Option<Instant>,
    forced: bool,
}

impl Drain {
    /// Nothing has begun.
    pub fn new(settings: Settings) -> Self {
        Self { settings, inbound_closes: None, ends: None, forced: false }
    }

    /// `proxy drain`; asking again changes nothing.
    pub fn begin(&mut self, now: Instant) {
        self.inbound_closes.get_or_insert(now + self.settings.drain_delay);
    }

    /// A termination signal; the second one ends the process at once.
    pub fn terminate(&mut self, now: Instant) {
        self.forced = self.ends.is_some();
        self.ends.get_or_insert(now + self.settings.drain_deadline);
        match self.settings.sidecar_mode {
            SidecarMode::Native => self.inbound_closes = Some(now),
            SidecarMode::Legacy => self.begin(now),
        }
    }

    /// Whether inbound is going to close.
    pub fn has_begun(&self) -> bool {
        self.inbound_closes.is_some()
    }

    /// Whether a termination signal has come.
    pub fn is_terminating(&self) -> bool {
        self.ends.is_some()
    }

    /// Which listeners should be open.
    pub fn doors(&self, now: Instant) -> Doors {
        let closed_by_end = self.is_terminating() && self.settings.sidecar_mode == SidecarMode::Native;
        Doors { inbound: self.inbound_closes.is_none_or(|at| at > now), outbound: !closed_by_end }
    }

    /// Whether nothing is left to carry, so that whatever is open should end.
    pub fn has_carried_all(&self, now: Instant, load: Load) -> bool {
        self.is_terminating() && !self.doors(now).inbound && load.is_none()
    }

    /// Whether the process should end.
    pub fn exit(&self, now: Instant, load: Load) -> Option<Exit> {
        let ends = self.ends?;
        let cut = load.seen();
        if self.has_carried_all(now, load) && load.links == 0 {
            Some(Exit::Idle)
        } else if self.forced {
            Some(Exit::SecondSignal { cut })
        } else if ends <= now {
            Some(Exit::Deadline { cut })
        } else {
            None
        }
    }

    /// When time alone will next change something.
    pub fn wake(&self, now: Instant) -> Option<Instant> {
        [self.inbound_closes, self.ends].into_iter().flatten().filter(|at| *at > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::{Doors, Drain, Duration, Exit, Instant, Load, Settings, SidecarMode};
    use proptest::prelude::*;

    const OPEN: Doors = Doors { inbound: true, outbound: true };
    const INBOUND_CLOSED: Doors = Doors { inbound: false, outbound: true };
    const CLOSED: Doors = Doors { inbound: false, outbound: false };
    const NONE: Load = Load { connections: 0, self_calls: 0, closing: 0, links: 0 };
    const BUSY: Load = Load { connections: 4, self_calls: 1, closing: 0, links: 0 };

    fn drain(sidecar_mode: SidecarMode) -> (Drain, Instant) {
        let settings = Settings {
            drain_delay: Duration::from_secs(20),
            drain_deadline: Duration::from_secs(25),
            sidecar_mode,
        };
        (Drain::new(settings), Instant::now())
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn nothing_closes_unasked() {
        let (drain, now) = drain(SidecarMode::Native);
        assert_eq!((drain.doors(now), drain.exit(now, NONE), drain.wake(now)), (OPEN, None, None));
    }

    #[test]
    fn a_native_drain_still_accepts_for_the_delay_and_outbound_stays() {
        let (mut drain, start) = drain(SidecarMode::Native);
        drain.begin(start);
        drain.begin(start + seconds(5));
        assert_eq!(drain.wake(start), Some(start + seconds(20)), "asking again does not prolong");
        assert_eq!(drain.doors(start + seconds(19)), OPEN);
        assert_eq!(drain.doors(start + seconds(20)), INBOUND_CLOSED);
        assert_eq!(drain.exit(start + seconds(3600), NONE), None, "only a signal ends the process");
    }

    #[test]
    fn a_native_signal_closes_at_once_and_ends_with_the_last_connection() {
        let (mut drain, start) = drain(SidecarMode::Native);
        drain.terminate(start);
        assert_eq!(drain.doors(start), CLOSED);
        assert_eq!(drain.exit(start, Load { closing: 1, ..NONE }), None, "a backlog is carried first");
        assert_eq!(drain.exit(start, NONE), Some(Exit::Idle));
        assert_eq!(drain.exit(start + seconds(24), BUSY), None);
        assert_eq!(drain.wake(start), Some(start + seconds(25)));
        assert_eq!(drain.exit(start + seconds(25), BUSY), Some(Exit::Deadline { cut: 3 }));
    }

    #[test]
    fn a_legacy_signal_starts_the_delay_and_outbound_stays_to_the_end() {
        let (mut drain, start) = drain(SidecarMode::Legacy);
        drain.terminate(start);
        assert_eq!(drain.doors(start + seconds(19)), OPEN);
        assert_eq!(drain.exit(start + seconds(19), NONE), None, "still accepts, so it cannot end");
        assert_eq!(drain.doors(start + seconds(20)), INBOUND_CLOSED);
        assert_eq!(drain.exit(start + seconds(20), BUSY), None);
        assert_eq!(drain.exit(start + seconds(20), NONE), Some(Exit::Idle));
        assert_eq!(drain.exit(start + seconds(25), BUSY), Some(Exit::Deadline { cut: 3 }));
    }

    #[test]
    fn servers_are_left_when_nobody_is_carried_and_waited_for_until_the_deadline() {
        const LEAVING: Load = Load { links: 2, ..NONE };
        for (mode, delay) in [(SidecarMode::Native, 0), (SidecarMode::Legacy, 20)] {
            let (mut drain, start) = drain(mode);
            assert!(!drain.has_carried_all(start, LEAVING), "before a signal");
            drain.terminate(start);
            let closed = start + seconds(delay);
            assert!(drain.has_carried_all(closed, LEAVING));
            assert!(!drain.has_carried_all(closed, Load { connections: 1, ..LEAVING }));
            assert!(delay == 0 || !drain.has_carried_all(start, LEAVING), "it still accepts");
            assert_eq!(drain.exit(closed, LEAVING), None, "{mode:?}");
            assert_eq!(drain.exit(closed, NONE), Some(Exit::Idle));
            assert_eq!(drain.exit(start + seconds(25), LEAVING), Some(Exit::Deadline { cut: 0 }));
        }
    }

    #[test]
    fn a_legacy_signal_does_not_prolong_a_drain() {
        let (mut drain, start) = drain(SidecarMode::Legacy);
        drain.begin(start);
        drain.terminate(start + seconds(10));
        assert_eq!(drain.doors(start + seconds(20)), INBOUND_CLOSED);
    }

    #[test]
    fn a_second_signal_ends_at_once() {
        for mode in [SidecarMode::Native, SidecarMode::Legacy] {
            let (mut drain, start) = drain(mode);
            drain.terminate(start);
            drain.terminate(start + seconds(1));
            assert_eq!(drain.exit(start + seconds(1), BUSY), Some(Exit::SecondSignal { cut: 3 }), "{mode:?}");
        }
    }

    proptest! {
        #[test]
        fn doors_never_open_again_and_the_deadline_holds(
            events in proptest::collection::vec((0u64..60, any::<bool>()), 1..8),
            legacy: bool,
        ) {
            let mode = if legacy { SidecarMode::Legacy } else { SidecarMode::Native };
            let (mut drain, start) = drain(mode);
            let (mut now, mut before) = (start, OPEN);
            for (pause, signal) in events {
                now += seconds(pause);
                if signal { drain.terminate(now) } else { drain.begin(now) }
                let doors = drain.doors(now);
                prop_assert!(before.inbound || !doors.inbound);
                prop_assert!(before.outbound || !doors.outbound);
                prop_assert!(drain.wake(now).is_none_or(|at| at > now));
                before = doors;
            }
            if drain.is_terminating() {
                prop_assert!(drain.exit(now + seconds(25), BUSY).is_some());
            }
        }
    }
}
