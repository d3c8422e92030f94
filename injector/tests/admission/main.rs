//! Admission through a real API server: what it sends us, by which entry, and what we answer. Etcd and kube-apiserver run on
//! loopback (`tests::control_plane`), the injector in this process with the rights that the manifests give it.
//!
//! `cfg(test)` is always true here; it tells clippy that helpers, too, may unwrap.

#[cfg(test)]
mod admitted;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod commands;
#[cfg(test)]
#[path = "../component/corpus.rs"]
#[expect(dead_code, reason = "the component tests use the rest")]
mod corpus;
#[cfg(test)]
#[path = "../component/decided.rs"]
mod decided;
#[cfg(test)]
mod disturbed;
#[cfg(test)]
mod events;
#[cfg(test)]
mod foreign;
#[cfg(test)]
mod labels;
#[cfg(test)]
mod mesh;
#[cfg(test)]
#[path = "../component/invariants/mutations.rs"]
#[expect(dead_code, reason = "the component tests use the rest")]
mod mutations;
#[cfg(test)]
mod table;
#[cfg(test)]
#[path = "../truth/mod.rs"]
mod truth;
