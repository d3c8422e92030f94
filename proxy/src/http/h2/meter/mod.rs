//! Looks at the frames that pass between a socket and h2, in both directions, and says when a peer has to be left: for a frame
//! that must not be where it is, or for more frames of no use than it may send.
//!
//! Pure: bytes and time are arguments. It is the same for both faces, and knows nothing of streams but their numbers: what
//! takes the state of a stream to see is h2's. What h2 would answer with another error code than RFC 9113 names, or not at
//! all, is decided here first. Invariant: nothing that a correct peer sends in the course of useful traffic is a violation.

mod budget;
mod frame;
mod joined;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;
use std::vec::Drain;

use ::h2::Reason;

pub(super) use budget::breaks;
use budget::{Account, Budget};
pub(crate) use budget::{MOST_BROKEN, MOST_USELESS};
use frame::{Frame, Kind, Passed, Walker};

use super::{REMEMBERED, Refusal, SMALL, SMALL_FRAMES};
use crate::telemetry::Code;

/// RFC 9113, section 6.5.2: what is announced to peers, and the least that they must accept.
pub(super) const FRAME_SIZE: u32 = 16_384;

/// RFC 9113, section 6.5.2.
const ENABLE_PUSH: u16 = 2;
const INITIAL_WINDOW_SIZE: u16 = 4;
const MOST_WINDOW: u32 = i32::MAX as u32;

/// Who is at the other end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Peer {
    /// Sends requests.
    Client,
    /// Answers them.
    Server,
}

/// Why a peer is left.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Violation {
    /// RFC 9113, section 4.2, and the length that each type has to have.
    FrameSize,
    /// RFC 9113, section 3.4: settings come first.
    NoSettings,
    /// RFC 9113, section 6: about a stream where it has to be about the connection, or the other way round.
    FrameStream,
    /// RFC 9113, section 6.10: another frame within a block of fields, or the rest of none.
    FieldBlock,
    /// RFC 9113, section 6.1: more padding than frame.
    Padding,
    /// RFC 9113, section 8.4: it was refused by our settings, and a client must not.
    Push,
    /// RFC 9113, section 6.5.2: more than a window can be.
    Window,
    /// Frames that carry nothing (RFC 9113, section 10.5): PING.
    PingFlood,
    /// The same of SETTINGS.
    SettingsFlood,
    /// Of RST_STREAM.
    ResetFlood,
    /// Of CONTINUATION.
    ContinuationFlood,
    /// Of DATA without content.
    EmptyDataFlood,
    /// Of WINDOW_UPDATE.
    WindowUpdateFlood,
    /// Of PRIORITY.
    PriorityFlood,
    /// Of GOAWAY.
    GoAwayFlood,
    /// Of types that are unknown.
    UnknownFrameFlood,
    /// Interim responses, without end.
    ResponseHeadFlood,
    /// Streams that break rules.
    BrokenStreamFlood,
}

impl Violation {
    /// All that there are.
    pub const ALL: [Self; 18] = [
        Self::FrameSize,
        Self::NoSettings,
        Self::FrameStream,
        Self::FieldBlock,
        Self::Padding,
        Self::Push,
        Self::Window,
        Self::PingFlood,
        Self::SettingsFlood,
        Self::ResetFlood,
        Self::ContinuationFlood,
        Self::EmptyDataFlood,
        Self::WindowUpdateFlood,
        Self::PriorityFlood,
        Self::GoAwayFlood,
        Self::UnknownFrameFlood,
        Self::ResponseHeadFlood,
        Self::BrokenStreamFlood,
    ];

    /// As logs and labels name it, and the peer is told.
    pub fn code(self) -> Code {
        Code::new(match self {
            Self::FrameSize => "http2.frame_size",
            Self::NoSettings => "http2.no_settings",
            Self::FrameStream => "http2.frame_stream",
            Self::FieldBlock => "http2.field_block",
            Self::Padding => "http2.padding",
            Self::Push => "http2.push",
            Self::Window => "http2.window",
            Self::PingFlood => "http2.ping_flood",
            Self::SettingsFlood => "http2.settings_flood",
            Self::ResetFlood => "http2.reset_flood",
            Self::ContinuationFlood => "http2.continuation_flood",
            Self::EmptyDataFlood => "http2.empty_data_flood",
            Self::WindowUpdateFlood => "http2.window_update_flood",
            Self::PriorityFlood => "http2.priority_flood",
            Self::GoAwayFlood => "http2.goaway_flood",
            Self::UnknownFrameFlood => "http2.unknown_frame_flood",
            Self::ResponseHeadFlood => "http2.response_head_flood",
            Self::BrokenStreamFlood => "http2.broken_stream_flood",
        })
    }

