//! A link of our own on which packets arrive as they would from another host, made with NET_ADMIN alone.
//!
//! It is a VXLAN (RFC 7348) whose other end is a UDP socket of ours on loopback: a frame that the socket sends goes through
//! all that the kernel does to a packet from outside, and what the kernel answers comes back to the socket. (With a veth pair
//! the packet would leave through the output hook first, where our own rules take it for the application's; to keep it out
//! would take rules, and verification writes none.)
//!
//! The link is gone when this is dropped, with its addresses, routes and neighbours. What a killed run left is removed by
//! [`remove_leftover`]. The kernel remembers the UDP packets on loopback for half a minute, which matters to nobody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, UdpSocket};
use std::time::Instant;

use nix::errno::Errno;

use super::frame::{self, Act, Reply};
use super::tracker::Flow;
use crate::netlink::{Failure, Mac, Route, wait};

/// The link's name. Its process is told by the lock that `verify` holds.
pub(super) const NAME: &str = "remora-verify";

/// The hosts at the other end: of documentation networks (RFC 5737, RFC 3849), so nobody has them.
const REMOTE_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const REMOTE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x7265, 0x6d6f, 0, 0, 0, 1);

/// The link's own addresses: a redirect sends a packet to an address of the link on which it arrived.
const LOCAL_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const LOCAL_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x7265, 0x6d6f, 0, 0, 0, 2);

/// Locally administered.
const LOCAL_MAC: Mac = [0x02, 0x72, 0x65, 0x6d, 0x6f, 0x02];
const REMOTE_MAC: Mac = [0x02, 0x72, 0x65, 0x6d, 0x6f, 0x01];

/// Where the kernel sends frames. To an address of this host it would send them only to a VXLAN of its own; a broadcast it
/// sends like any other packet.
const END: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 255);

/// VXLAN's header: a flag says that the network's number is valid, which is the 24 bits from byte 4 on.
const NETWORK: u32 = 0x72656d;
const HEADER: usize = 8;

/// Numbers of the kernel's header `linux/if_link.h`.
mod number {
    pub(super) const IFLA_VXLAN_ID: u16 = 1;
    pub(super) const IFLA_VXLAN_LOCAL: u16 = 4;
    pub(super) const IFLA_VXLAN_LEARNING: u16 = 7;
    pub(super) const IFLA_VXLAN_PORT: u16 = 15;
}

/// Why there is no tunnel.
#[derive(Debug)]
pub(super) enum Unavailable {
    /// The kernel has no VXLAN.
    Unsupported,
    /// Something else.
    Failed(Failure),
}

pub(super) struct Tunnel {
    route: Route,
    link: u32,
    socket: UdpSocket,
    /// Where the kernel takes frames.
    port: u16,
}

impl Tunnel {
    /// Makes the link, for no family yet.
    pub(super) fn open() -> Result<Self, Unavailable> {
        let io = |error: std::io::Error| {
            let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
            Unavailable::Failed(Failure::Socket("opening a UDP socket", errno))
        };
        let socket = UdpSocket::bind((END, 0)).map_err(io)?;
        socket.set_nonblocking(true).map_err(io)?;
        // A port that was free a moment ago.
        let port = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))
            .and_then(|other| other.local_addr())
            .map_err(io)?
            .port();
        let own = socket.local_addr().map_err(io)?.port();
        let mut route = Route::open()
            .map_err(|errno| Unavailable::Failed(Failure::Socket("opening a netlink socket", errno)))?;
        let link = route.add_link(NAME, "vxlan", LOCAL_MAC, |w| {
            w.bytes(number::IFLA_VXLAN_ID, &NETWORK.to_ne_bytes());
            w.bytes(number::IFLA_VXLAN_LOCAL, &Ipv4Addr::LOCALHOST.octets());
            w.bytes(number::IFLA_VXLAN_LEARNING, &[0]);
            w.bytes(number::IFLA_VXLAN_PORT, &port.to_be_bytes());
        });
        let link = match link {
            Err(Failure::Refused(Errno::EOPNOTSUPP)) => return Err(Unavailable::Unsupported),
            other => other.map_err(Unavailable::Failed)?,
        };
        // From here on dropping removes the link.
        let mut tunnel = Self { route, link, socket, port };
        let end = SocketAddrV4::new(END, own);
        tunnel
            .route
            .add_tunnel_end(link, REMOTE_MAC, end)
            .and_then(|()| tunnel.route.set_up(link))
            .map_err(Unavailable::Failed)?;
        Ok(tunnel)
    }

    /// Gives both ends addresses of the family of `like`; gives the other end's.
    pub(super) fn address(&mut self, like: IpAddr, deadline: Instant) -> Result<IpAddr, Failure> {
        let remote = match like {
            IpAddr::V4(_) => IpAddr::from(REMOTE_V4),
            IpAddr::V6(_) => REMOTE_V6.into(),
        };
        self.route.add_usable_address(self.link, Self::local(like), deadline)?;
        self.route.add_host(self.link, remote, REMOTE_MAC)?;
        Ok(remote)
    }

    /// Lets the other end have this address too.
    pub(super) fn add_sender(&mut self, sender: IpAddr) -> Result<(), Failure> {
        self.route.add_host(self.link, sender, REMOTE_MAC)
    }

    /// The link's own address of the family of `like`.
    pub(super) const fn local(like: IpAddr) -> IpAddr {
        match like {
            IpAddr::V4(_) => IpAddr::V4(LOCAL_V4),
            IpAddr::V6(_) => IpAddr::V6(LOCAL_V6),
        }
    }

    /// A packet arrives.
    pub(super) fn deliver(&self, act: Act, flow: Flow) -> std::io::Result<()> {
        let frame = frame::frame(act, [LOCAL_MAC, REMOTE_MAC], flow.source, flow.destination);
        let header = [&[0x08, 0, 0, 0][..], &(NETWORK << 8).to_be_bytes()].concat();
        self.socket.send_to(&[header, frame].concat(), (Ipv4Addr::LOCALHOST, self.port)).map(|_| ())
    }

    /// The next answer to a SYN: to which port, and what. Nothing when the time is over.
    pub(super) fn await_reply(&self, deadline: Instant) -> Option<(u16, Reply)> {
        let mut buffer = [0; 2048];
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(length) => {
                    let reply = buffer.get(HEADER..length).and_then(frame::reply);
                    if reply.is_some() {
                        return reply;
                    }
                }
                Err(_) if wait(&self.socket, deadline) => {}
                Err(_) => return None,
            }
        }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        // Nobody could act on an error, and the next run tries again.
        let _ = self.route.remove_link(NAME);
    }
}

/// Removes the link that a killed run left.
pub(super) fn remove_leftover() -> Result<bool, Failure> {
    let mut route = Route::open().map_err(|errno| Failure::Socket("opening a netlink socket", errno))?;
    // Asking first: removing takes the kernel's big lock.
    match route.link(NAME)? {
        None => Ok(false),
        Some(_) => route.remove_link(NAME),
    }
}
