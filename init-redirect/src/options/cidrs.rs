//! Sets of addresses of both families. Invariant of [`Cidrs`]: of each family the fewest networks that cover it, in order,
//! so equal sets are equal values.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::Malformed;

/// A set of addresses.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cidrs {
    v4: Vec<Ipv4Net>,
    v6: Vec<Ipv6Net>,
}

impl Cidrs {
    /// What the texts of a set have to be.
    pub const ALLOWED: &'static str =
        "IPv4 and IPv6 networks or addresses, comma separated, as in 10.0.0.0/8,2001:db8::/32,192.0.2.1";

    /// The IPv4 part.
    pub fn v4(&self) -> &[Ipv4Net] {
        &self.v4
    }

    /// The IPv6 part.
    pub fn v6(&self) -> &[Ipv6Net] {
        &self.v6
    }
}

impl FromIterator<IpNet> for Cidrs {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match network {
                IpNet::V4(network) => v4.push(network),
                IpNet::V6(network) => v6.push(network),
            }
        }
        Self { v4: Ipv4Net::aggregate(&v4), v6: Ipv6Net::aggregate(&v6) }
    }
}

impl FromStr for Cidrs {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        text.split(',').map(|part| network(part.trim())).collect()
    }
}

/// A network, or an address as the network of itself. Host bits mean nothing, as to iptables.
fn network(text: &str) -> Result<IpNet, Malformed> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>().or_else(|_| address()).map_err(|_| Malformed(format!("{text:?} is not a network")))
}

#[cfg(test)]
mod tests {
    use super::Cidrs;

    fn printed(text: &str) -> Vec<String> {
        let cidrs: Cidrs = text.parse().expect(text);
        let v4 = cidrs.v4().iter().map(ToString::to_string);
        v4.chain(cidrs.v6().iter().map(ToString::to_string)).collect()
    }

    #[test]
    fn families_are_told_apart_and_overlaps_merged() {
        assert_eq!(
            printed("10.1.0.0/16, 2001:db8:1::/48,10.0.0.0/8,192.0.2.0/25,192.0.2.128/25,2001:db8::/32,::1"),
            ["10.0.0.0/8", "192.0.2.0/24", "::1/128", "2001:db8::/32"]
        );
    }

    #[test]
    fn host_bits_and_the_widest_networks_are_fine() {
        assert_eq!(printed("10.1.2.3/8"), ["10.0.0.0/8"]);
        assert_eq!(printed("0.0.0.0/0,::/0"), ["0.0.0.0/0", "::/0"]);
        assert!(printed("").is_empty());
    }

    #[test]
    fn what_is_not_a_list_of_networks_is_refused() {
        for bad in
            ["10.0.0.0/33", "::/129", "10.0.0/8", "example.com", "10.0.0.0/8,", "*", "fe80::1%eth0", "1"]
        {
            assert!(bad.parse::<Cidrs>().is_err(), "{bad:?}");
        }
    }
}
