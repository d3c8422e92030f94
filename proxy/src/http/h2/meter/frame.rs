//! Finds frames in a stream of bytes as it passes, in pieces of any size, and keeps none of it.
//!
//! Pure. A frame is told as soon as its head and what [`Frame::begin`] holds of its payload have passed.

/// RFC 9113, section 4.1.
pub(super) const HEAD: usize = 9;

/// What is looked at of a payload: an error code after a stream identifier, at most.
const BEGIN: usize = 8;

/// RFC 9113, section 6.5.1: an identifier and a value.
const SETTING: usize = 6;

/// RFC 9113, section 6; every other type is to be ignored (section 5.5).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    ResetStream,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    /// RFC 9218, section 7.1.
    PriorityUpdate,
    Unknown,
}

impl Kind {
    fn of(code: u8) -> Self {
        match code {
            0x0 => Self::Data,
            0x1 => Self::Headers,
            0x2 => Self::Priority,
            0x3 => Self::ResetStream,
            0x4 => Self::Settings,
            0x5 => Self::PushPromise,
            0x6 => Self::Ping,
            0x7 => Self::GoAway,
            0x8 => Self::WindowUpdate,
            0x9 => Self::Continuation,
            0x10 => Self::PriorityUpdate,
            _ => Self::Unknown,
        }
    }
}

/// The head of a frame, and the first bytes of its payload.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    pub(super) length: u32,
    flags: u8,
    /// Without the reserved bit.
    pub(super) stream: u32,
    begin: [u8; BEGIN],
}

impl Frame {
    /// RFC 9113, sections 6.5 and 6.7.
    pub(super) fn is_ack(&self) -> bool {
        self.flags & 0x1 != 0
    }

    /// RFC 9113, sections 6.1 and 6.2.
    pub(super) fn is_end_of_stream(&self) -> bool {
        self.flags & 0x1 != 0
    }

    /// RFC 9113, sections 6.2, 6.6 and 6.10.
    pub(super) fn is_end_of_headers(&self) -> bool {
        self.flags & 0x4 != 0
    }

    /// RFC 9113, section 6.1: bytes of padding, if the frame has that field.
    pub(super) fn padding(&self) -> Option<u32> {
        let [padding, ..] = self.begin;
        (self.flags & 0x8 != 0).then_some(padding.into())
    }

    /// RFC 9113, section 6.1: what is neither padding nor says how much of it there is.
    pub(super) fn content(&self) -> u32 {
        self.length.saturating_sub(self.padding().map_or(0, |padding| padding + 1))
    }

    /// RFC 9113, sections 6.4 and 6.9: an error code or an increment.
    pub(super) fn first_number(&self) -> u32 {
        let [a, b, c, d, ..] = self.begin;
        u32::from_be_bytes([a, b, c, d])
    }
}

/// What has passed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Passed {
    /// A frame begins.
    Frame(Frame),
    /// RFC 9113, section 6.5.1: one setting of the frame that began last.
    Setting { id: u16, value: u32 },
}

/// Follows one direction.
#[derive(Clone, Debug)]
pub(super) struct Walker {
    /// What a client sends before its first frame (RFC 9113, section 3.4), as far as it has not passed.
    preface: u8,
    /// A head and the beginning of its payload; or a setting.
    kept: [u8; HEAD + BEGIN],
    has: usize,
    /// Bytes of `kept` that the frame has.
    wanted: usize,
    /// Bytes of the payload that are not kept and have not passed.
    rest: u32,
    within: Within,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Within {
    Head,
    Begin,
    Settings,
    Rest,
}

impl Walker {
    /// Of what a client sends.
    pub(super) fn after_preface() -> Self {
        Self { preface: 24, ..Self::new() }
    }

    /// Of what a server sends.
    pub(super) fn new() -> Self {
        Self { preface: 0, kept: [0; HEAD + BEGIN], has: 0, wanted: HEAD, rest: 0, within: Within::Head }
    }

    /// Whether what has passed ends with the end of a frame.
    pub(super) fn is_between_frames(&self) -> bool {
        let is_between = match self.within {
            Within::Head => self.has == 0,
            Within::Begin => false,
            Within::Rest | Within::Settings => self.rest == 0,
        };
        is_between && self.preface == 0
    }

