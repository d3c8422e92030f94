//! Calls of the proxy's own to the application of its pod: on behalf of the kubelet, whose probes a transparent proxy would
//! make lie, and of the scraper that asks for both's metrics at once.
//!
//! They run on the main thread and are no carried traffic: the redirect rules leave them alone, since they have the proxy's
//! uid, and they are neither counted nor logged as connections. Invariant: every call is bounded by whoever makes it, and
//! nothing of a connection outlives the `Answer` that it belongs to.

mod client;
mod origin;
mod tls;

use std::net::IpAddr;

pub(crate) use client::{Answer, CallError, Client, Get};
pub(crate) use origin::{Host, Origin, OriginError, target};

/// Where the application is.
#[derive(clap::Args, Clone, Debug, Default)]
#[group(skip)]
pub struct Settings {
    /// The pod's address, at which the kubelet and scrapers would call the application
    #[arg(long, env = api::env::INSTANCE_IP, value_name = "ADDRESS")]
    pub pod_ip: Option<IpAddr>,
}
