//! How connections and exchanges end.

use std::borrow::Cow;

use super::series::NO_FLAGS;

/// How a connection or an exchange ended, in the words of Envoy's access log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct End {
    /// `response_flags`.
    pub(crate) flags: &'static str,
    /// `connection_termination_details`, or `response_code_details` of an exchange.
    pub(crate) details: Option<Cow<'static, str>>,
    /// `upstream_transport_failure_reason`.
    pub(crate) failure: Option<String>,
}

impl End {
    /// Both directions ended in good order.
    pub(crate) const COMPLETE: Self = Self { flags: NO_FLAGS, details: None, failure: None };

    /// What stands when nothing else was said: the proxy ended first. Envoy's `LR` is a reset of its own making.
    pub(super) const CUT: Self =
        Self { flags: "LR", details: Some(Cow::Borrowed("proxy ended")), failure: None };
}
