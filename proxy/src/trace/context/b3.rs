//! B3, as Zipkin's and Istio's proxies speak it: in one field, `b3`, or in several, `x-b3-...`.
//!
//! A decision may come without ids: then it is for the trace that starts here.

use super::{Decision, Edits, Ids, Place, SpanId, TraceId};

const SINGLE: &str = "b3";
const TRACE: &str = "x-b3-traceid";
const SPAN: &str = "x-b3-spanid";
const PARENT: &str = "x-b3-parentspanid";
const SAMPLED: &str = "x-b3-sampled";
const FLAGS: &str = "x-b3-flags";

/// What was read in one of the two forms.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct B3 {
    pub(super) ids: Option<Ids>,
    pub(super) decision: Option<Decision>,
}

/// `b3`.
#[derive(Default)]
pub(super) struct Single<'a>(Option<&'a [u8]>);

/// `x-b3-...`; the first of each counts.
#[derive(Default)]
pub(super) struct Multi<'a> {
    trace: Option<&'a [u8]>,
    span: Option<&'a [u8]>,
    sampled: Option<&'a [u8]>,
    flags: Option<&'a [u8]>,
}

impl<'a> Single<'a> {
    pub(super) fn see(&mut self, name: &str, value: &'a [u8]) {
        if name.eq_ignore_ascii_case(SINGLE) {
            self.0.get_or_insert(value);
        }
    }

    pub(super) fn read(self) -> B3 {
        self.0.and_then(B3::parse).unwrap_or_default()
    }
}

impl<'a> Multi<'a> {
    pub(super) fn see(&mut self, name: &str, value: &'a [u8]) {
        for (known, place) in [
            (TRACE, &mut self.trace),
            (SPAN, &mut self.span),
            (SAMPLED, &mut self.sampled),
            (FLAGS, &mut self.flags),
        ] {
            if name.eq_ignore_ascii_case(known) {
                place.get_or_insert(value);
            }
        }
    }

    pub(super) fn read(self) -> B3 {
        let ids = self.trace.zip(self.span).and_then(|(trace, span)| Ids::parse(trace, span));
        let sampled = || match self.sampled? {
            b"0" => Some(Decision::Deny),
            b"1" => Some(Decision::Accept),
            // Of tracers from before the specification, which tells of them.
            value if value.eq_ignore_ascii_case(b"false") => Some(Decision::Deny),
            value if value.eq_ignore_ascii_case(b"true") => Some(Decision::Accept),
            _ => None,
        };
        let decision = if self.flags == Some(b"1") { Some(Decision::Debug) } else { sampled() };
        B3 { ids, decision }
    }
}

impl Ids {
    fn parse(trace: &[u8], span: &[u8]) -> Option<Self> {
        Some(Self { trace: TraceId::long_or_short(trace)?, span: SpanId::parse(span)? })
    }
}

impl B3 {
    /// `TRACE-SPAN`, `TRACE-SPAN-DECISION`, `TRACE-SPAN-DECISION-PARENT` or `DECISION`.
    fn parse(value: &[u8]) -> Option<Self> {
        let mut parts = value.split(|byte| *byte == b'-');
        let first = parts.next()?;
        let Some(span) = parts.next() else {
            return Some(Self { ids: None, decision: Some(decision(first)?) });
        };
        let ids = Some(Ids::parse(first, span)?);
        let decision = match parts.next() {
            Some(text) => Some(decision(text)?),
            None => None,
        };
        if let Some(parent) = parts.next() {
            SpanId::parse(parent)?;
        }
        parts.next().is_none().then_some(Self { ids, decision })
    }

    /// Whether it says anything.
    pub(super) fn is_seen(&self) -> bool {
        self.ids.is_some() || self.decision.is_some()
    }

    /// The trace as this form has named it.
    fn trace(&self, place: &Place) -> TraceId {
        self.ids.map_or(place.trace, |ids| ids.trace)
    }

    /// What was decided, by this form if it has said so.
    fn decided(&self, place: &Place) -> Decision {
        self.decision.unwrap_or(place.decision)
    }

    pub(super) fn write_single(&self, place: &Place, edits: &mut Edits) {
        let decision = match self.decided(place) {
            Decision::Deny => '0',
            Decision::Accept => '1',
            Decision::Debug => 'd',
        };
        let mut value = format!("{}-{}-{decision}", self.trace(place), place.span);
        if let Some(ids) = self.ids {
            value.push_str(&format!("-{}", ids.span));
        }
        edits.replace(SINGLE, value);
    }

    /// The fields that need no change stay where they are.
    pub(super) fn write_multi(&self, place: &Place, edits: &mut Edits) {
        edits.replace(SPAN, place.span.to_string());
        match self.ids {
            Some(ids) => edits.replace(PARENT, ids.span.to_string()),
            None => {
                edits.replaced.push(PARENT);
                edits.replace(TRACE, self.trace(place).to_string());
            }
        }
        if self.decision.is_none() {
            match place.decision {
                Decision::Deny => edits.replace(SAMPLED, "0".to_owned()),
                Decision::Accept => edits.replace(SAMPLED, "1".to_owned()),
                Decision::Debug => edits.replace(FLAGS, "1".to_owned()),
            }
        }
    }
}

fn decision(text: &[u8]) -> Option<Decision> {
    match text {
        b"0" => Some(Decision::Deny),
        b"1" => Some(Decision::Accept),
        b"d" => Some(Decision::Debug),
        _ => None,
    }
}
