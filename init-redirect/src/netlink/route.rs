//! Links, addresses, routes and neighbours over rtnetlink, as far as we make or read them.
//!
//! Addresses, routes and neighbours have the length of a single address; all belong to one link, so they go when it goes.

use std::net::{IpAddr, SocketAddrV4};
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::socket::SockProtocol;

use super::sys::{NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL};
use super::wire::{Attributes, Malformed, Message, Writer};
use super::{Failure, Socket, wait};

/// Numbers of the kernel's headers `linux/rtnetlink.h`, `linux/if_link.h`, `linux/if_addr.h` and `linux/neighbour.h`.
mod number {
    pub(super) const NEWLINK: u16 = 16;
    pub(super) const DELLINK: u16 = 17;
    pub(super) const GETLINK: u16 = 18;
    pub(super) const NEWADDR: u16 = 20;
    pub(super) const DELADDR: u16 = 21;
    pub(super) const GETADDR: u16 = 22;
    pub(super) const NEWROUTE: u16 = 24;
    pub(super) const GETROUTE: u16 = 26;
    pub(super) const NEWNEIGH: u16 = 28;

    pub(super) const AF_UNSPEC: u8 = 0;
    pub(super) const AF_INET: u8 = 2;
    pub(super) const AF_BRIDGE: u8 = 7;
    pub(super) const AF_INET6: u8 = 10;

    /// Lengths of `struct ifinfomsg` and `struct ifaddrmsg`.
    pub(super) const LINK_HEADER: usize = 16;
    pub(super) const ADDRESS_HEADER: usize = 8;

    pub(super) const IFLA_ADDRESS: u16 = 1;
    pub(super) const IFLA_IFNAME: u16 = 3;
    pub(super) const IFLA_LINKINFO: u16 = 18;
    pub(super) const IFLA_INFO_KIND: u16 = 1;
    pub(super) const IFLA_INFO_DATA: u16 = 2;
    pub(super) const IFF_UP: u32 = 1;

    pub(super) const IFA_ADDRESS: u16 = 1;
    pub(super) const IFA_LOCAL: u16 = 2;
    /// `struct ifa_cacheinfo`: preferred and valid lifetime in seconds, then two times of the kernel's.
    pub(super) const IFA_CACHEINFO: u16 = 6;
    pub(super) const FOREVER: u32 = u32::MAX;
    pub(super) const IFA_FLAGS: u16 = 8;
    /// Usable at once: nobody else can have an address of a link that we made ourselves.
    pub(super) const IFA_F_NODAD: u32 = 0x02;
    pub(super) const IFA_F_TENTATIVE: u32 = 0x40;

    pub(super) const RTA_DST: u16 = 1;
    pub(super) const RTA_OIF: u16 = 4;
    pub(super) const RT_TABLE_MAIN: u8 = 254;
    pub(super) const RTPROT_STATIC: u8 = 4;
    pub(super) const RT_SCOPE_LINK: u8 = 253;
    pub(super) const RTN_UNICAST: u8 = 1;
    pub(super) const RTN_LOCAL: u8 = 2;
    /// The bit of RTNLGRP_IPV6_ROUTE.
    pub(super) const GROUP_IPV6_ROUTE: u32 = 1 << 10;
    /// Where `struct rtmsg` has the type of a route, and its length.
    pub(super) const ROUTE_TYPE: usize = 7;
    pub(super) const ROUTE_HEADER: usize = 12;

    pub(super) const NDA_DST: u16 = 1;
    pub(super) const NDA_LLADDR: u16 = 2;
    pub(super) const NDA_PORT: u16 = 6;
    pub(super) const NUD_NOARP: u16 = 0x40;
    pub(super) const NUD_PERMANENT: u16 = 0x80;
    /// The entry belongs to the link itself rather than to a bridge that it is part of.
    pub(super) const NTF_SELF: u8 = 0x02;
}

/// An Ethernet address.
pub(crate) type Mac = [u8; 6];

/// An address of this network namespace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct LinkAddress {
    /// Index of its link.
    pub(crate) link: u32,
    pub(crate) address: IpAddr,
    /// Not yet usable: duplicate address detection goes on.
    pub(crate) tentative: bool,
}

