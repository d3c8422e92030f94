//! The options' names, once: the command line declares them, the plan names them as the cause of a rule.

use std::fmt;

use serde::{Serialize, Serializer};

/// An option of the command line, each with an environment variable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flag {
    /// The proxy's port for what the pod sends.
    OutboundPort,
    /// The proxy's port for what the pod is sent.
    InboundPort,
    /// The proxy's user.
    ProxyUid,
    /// The proxy's group.
    ProxyGid,
    /// Inbound ports to capture.
    IncludeInboundPorts,
    /// Inbound ports to leave alone.
    ExcludeInboundPorts,
    /// Outbound ports to capture.
    IncludeOutboundPorts,
    /// Outbound ports to leave alone.
    ExcludeOutboundPorts,
    /// Outbound addresses to capture.
    IncludeOutboundCidrs,
    /// Outbound addresses to leave alone.
    ExcludeOutboundCidrs,
    /// Who installs the rules.
    Backend,
    /// Where the report goes.
    Report,
}

impl Flag {
    /// Every option.
    pub const ALL: [Self; 12] = [
        Self::OutboundPort,
        Self::InboundPort,
        Self::ProxyUid,
        Self::ProxyGid,
        Self::IncludeInboundPorts,
        Self::ExcludeInboundPorts,
        Self::IncludeOutboundPorts,
        Self::ExcludeOutboundPorts,
        Self::IncludeOutboundCidrs,
        Self::ExcludeOutboundCidrs,
        Self::Backend,
        Self::Report,
    ];

    /// The long flag without its dashes.
    pub const fn long(self) -> &'static str {
        match self {
            Self::OutboundPort => "outbound-port",
            Self::InboundPort => "inbound-port",
            Self::ProxyUid => "proxy-uid",
            Self::ProxyGid => "proxy-gid",
            Self::IncludeInboundPorts => "include-inbound-ports",
            Self::ExcludeInboundPorts => "exclude-inbound-ports",
            Self::IncludeOutboundPorts => "include-outbound-ports",
            Self::ExcludeOutboundPorts => "exclude-outbound-ports",
            Self::IncludeOutboundCidrs => "include-outbound-cidrs",
            Self::ExcludeOutboundCidrs => "exclude-outbound-cidrs",
            Self::Backend => "backend",
            Self::Report => "report",
        }
    }

    /// The environment variable that is read where the flag is absent.
    pub const fn env(self) -> &'static str {
        match self {
            Self::OutboundPort => "REMORA_OUTBOUND_PORT",
            Self::InboundPort => "REMORA_INBOUND_PORT",
            Self::ProxyUid => "REMORA_PROXY_UID",
            Self::ProxyGid => "REMORA_PROXY_GID",
            Self::IncludeInboundPorts => "REMORA_INCLUDE_INBOUND_PORTS",
            Self::ExcludeInboundPorts => "REMORA_EXCLUDE_INBOUND_PORTS",
            Self::IncludeOutboundPorts => "REMORA_INCLUDE_OUTBOUND_PORTS",
            Self::ExcludeOutboundPorts => "REMORA_EXCLUDE_OUTBOUND_PORTS",
            Self::IncludeOutboundCidrs => "REMORA_INCLUDE_OUTBOUND_CIDRS",
            Self::ExcludeOutboundCidrs => "REMORA_EXCLUDE_OUTBOUND_CIDRS",
            Self::Backend => "REMORA_REDIRECT_BACKEND",
            Self::Report => "REMORA_REDIRECT_REPORT",
        }
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--{}", self.long())
    }
}

impl Serialize for Flag {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
