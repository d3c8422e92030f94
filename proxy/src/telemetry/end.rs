//! How connections and exchanges end.

use std::borrow::Cow;

use super::code::Code;
use super::connections::Side;
use super::http::Timer;
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

    /// This side does not keep to the rules: Envoy's `DPE` and `UPE`, downstream and upstream protocol errors.
    pub(crate) fn refused(side: Side, code: Code) -> Self {
        Self::of(side, ["DPE", "UPE"], code.name())
    }

    /// This side has gone before its time: Envoy's `DC` and `UC`, downstream and upstream connection terminations.
    pub(crate) fn gone(side: Side, details: impl Into<Cow<'static, str>>) -> Self {
        Self::of(side, ["DC", "UC"], details)
    }

    /// Nothing was passed on for too long: Envoy's `SI`, stream idle timeout.
    pub(crate) fn idle() -> Self {
        Self { flags: "SI", details: Some(Timer::StreamIdle.code().name().into()), failure: None }
    }

    fn of(side: Side, [client, server]: [&'static str; 2], details: impl Into<Cow<'static, str>>) -> Self {
        let flags = match side {
            Side::Client => client,
            Side::Server => server,
        };
        Self { flags, details: Some(details.into()), failure: None }
    }
}
