//! All that is asked of the Kubernetes API server: one Secret, one field of one webhook configuration, what namespaces
//! say about their pods, and, where it is configured, Events. Nothing of it happens while a review is answered.

mod client;
mod clock;
mod events;
mod namespaces;
mod secret;
mod survey;
mod told;
mod webhook_config;

pub use client::{Clients, ClusterArgs, QUIET, connect};
pub use clock::ApiClock;
pub use events::{EventWriter, Events, Notice};
pub use namespaces::Namespaces;
pub use secret::{AuthorityStore, Stored};
pub use survey::{Survey, SurveyError};
pub(crate) use told::Told;
pub use webhook_config::{Published, WebhookConfiguration};

use std::path::PathBuf;

use crate::pki::PkiError;

/// What went wrong, each with its remedy.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A kubeconfig was given and cannot be used.
    #[error("kubeconfig {path}: {reason}")]
    Kubeconfig {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Not in a pod, and no kubeconfig.
    #[error(
        "no API server is known: {reason}; run in a pod with a service account, or give --kubeconfig FILE"
    )]
    NoCluster {
        /// What is missing.
        reason: String,
    },
    /// There was no answer.
    #[error("{what}: {reason}")]
    Away {
        /// The object.
        what: String,
        /// What the network said.
        reason: String,
    },
    /// The answer was no.
    #[error("{what}: {reason}")]
    Call {
        /// The object.
        what: String,
        /// What the API server said.
        reason: String,
    },
    /// Somebody else was faster.
    #[error("{what}: changed by somebody else meanwhile")]
    Conflict {
        /// The object.
        what: String,
    },
    /// The Secret holds no usable authority.
    #[error(
        "Secret {namespace}/{name} holds no usable certificate authority: {source}; delete it \
         (kubectl -n {namespace} delete secret {name}), and a new one is made"
    )]
    BadSecret {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// What is wrong with it.
        source: PkiError,
    },
    /// There is no webhook configuration; it is never created here.
    #[error("MutatingWebhookConfiguration {name} does not exist; apply manifests/webhook.yaml")]
    NoConfiguration {
        /// Its name.
        name: String,
    },
    /// It has none of our entries.
    #[error("MutatingWebhookConfiguration {name} has no entry {entries}; apply manifests/webhook.yaml")]
    NoEntry {
        /// Its name.
        name: String,
        /// The entries that it could have.
        entries: String,
    },
}

impl ClusterError {
    fn call(what: String, error: &kube::Error) -> Self {
        let kube::Error::Api(status) = error else {
            return Self::Away { what, reason: chain(error) };
        };
        if status.code == 409 {
            return Self::Conflict { what };
        }
        let remedy = if status.code == 403 { "; apply manifests/rbac.yaml" } else { "" };
        let reason = format!("{} ({}){remedy}", status.message, status.code);
        Self::Call { what, reason }
    }
}

/// An error with its causes: the outermost of a network error says next to nothing.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let inner = error.to_string();
        if !text.contains(&inner) {
            text = format!("{text}: {inner}");
        }
        cause = error.source();
    }
    text
}