/// The kernel's routing side.
pub(crate) struct Route(Socket);

impl Route {
    pub(crate) fn open() -> Result<Self, Errno> {
        Socket::open(SockProtocol::NetlinkRoute).map(Self)
    }

    /// The index of the link of this name, if there is one.
    pub(crate) fn link(&mut self, name: &str) -> Result<Option<u32>, Failure> {
        let mut index = None;
        let header = link_header(0, 0);
        let found = self.0.ask(
            (number::GETLINK, 0),
            &header,
            |w| w.text(number::IFLA_IFNAME, name),
            |message| {
                index = Some(native(message.body, 4)?);
                Ok(())
            },
        );
        match found {
            Err(Failure::Refused(Errno::ENODEV)) => Ok(None),
            other => other.map(|()| index),
        }
    }

    /// The name of the link through which packets for an address leave; nothing if there is no route.
    pub(crate) fn way(&mut self, to: IpAddr) -> Result<Option<String>, Failure> {
        match self.route(to)? {
            Some((number::RTN_UNICAST | number::RTN_LOCAL, link)) => self.name(link),
            // The others say that packets are refused.
            _ => Ok(None),
        }
    }

    /// The type and the link of the route to an address.
    fn route(&mut self, to: IpAddr) -> Result<Option<(u8, u32)>, Failure> {
        let (family, bits) = family(to);
        let header = [&[family, bits][..], &[0; number::ROUTE_HEADER - 2]].concat();
        let mut route = None;
        let asked = self.0.ask(
            (number::GETROUTE, 0),
            &header,
            |w| w.bytes(number::RTA_DST, &octets(to)),
            |message| {
                let kind = message.body.get(number::ROUTE_TYPE).copied().unwrap_or_default();
                let attributes = message.attributes_behind(number::ROUTE_HEADER)?;
                let link = attributes.get(number::RTA_OIF).map(|bytes| native(bytes, 0)).transpose()?;
                route = link.map(|link| (kind, link));
                Ok(())
            },
        );
        match asked {
            // There is no such family, or no route.
            Err(Failure::Refused(_)) => Ok(None),
            other => other.map(|()| route),
        }
    }

    fn name(&mut self, link: u32) -> Result<Option<String>, Failure> {
        let mut name = None;
        self.0.ask(
            (number::GETLINK, 0),
            &link_header(link, 0),
            |_| (),
            |message| {
                name = Some(
                    message.attributes_behind(number::LINK_HEADER)?.text(number::IFLA_IFNAME)?.to_owned(),
                );
                Ok(())
            },
        )?;
        Ok(name)
    }

    /// Makes a link of a kind, down; `fill` writes what the kind needs. Gives its index.
    pub(crate) fn add_link(
        &mut self,
        name: &str,
        kind: &str,
        mac: Mac,
        fill: impl FnOnce(&mut Writer),
    ) -> Result<u32, Failure> {
        self.change((number::NEWLINK, NLM_F_CREATE | NLM_F_EXCL), &link_header(0, 0), |w| {
            w.text(number::IFLA_IFNAME, name);
            w.bytes(number::IFLA_ADDRESS, &mac);
            w.nested(number::IFLA_LINKINFO, |w| {
                w.text(number::IFLA_INFO_KIND, kind);
                w.nested(number::IFLA_INFO_DATA, fill);
            });
        })?;
        self.link(name)?.ok_or(Failure::Refused(Errno::ENODEV))
    }

    pub(crate) fn set_up(&mut self, link: u32) -> Result<(), Failure> {
        self.change((number::NEWLINK, 0), &link_header(link, number::IFF_UP), |_| ())
    }

    /// Takes a link away, and with it its addresses, routes and neighbours. False where there is none of this name.
    pub(crate) fn remove_link(&mut self, name: &str) -> Result<bool, Failure> {
        let removed = self
            .change((number::DELLINK, 0), &link_header(0, 0), |w| w.text(number::IFLA_IFNAME, name))
            .map(|()| true);
        match removed {
            Err(Failure::Refused(Errno::ENODEV)) => Ok(false),
            other => other,
        }
    }

