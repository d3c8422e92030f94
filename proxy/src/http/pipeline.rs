//! What is done about each request before it is passed on, in one order for both versions of HTTP: it gets its name, its place in a
//! trace, and its account.
//!
//! Each policy is a plain struct that knows nothing of the others, and none knows how a version of HTTP writes a head: a policy
//! tells what the next hop is to see by [`Edits`]. A policy that may refuse a request (authorization) stands after the account, so
//! that what it refused is counted and logged; one that says how a request is sent (timeouts, retries) comes last. Invariant:
//! nothing here waits.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue};

use super::{Http, RequestId, request_id};
use crate::telemetry::exchange::{Exchange, Request};
use crate::telemetry::session::Session;
use crate::trace::{self, Begun};

/// A request that was through.
pub(super) struct Admitted {
    pub(super) exchange: Exchange,
    pub(super) edits: Edits,
}

/// How the head differs on its way to the next hop.
pub(super) struct Edits {
    name: Option<request_id::Field>,
    trace: trace::Edits,
}

impl Http {
    /// Takes a request through, of which this is known, and which has these fields.
    pub(super) fn admit<'a>(
        &self,
        session: &Session,
        request: &Request<'a>,
        fields: impl Iterator<Item = (&'a str, &'a [u8])>,
    ) -> Admitted {
        let name = self.settings.http_request_id.name(request.request_id);
        let Begun { edits: trace, open: span } = self.tracer.begin(fields);
        let request_id = request.request_id.or(name.as_ref().map(request_id::Field::id));
        let exchange = session.begin_span(&Request { request_id, ..*request }, span);
        Admitted { exchange, edits: Edits { name, trace } }
    }
}

impl RequestId {
    /// The name of a request that came without one.
    fn name(self, given: Option<&[u8]>) -> Option<request_id::Field> {
        match self {
            Self::Generate if given.is_none() => Some(request_id::field()),
            Self::Generate | Self::Keep => None,
        }
    }
}

impl Edits {
    /// Names of fields that are left out.
    pub(super) fn removed(&self) -> &[&'static str] {
        &self.trace.replaced
    }

    /// Fields that are there instead, or besides, as HTTP/1 sends them.
    pub(super) fn lines(&self) -> Cow<'_, [u8]> {
        let name = self.name.as_ref().map(request_id::Field::line).unwrap_or_default();
        if self.trace.added.is_empty() {
            return name.into();
        }
        let mut lines = name.to_vec();
        self.trace.append_lines(&mut lines);
        lines.into()
    }

    /// Changes fields as HTTP/2 has them.
    pub(super) fn apply(self, fields: &mut HeaderMap) {
        let name = self.name.map(|name| HeaderValue::from_bytes(name.id()));
        if let Some(Ok(name)) = name {
            fields.insert(request_id::NAME, name);
        }
        for removed in self.trace.replaced {
            fields.remove(removed);
        }
        for (added, value) in self.trace.added {
            if let Ok(value) = HeaderValue::try_from(value) {
                fields.insert(added, value);
            }
        }
    }
}
