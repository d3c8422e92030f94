//! The certificate that is served now. Handshakes read it without a lock; a new one takes effect with the next handshake
//! and disturbs no connection.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::Leaf;

/// A shared slot for one leaf; empty at first, when every handshake fails.
#[derive(Clone, Debug, Default)]
pub struct CurrentLeaf(Arc<ArcSwapOption<CertifiedKey>>);

impl CurrentLeaf {
    /// Serves this leaf from now on.
    pub fn replace(&self, leaf: &Leaf) {
        self.0.store(Some(leaf.certified()));
    }
}

impl ResolvesServerCert for CurrentLeaf {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}
