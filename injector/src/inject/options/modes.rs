//! Values that are one of a few words.

/// How the proxy runs in the pod.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in super::super) enum Mode {
    /// An init container that stays: it starts before the application and ends after it.
    #[default]
    Native,
    /// An ordinary container, for clusters and tools that do not know native sidecars.
    Legacy,
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

impl Mode {
    pub(in super::super) fn as_str(self) -> &'static str {
        match self {
            Self::Native => api::env::SIDECAR_MODE_NATIVE,
            Self::Legacy => api::env::SIDECAR_MODE_LEGACY,
        }
    }
}
