//! The metrics registry of a program and its text form (OpenMetrics, which Prometheus reads).

use std::sync::{Arc, Mutex, PoisonError};

pub use prometheus_client::{collector, encoding, metrics as types, registry};

/// Media type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A registry that can be filled and read from several threads.
#[derive(Clone, Default)]
pub struct Metrics(Arc<Mutex<registry::Registry>>);

impl Metrics {
    /// Adds metric families.
    pub fn register<T>(&self, fill: impl FnOnce(&mut registry::Registry) -> T) -> T {
        fill(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All families as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let registry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a String fails only if an encoder of ours does; what was written until then is still worth showing.
        if encoding::text::encode(&mut text, &registry).is_err() {
            tracing::warn!("a metric could not be encoded");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Metrics, types::counter::Counter};

    #[test]
    fn registered_families_are_in_the_text() {
        let metrics = Metrics::default();
        let counter: Counter = Counter::default();
        metrics.register(|registry| registry.register("accepted", "Connections accepted", counter.clone()));
        counter.inc_by(3);
        let text = metrics.text();
        assert!(text.contains("accepted_total 3") && text.ends_with("# EOF\n"), "{text}");
    }
}