    /// What a GOAWAY says.
    pub(super) fn reason(self) -> Reason {
        match self {
            Self::FrameSize => Reason::FRAME_SIZE_ERROR,
            Self::Window => Reason::FLOW_CONTROL_ERROR,
            Self::NoSettings | Self::FrameStream | Self::FieldBlock | Self::Padding | Self::Push => {
                Reason::PROTOCOL_ERROR
            }
            Self::PingFlood
            | Self::SettingsFlood
            | Self::ResetFlood
            | Self::ContinuationFlood
            | Self::EmptyDataFlood
            | Self::WindowUpdateFlood
            | Self::PriorityFlood
            | Self::GoAwayFlood
            | Self::UnknownFrameFlood
            | Self::ResponseHeadFlood
            | Self::BrokenStreamFlood => Reason::ENHANCE_YOUR_CALM,
        }
    }

    fn flood(account: Account) -> Self {
        match account {
            Account::Ping => Self::PingFlood,
            Account::Settings => Self::SettingsFlood,
            Account::Reset => Self::ResetFlood,
            Account::Continuation => Self::ContinuationFlood,
            Account::EmptyData => Self::EmptyDataFlood,
            Account::WindowUpdate => Self::WindowUpdateFlood,
            Account::Priority => Self::PriorityFlood,
            Account::GoAway => Self::GoAwayFlood,
            Account::Unknown => Self::UnknownFrameFlood,
            Account::ResponseHead => Self::ResponseHeadFlood,
            Account::Broken | Account::Excess => Self::BrokenStreamFlood,
        }
    }
}

/// One connection.
#[derive(Debug)]
pub struct Meter {
    peer: Peer,
    from_peer: Walker,
    to_peer: Walker,
    budget: Budget,
    has_settings: bool,
    /// The stream whose block of fields has begun and not ended, from the peer and to it.
    block_from: Option<u32>,
    block_to: Option<u32>,
    last_stream: u32,
    is_leaving: bool,
    frames: usize,
    /// Frames of content without any, and without the end.
    empty: u32,
    /// What small frames are short of, on streams that were reset.
    ignored: usize,
    reset_streams: BTreeSet<u32>,
    /// The block of fields that has begun, or the last one.
    block_length: u32,
    /// The last ones that were long.
    long_blocks: VecDeque<Block>,
    ended: Vec<(u32, Refusal)>,
}

/// A block of fields of the peer, as it was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Block {
    pub(super) stream: u32,
    pub(super) length: u32,
}

/// h2's `MAX_RECV_EMPTY_DATA_FRAMES`, of a connection's whole life.
const MOST_EMPTY: u32 = 100;

/// Bytes of a block from which it is remembered, and how many are.
const LONG_BLOCK: u32 = 16 * 1024;
const LONG_BLOCKS: usize = 64;

impl Meter {
    /// Of a connection on which nothing has passed.
    pub fn new(peer: Peer, now: Instant) -> Self {
        let (from_peer, to_peer) = match peer {
            Peer::Client => (Walker::after_preface(), Walker::new()),
            Peer::Server => (Walker::new(), Walker::after_preface()),
        };
        Self {
            peer,
            from_peer,
            to_peer,
            budget: Budget::new(now),
            has_settings: false,
            block_from: None,
            block_to: None,
            last_stream: 0,
            is_leaving: false,
            frames: 0,
            empty: 0,
            ignored: 0,
            reset_streams: BTreeSet::new(),
            block_length: 0,
            long_blocks: VecDeque::new(),
            ended: Vec::new(),
        }
    }

    /// Joins what of `bytes`, which come next, [can be](joined); so many are left of them, at the front.
    pub(super) fn join(&self, bytes: &mut [u8]) -> usize {
        joined::join(bytes, self.from_peer.next_head(bytes))
    }