    /// The kind of the frame that has begun and not ended, once its head has passed.
    pub(super) fn begun(&self) -> Option<Kind> {
        let has_begun = match self.within {
            Within::Head => false,
            Within::Begin => true,
            Within::Rest => self.rest > 0,
            // What was kept of its head is a setting now.
            Within::Settings => return (self.rest > 0).then_some(Kind::Settings),
        };
        has_begun.then(|| self.frame().kind)
    }

    /// Where in `bytes`, which come next, a frame begins first; or their end.
    pub(super) fn next_head(&self, bytes: &[u8]) -> usize {
        let left = match self.within {
            Within::Head if self.has == 0 => usize::from(self.preface),
            Within::Head => {
                let mut begun = self.clone();
                if !begun.keep(&mut &*bytes) {
                    return bytes.len();
                }
                HEAD - self.has + begun.frame().length as usize
            }
            Within::Begin => HEAD + self.frame().length as usize - self.has,
            Within::Settings => self.rest as usize - self.has,
            Within::Rest => self.rest as usize,
        };
        left.min(bytes.len())
    }

    /// Takes what passes from the front of `bytes`, until there is something to tell.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Option<Passed> {
        let preface = skip(bytes, self.preface.into());
        self.preface -= u8::try_from(preface).unwrap_or(self.preface);
        loop {
            match self.within {
                Within::Rest => {
                    self.rest -= u32::try_from(skip(bytes, self.rest as usize)).unwrap_or(self.rest);
                    if self.rest > 0 {
                        return None;
                    }
                    self.await_head();
                }
                Within::Head => {
                    if !self.keep(bytes) {
                        return None;
                    }
                    if let Some(frame) = self.begin() {
                        return Some(Passed::Frame(frame));
                    }
                }
                Within::Begin => return self.keep(bytes).then(|| Passed::Frame(self.end_of_begin())),
                Within::Settings => {
                    if self.rest == 0 {
                        self.await_head();
                        continue;
                    }
                    return self.keep(bytes).then(|| self.setting());
                }
            }
        }
    }

    /// Whether all is there that is wanted.
    fn keep(&mut self, bytes: &mut &[u8]) -> bool {
        while self.has < self.wanted {
            let Some((byte, rest)) = bytes.split_first() else { return false };
            if let Some(place) = self.kept.get_mut(self.has) {
                *place = *byte;
            }
            self.has += 1;
            *bytes = rest;
        }
        true
    }

    fn await_head(&mut self) {
        (self.has, self.wanted, self.within) = (0, HEAD, Within::Head);
    }

    /// A head is there: the frame, if it has nothing more that is looked at.
    fn begin(&mut self) -> Option<Frame> {
        // The fixed part of what earlier frames left.
        if let Some(begin) = self.kept.get_mut(HEAD..) {
            begin.fill(0);
        }
        let frame = self.frame();
        let length = frame.length as usize;
        if frame.kind == Kind::Settings {
            // One that is not made of whole settings is told as it is, and refused by its length.
            (self.rest, self.has, self.within) = (frame.length, 0, Within::Settings);
            self.wanted = SETTING.min(length);
            return Some(frame);
        }
        if length == 0 {
            self.await_head();
            return Some(frame);
        }
        (self.wanted, self.within) = (HEAD + BEGIN.min(length), Within::Begin);
        None
    }

    fn end_of_begin(&mut self) -> Frame {
        let frame = self.frame();
        self.rest = frame.length - (self.wanted - HEAD) as u32;
        self.within = Within::Rest;
        frame
    }

    fn setting(&mut self) -> Passed {
        let [a, b, c, d, e, f, ..] = self.kept;
        self.rest -= self.wanted as u32;
        (self.has, self.wanted) = (0, SETTING.min(self.rest as usize));
        Passed::Setting { id: u16::from_be_bytes([a, b]), value: u32::from_be_bytes([c, d, e, f]) }
    }

    fn frame(&self) -> Frame {
        let [l1, l2, l3, kind, flags, s1, s2, s3, s4, begin @ ..] = self.kept;
        Frame {
            kind: Kind::of(kind),
            length: u32::from_be_bytes([0, l1, l2, l3]),
            flags,
            stream: u32::from_be_bytes([s1 & 0x7f, s2, s3, s4]),
            begin,
        }
    }
}

/// Takes at most so many bytes from the front, and tells how many.
fn skip(bytes: &mut &[u8], most: usize) -> usize {
    let length = bytes.len().min(most);
    *bytes = bytes.get(length..).unwrap_or_default();
    length
}
