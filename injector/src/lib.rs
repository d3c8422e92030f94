//! injector: the mutating admission webhook that adds the mesh's containers to pods.
//!
//! It deliberately is not a controller: it watches no pods, calls no API on the path of a request, and its memory does
//! not grow with the cluster.
//!
//! Reading order: [`inject`] decides about a pod and is pure.

pub mod inject;