    /// The peer sent `bytes`. After a violation there is nothing more to be looked at.
    pub fn received(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Violation> {
        while let Some(passed) = self.from_peer.next(&mut bytes) {
            match passed {
                Passed::Frame(frame) => {
                    self.frames = self.frames.wrapping_add(1);
                    self.check(&frame)?;
                    let is_head = self.peer == Peer::Server;
                    self.budget.charge(&frame, is_head, now).map_err(Violation::flood)?;
                    self.budget.received(&frame);
                    self.measure_block(&frame);
                    self.wears(&frame);
                    self.is_leaving |= frame.kind == Kind::GoAway;
                    if frame.kind == Kind::Headers {
                        self.last_stream = self.last_stream.max(frame.stream);
                    }
                }
                // RFC 9113, section 6.5.2: a server must not, and h2 does not mind.
                Passed::Setting { id: ENABLE_PUSH, value: 1.. } if self.peer == Peer::Server => {
                    return Err(Violation::Push);
                }
                Passed::Setting { id: INITIAL_WINDOW_SIZE, value } if value > MOST_WINDOW => {
                    return Err(Violation::Window);
                }
                Passed::Setting { .. } => {}
            }
        }
        Ok(())
    }

    /// `bytes` were sent to the peer.
    pub fn sent(&mut self, mut bytes: &[u8]) {
        while let Some(passed) = self.to_peer.next(&mut bytes) {
            let Passed::Frame(frame) = passed else { continue };
            self.budget.sent(&frame);
            follow_block(&mut self.block_to, &frame);
            if frame.kind == Kind::ResetStream {
                self.reset_streams.insert(frame.stream);
                if self.reset_streams.len() > REMEMBERED {
                    self.reset_streams.pop_first();
                }
            }
            if let (Peer::Client, Some(refusal)) = (self.peer, refusal_by_h2(&frame)) {
                self.ended.push((frame.stream, refusal));
            }
        }
    }

    /// Streams that were ended by what was sent, each with what that means if nobody but h2 has sent it.
    pub(super) fn ended(&mut self) -> Drain<'_, (u32, Refusal)> {
        self.ended.drain(..)
    }

    /// So many streams that were reset are not the peer's fault.
    pub(super) fn forgive(&mut self, streams: u32) {
        self.budget.forgive(streams);
    }

    /// Whether half of what h2 takes of some frames in a connection's life has come.
    pub(super) fn is_worn(&self) -> bool {
        self.empty >= MOST_EMPTY / 2 || self.ignored >= SMALL_FRAMES / 2
    }

    fn wears(&mut self, frame: &Frame) {
        if frame.kind != Kind::Data || frame.is_end_of_stream() {
            return;
        }
        if frame.content() == 0 {
            self.empty = self.empty.saturating_add(1);
        }
        if frame.length < SMALL && self.reset_streams.contains(&frame.stream) {
            self.ignored = self.ignored.saturating_add(SMALL as usize);
        }
    }

    fn measure_block(&mut self, frame: &Frame) {
        if !matches!(frame.kind, Kind::Headers | Kind::Continuation) {
            return;
        }
        let before = if frame.kind == Kind::Headers { 0 } else { self.block_length };
        self.block_length = frame.length.saturating_add(before);
        if !frame.is_end_of_headers() {
            return;
        }
        self.long_blocks.retain(|block| block.stream != frame.stream);
        if self.block_length >= LONG_BLOCK {
            self.long_blocks.truncate(LONG_BLOCKS - 1);
            self.long_blocks.push_front(Block { stream: frame.stream, length: self.block_length });
        }
    }

    /// Long blocks of fields that the peer has sent, the last one first.
    pub(super) fn long_blocks(&self) -> &VecDeque<Block> {
        &self.long_blocks
    }

    /// How many frames of the peer have begun.
    pub(super) fn frames(&self) -> usize {
        self.frames
    }

    /// Whether the peer has sent GOAWAY.
    pub(super) fn is_leaving(&self) -> bool {
        self.is_leaving
    }

    /// Whether a head of the peer has begun and not ended.
    pub(super) fn is_within_head(&self) -> bool {
        self.block_from.is_some()
            || matches!(self.from_peer.begun(), Some(Kind::Headers | Kind::Continuation))
    }

