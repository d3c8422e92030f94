//! Whether a program is ready: a set of named conditions, all of which must hold. What is not ready says why, and the log has
//! a line whenever that changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The conditions of one program.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<BTreeMap<&'static str, Option<String>>>>);

impl Readiness {
    /// Adds a condition that does not hold yet.
    pub fn condition(&self, name: &'static str) -> Condition {
        let condition = Condition { name, readiness: self.clone() };
        // What has not begun is no news.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, Some("not yet".to_owned()));
        condition
    }

    /// The reasons for not being ready, `name: reason`; empty means ready.
    pub fn reasons(&self) -> Vec<String> {
        reasons(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn reasons(conditions: &BTreeMap<&'static str, Option<String>>) -> Vec<String> {
    conditions
        .iter()
        .filter_map(|(name, reason)| reason.as_ref().map(|reason| format!("{name}: {reason}")))
        .collect()
}

/// One condition of a [`Readiness`].
#[derive(Clone, Debug)]
pub struct Condition {
    name: &'static str,
    readiness: Readiness,
}

impl Condition {
    /// The condition holds from now on.
    pub fn holds(&self) {
        self.set(None);
    }

    /// The condition does not hold.
    pub fn fails(&self, reason: impl Into<String>) {
        self.set(Some(reason.into()));
    }

    fn set(&self, reason: Option<String>) {
        let mut conditions = self.readiness.0.lock().unwrap_or_else(PoisonError::into_inner);
        let was_ready = reasons(&conditions).is_empty();
        conditions.insert(self.name, reason);
        let reasons = reasons(&conditions);
        drop(conditions);
        match (was_ready, reasons.is_empty()) {
            (false, true) => tracing::info!("is ready"),
            (true, false) => tracing::info!(reasons = reasons.join("; "), "is not ready"),
            (true, true) | (false, false) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Readiness;

    #[test]
    fn ready_when_every_condition_holds() {
        let readiness = Readiness::default();
        let (tls, bundle) = (readiness.condition("tls"), readiness.condition("bundle"));
        tls.holds();
        bundle.fails("not published");
        assert_eq!(readiness.reasons(), ["bundle: not published"]);
        bundle.holds();
        assert!(readiness.reasons().is_empty());
        tls.fails("stopped");
        assert_eq!(readiness.reasons(), ["tls: stopped"]);
    }
}
