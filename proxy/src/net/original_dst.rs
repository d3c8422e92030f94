//! Where a captured connection wanted to go, and whether the proxy may take it there.
//!
//! Invariant: only this module makes an [`OriginalDst`], and only after every rule below held; so code that has one can
//! dial it without asking again, and cannot loop. What the kernel knows is asked through [`Network`]; its one product
//! implementation is [`Kernel`].

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{SockaddrIn, SockaddrIn6, SockaddrStorage, getsockopt, sockopt};
use tokio::net::TcpStream;

use crate::direction::Direction;

/// The destination that the client asked for, checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OriginalDst(SocketAddr);

impl OriginalDst {
    /// The address.
    pub fn address(self) -> SocketAddr {
        self.0
    }

    /// The port.
    pub fn port(self) -> u16 {
        self.0.port()
    }

    /// Asks the kernel about an accepted connection, straight after accept: a deleted conntrack entry cannot be asked. Gives
    /// the socket's own address, too, which had to be asked for.
    pub(crate) fn of(
        stream: &TcpStream,
        rules: &Rules,
        network: &dyn Network,
    ) -> Result<(Self, SocketAddr), Refusal> {
        let local = stream.local_addr().map_err(Refusal::Unreadable)?;
        let original = network.original_dst(stream, local).map_err(Refusal::Unreadable)?;
        Ok((Self(rules.judge(original, local, network)?), local))
    }

    /// A destination that was chosen instead of the client's, under the same rules.
    pub(crate) fn instead(to: SocketAddr, rules: &Rules, network: &dyn Network) -> Result<Self, Refusal> {
        rules.judge_destination(to, network).map(Self)
    }
}

/// Why a connection is not carried. Each is closed by a reset, as if nobody listened.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// No redirect rule translated it: no conntrack entry.
    #[error("the connection was not redirected; are the redirect rules of init-redirect in place?")]
    NotRedirected,
    /// The client dialed the proxy's own listener.
    #[error("a direct connection to {0}: only redirected connections are carried")]
    Direct(SocketAddr),
    /// It would come back to this proxy.
    #[error("{0} is a listener of this proxy: the connection would loop")]
    Loop(SocketAddr),
    /// From outside to a port that only the pod itself may reach.
    #[error("{0} is a port of the proxy, which is closed to others")]
    OwnPort(SocketAddr),
    /// From outside to loopback.
    #[error("{0} is a loopback address, which is closed to others")]
    Loopback(SocketAddr),
    /// From outside to a link-local address.
    #[error("{0} is a link-local address, which is closed to others")]
    LinkLocal(SocketAddr),
    /// To no address; the kernel would read it as loopback.
    #[error("{0} is no address")]
    Unspecified(SocketAddr),
    /// The kernel did not say; most often the client has gone already.
    #[error("the original destination cannot be read: {0}")]
    Unreadable(io::Error),
}

impl Refusal {
    /// The value of the label `reason`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotRedirected => "not_redirected",
            Self::Direct(_) => "direct",
            Self::Loop(_) => "loop",
            Self::OwnPort(_) => "own_port",
            Self::Loopback(_) => "loopback",
            Self::LinkLocal(_) => "link_local",
            Self::Unspecified(_) => "unspecified",
            Self::Unreadable(_) => "unreadable",
        }
    }
}

/// What the rules depend on: the direction, and which ports are ours.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Whose listener accepted the connection.
    pub direction: Direction,
    /// Ports on which captured traffic is accepted.
    pub listeners: Vec<u16>,
    /// Further ports that are closed to others.
    pub private: Vec<u16>,
}

impl Rules {
    fn judge(
        &self,
        original: Option<SocketAddr>,
        local: SocketAddr,
        network: &dyn Network,
    ) -> Result<SocketAddr, Refusal> {
        let to = original.ok_or(Refusal::NotRedirected)?;
        if to == local {
            return Err(Refusal::Direct(to));
        }
        self.judge_destination(to, network)
    }

