//! W3C Trace Context: `traceparent` and `tracestate`.
//!
//! `tracestate` belongs to others and passes as it is; only where a trace starts anew it goes, since it means the former one
//! (section 4.3 of the recommendation).

use super::id::number;
use super::{Decision, Edits, Ids, Place, SpanId, TraceId};

const PARENT: &str = "traceparent";
const STATE: &str = "tracestate";

const SAMPLED: u8 = 1;
/// Of level 2: the last 56 bits of the trace's id are random. It has to be passed on.
const RANDOM: u8 = 2;

/// A `traceparent`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct W3c {
    pub(super) ids: Ids,
    flags: u8,
}

/// The two fields, as far as they were seen.
#[derive(Default)]
pub(super) struct Fields<'a> {
    parent: Option<&'a [u8]>,
    /// There is more than one parent, and so none.
    is_ambiguous: bool,
    state: Option<String>,
}

impl<'a> Fields<'a> {
    pub(super) fn see(&mut self, name: &str, value: &'a [u8]) {
        if name.eq_ignore_ascii_case(PARENT) {
            self.is_ambiguous |= self.parent.replace(value).is_some();
        } else if name.eq_ignore_ascii_case(STATE) {
            // Several are one list (section 3.3.1).
            let state = self.state.get_or_insert_default();
            if !state.is_empty() && !value.is_empty() {
                state.push(',');
            }
            state.push_str(&String::from_utf8_lossy(value));
        }
    }

    pub(super) fn read(self) -> (Option<W3c>, Option<String>) {
        let parent = self.parent.filter(|_| !self.is_ambiguous).and_then(W3c::parse);
        (parent, self.state)
    }
}

impl W3c {
    fn parse(value: &[u8]) -> Option<Self> {
        let mut parts = value.splitn(5, |byte| *byte == b'-');
        let version = number(parts.next()?, 2)?;
        let trace = TraceId::long(parts.next()?)?;
        let span = SpanId::parse(parts.next()?)?;
        let flags = u8::try_from(number(parts.next()?, 2)?).ok()?;
        // What versions to come append is not known here (section 3.2.4).
        let is_known = match version {
            0 => parts.next().is_none(),
            0xff => false,
            _ => true,
        };
        is_known.then_some(Self { ids: Ids { trace, span }, flags })
    }

    pub(super) fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }
}

/// Always in the version that is known here.
pub(super) fn write(given: Option<W3c>, has_state: bool, place: &Place, edits: &mut Edits) {
    if given.is_none() && has_state {
        edits.replaced.push(STATE);
    }
    let sampled = if place.decision == Decision::Deny { 0 } else { SAMPLED };
    let flags = given.map_or(0, |given| given.flags & RANDOM) | sampled;
    edits.replace(PARENT, format!("00-{:032x}-{}-{flags:02x}", place.trace.bits(), place.span));
}
