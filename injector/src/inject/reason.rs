//! Why a decision is as it is: a stable code for metrics and tools, and a text for the person who reads it.
//!
//! Invariant: the set of codes is closed, so that it can be a metric's label; what varies is in the text.

use std::fmt;

use serde::Serialize;

/// The stable name of a reason.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Code {
    /// The namespace's label turns injection on.
    NamespaceEnabled,
    /// The pod's label asks for injection.
    PodEnabled,
    /// The pod carries our injection.
    AlreadyInjected,
    /// The namespace is the cluster's or the mesh's own.
    SystemNamespace,
    /// The pod mirrors a static one.
    MirrorPod,
    /// The pod runs on Windows.
    Windows,
    /// The pod uses its node's network.
    HostNetwork,
    /// The pod's label refuses injection.
    PodDisabled,
    /// The pod's label has another value than the two allowed.
    InvalidLabel,
    /// An annotation's value is not of the allowed form.
    InvalidAnnotation,
    /// An annotation asks for what this version does not do.
    NotOffered,
    /// The pod sets what only the mesh and its namespace may.
    AdminOnly,
    /// The pod asks for DNS capture, and the proxy does not answer DNS yet.
    DnsNotServed,
    /// The pod uses a name that injection needs.
    NameConflict,
    /// A container of the pod runs with the proxy's uid and gid.
    ProxyIdentity,
    /// A container of the pod declares a port that the proxy needs.
    PortConflict,
    /// Our injection is there, but somebody changed it.
    InjectionAltered,
    /// Our injection was there, and what somebody took from it was put back.
    InjectionRestored,
    /// There is no injection that could be taken out.
    NotInjected,
    /// What was sent has not the shape of a pod.
    MalformedPod,
    /// A selector of the configuration asks for injection.
    AlwaysInject,
    /// A selector of the configuration refuses injection.
    NeverInject,
    /// Nothing that this configuration knows asks for injection, and yet the pod was sent.
    NotSelected,
    /// No label asks for injection.
    NotLabelled,
    /// The namespace's label refuses injection.
    NamespaceDisabled,
    /// The namespace is the provider's own.
    ProviderNamespace,
    /// A label chooses a revision, and there are none.
    Revision,
    /// The pod looks like the mirror of a static one, and no node made it.
    NotAMirrorPod,
    /// The pod has the sidecar of another mesh.
    ForeignSidecar,
    /// An annotation says something that it cannot bring about.
    IneffectiveAnnotation,
    /// The namespace's Pod Security level forbids what injection adds.
    PodSecurity,
    /// The pod serves UDP.
    UdpNotCaptured,
}

impl Code {
    /// As it appears in metrics, in the status annotation and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NamespaceEnabled => "namespace-enabled",
            Self::PodEnabled => "pod-enabled",
            Self::AlreadyInjected => "already-injected",
            Self::SystemNamespace => "system-namespace",
            Self::MirrorPod => "mirror-pod",
            Self::Windows => "windows",
            Self::HostNetwork => "host-network",
            Self::PodDisabled => "pod-disabled",
            Self::InvalidLabel => "invalid-label",
            Self::InvalidAnnotation => "invalid-annotation",
            Self::NotOffered => "not-offered",
            Self::AdminOnly => "admin-only",
            Self::DnsNotServed => "dns-not-served",
            Self::NameConflict => "name-conflict",
            Self::ProxyIdentity => "proxy-identity",
            Self::PortConflict => "port-conflict",
            Self::InjectionAltered => "injection-altered",
            Self::InjectionRestored => "injection-restored",
            Self::NotInjected => "not-injected",
            Self::MalformedPod => "malformed-pod",
            Self::AlwaysInject => "always-inject",
            Self::NeverInject => "never-inject",
            Self::NotSelected => "not-selected",
            Self::NotLabelled => "not-labelled",
            Self::NamespaceDisabled => "namespace-disabled",
            Self::ProviderNamespace => "provider-namespace",
            Self::Revision => "revision",
            Self::NotAMirrorPod => "not-a-mirror-pod",
            Self::ForeignSidecar => "foreign-sidecar",
            Self::IneffectiveAnnotation => "ineffective-annotation",
            Self::PodSecurity => "pod-security",
            Self::UdpNotCaptured => "udp-not-captured",
        }
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One reason of a decision.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reason {
    /// The stable name.
    pub code: Code,
    /// What was found, where, and for a refusal what to do about it.
    pub text: String,
}

impl Reason {
    pub(super) fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    pub(super) fn already_injected(current: bool) -> Self {
        let text = if current {
            "the pod carries this injection already"
        } else {
            "the pod was injected by another version or with other settings, and stays as it is; to change that, inject \
             it as it was before"
        };
        Self::new(Code::AlreadyInjected, text)
    }

    pub(super) fn altered(what: &str) -> Self {
        let status = api::annotations::STATUS;
        Self::new(
            Code::InjectionAltered,
            format!(
                "the pod was injected before, as annotation {status} says, but {what}; find the webhook or the tool that \
                 changes it and make it leave the mesh's containers alone, or take the injection out of the pod"
            ),
        )
    }

    pub(super) fn restored(what: &str) -> Self {
        Self::new(
            Code::InjectionRestored,
            format!(
                "the pod was injected before, and what somebody has taken from that since is put back: {what}"
            ),
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.text)
    }
}

/// A value of the user's, fit for a message: escaped, and cut where it is long.
pub(super) fn quoted(value: &str) -> String {
    const SHOWN: usize = 64;
    let shown: String = value.chars().take(SHOWN).collect();
    let cut = if shown.len() < value.len() { "…" } else { "" };
    format!("{shown:?}{cut}")
}
