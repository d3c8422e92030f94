//! Where a pod's application may connect besides the Service: workloads of their own, so that what is told of each has series of
//! its own. They are the backend under further addresses of the client's namespace.

use std::net::{Ipv4Addr, SocketAddr};

use ::tests::netns::Netns;
use anyhow::Result;

use crate::backend::HTTP1_PORT;

/// What ours tells of as many is more than 20,000 series.
pub(crate) const COUNT: usize = 320;

const NETWORK: u32 = Ipv4Addr::new(10, 92, 0, 0).to_bits();

/// Their addresses.
pub(crate) fn addresses() -> impl Iterator<Item = Ipv4Addr> {
    (NETWORK + 1..).take(COUNT).map(Ipv4Addr::from_bits)
}

/// Where they speak HTTP/1.1.
pub(crate) fn all() -> impl Iterator<Item = SocketAddr> {
    addresses().map(|address| (address, HTTP1_PORT).into())
}

/// Gives a namespace all addresses of their network.
pub(crate) fn add(netns: &Netns) -> Result<()> {
    netns.ip(&[&format!("route add local {}/16 dev lo", Ipv4Addr::from_bits(NETWORK))])
}