    /// The frame that tells the peer why it is left, if one can be sent now.
    pub fn farewell(&self, violation: Violation) -> Option<Vec<u8>> {
        if !self.to_peer.is_between_frames() || self.block_to.is_some() {
            return None;
        }
        let debug = violation.code().name().as_bytes();
        let length = u8::try_from(8 + debug.len()).ok()?;
        let last_stream = match self.peer {
            Peer::Client => self.last_stream,
            // Servers open streams by pushing, which they must not.
            Peer::Server => 0,
        };
        let mut frame = vec![0, 0, length, 0x7, 0, 0, 0, 0, 0];
        frame.extend(last_stream.to_be_bytes());
        frame.extend(u32::from(violation.reason()).to_be_bytes());
        frame.extend(debug);
        Some(frame)
    }

    /// What can be seen of a frame alone, and of where it is.
    fn check(&mut self, frame: &Frame) -> Result<(), Violation> {
        if !self.has_settings {
            if frame.kind != Kind::Settings || frame.is_ack() {
                return Err(Violation::NoSettings);
            }
            self.has_settings = true;
        }
        if !has_valid_size(frame) {
            return Err(Violation::FrameSize);
        }
        let is_valid_stream = match frame.kind {
            Kind::Settings | Kind::Ping | Kind::GoAway | Kind::PriorityUpdate => frame.stream == 0,
            Kind::WindowUpdate | Kind::Unknown => true,
            Kind::Data
            | Kind::Headers
            | Kind::Priority
            | Kind::ResetStream
            | Kind::PushPromise
            | Kind::Continuation => frame.stream != 0,
        };
        if !is_valid_stream {
            return Err(Violation::FrameStream);
        }
        let continues = (frame.kind == Kind::Continuation).then_some(frame.stream);
        if self.block_from != continues {
            return Err(Violation::FieldBlock);
        }
        if frame.kind == Kind::PushPromise {
            return Err(Violation::Push);
        }
        if !has_valid_padding(frame) {
            return Err(Violation::Padding);
        }
        follow_block(&mut self.block_from, frame);
        Ok(())
    }
}

fn follow_block(block: &mut Option<u32>, frame: &Frame) {
    match frame.kind {
        Kind::Headers | Kind::PushPromise | Kind::Continuation => {
            *block = (!frame.is_end_of_headers()).then_some(frame.stream);
        }
        Kind::Data
        | Kind::Priority
        | Kind::ResetStream
        | Kind::Settings
        | Kind::Ping
        | Kind::GoAway
        | Kind::WindowUpdate
        | Kind::PriorityUpdate
        | Kind::Unknown => {}
    }
}

/// What a frame that ends a stream means, if it is h2's: it answers a request whose head is too long, and resets others.
fn refusal_by_h2(frame: &Frame) -> Option<Refusal> {
    if frame.kind == Kind::Headers && frame.is_end_of_stream() {
        return Some(Refusal::HeadTooLong);
    }
    match (frame.kind == Kind::ResetStream).then(|| Reason::from(frame.first_number()))? {
        Reason::PROTOCOL_ERROR => Some(Refusal::Malformed),
        Reason::REFUSED_STREAM => Some(Refusal::TooManyStreams),
        _ => None,
    }
}

/// RFC 9113, section 6, each type in its own.
fn has_valid_size(frame: &Frame) -> bool {
    let length = frame.length;
    length <= FRAME_SIZE
        && match frame.kind {
            Kind::Priority => length == 5,
            Kind::ResetStream | Kind::WindowUpdate => length == 4,
            Kind::Ping => length == 8,
            Kind::Settings if frame.is_ack() => length == 0,
            Kind::Settings => length.is_multiple_of(6),
            Kind::GoAway => length >= 8,
            Kind::PushPromise | Kind::PriorityUpdate => length >= 4,
            Kind::Data | Kind::Headers | Kind::Continuation | Kind::Unknown => true,
        }
}

/// RFC 9113, sections 6.1 and 6.2.
fn has_valid_padding(frame: &Frame) -> bool {
    let padded = match frame.kind {
        Kind::Data | Kind::Headers => frame.padding(),
        Kind::Priority
        | Kind::ResetStream
        | Kind::Settings
        | Kind::PushPromise
        | Kind::Ping
        | Kind::GoAway
        | Kind::WindowUpdate
        | Kind::Continuation
        | Kind::PriorityUpdate
        | Kind::Unknown => None,
    };
    padded.is_none_or(|padding| padding < frame.length)
}
