//! What is applied to a cluster, from what the program goes by: the webhook configuration from the table of rules, and the rest of
//! the installation around it, which lies in `manifests/` and is part of the program.
//!
//! It deliberately talks to no cluster. Invariant: the same settings give the same objects, in the order in which they are to be
//! applied; and the default ones give those of `manifests/`.

mod installation;
mod webhook;

use clap::ValueEnum;
use serde_json::Value;

use crate::inject::Settings;

pub use webhook::webhook_configuration;

/// What is exported.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Kind {
    /// The MutatingWebhookConfiguration: which pods are sent to the injector
    Webhook,
    /// ServiceAccount, roles and bindings: what the injector may do
    Rbac,
    /// The whole installation
    Manifests,
}

/// What settings are from, so that an installation goes by the same.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'a> {
    /// The text of the configuration file, where there is one.
    pub configuration: Option<&'a str>,
    /// Arguments of the injector that win over it.
    pub arguments: &'a [String],
}

/// The objects, in the order in which they are to be applied: the webhook comes last, when everything that it leads to is there.
pub fn render(kind: Kind, settings: &Settings, origin: Origin<'_>) -> Vec<Value> {
    match kind {
        Kind::Webhook => vec![webhook_configuration(settings)],
        Kind::Rbac => installation::rbac(settings),
        Kind::Manifests => {
            let mut all = installation::without_webhook(settings, origin);
            all.push(webhook_configuration(settings));
            all
        }
    }
}
