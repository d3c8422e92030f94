//! From when to when a certificate holds.

use std::time::{Duration, SystemTime};

use x509_parser::prelude::X509Certificate;

use super::{BACKDATED, PkiError};

/// From when to when.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Validity {
    /// Begin.
    pub not_before: SystemTime,
    /// End.
    pub not_after: SystemTime,
}

impl Validity {
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Self {
        let time = |seconds: i64| {
            let since = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
            SystemTime::UNIX_EPOCH + since
        };
        let validity = certificate.validity();
        Self {
            not_before: time(validity.not_before.timestamp()),
            not_after: time(validity.not_after.timestamp()),
        }
    }

    /// Whether the time is within.
    pub fn contains(&self, now: SystemTime) -> bool {
        self.not_before <= now && now < self.not_after
    }

    /// Whether it is over.
    pub fn has_ended(&self, now: SystemTime) -> bool {
        self.not_after <= now
    }

    /// For how long an authority of ours was made.
    pub(super) fn life(&self) -> Duration {
        self.not_after.duration_since(self.not_before + BACKDATED).unwrap_or_default()
    }

    /// An error outside of it that names both ends.
    pub fn check(&self, now: SystemTime) -> Result<(), PkiError> {
        let text = |time| humantime::format_rfc3339_seconds(time).to_string();
        if self.contains(now) {
            return Ok(());
        }
        Err(PkiError::NotValidNow { not_before: text(self.not_before), not_after: text(self.not_after) })
    }
}