    fn judge_destination(&self, to: SocketAddr, network: &dyn Network) -> Result<SocketAddr, Refusal> {
        if to.ip().is_unspecified() {
            return Err(Refusal::Unspecified(to));
        }
        // Listing the addresses of all interfaces takes longer than everything else here, so only these ports ask for it.
        if self.listeners.contains(&to.port()) && network.is_own(to.ip()) {
            return Err(Refusal::Loop(to));
        }
        match self.direction {
            Direction::Outbound => Ok(to),
            Direction::Inbound if self.is_own(to.port()) => Err(Refusal::OwnPort(to)),
            Direction::Inbound => match network.scope(to.ip()) {
                Scope::Loopback => Err(Refusal::Loopback(to)),
                Scope::LinkLocal => Err(Refusal::LinkLocal(to)),
                Scope::Routable => Ok(to),
            },
        }
    }

    fn is_own(&self, port: u16) -> bool {
        self.listeners.contains(&port) || self.private.contains(&port)
    }
}

/// How far an address reaches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// 127.0.0.0/8, ::1.
    Loopback,
    /// 169.254.0.0/16, fe80::/10.
    LinkLocal,
    /// Anywhere.
    Routable,
}

/// What the kernel knows about connections and addresses.
///
/// A seam, so that the stories can be driven on loopback without redirect rules; whatever answers, the rules above are
/// applied to the answer.
pub trait Network: Send + Sync {
    /// The destination before translation of a stream that was accepted at `local`; none if there was no translation.
    fn original_dst(&self, stream: &TcpStream, local: SocketAddr) -> io::Result<Option<SocketAddr>>;

    /// How far `ip` reaches.
    fn scope(&self, ip: IpAddr) -> Scope;

    /// Whether `ip` is one of this machine, on loopback or on another interface.
    fn is_own(&self, ip: IpAddr) -> bool;

    /// Addresses at which others reach this machine.
    fn addresses(&self) -> Vec<IpAddr>;
}

/// The machine's own kernel.
#[derive(Clone, Copy, Debug)]
pub struct Kernel;

