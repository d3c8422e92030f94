//! A server certificate with its key, in memory only.

use std::fmt;
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;

use super::Validity;

/// What a replica serves.
#[derive(Clone)]
pub struct Leaf {
    certified: Arc<CertifiedKey>,
    validity: Validity,
}

impl Leaf {
    pub(super) fn new(certified: Arc<CertifiedKey>, validity: Validity) -> Self {
        Self { certified, validity }
    }

    /// From its making to its end.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The certificate, and those that lead to its authority.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        self.certified.clone()
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is nobody's business.
        f.debug_struct("Leaf").field("validity", &self.validity).finish_non_exhaustive()
    }
}
