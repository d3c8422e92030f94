//! Values that are one of a few words, or a plain number.

use super::{Parsed, malformed};

/// How the proxy runs in the pod.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in super::super) enum Mode {
    /// An init container that stays: it starts before the application and ends after it.
    #[default]
    Native,
    /// An ordinary container, for clusters and tools that do not know native sidecars.
    Legacy,
}

/// How traffic comes to the proxy.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in super::super) enum Interception {
    /// By redirect rules.
    #[default]
    Redirect,
    /// Not at all.
    None,
}

/// What becomes of the application's probes and lifecycle handlers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in super::super) enum ProbeMode {
    /// Those that a transparent proxy would make lie are answered by the proxy, all others stay.
    #[default]
    Auto,
    /// The proxy answers for all of them that use the network.
    Rewrite,
    /// All stay as they are.
    Passthrough,
}

/// Whether what scrapes the pod gets the application's metrics together with the proxy's.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in super::super) enum MergeMetrics {
    /// Where the application has metrics that are to be scraped.
    #[default]
    On,
    /// The pod's scrape annotations stay as they are.
    Off,
}

/// When images are pulled.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in super::super) enum PullPolicy {
    Always,
    #[default]
    IfNotPresent,
    Never,
}

/// How the proxy writes its log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) enum LogFormat {
    Text,
    Json,
}

/// How the proxy logs connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) enum AccessLog {
    Json,
    Text,
    Off,
}

impl Mode {
    pub(in super::super) fn as_str(self) -> &'static str {
        match self {
            Self::Native => api::env::SIDECAR_MODE_NATIVE,
            Self::Legacy => api::env::SIDECAR_MODE_LEGACY,
        }
    }
}

impl Interception {
    pub(super) fn parse(text: &str) -> Parsed<Self> {
        match text {
            "REDIRECT" => Ok(Self::Redirect),
            "NONE" => Ok(Self::None),
            "TPROXY" => super::not_offered(
                "the application would see its clients' addresses, which this version does not do; use REDIRECT",
            ),
            _ => malformed("not a mode"),
        }
    }

    pub(in super::super) fn as_str(self) -> &'static str {
        match self {
            Self::Redirect => api::env::REDIRECT_MODE_REDIRECT,
            Self::None => api::env::REDIRECT_MODE_NONE,
        }
    }
}

impl ProbeMode {
    pub(super) fn parse(text: &str) -> Parsed<Self> {
        match text {
            "auto" => Ok(Self::Auto),
            "rewrite" => Ok(Self::Rewrite),
            "passthrough" | "off" => Ok(Self::Passthrough),
            _ => malformed("not a mode"),
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Rewrite => "rewrite",
            Self::Passthrough => "passthrough",
        }
    }
}

impl PullPolicy {
    pub(super) fn parse(text: &str) -> Parsed<Self> {
        match text {
            "Always" => Ok(Self::Always),
            "IfNotPresent" => Ok(Self::IfNotPresent),
            "Never" => Ok(Self::Never),
            _ => malformed("not a policy"),
        }
    }

    /// As Kubernetes takes it.
    pub(in super::super) fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

impl LogFormat {
    pub(super) fn parse(text: &str) -> Parsed<Self> {
        match text {
            "plain" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => malformed("not a format"),
        }
    }

    /// As the proxy takes it.
    pub(in super::super) fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl AccessLog {
    /// As the proxy takes it.
    pub(in super::super) fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
            Self::Off => "off",
        }
    }
}

pub(super) fn switch(text: &str) -> Parsed<bool> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => malformed("not one of the two"),
    }
}

/// Digits only: `FromStr` of integers would take a sign.
pub(super) fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// A number that Kubernetes takes in a probe.
pub(super) fn number(text: &str, least: i32) -> Parsed<i32> {
    digits(text).filter(|number| *number >= least).map_or_else(|| malformed("not such a number"), Ok)
}

/// A port of the proxy's readiness, which no other part of the mesh has; or 0.
pub(super) fn port(text: &str) -> Parsed<u16> {
    const TAKEN: [u16; 8] = [
        api::ports::OUTBOUND,
        api::ports::INBOUND,
        api::ports::MESH_TLS,
        api::ports::ADMIN,
        api::ports::METRICS,
        api::ports::READINESS_CAPTURED,
        api::ports::DNS,
        api::ports::ENVOY_PROMETHEUS,
    ];
    match digits(text) {
        Some(port) if TAKEN.contains(&port) => malformed("the proxy uses that port otherwise"),
        Some(port) => Ok(port),
        None => malformed("not a port"),
    }
}
