//! The Service that pods call: an address that nobody has, as in a cluster, and several endpoints, which are the backend under
//! addresses of the client's namespace.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use ::tests::netns::Netns;
use anyhow::{Context, Result};

use crate::backend::Service;

/// Where it is called.
pub(crate) const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
/// So many endpoints it has; rows are named after it.
const COUNT: u8 = 8;
/// TCP_ESTABLISHED, as the kernel shows it.
const ESTABLISHED: &str = "01";

/// The endpoints.
pub(crate) fn all() -> impl Iterator<Item = Ipv4Addr> {
    (1..=COUNT).map(|host| Ipv4Addr::new(10, 91, 0, host))
}

/// Gives a namespace their addresses.
pub(crate) fn add(netns: &Netns) -> Result<()> {
    all().try_for_each(|endpoint| netns.ip(&[&format!("addr add {endpoint}/32 dev lo")]))
}

/// Where a pod's application finds the Service, or, past the proxy, one of its endpoints.
pub(crate) fn address(service: Service, direct: bool) -> SocketAddr {
    let address = if direct { all().next().unwrap_or(SERVICE) } else { SERVICE };
    (address, service.port(direct)).into()
}

/// How many connections from a namespace to endpoints' ports are established.
pub(crate) fn connections(from: &Netns, port: u16) -> Result<usize> {
    let path = "/proc/thread-self/net/tcp";
    let table = from.run(|| fs::read_to_string(path))?.with_context(|| format!("cannot read {path}"))?;
    Ok(peers(&table)
        .filter(|peer| peer.port() == port && all().any(|endpoint| peer.ip() == endpoint))
        .count())
}

/// The other ends of established connections. Addresses are shown as the machine's numbers, ports as numbers.
fn peers(table: &str) -> impl Iterator<Item = SocketAddr> {
    table.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(2);
        let (address, port) = fields.next()?.split_once(':')?;
        let address = u32::from_str_radix(address, 16).ok()?.to_ne_bytes();
        let port = u16::from_str_radix(port, 16).ok()?;
        (fields.next()? == ESTABLISHED).then_some((address, port).into())
    })
}

#[cfg(test)]
mod tests {
    use super::peers;

    #[test]
    fn what_the_kernel_writes_is_understood() {
        let address = u32::from_ne_bytes([10, 91, 0, 1]);
        let line = |state| format!("   1: 0100007F:3A99 {address:08X}:1F93 {state} 00000000:00000000 00:0\n");
        let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when\n";
        let table = [head.to_owned(), line("0A"), line("01"), line("06")].concat();
        let found: Vec<_> = peers(&table).collect();
        assert_eq!(found, ["10.91.0.1:8083".parse().unwrap()]);
    }
}
