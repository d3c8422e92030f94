//! How many frames of each kind a peer may send that carry nothing.
//!
//! A frame that is of use to nobody costs one of its account; what a peer is given time for, and what it earns by frames that
//! carry something, fills the account again. So a flood ends after what an account holds at first, and the frames that come
//! with traffic (updates of windows for what was read, probes of the path's bandwidth for what was received, resets of
//! streams that had been answered) are paid for by it. Pure: time is an argument.

use std::time::{Duration, Instant};

use ::h2::Reason;

use super::frame::{Frame, Kind};

/// Frames that have an account of their own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Account {
    Ping,
    Settings,
    Reset,
    Continuation,
    EmptyData,
    WindowUpdate,
    Priority,
    GoAway,
    Unknown,
    /// Heads that a server sends: interim responses have no other bound.
    ResponseHead,
    /// Streams that had to be reset because of what it sent.
    Broken,
    /// Streams that it opened though there were as many as it may have.
    Excess,
}

/// What an account holds at first, and again after some time; what it gets back each second; the most that can be earned.
#[derive(Clone, Copy, Debug)]
struct Terms {
    account: Account,
    floor: u32,
    each_second: u32,
    most: u32,
}

const NUMBER: usize = 12;

/// What all accounts of frames hold together at first: a connection that brings nothing else ends before the thousandth frame.
pub(crate) const MOST_USELESS: u32 = 992;

const TERMS: [Terms; NUMBER] = [
    Terms { account: Account::Ping, floor: 120, each_second: 10, most: 400 },
    Terms { account: Account::Settings, floor: 32, each_second: 1, most: 32 },
    Terms { account: Account::Reset, floor: 200, each_second: 100, most: 2_000 },
    Terms { account: Account::Continuation, floor: 64, each_second: 10, most: 256 },
    Terms { account: Account::EmptyData, floor: 64, each_second: 1, most: 64 },
    Terms { account: Account::WindowUpdate, floor: 256, each_second: 50, most: u32::MAX },
    Terms { account: Account::Priority, floor: 120, each_second: 10, most: 1_000 },
    Terms { account: Account::GoAway, floor: 8, each_second: 1, most: 8 },
    Terms { account: Account::Unknown, floor: 64, each_second: 10, most: 256 },
    Terms { account: Account::ResponseHead, floor: 64, each_second: 20, most: 8_192 },
    Terms { account: Account::Broken, floor: MOST_BROKEN, each_second: 10, most: 2_000 },
    // So many may be on their way before it is known how many there may be (RFC 9113, section 6.5.2).
    Terms { account: Account::Excess, floor: MOST_BROKEN, each_second: 10, most: MOST_BROKEN },
];

/// Streams that a peer may break at first; and as many may it open that are too many.
pub(crate) const MOST_BROKEN: u32 = 400;

/// Bytes of content for which one more update of a window is not too much; a reader that asks for less at a time is not
/// helped by being told so.
const BYTES_FOR_UPDATE: u32 = 256;

/// Settings of which a frame may have so many at the cost of one.
const SETTINGS_FRAME: u32 = 10 * 6;

/// The accounts of one peer.
#[derive(Debug)]
pub(super) struct Budget {
    left: [u32; NUMBER],
    filled: Instant,
    /// What could not be taken when it was found.
    broken: u32,
}

