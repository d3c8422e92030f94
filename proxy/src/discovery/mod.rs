//! What a destination is: the proxy asks by address and port, and is told a Service's endpoints, a workload, a host outside,
//! that it is forbidden, or that nothing is known of it.
//!
//! It opens no connection and chooses no endpoint; it only knows. Invariant: what is in force is a [`Snapshot`], which has
//! been checked as a whole and never changes; another one takes its place at once. A connection is told once and goes on
//! with that, so no change of the configuration closes any.
//!
//! Reading order: `target` is what is told, `snapshot` where it stands, `resource` the form in which it is written down,
//! `compile` how that becomes a snapshot, `file` the directory from which it is read.

mod compile;
pub mod file;
mod metrics;
mod resource;
mod snapshot;
mod store;
mod target;

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

pub use snapshot::Snapshot;
pub use store::{Dump, Store, Watch};
pub use target::{Endpoint, Host, ServicePort, Target};

use crate::detect::Hint;
use crate::telemetry::edge::Edge;

/// Who knows about destinations.
pub trait Discovery: Send + Sync {
    /// What the destination `to` is. It may have to be asked for elsewhere; that nothing is known is an answer as well.
    fn lookup(self: Arc<Self>, to: SocketAddr) -> Pin<Box<dyn Future<Output = Watch> + Send>>;

    /// What metrics call connections of `from` to this pod at its address `to`, by what is known already: for names nobody
    /// waits.
    fn inbound(&self, from: IpAddr, to: SocketAddr) -> Arc<Edge>;

    /// What this pod's port `to` is declared to speak, by what is known already.
    fn declared(&self, to: SocketAddr) -> Option<Hint>;
}
