//! Versions of Kubernetes, as far as injection depends on them.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::modes::digits;

/// A minor version, such as 1.29.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct KubernetesVersion {
    major: u16,
    minor: u16,
}

impl KubernetesVersion {
    /// Native sidecars are on by default since 1.29.
    pub(super) fn has_native_sidecars(self) -> bool {
        self >= Self { major: 1, minor: 29 }
    }

    /// Reads `1.29`, `v1.29` or `1.29.3`.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix('v').unwrap_or(text).split('.');
        let (major, minor, patch) = (digits(parts.next()?)?, digits(parts.next()?)?, parts.next());
        let ends = parts.next().is_none() && patch.is_none_or(|patch| digits::<u16>(patch).is_some());
        ends.then_some(Self { major, minor })
    }
}

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Serialize for KubernetesVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KubernetesVersion {
    /// Text alone: YAML would make 1.3 of 1.30.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let invalid = || D::Error::custom(format!("{text:?} is not a version; write for example \"1.29\""));
        Self::parse(&text).ok_or_else(invalid)
    }
}
