//! Which pods the installation wants to see: the part of the settings that rules are made of, and the form in which the
//! API server knows them.
//!
//! It decides nothing: `rules` says what each of these means.

mod entry;
mod namespace_name;
mod selector;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub use entry::{Condition, Entry};
pub use namespace_name::{NamespaceName, NamespaceNameError};
pub(super) use selector::Labels;
pub use selector::{LabelSelector, Requirement};

/// Which pods are injected, beyond what labels say. A change of anything but `invalidLabel` takes a new webhook
/// configuration (`injector export webhook`), since the API server decides what is sent.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Selection {
    /// Namespaces that are left alone whatever their labels say, besides kube-system, kube-node-lease and our own.
    pub ignored_namespaces: BTreeSet<NamespaceName>,
    /// Whether the label of a pod counts in a namespace whose label turns injection off.
    pub pod_wins_over_disabled_namespace: bool,
    /// What becomes of a pod whose label has another value than `"true"` and `"false"`.
    pub invalid_label: InvalidLabel,
    /// Pods that are left alone, unless their own label asks for injection.
    pub never_inject: Vec<LabelSelector>,
    /// Pods that are injected in namespaces whose label says nothing, unless their own label refuses.
    pub always_inject: Vec<LabelSelector>,
}

/// What becomes of a pod whose label has no allowed value.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InvalidLabel {
    /// It is refused.
    #[default]
    Deny,
    /// Its author is warned, and the label counts for nothing.
    Warn,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            ignored_namespaces: api::control::IGNORED.map(NamespaceName::known).into(),
            pod_wins_over_disabled_namespace: false,
            invalid_label: InvalidLabel::Deny,
            never_inject: Vec::new(),
            always_inject: Vec::new(),
        }
    }
}
