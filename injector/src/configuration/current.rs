//! The configuration that is in force. A review takes it once and keeps it to its end, so that no answer is made of two.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::Configuration;

/// A shared slot for it; clones share it.
#[derive(Clone, Debug)]
pub struct Current(Arc<ArcSwap<Configuration>>);

impl Current {
    /// This one is in force.
    pub fn new(configuration: Configuration) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(configuration)))
    }

    /// What is in force now, for a moment.
    pub fn load(&self) -> Guard<Arc<Configuration>> {
        self.0.load()
    }

    /// What is in force now, for longer.
    pub fn load_full(&self) -> Arc<Configuration> {
        self.0.load_full()
    }

    /// From now on this one is in force.
    pub(super) fn replace(&self, configuration: Configuration) {
        self.0.store(Arc::new(configuration));
    }
}