    /// All addresses.
    pub(crate) fn addresses(&mut self) -> Result<Vec<LinkAddress>, Failure> {
        let mut addresses = Vec::new();
        let header = [0; number::ADDRESS_HEADER];
        self.0.ask(
            (number::GETADDR, NLM_F_DUMP),
            &header,
            |_| (),
            |message| {
                addresses.extend(link_address(message)?);
                Ok(())
            },
        )?;
        Ok(addresses)
    }

    /// Gives a link an address, which may be there already.
    pub(crate) fn add_address(&mut self, link: u32, address: IpAddr) -> Result<(), Failure> {
        match self.address((number::NEWADDR, NLM_F_CREATE | NLM_F_EXCL), link, address) {
            Err(Failure::Refused(Errno::EEXIST)) => Ok(()),
            other => other,
        }
    }

    /// The same, and returns when packets for the address are taken in: the kernel sees to that later by itself where the
    /// address is IPv6.
    pub(crate) fn add_usable_address(
        &mut self,
        link: u32,
        address: IpAddr,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let opened = Socket::open(SockProtocol::NetlinkRoute)
            .and_then(|events| events.join(number::GROUP_IPV6_ROUTE).map(|()| events));
        let mut events = opened.map_err(|errno| Failure::Socket("watching routes", errno))?;
        self.add_address(link, address)?;
        while !self.is_local(address)? {
            // Whatever has changed: the answer to the question tells whether it was this.
            if events.receive().is_err() && !wait(&events, deadline) {
                return Err(Failure::Socket("waiting for an address", Errno::ETIMEDOUT));
            }
        }
        Ok(())
    }

    /// Whether packets for an address are for this host.
    fn is_local(&mut self, address: IpAddr) -> Result<bool, Failure> {
        Ok(self.route(address)?.is_some_and(|(kind, _)| kind == number::RTN_LOCAL))
    }

    /// Takes an address from a link, where it need not be.
    pub(crate) fn remove_address(&mut self, link: u32, address: IpAddr) -> Result<(), Failure> {
        match self.address((number::DELADDR, 0), link, address) {
            Err(Failure::Refused(Errno::EADDRNOTAVAIL)) => Ok(()),
            other => other,
        }
    }

    /// Gives a link an address that is used by those alone who ask for it: its preferred lifetime (RFC 4862, 5.5.4) is over.
    pub(crate) fn add_source(&mut self, link: u32, address: IpAddr) -> Result<(), Failure> {
        let added = self.address_with((number::NEWADDR, NLM_F_CREATE | NLM_F_EXCL), link, address, |w| {
            let lifetimes = [0, number::FOREVER, 0, 0].map(u32::to_ne_bytes);
            w.bytes(number::IFA_CACHEINFO, &lifetimes.concat());
        });
        match added {
            Err(Failure::Refused(Errno::EEXIST)) => Ok(()),
            other => other,
        }
    }

    fn address(&mut self, message: (u16, u16), link: u32, address: IpAddr) -> Result<(), Failure> {
        self.address_with(message, link, address, |_| ())
    }

    fn address_with(
        &mut self,
        message: (u16, u16),
        link: u32,
        address: IpAddr,
        fill: impl FnOnce(&mut Writer),
    ) -> Result<(), Failure> {
        let (family, bits) = family(address);
        let mut header = vec![family, bits, 0, 0];
        header.extend(link.to_ne_bytes());
        self.change(message, &header, |w| {
            w.bytes(number::IFA_LOCAL, &octets(address));
            w.bytes(number::IFA_ADDRESS, &octets(address));
            w.bytes(number::IFA_FLAGS, &number::IFA_F_NODAD.to_ne_bytes());
            fill(w);
        })
    }

