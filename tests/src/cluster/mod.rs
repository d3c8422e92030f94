//! A Kubernetes cluster as a person uses it: by kubectl, in namespaces of the test's own, with an application that knows
//! nothing of us (fortio).
//!
//! It does not make clusters (`tests/kind/` does) and uses no client library: what a user types is what is proven. The
//! invariant: whatever a test made is asked to go when its [`Namespace`] is dropped.

#![expect(clippy::indexing_slicing, reason = "a key that a JSON value does not have yields null")]

mod fortio;
mod kubectl;
mod proxy_view;
mod workload;

pub use fortio::{Load, LoadResult, Protocol};
pub use kubectl::{apply, eventually, get, kubectl, kubectl_stdin, script};
pub use proxy_view::{Seen, access_log, counted, seen};
pub use workload::{FORTIO_IMAGE, Namespace, Pod, fortio_container, nodes, service, workload};