impl Network for Kernel {
    fn original_dst(&self, stream: &TcpStream, local: SocketAddr) -> io::Result<Option<SocketAddr>> {
        // Each listener has one family (IPV6_V6ONLY), so the socket's address says which option knows.
        let answer = match local {
            SocketAddr::V4(_) => getsockopt(stream, sockopt::OriginalDst)
                .map(|address| SocketAddrV4::from(SockaddrIn::from(address)).into()),
            SocketAddr::V6(_) => getsockopt(stream, sockopt::Ip6tOriginalDst)
                .map(|address| SocketAddrV6::from(SockaddrIn6::from(address)).into()),
        };
        match answer {
            Ok(address) => Ok(Some(address)),
            // ENOENT: no conntrack entry. The others: the kernel has no conntrack for this family at all.
            Err(Errno::ENOENT | Errno::ENOPROTOOPT | Errno::EOPNOTSUPP) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn scope(&self, ip: IpAddr) -> Scope {
        let ip = ip.to_canonical();
        if ip.is_loopback() {
            Scope::Loopback
        } else if is_link_local(ip) {
            Scope::LinkLocal
        } else {
            Scope::Routable
        }
    }

    /// When the addresses cannot be listed, every address counts as ours: refusing is the safe side of a loop.
    fn is_own(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let Ok(interfaces) = getifaddrs() else { return true };
        // Loopback has one address in the list, and answers to millions.
        ip.is_loopback()
            || interfaces
                .filter_map(|interface| interface.address)
                .filter_map(|address| address_of(&address))
                .any(|own| own == ip)
    }

    /// When they cannot be listed there are none: a call of the pod to itself is then one like any other.
    fn addresses(&self) -> Vec<IpAddr> {
        let interfaces = getifaddrs().into_iter().flatten();
        let addresses = interfaces.filter_map(|interface| address_of(&interface.address?));
        addresses.filter(|address| self.scope(*address) == Scope::Routable).collect()
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn address_of(address: &SockaddrStorage) -> Option<IpAddr> {
    if let Some(v4) = address.as_sockaddr_in() {
        return Some(v4.ip().into());
    }
    address.as_sockaddr_in6().map(|v6| v6.ip().into())
}

#[cfg(test)]
mod tests {
    use super::{Direction, Kernel, Network, Refusal, Rules, Scope};
    use proptest::prelude::*;
    use std::io;
    use std::net::{IpAddr, SocketAddr};
    use tokio::net::TcpStream;

    /// A machine with the addresses 192.0.2.1 and 2001:db8::1.
    struct Machine;

    impl Network for Machine {
        fn original_dst(&self, _: &TcpStream, _: SocketAddr) -> io::Result<Option<SocketAddr>> {
            Ok(None)
        }

        fn scope(&self, ip: IpAddr) -> Scope {
            Kernel.scope(ip)
        }

        fn is_own(&self, ip: IpAddr) -> bool {
            ["192.0.2.1", "2001:db8::1"].contains(&ip.to_string().as_str()) || Kernel.is_own(ip)
        }

        fn addresses(&self) -> Vec<IpAddr> {
            Vec::new()
        }
    }

    fn judge(direction: Direction, original: &str, local: &str) -> Result<SocketAddr, &'static str> {
        let rules = Rules { direction, listeners: vec![15001, 15006], private: vec![15000] };
        let original = (!original.is_empty()).then(|| original.parse().unwrap());
        rules.judge(original, local.parse().unwrap(), &Machine).map_err(|refusal: Refusal| refusal.reason())
    }

    #[test]
    fn outbound_goes_anywhere_but_to_ourselves() {
        let local = "127.0.0.1:15001";
        for (original, expected) in [
            ("198.51.100.7:443", Ok(())),
            ("198.51.100.7:15001", Ok(())),
            ("[2001:db8::7]:15006", Ok(())),
            ("192.0.2.1:8080", Ok(())),
            ("192.0.2.1:15000", Ok(())),
            ("127.0.0.1:8080", Ok(())),
            ("", Err("not_redirected")),
            ("127.0.0.1:15001", Err("direct")),
            ("127.0.0.1:15006", Err("loop")),
            ("192.0.2.1:15006", Err("loop")),
            ("[2001:db8::1]:15001", Err("loop")),
            ("0.0.0.0:15001", Err("unspecified")),
            ("[::]:80", Err("unspecified")),
        ] {
            assert_eq!(judge(Direction::Outbound, original, local).map(drop), expected, "{original}");
        }
    }

    #[test]
    fn inbound_is_closed_to_loopback_link_local_and_our_ports() {
        let local = "192.0.2.1:15006";
        for (original, expected) in [
            ("192.0.2.1:8080", Ok(())),
            ("[2001:db8::1]:8080", Ok(())),
            ("192.0.2.1:15022", Ok(())),
            ("", Err("not_redirected")),
            ("192.0.2.1:15006", Err("direct")),
            ("192.0.2.1:15001", Err("loop")),
            ("192.0.2.1:15000", Err("own_port")),
            ("198.51.100.7:15001", Err("own_port")),
            ("127.0.0.1:8080", Err("loopback")),
            ("127.8.0.1:8080", Err("loopback")),
            ("[::1]:8080", Err("loopback")),
            ("[::ffff:127.0.0.1]:8080", Err("loopback")),
            ("169.254.169.254:80", Err("link_local")),
            ("[fe80::1]:80", Err("link_local")),
            ("0.0.0.0:80", Err("unspecified")),
        ] {
            assert_eq!(judge(Direction::Inbound, original, local).map(drop), expected, "{original}");
        }
    }

    proptest! {
        // proptest prints the failing case and its seed.
        #[test]
        fn what_is_carried_is_never_a_listener_of_this_machine(ip: [u8; 4], port: u16, inbound: bool) {
            let direction = if inbound { Direction::Inbound } else { Direction::Outbound };
            let original = SocketAddr::new(IpAddr::from(ip), port);
            if judge(direction, &original.to_string(), "192.0.2.1:15006").is_ok() {
                let ours = [15001, 15006].contains(&port) && Machine.is_own(original.ip());
                prop_assert!(!ours);
                prop_assert!(!inbound || !original.ip().is_loopback());
            }
        }
    }

    #[test]
    fn the_kernel_knows_its_own_addresses() {
        for (ip, own) in [
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::ffff:127.0.0.1", true),
            ("::1", true),
            ("198.51.100.7", false),
        ] {
            assert_eq!(Kernel.is_own(ip.parse().unwrap()), own, "{ip}");
        }
    }
}