    /// Sends what is for an address out of a link, to a neighbour there.
    pub(crate) fn add_host(&mut self, link: u32, address: IpAddr, mac: Mac) -> Result<(), Failure> {
        let (family, bits) = family(address);
        let mut header = vec![family, bits, 0, 0, number::RT_TABLE_MAIN, number::RTPROT_STATIC];
        header.extend([number::RT_SCOPE_LINK, number::RTN_UNICAST]);
        header.extend(0_u32.to_ne_bytes());
        self.change((number::NEWROUTE, NLM_F_CREATE), &header, |w| {
            w.bytes(number::RTA_DST, &octets(address));
            w.bytes(number::RTA_OIF, &link.to_ne_bytes());
        })?;
        let header = neighbour_header(family, link, number::NUD_PERMANENT, 0);
        self.change((number::NEWNEIGH, NLM_F_CREATE), &header, |w| {
            w.bytes(number::NDA_DST, &octets(address));
            w.bytes(number::NDA_LLADDR, &mac);
        })
    }

    /// Where a tunnel's link sends what is for this neighbour: a UDP port of an IPv4 host.
    pub(crate) fn add_tunnel_end(&mut self, link: u32, mac: Mac, end: SocketAddrV4) -> Result<(), Failure> {
        let state = number::NUD_PERMANENT | number::NUD_NOARP;
        let header = neighbour_header(number::AF_BRIDGE, link, state, number::NTF_SELF);
        self.change((number::NEWNEIGH, NLM_F_CREATE), &header, |w| {
            w.bytes(number::NDA_LLADDR, &mac);
            w.bytes(number::NDA_DST, &end.ip().octets());
            w.bytes(number::NDA_PORT, &end.port().to_be_bytes());
        })
    }

    fn change(
        &mut self,
        message: (u16, u16),
        header: &[u8],
        fill: impl FnOnce(&mut Writer),
    ) -> Result<(), Failure> {
        self.0.ask(message, header, fill, |_| Ok(()))
    }
}

/// `struct ifinfomsg`. The flags that are set are also the ones that change.
fn link_header(index: u32, flags: u32) -> Vec<u8> {
    let mut header = vec![number::AF_UNSPEC, 0, 0, 0];
    for part in [index, flags, flags] {
        header.extend(part.to_ne_bytes());
    }
    debug_assert_eq!(header.len(), number::LINK_HEADER);
    header
}

/// `struct ndmsg`.
fn neighbour_header(family: u8, link: u32, state: u16, flags: u8) -> Vec<u8> {
    let mut header = vec![family, 0, 0, 0];
    header.extend(link.to_ne_bytes());
    header.extend(state.to_ne_bytes());
    header.extend([flags, 0]);
    header
}

/// Of a message about an address: `struct ifaddrmsg` and its attributes. Nothing for other families than ours.
fn link_address(message: &Message<'_>) -> Result<Option<LinkAddress>, Malformed> {
    const SHORT: Malformed = Malformed("a message about an address is too short");
    let family = *message.body.first().ok_or(SHORT)?;
    let short_flags = u32::from(*message.body.get(2).ok_or(SHORT)?);
    let link = native(message.body, 4)?;
    let attributes = message.attributes_behind(number::ADDRESS_HEADER)?;
    // IFA_ADDRESS is the peer's where a link has one.
    let bytes = attributes.get(number::IFA_LOCAL).or_else(|| attributes.get(number::IFA_ADDRESS));
    let address = bytes.and_then(|bytes| read_address(family, bytes));
    let flags = flags(&attributes)?.unwrap_or(short_flags);
    Ok(address.map(|address| LinkAddress { link, address, tentative: flags & number::IFA_F_TENTATIVE != 0 }))
}

fn flags(attributes: &Attributes<'_>) -> Result<Option<u32>, Malformed> {
    attributes.get(number::IFA_FLAGS).map(|bytes| native(bytes, 0)).transpose()
}

fn read_address(family: u8, bytes: &[u8]) -> Option<IpAddr> {
    match family {
        number::AF_INET => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        number::AF_INET6 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// A number in the machine's byte order.
fn native(bytes: &[u8], offset: usize) -> Result<u32, Malformed> {
    let chunk = bytes.get(offset..).and_then(<[u8]>::first_chunk);
    chunk.map(|chunk| u32::from_ne_bytes(*chunk)).ok_or(Malformed("a message is too short"))
}

/// The family's number, and the bits of an address.
fn family(address: IpAddr) -> (u8, u8) {
    match address {
        IpAddr::V4(_) => (number::AF_INET, 32),
        IpAddr::V6(_) => (number::AF_INET6, 128),
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
