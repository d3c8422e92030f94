//! One entry of the webhook configuration, before it is written: what the API server checks of a pod before it calls us.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::Matched;
use super::{Labels, Requirement};

/// An entry. The API server calls its path when all of it holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// Its name, unique in the configuration.
    pub name: String,
    /// What a call by it means.
    pub matched: Matched,
    /// Requirements on the labels of the namespace.
    pub namespace: Vec<Requirement>,
    /// Requirements on the labels of the pod.
    pub object: Vec<Requirement>,
    /// Expressions on the pod and on who creates it.
    pub conditions: Vec<Condition>,
}

/// A `matchCondition`: the entry is passed over where the expression is false.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Condition {
    /// Its name, unique in the entry; the name of the rule that it comes from.
    pub name: String,
    /// CEL that never fails, whatever the pod looks like.
    pub expression: String,
}

impl Entry {
    /// The path that it calls.
    pub fn path(&self) -> &'static str {
        match self.matched {
            Matched::Namespace => api::control::WEBHOOK_NAMESPACE_PATH,
            Matched::Object => api::control::WEBHOOK_OBJECT_PATH,
        }
    }

    /// Whether the selectors match; the API server would look at the conditions next.
    pub(in super::super) fn selects(&self, namespace: &BTreeMap<String, String>, pod: &impl Labels) -> bool {
        self.namespace.iter().all(|requirement| requirement.matches(namespace))
            && self.object.iter().all(|requirement| requirement.matches(pod))
    }
}
