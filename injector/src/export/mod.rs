//! What is applied to a cluster, printed from what the program goes by: the webhook configuration from the table of rules,
//! and the rest of the installation around it.
//!
//! It deliberately talks to no cluster. Invariant: the same settings give the same text; and the default ones give what
//! `manifests/` holds, but for comments.

mod webhook;

pub use webhook::webhook_configuration;
