//! The options' names, once: the command line declares them, the plan names them as the cause of a rule.

use std::fmt;

use serde::{Serialize, Serializer};

/// An option of the command line, each with an environment variable.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Flag {
    /// The proxy's port for what the pod sends.
    OutboundPort,
    /// The proxy's port for what the pod is sent.
    InboundPort,
    /// The proxy's user.
    ProxyUid,
    /// The proxy's group.
    ProxyGid,
    /// Address families to capture.
    Families,
    /// Inbound ports to capture.
    IncludeInboundPorts,
    /// Inbound ports to leave alone.
    ExcludeInboundPorts,
    /// Senders whose connections are captured.
    IncludeInboundCidrs,
    /// Senders whose connections are left alone.
    ExcludeInboundCidrs,
    /// Outbound ports to capture.
    IncludeOutboundPorts,
    /// Outbound ports to leave alone.
    ExcludeOutboundPorts,
    /// Outbound addresses to capture.
    IncludeOutboundCidrs,
    /// Outbound addresses to leave alone.
    ExcludeOutboundCidrs,
    /// Users whose connections are captured.
    IncludeUids,
    /// Users whose connections are left alone.
    ExcludeUids,
    /// Groups whose connections are captured.
    IncludeGids,
    /// Groups whose connections are left alone.
    ExcludeGids,
    /// Interfaces on which connections are captured.
    IncludeInterfaces,
    /// Interfaces on which connections are left alone.
    ExcludeInterfaces,
    /// Interfaces behind which clients of the pod's own are.
    VirtualInterfaces,
    /// Whether DNS is captured.
    RedirectDns,
    /// Whose DNS is captured.
    DnsServers,
    /// The proxy's port for DNS.
    DnsPort,
    /// Whether packets of no known connection are dropped.
    DropInvalid,
    /// Whether connections that are open are captured.
    CaptureEstablished,
    /// Whether clients wait for the proxy.
    HoldUntilReady,
    /// Who installs the rules.
    Backend,
    /// Whether packets are to prove the rules.
    Verify,
    /// Where the report goes.
    Report,
    /// Where the short report goes.
    TerminationMessage,
}

impl Flag {
    /// Every option.
    pub const ALL: [Self; 30] = [
        Self::OutboundPort,
        Self::InboundPort,
        Self::ProxyUid,
        Self::ProxyGid,
        Self::Families,
        Self::IncludeInboundPorts,
        Self::ExcludeInboundPorts,
        Self::IncludeInboundCidrs,
        Self::ExcludeInboundCidrs,
        Self::IncludeOutboundPorts,
        Self::ExcludeOutboundPorts,
        Self::IncludeOutboundCidrs,
        Self::ExcludeOutboundCidrs,
        Self::IncludeUids,
        Self::ExcludeUids,
        Self::IncludeGids,
        Self::ExcludeGids,
        Self::IncludeInterfaces,
        Self::ExcludeInterfaces,
        Self::VirtualInterfaces,
        Self::RedirectDns,
        Self::DnsServers,
        Self::DnsPort,
        Self::DropInvalid,
        Self::CaptureEstablished,
        Self::HoldUntilReady,
        Self::Backend,
        Self::Verify,
        Self::Report,
        Self::TerminationMessage,
    ];

    /// The long flag without its dashes.
    pub const fn long(self) -> &'static str {
        self.names().0
    }

    /// The environment variable that is read where the flag is absent.
    pub const fn env(self) -> &'static str {
        self.names().1
    }

    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::OutboundPort => ("outbound-port", "REMORA_OUTBOUND_PORT"),
            Self::InboundPort => ("inbound-port", "REMORA_INBOUND_PORT"),
            Self::ProxyUid => ("proxy-uid", "REMORA_PROXY_UID"),
            Self::ProxyGid => ("proxy-gid", "REMORA_PROXY_GID"),
            Self::Families => ("families", "REMORA_FAMILIES"),
            Self::IncludeInboundPorts => ("include-inbound-ports", "REMORA_INCLUDE_INBOUND_PORTS"),
            Self::ExcludeInboundPorts => ("exclude-inbound-ports", "REMORA_EXCLUDE_INBOUND_PORTS"),
            Self::IncludeInboundCidrs => ("include-inbound-cidrs", "REMORA_INCLUDE_INBOUND_CIDRS"),
            Self::ExcludeInboundCidrs => ("exclude-inbound-cidrs", "REMORA_EXCLUDE_INBOUND_CIDRS"),
            Self::IncludeOutboundPorts => ("include-outbound-ports", "REMORA_INCLUDE_OUTBOUND_PORTS"),
            Self::ExcludeOutboundPorts => ("exclude-outbound-ports", "REMORA_EXCLUDE_OUTBOUND_PORTS"),
            Self::IncludeOutboundCidrs => ("include-outbound-cidrs", "REMORA_INCLUDE_OUTBOUND_CIDRS"),
            Self::ExcludeOutboundCidrs => ("exclude-outbound-cidrs", "REMORA_EXCLUDE_OUTBOUND_CIDRS"),
            Self::IncludeUids => ("include-uids", "REMORA_INCLUDE_UIDS"),
            Self::ExcludeUids => ("exclude-uids", "REMORA_EXCLUDE_UIDS"),
            Self::IncludeGids => ("include-gids", "REMORA_INCLUDE_GIDS"),
            Self::ExcludeGids => ("exclude-gids", "REMORA_EXCLUDE_GIDS"),
            Self::IncludeInterfaces => ("include-interfaces", "REMORA_INCLUDE_INTERFACES"),
            Self::ExcludeInterfaces => ("exclude-interfaces", "REMORA_EXCLUDE_INTERFACES"),
            Self::VirtualInterfaces => ("virtual-interfaces", "REMORA_VIRTUAL_INTERFACES"),
            Self::RedirectDns => ("redirect-dns", "REMORA_REDIRECT_DNS"),
            Self::DnsServers => ("dns-servers", "REMORA_DNS_SERVERS"),
            Self::DnsPort => ("dns-port", "REMORA_DNS_PORT"),
            Self::DropInvalid => ("drop-invalid", "REMORA_DROP_INVALID"),
            Self::CaptureEstablished => ("capture-established", "REMORA_CAPTURE_ESTABLISHED"),
            Self::HoldUntilReady => ("hold-until-ready", "REMORA_HOLD_UNTIL_READY"),
            Self::Backend => ("backend", "REMORA_REDIRECT_BACKEND"),
            Self::Verify => ("verify", "REMORA_VERIFY"),
            Self::Report => ("report", "REMORA_REDIRECT_REPORT"),
            Self::TerminationMessage => ("termination-message", "REMORA_TERMINATION_MESSAGE"),
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
