//! A span that has ended, as exporters write it.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Open;

/// What was done, how long, and what is known of it. Text is borrowed: a span is written as soon as it is there.
pub(crate) struct Span<'a> {
    pub(crate) open: &'a Open,
    pub(crate) kind: Kind,
    pub(crate) name: &'a str,
    pub(crate) started: SystemTime,
    pub(crate) duration: Duration,
    /// Who asked, or was asked.
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) attributes: &'a [(&'static str, Value<'a>)],
    pub(crate) has_failed: bool,
}

/// On which side of a request the span was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// It was received.
    Server,
    /// It was sent.
    Client,
}

/// Of an attribute.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Value<'a> {
    Text(&'a str),
    Number(u64),
}

impl Span<'_> {
    /// Since 1970, in nanoseconds.
    pub(super) fn began(&self) -> u64 {
        let since = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    /// In nanoseconds.
    pub(super) fn lasted(&self) -> u64 {
        u64::try_from(self.duration.as_nanos()).unwrap_or(u64::MAX)
    }
}
