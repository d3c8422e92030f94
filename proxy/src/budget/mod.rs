//! The memory that the proxy may take: how much there is, who gets a share, and when new connections are turned away.
//!
//! It is derived from the control group's limit, so that the kernel has no reason to kill: half is for connections, which
//! bounds their number, and those that turn out to take much more (HTTP/2) have a bound of their own in it; a quarter for bytes
//! whose reader is slow, which bounds what is read ahead; and beyond nine tenths of the limit, whatever took it, nobody new is let
//! in until a fifth is free again. Where nothing is limited, nothing of this happens. Invariant: a shortage never cuts what is being carried, and never silences the kubelet's probes.

mod cgroup;
mod share;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use cgroup::Group;
pub(crate) use share::Share;
use share::Shares;

/// How often it is looked how much is taken.
const INTERVAL: Duration = Duration::from_millis(250);

/// What a carried connection takes while it is idle, in this process and in the kernel, as the control group counts it: 2.5 KiB
/// and two sockets.
const CONNECTION: u64 = 12 * 1024;

/// The least that is read at once, however little is left: reading must go on, or nothing would ever become free.
const LEAST_READ: u64 = 1024;

/// The memory that may be taken.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
#[group(skip)]
pub struct Settings {
    /// Memory that the proxy may take, in bytes; by default what its control group allows, and never more
    #[arg(long, env = api::env::MEMORY_LIMIT, value_name = "BYTES", value_parser = parse_bytes)]
    pub memory_limit: Option<NonZeroU64>,
}

fn parse_bytes(text: &str) -> Result<NonZeroU64, String> {
    text.parse().map_err(|_| "write a number of bytes, for example 67108864 for 64 MiB".to_owned())
}

/// The budget in use; clones are the same one.
#[derive(Clone, Debug)]
pub struct Budget {
    limit: Option<u64>,
    group: Option<Group>,
    is_short: Arc<AtomicBool>,
    shares: Arc<Shares>,
}

impl Budget {
    /// By the settings, and by the control group of this process.
    pub fn new(settings: Settings) -> Self {
        Self::with(settings, Group::of_this_process())
    }

    fn with(settings: Settings, group: Option<Group>) -> Self {
        let configured = settings.memory_limit.map(NonZeroU64::get);
        let limit = [configured, group.as_ref().map(Group::limit)].into_iter().flatten().min();
        let shares = limit.map(shared).map_or_else(Shares::default, Shares::of);
        Self { limit, group, is_short: Arc::default(), shares: Arc::new(shares) }
    }

    /// Bytes, if there is a limit.
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// Bytes that are taken of it now: what the control group counts, or else this process's resident memory.
    pub fn used(&self) -> Option<u64> {
        match &self.group {
            Some(group) => group.used(),
            None => resident(),
        }
    }

    /// Connections that the memory suffices for.
    pub fn connections(&self) -> Option<u64> {
        self.limit.map(|limit| (limit / 2 / CONNECTION).max(1))
    }

    /// Bytes that may wait for slow readers.
    pub fn buffers(&self) -> Option<u64> {
        self.limit.map(|limit| limit / 4)
    }

    /// The most that is to be read at once where so many bytes wait for slow readers already: a quarter of what is left, so
    /// that many who read at the same time do not take it twice.
    pub fn room(&self, waiting: u64) -> usize {
        let left = self.buffers().map_or(u64::MAX, |buffers| buffers.saturating_sub(waiting) / 4);
        usize::try_from(left.max(LEAST_READ)).unwrap_or(usize::MAX)
    }

    /// Bytes of which shares are given.
    pub fn shared(&self) -> Option<u64> {
        self.limit.map(shared)
    }

    /// So much for something that may take it at any time while it is there; none where all that there is for such is given away.
    pub(crate) fn share(&self, bytes: u64) -> Option<Share> {
        Shares::give(&self.shares, bytes)
    }

    /// Whether nobody new is to be let in.
    pub fn is_short(&self) -> bool {
        self.is_short.load(Ordering::Relaxed)
    }

    /// Looks how much is taken for as long as it is polled; `is_idle` says that there is nothing that could have taken more.
    pub async fn watch(self, is_idle: impl Fn() -> bool) {
        let Some(limit) = self.limit else { return std::future::pending().await };
        let mut looks = interval(INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let was_short = self.is_short();
            if !was_short && is_idle() {
                continue;
            }
            let Some(used) = self.used() else { continue };
            let short = is_short(was_short, used, limit);
            self.is_short.store(short, Ordering::Relaxed);
            if short && !was_short {
                tracing::warn!(
                    used,
                    limit,
                    "short of memory: new connections are refused until a fifth is free again"
                );
            } else if was_short && !short {
                tracing::info!(used, limit, "memory suffices again");
            }
        }
    }
}

fn shared(limit: u64) -> u64 {
    limit / 2
}

/// Nine tenths begin the shortage, and four fifths end it, so that it does not come and go with every connection.
fn is_short(was_short: bool, used: u64, limit: u64) -> bool {
    let tenths = if was_short { 8 } else { 9 };
    used >= limit / 10 * tenths
}

/// Of this process.
fn resident() -> Option<u64> {
    let pages = procfs::process::Process::myself().and_then(|process| process.statm()).ok()?.resident;
    Some(pages.saturating_mul(procfs::page_size()))
}

#[cfg(test)]
mod tests {
    use super::{Budget, LEAST_READ, NonZeroU64, Settings, is_short};
    use proptest::prelude::*;

    fn budget(bytes: u64) -> Budget {
        Budget::with(Settings { memory_limit: NonZeroU64::new(bytes) }, None)
    }

    #[test]
    fn without_a_limit_there_is_none() {
        let budget = Budget::with(Settings::default(), None);
        assert_eq!((budget.limit(), budget.connections(), budget.buffers()), (None, None, None));
        assert_eq!(budget.room(u64::MAX), usize::MAX);
        assert!(!budget.is_short());
    }

    #[test]
    fn shares_follow_the_limit() {
        let budget = budget(50_000_000);
        assert_eq!((budget.connections(), budget.buffers()), (Some(2034), Some(12_500_000)));
        assert_eq!(budget.room(0), 3_125_000);
        assert_eq!(budget.room(12_000_000), 125_000);
        assert_eq!(budget.room(99_000_000), LEAST_READ as usize);
    }

    #[test]
    fn a_shortage_has_two_thresholds() {
        for (was_short, used, short) in
            [(false, 899, false), (false, 900, true), (true, 800, true), (true, 799, false)]
        {
            assert_eq!(is_short(was_short, used, 1000), short, "{used}");
        }
    }

    proptest! {
        #[test]
        fn readers_together_never_take_more_than_there_is(reads in 1_usize..2_000, bytes in 1_000_000_u64..1 << 40) {
            let budget = budget(bytes);
            let mut waiting = 0;
            for _ in 0..reads {
                waiting += (budget.room(waiting) as u64).min(256 * 1024);
            }
            prop_assert!(waiting <= budget.buffers().unwrap() + reads as u64 * LEAST_READ);
        }
    }
}
