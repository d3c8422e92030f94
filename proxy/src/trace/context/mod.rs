//! The context of a trace, as requests carry it from hop to hop: W3C's Trace Context, and B3 in one field or in several.
//!
//! Pure: fields in, fields out. Invariant: the id of a trace that was given is never changed, nor is a sampling decision; a
//! format that tells of another trace than the one that is followed is left as it is.

mod b3;
mod id;
mod w3c;

pub use id::{SpanId, TraceId};

use b3::B3;
use w3c::W3c;

/// What a request tells of its trace.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Given {
    w3c: Option<W3c>,
    single: B3,
    multi: B3,
    /// Of W3C: whether there is a `tracestate`, which without its `traceparent` means nothing.
    state: Option<String>,
}

/// Whether a trace is recorded, where somebody has decided that.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision {
    /// No.
    Deny,
    /// Yes.
    Accept,
    /// Yes, and nobody may drop it.
    Debug,
}

/// Ids that were given, by whatever format.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Ids {
    trace: TraceId,
    span: SpanId,
}

/// What a span of this hop continues.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Parent {
    /// Its trace.
    pub trace: TraceId,
    /// The span that asked.
    pub span: SpanId,
}

/// This hop's own place in a trace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// The trace.
    pub trace: TraceId,
    /// The span of this hop.
    pub span: SpanId,
    /// Whether it is recorded.
    pub decision: Decision,
}

/// How the fields of a request change on their way to the next hop.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Edits {
    /// Fields with these names are left out. They are in lower case.
    pub replaced: Vec<&'static str>,
    /// These are there instead, or besides.
    pub added: Vec<(&'static str, String)>,
}

impl Given {
    /// Reads the fields of a request, by name (in any case) and value.
    pub fn read<'a>(fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        let (mut w3c, mut single, mut multi) =
            (w3c::Fields::default(), b3::Single::default(), b3::Multi::default());
        for (name, value) in fields {
            // All names begin with one of these letters, and few others do.
            if !matches!(name.as_bytes().first(), Some(b't' | b'T' | b'b' | b'B' | b'x' | b'X')) {
                continue;
            }
            w3c.see(name, value);
            single.see(name, value);
            multi.see(name, value);
        }
        let (w3c, state) = w3c.read();
        Self { w3c, single: single.read(), multi: multi.read(), state }
    }

    /// What is continued, by the first format that tells it.
    pub fn parent(&self) -> Option<Parent> {
        let ids = self.w3c.map(|w3c| w3c.ids).or(self.single.ids).or(self.multi.ids)?;
        Some(Parent { trace: ids.trace, span: ids.span })
    }

    /// What was decided: by W3C's fields where they tell the trace, else by B3's, of which the single field counts first.
    pub fn decision(&self) -> Option<Decision> {
        if let Some(w3c) = self.w3c {
            return Some(if w3c.is_sampled() { Decision::Accept } else { Decision::Deny });
        }
        let single = self.single.decision;
        let is_same =
            self.single.ids.zip(self.multi.ids).is_none_or(|(one, other)| one.trace.is_same(other.trace));
        single.or(self.multi.decision.filter(|_| is_same))
    }

    /// `tracestate`, of a trace that W3C's fields tell.
    pub fn state(&self) -> Option<&str> {
        self.w3c.and(self.state.as_deref())
    }

    /// What the next hop is told, where this one has a place in the trace: in the formats that were seen, else in W3C's and B3's.
    pub fn edits(&self, place: &Place) -> Edits {
        let mut edits = Edits::default();
        let seen = self.w3c.is_some() || self.single.is_seen() || self.multi.is_seen();
        let is_new = self.parent().is_none();
        // A decision alone that is not about this trace is left alone too.
        let follows = |b3: &B3| b3.ids.map_or(is_new, |ids| ids.trace.is_same(place.trace));
        if !seen || self.w3c.is_some() {
            w3c::write(self.w3c, self.state.is_some(), place, &mut edits);
        }
        if self.single.is_seen() && follows(&self.single) {
            self.single.write_single(place, &mut edits);
        }
        if !seen || (self.multi.is_seen() && follows(&self.multi)) {
            self.multi.write_multi(place, &mut edits);
        }
        edits
    }
}

impl Edits {
    fn replace(&mut self, name: &'static str, value: String) {
        self.replaced.push(name);
        self.added.push((name, value));
    }

    /// Appends the added fields as HTTP/1 sends them.
    pub(crate) fn append_lines(&self, to: &mut Vec<u8>) {
        for (name, value) in &self.added {
            for part in [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                to.extend_from_slice(part);
            }
        }
    }
}

#[cfg(test)]
mod tests;
