//! The contract: ports, ids, and the names of labels, annotations, environment variables, containers, volumes and paths
//! that injector, init-redirect, proxy, manifests and tests agree on.
//!
//! It is data only: no I/O, no async, no Kubernetes types, no dependency. What is written here is what pods that run
//! already were given, so a value changes only together with a way for old pods to live on.
//!
//! Read `pod` first: it is what a patched pod consists of; the other modules name its parts.

pub mod annotations;
pub mod control;
pub mod env;
pub mod labels;
pub mod pod;
pub mod ports;
