//! The end-to-end tests: unchanged Deployments on a real Kubernetes, injected by our webhook, carried by our proxy.
//!
//! They need a cluster in which `kubectl apply -k manifests` has been done; `make e2e` makes one. They run one after the
//! other, since some of them stop what the others use.

#![expect(clippy::indexing_slicing, reason = "a key that a JSON value does not have yields null")]

mod availability;
mod backend;
mod commands;
mod injection;
mod load;
mod probes;
mod selection;
mod sidecar;
mod traffic;
