//! Why a peer is refused or left: a name for each reason, the same one in the access log and as the label of a metric.
//!
//! Each list of reasons says its names itself, beside the rule that each is. Invariant: a name begins with the version of HTTP
//! whose rule it is (`http1.`, `http2.`), or ends with `_timeout`; it stays, since dashboards and alerts know it.

use std::fmt;

/// The name of one reason.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Code(&'static str);

impl Code {
    /// What stands in log and metric.
    pub(crate) const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The same.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}
