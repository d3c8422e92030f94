//! How much the peer of a connection may send that nobody has read: all of its streams together.
//!
//! Each stream has a window of its own, but what is not read of some uses up that of the connection, and then nothing comes for the
//! others. So what waits for slow readers makes the connection's window larger again. Invariant: all of it is bounded, by the
//! setting and by the memory that there is; more than it begins with a peer gets only once it sends much.

use super::{MOST_WINDOW, STEP, WINDOW};
use crate::net::relay::WaitingRoom;

/// What has been passed on of a peer's content before it gets a larger window.
const MUCH: usize = WINDOW as usize;

/// What waits makes the window of one client's connection larger by as much, up to so many times the window. Where clients share
/// one, there is no such bound, since none must wait for what another one does not read.
const SLOW_WINDOWS: u32 = 4;

/// Of one peer.
pub(super) struct Window {
    most: u32,
    room: WaitingRoom,
    /// What waits counts up to so many windows.
    times: u32,
    passed: usize,
    given: u32,
}

impl Window {
    /// It is to be `most` where that much memory is.
    pub(super) fn new(most: u32, room: WaitingRoom) -> Self {
        Self { most, room, times: SLOW_WINDOWS, passed: 0, given: WINDOW as u32 }
    }

    /// The peer's streams are of many clients.
    pub(super) fn for_many(&mut self) {
        self.times = u32::MAX;
    }

    /// What it is from now on, if that is a change, where `paid` bytes have been passed on and `held` bytes wait.
    pub(super) fn after(&mut self, paid: usize, held: usize) -> Option<u32> {
        self.passed = self.passed.saturating_add(paid);
        let room = in_steps(self.room.bytes());
        let most = if self.passed >= MUCH { self.most.min(room) } else { 0 };
        let base = most.max(WINDOW as u32);
        let slow = in_steps(held).min(base.saturating_mul(self.times)).min(room);
        let window = base.saturating_add(slow).min(MOST_WINDOW as u32);
        (std::mem::replace(&mut self.given, window) != window).then_some(window)
    }

    /// Whether so much waits that streams which come now would soon have to wait for it.
    pub(super) fn is_used_up(&self, held: usize) -> bool {
        held >= self.given as usize / 2
    }
}

fn in_steps(bytes: usize) -> u32 {
    u32::try_from(bytes / STEP * STEP).unwrap_or(u32::MAX)
}