impl Budget {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: TERMS.map(|terms| terms.floor), filled: now, broken: 0 }
    }

    /// The peer sent `frame`, of which heads count only `from_server`. Otherwise the account that has nothing left.
    pub(super) fn charge(&mut self, frame: &Frame, from_server: bool, now: Instant) -> Result<(), Account> {
        let broken = std::mem::take(&mut self.broken);
        self.pay(Account::Broken, broken, now)?;
        let (account, cost) = match frame.kind {
            Kind::Data if frame.content() == 0 && !frame.is_end_of_stream() => (Account::EmptyData, 1),
            Kind::Data => return Ok(()),
            Kind::Headers if from_server => (Account::ResponseHead, 1),
            Kind::Headers | Kind::PushPromise => return Ok(()),
            Kind::Priority | Kind::PriorityUpdate => (Account::Priority, 1),
            Kind::ResetStream => (Account::Reset, 1),
            // h2 ends a connection whose peer acknowledges what it was not sent.
            Kind::Settings if frame.is_ack() => return Ok(()),
            Kind::Settings => (Account::Settings, 1 + frame.length / SETTINGS_FRAME),
            Kind::Ping => (Account::Ping, 1),
            Kind::GoAway => (Account::GoAway, 1),
            Kind::WindowUpdate => (Account::WindowUpdate, 1),
            Kind::Continuation => (Account::Continuation, 1),
            Kind::Unknown => (Account::Unknown, 1),
        };
        self.pay(account, cost, now)
    }

    fn pay(&mut self, account: Account, cost: u32, now: Instant) -> Result<(), Account> {
        if self.take(account, cost) {
            return Ok(());
        }
        self.fill(now);
        if self.take(account, cost) { Ok(()) } else { Err(account) }
    }

    /// What the peer's `frame` is worth to it.
    pub(super) fn received(&mut self, frame: &Frame) {
        match frame.kind {
            Kind::Data if frame.content() > 0 => self.earn(Account::Ping, 1),
            Kind::Headers => {
                self.earn(Account::Ping, 1);
                self.earn(Account::Priority, 4);
                self.earn(Account::WindowUpdate, 4);
                self.earn(Account::Continuation, 4);
                self.earn(Account::Unknown, 1);
            }
            Kind::Data
            | Kind::Priority
            | Kind::ResetStream
            | Kind::Settings
            | Kind::PushPromise
            | Kind::Ping
            | Kind::GoAway
            | Kind::WindowUpdate
            | Kind::Continuation
            | Kind::PriorityUpdate
            | Kind::Unknown => {}
        }
    }

    /// What `frame`, which was sent to the peer, lets it send.
    pub(super) fn sent(&mut self, frame: &Frame) {
        match frame.kind {
            Kind::Data => {
                self.earn(Account::Ping, 1);
                self.earn(Account::WindowUpdate, 4 + frame.length / BYTES_FOR_UPDATE);
            }
            Kind::Headers => {
                self.earn(Account::Ping, 1);
                self.earn(Account::Reset, 1);
                self.earn(Account::WindowUpdate, 4);
                self.earn(Account::ResponseHead, 4);
                self.earn(Account::Broken, 1);
            }
            Kind::ResetStream => self.sent_reset(frame.first_number().into()),
            // It will be acknowledged.
            Kind::Ping if !frame.is_ack() => self.earn(Account::Ping, 1),
            Kind::Ping
            | Kind::Priority
            | Kind::Settings
            | Kind::PushPromise
            | Kind::GoAway
            | Kind::WindowUpdate
            | Kind::Continuation
            | Kind::PriorityUpdate
            | Kind::Unknown => {}
        }
    }

    fn sent_reset(&mut self, code: Reason) {
        let account = match code {
            Reason::REFUSED_STREAM => Account::Excess,
            code if breaks(code) => Account::Broken,
            _ => return,
        };
        if !self.take(account, 1) {
            self.broken = self.broken.saturating_add(1);
        }
    }

    /// So many streams that were reset are not the peer's fault.
    pub(super) fn forgive(&mut self, streams: u32) {
        let owed = self.broken.min(streams);
        self.broken -= owed;
        self.earn(Account::Broken, streams - owed);
    }

    fn accounts(&mut self) -> impl Iterator<Item = (&'static Terms, &mut u32)> {
        TERMS.iter().zip(&mut self.left)
    }

    fn of(&mut self, account: Account) -> Option<(&'static Terms, &mut u32)> {
        self.accounts().find(|(terms, _)| terms.account == account)
    }

    fn take(&mut self, account: Account, cost: u32) -> bool {
        let Some((_, left)) = self.of(account) else { return false };
        left.checked_sub(cost).map(|less| *left = less).is_some()
    }

    fn earn(&mut self, account: Account, gain: u32) {
        if let Some((terms, left)) = self.of(account) {
            *left = left.saturating_add(gain).min(terms.most.max(*left));
        }
    }

    /// Fills all accounts for the time that has passed. Only whole seconds count, so that the rest is not lost.
    fn fill(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.filled).as_secs();
        self.filled += Duration::from_secs(seconds);
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        for (terms, left) in self.accounts() {
            if *left < terms.floor {
                *left = left.saturating_add(terms.each_second.saturating_mul(seconds)).min(terms.floor);
            }
        }
    }
}

/// Whether a reset with this code says that the peer has broken a rule. (That it sends something of a stream that was reset here
/// breaks none, and is answered so when that stream has been forgotten.)
pub(in super::super) fn breaks(code: Reason) -> bool {
    [
        Reason::PROTOCOL_ERROR,
        Reason::FLOW_CONTROL_ERROR,
        Reason::STREAM_CLOSED,
        Reason::FRAME_SIZE_ERROR,
        Reason::COMPRESSION_ERROR,
    ]
    .contains(&code)
}

#[cfg(test)]
mod tests {
    use super::{Account, MOST_USELESS, TERMS};

    #[test]
    fn accounts_hold_less_than_a_thousand_together() {
        let of_frames =
            TERMS.iter().filter(|terms| ![Account::Broken, Account::Excess].contains(&terms.account));
        assert_eq!(of_frames.map(|terms| terms.floor).sum::<u32>(), MOST_USELESS);
        assert!(TERMS.iter().all(|terms| terms.most >= terms.floor));
    }
}
