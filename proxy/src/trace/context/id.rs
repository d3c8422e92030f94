//! Ids of traces and spans. They are written in lower case and are never 0, in all formats.

use std::fmt;
use std::num::{NonZeroU64, NonZeroU128};

/// The id of a trace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TraceId {
    id: NonZeroU128,
    /// B3 knows ids of 64 bits; they stay so.
    is_short: bool,
}

/// The id of a span.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SpanId(NonZeroU64);

impl TraceId {
    /// A new one, of 128 bits.
    pub(crate) fn random() -> Self {
        Self { id: NonZeroU128::new(fastrand::u128(1..)).unwrap_or(NonZeroU128::MAX), is_short: false }
    }

    /// Of 32 digits.
    pub fn long(digits: &[u8]) -> Option<Self> {
        Some(Self { id: NonZeroU128::new(number(digits, 32)?)?, is_short: false })
    }

    /// Of 32 digits, or of 16.
    pub(super) fn long_or_short(digits: &[u8]) -> Option<Self> {
        if digits.len() == 32 {
            return Self::long(digits);
        }
        Some(Self { id: NonZeroU128::new(number(digits, 16)?)?, is_short: true })
    }

    /// Whether the other one names the same trace, perhaps by its last 64 bits alone.
    pub(super) fn is_same(self, other: Self) -> bool {
        let last = |id: Self| id.id.get() & u128::from(u64::MAX);
        if self.is_short || other.is_short { last(self) == last(other) } else { self.id == other.id }
    }

    /// As W3C's fields and OTLP have it: always of 128 bits.
    pub(crate) fn bits(self) -> u128 {
        self.id.get()
    }
}

/// As long as it was.
impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.is_short { 16 } else { 32 };
        write!(f, "{:0digits$x}", self.id)
    }
}

impl SpanId {
    /// A new one.
    pub(crate) fn random() -> Self {
        Self(NonZeroU64::new(fastrand::u64(1..)).unwrap_or(NonZeroU64::MAX))
    }

    /// Of 16 digits.
    pub fn parse(digits: &[u8]) -> Option<Self> {
        let bits = u64::try_from(number(digits, 16)?).ok()?;
        Some(Self(NonZeroU64::new(bits)?))
    }

    pub(crate) fn bits(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// So many digits in lower case, at most 32, and nothing else.
pub(super) fn number(digits: &[u8], count: usize) -> Option<u128> {
    if digits.len() != count {
        return None;
    }
    digits.iter().try_fold(0, |number: u128, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}
