//! How much is taken on at once, so that nobody's pods can end the webhook for everybody: a review that there is no room
//! for is answered at once with 503, and the API server fails that one creation, which its controller repeats.
//!
//! Invariant: bodies in memory take at most [`SHORT_BODIES`] x [`SHORT`] + [`LONG_BODIES`] x [`MAX_BODY`] = 88 MiB. A body
//! of [`MAX_BODY`] unfolds to 170 MiB while it is read, so one of the long ones is decided at a time, beside the thread of
//! the short ones, which wait for none of them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// The longest body. An object in etcd has at most 1.5 MiB; a review holds it once, with room for escapes.
pub(super) const MAX_BODY: usize = 3 * 1024 * 1024;

/// Up to here a decision takes about a millisecond, for which others may wait.
pub(super) const SHORT: usize = 128 * 1024;

const SHORT_BODIES: usize = 512;
const LONG_BODIES: usize = 8;

/// Why a review is not taken on; for metrics.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Shed {
    /// Too many reviews at once.
    Reviews,
    /// Too many long ones at once.
    LongReviews,
    /// The API server would not wait for the answer.
    Deadline,
}

impl Shed {
    pub(super) const ALL: [Self; 3] = [Self::Reviews, Self::LongReviews, Self::Deadline];

    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Reviews => "reviews",
            Self::LongReviews => "long-reviews",
            Self::Deadline => "deadline",
        }
    }
}

/// What is free; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    short: Arc<Semaphore>,
    long: Arc<Semaphore>,
    turn: Arc<Semaphore>,
}

/// The right to hold one body in memory.
#[derive(Debug)]
pub(super) struct Room {
    _permit: OwnedSemaphorePermit,
    long: bool,
}

/// The right to decide about a long review.
#[derive(Debug)]
pub(super) struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Limits {
    pub(super) fn new() -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { short: semaphore(SHORT_BODIES), long: semaphore(LONG_BODIES), turn: semaphore(1) }
    }

    /// Room for a body of this length, at once or not at all.
    pub(super) fn room(&self, length: usize) -> Result<Room, Shed> {
        let long = length > SHORT;
        let (free, shed) = if long { (&self.long, Shed::LongReviews) } else { (&self.short, Shed::Reviews) };
        let permit = free.clone().try_acquire_owned().map_err(|_| shed)?;
        Ok(Room { _permit: permit, long })
    }

    /// The same room for a body that turned out to be longer than it was said to be, if it was said at all.
    pub(super) fn grown(&self, room: Room, length: usize) -> Result<Room, Shed> {
        if room.long || length <= SHORT { Ok(room) } else { self.room(length) }
    }

    /// Waits for one's turn.
    pub(super) async fn turn(&self, deadline: Instant) -> Result<Turn, Shed> {
        let turn = tokio::time::timeout_at(deadline, self.turn.clone().acquire_owned()).await;
        match turn {
            Ok(Ok(permit)) => Ok(Turn { _permit: permit }),
            Ok(Err(_)) | Err(_) => Err(Shed::Deadline),
        }
    }
}

/// How long an answer is of use: a little less than the API server says it will wait in the query `timeout`.
pub(super) fn patience(query: Option<&str>) -> Duration {
    const DEFAULT: Duration = Duration::from_secs(api::control::WEBHOOK_TIMEOUT_SECONDS as u64);
    // The most that a webhook configuration allows.
    const LONGEST: Duration = Duration::from_secs(30);
    let fields = query.unwrap_or_default().split('&');
    let told = fields.filter_map(|field| field.strip_prefix("timeout=")).next_back();
    let told = told.and_then(|text| humantime::parse_duration(text).ok()).unwrap_or(DEFAULT).min(LONGEST);
    told - told / 10
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{LONG_BODIES, Limits, MAX_BODY, SHORT, SHORT_BODIES, Shed, patience};

    #[test]
    fn patience_is_below_the_api_servers() {
        for (query, milliseconds) in [
            (None, 4500),
            (Some(""), 4500),
            (Some("timeout=10s"), 9000),
            (Some("timeout=500ms"), 450),
            (Some("a=b&timeout=1s&c"), 900),
            (Some("timeout=soon"), 4500),
            (Some("timeout=9000h"), 27000),
            (Some("timeout=-1s"), 4500),
            (Some("timeout=0s"), 0),
        ] {
            assert_eq!(patience(query), Duration::from_millis(milliseconds), "{query:?}");
        }
    }

    #[test]
    fn long_bodies_take_no_room_of_short_ones() {
        let limits = Limits::new();
        let long: Vec<_> = (0..LONG_BODIES).map(|_| limits.room(MAX_BODY).unwrap()).collect();
        assert_eq!(limits.room(SHORT + 1).unwrap_err(), Shed::LongReviews);
        let mut short: Vec<_> = (0..SHORT_BODIES).map(|_| limits.room(SHORT).unwrap()).collect();
        assert_eq!(limits.room(0).unwrap_err(), Shed::Reviews);
        // One that grows gives up its place among the short ones.
        assert_eq!(limits.grown(short.pop().unwrap(), SHORT + 1).unwrap_err(), Shed::LongReviews);
        drop(long);
        let grown = limits.grown(limits.room(1).unwrap(), SHORT + 1).unwrap();
        assert!(limits.room(1).is_ok() && limits.grown(grown, MAX_BODY).is_ok());
    }

    #[tokio::test]
    async fn a_turn_is_waited_for_until_the_deadline() {
        let limits = Limits::new();
        let now = tokio::time::Instant::now;
        let turn = limits.turn(now() + Duration::from_secs(60)).await.unwrap();
        assert_eq!(limits.turn(now()).await.unwrap_err(), Shed::Deadline);
        drop(turn);
        assert!(limits.turn(now()).await.is_ok());
    }
}
