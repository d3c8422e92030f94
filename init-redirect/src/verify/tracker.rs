//! What connection tracking says of a connection: who answers it. That is where it landed, whatever sent it there.
//!
//! The kernel tells of a new connection when its first packet has passed all rules, within the call that sent it or soon
//! after; a connection that was refused or dropped on its way is never told of. So an entry is evidence, and its absence is
//! evidence only once a later packet's entry is there.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::socket::SockProtocol;

use crate::netlink::wire::{Attributes, Malformed, Message, Writer, messages, netfilter_header};
use crate::netlink::{Failure, Socket, wait};

/// Numbers of the kernel's headers `linux/netfilter/nfnetlink.h` and `linux/netfilter/nfnetlink_conntrack.h`.
mod number {
    pub(super) const SUBSYSTEM: u16 = 1;
    pub(super) const NEW: u16 = 0;
    pub(super) const DELETE: u16 = 2;
    pub(super) const GET_STATS: u16 = 5;
    /// The bit of NFNLGRP_CONNTRACK_NEW.
    pub(super) const GROUP_NEW: u32 = 1;

    pub(super) const ORIGINAL: u16 = 1;
    pub(super) const REPLY: u16 = 2;
    pub(super) const IP: u16 = 1;
    pub(super) const PROTOCOL: u16 = 2;
    pub(super) const V4_SOURCE: u16 = 1;
    pub(super) const V4_DESTINATION: u16 = 2;
    pub(super) const V6_SOURCE: u16 = 3;
    pub(super) const V6_DESTINATION: u16 = 4;
    pub(super) const PROTOCOL_NUMBER: u16 = 1;
    pub(super) const SOURCE_PORT: u16 = 2;
    pub(super) const DESTINATION_PORT: u16 = 3;

    pub(super) const TCP: u8 = 6;
    pub(super) const NFPROTO_IPV4: u8 = 2;
    pub(super) const NFPROTO_IPV6: u8 = 10;
}

/// Both ends of a connection, as its opener sees them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Flow {
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
}

/// Watches connections come into being.
pub(super) struct Tracker {
    events: Socket,
    questions: Socket,
    /// Each connection with who answers it.
    seen: Vec<(Flow, SocketAddr)>,
}

impl Tracker {
    /// Begins to watch.
    pub(super) fn open() -> Result<Self, Failure> {
        let socket = || {
            let socket = Socket::open(SockProtocol::NetlinkNetFilter);
            socket.map_err(|errno| Failure::Socket("opening a netlink socket", errno))
        };
        let (events, mut questions) = (socket()?, socket()?);
        // Joining succeeds where the kernel cannot tell of connections; asking does not.
        ask(&mut questions, number::GET_STATS, number::NFPROTO_IPV4, |_| ())?;
        events.join(number::GROUP_NEW).map_err(|errno| Failure::Socket("watching connections", errno))?;
        Ok(Self { events, questions, seen: Vec::new() })
    }

    /// Who answers the connection, if it is known by now.
    pub(super) fn landing(&mut self, flow: Flow) -> Result<Option<SocketAddr>, Failure> {
        loop {
            match self.events.receive() {
                Ok(bytes) => {
                    for message in messages(bytes) {
                        // Other protocols' connections do not concern us.
                        self.seen.extend(message.ok().and_then(|message| connection(&message).ok()));
                    }
                }
                Err(Failure::Socket(_, Errno::EAGAIN)) => break,
                Err(failure) => return Err(failure),
            }
        }
        let found = self.seen.iter().find(|(seen, _)| *seen == flow);
        Ok(found.map(|(_, answers)| *answers))
    }

    /// The same, waiting for it to become known.
    pub(super) fn await_landing(
        &mut self,
        flow: Flow,
        deadline: Instant,
    ) -> Result<Option<SocketAddr>, Failure> {
        loop {
            let landing = self.landing(flow)?;
            if landing.is_some() || !wait(&self.events, deadline) {
                return Ok(landing);
            }
        }
    }

    /// Makes the kernel forget a connection, which it need not know.
    pub(super) fn forget(&mut self, flow: Flow) {
        let family = if flow.source.is_ipv4() { number::NFPROTO_IPV4 } else { number::NFPROTO_IPV6 };
        let _ = ask(&mut self.questions, number::DELETE, family, |w| write(w, flow));
    }
}

fn ask(socket: &mut Socket, kind: u16, family: u8, fill: impl FnOnce(&mut Writer)) -> Result<(), Failure> {
    let kind = number::SUBSYSTEM << 8 | kind;
    socket.ask((kind, 0), &netfilter_header(family, 0), fill, |_| Ok(()))
}

/// A TCP connection that a message tells of, and who answers it.
fn connection(message: &Message<'_>) -> Result<(Flow, SocketAddr), Malformed> {
    if message.kind != number::SUBSYSTEM << 8 | number::NEW {
        return Err(Malformed("it tells of no new connection"));
    }
    let attributes = message.attributes()?;
    let original = tuple(&attributes.nested(number::ORIGINAL)?)?;
    Ok((original, tuple(&attributes.nested(number::REPLY)?)?.source))
}

fn tuple(attributes: &Attributes<'_>) -> Result<Flow, Malformed> {
    let (ip, protocol) = (attributes.nested(number::IP)?, attributes.nested(number::PROTOCOL)?);
    if protocol.bytes(number::PROTOCOL_NUMBER)? != [number::TCP] {
        return Err(Malformed("it is not TCP"));
    }
    let address = |v4, v6| match (ip.get(v4), ip.get(v6)) {
        (Some(bytes), _) => chunk::<4>(bytes).map(IpAddr::from),
        (None, Some(bytes)) => chunk::<16>(bytes).map(IpAddr::from),
        (None, None) => Err(Malformed("an address is missing")),
    };
    let port = |kind| chunk(protocol.bytes(kind)?).map(u16::from_be_bytes);
    Ok(Flow {
        source: SocketAddr::new(address(number::V4_SOURCE, number::V6_SOURCE)?, port(number::SOURCE_PORT)?),
        destination: SocketAddr::new(
            address(number::V4_DESTINATION, number::V6_DESTINATION)?,
            port(number::DESTINATION_PORT)?,
        ),
    })
}

fn chunk<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Malformed> {
    bytes.try_into().map_err(|_| Malformed("a number has the wrong length"))
}

fn write(w: &mut Writer, flow: Flow) {
    w.nested(number::ORIGINAL, |w| {
        w.nested(number::IP, |w| {
            let kinds =
                [(number::V4_SOURCE, number::V6_SOURCE), (number::V4_DESTINATION, number::V6_DESTINATION)];
            for ((v4, v6), end) in kinds.into_iter().zip([flow.source, flow.destination]) {
                match end.ip() {
                    IpAddr::V4(address) => w.bytes(v4, &address.octets()),
                    IpAddr::V6(address) => w.bytes(v6, &address.octets()),
                }
            }
        });
        w.nested(number::PROTOCOL, |w| {
            w.bytes(number::PROTOCOL_NUMBER, &[number::TCP]);
            w.bytes(number::SOURCE_PORT, &flow.source.port().to_be_bytes());
            w.bytes(number::DESTINATION_PORT, &flow.destination.port().to_be_bytes());
        });
    });
}

#[cfg(test)]
mod tests {
    use super::{Flow, connection, number, tuple, write};
    use crate::netlink::wire::{Attributes, Head, Writer, messages, netfilter_header};

    fn flow(source: &str, destination: &str) -> Flow {
        Flow { source: source.parse().expect(source), destination: destination.parse().expect(destination) }
    }

    #[test]
    fn a_tuple_is_read_as_it_is_written() {
        for flow in [flow("192.0.2.1:1", "10.0.0.1:65535"), flow("[2001:db8::1]:2", "[::1]:80")] {
            let mut writer = Writer::default();
            write(&mut writer, flow);
            let bytes = writer.into_bytes();
            let attributes = Attributes::read(&bytes).expect("attributes");
            assert_eq!(tuple(&attributes.nested(number::ORIGINAL).expect("a tuple")), Ok(flow));
            // Cut anywhere it is an error, never a wrong flow.
            for length in 0..bytes.len() {
                let cut = Attributes::read(bytes.get(..length).expect("shorter"));
                let read = cut.and_then(|attributes| tuple(&attributes.nested(number::ORIGINAL)?));
                assert!(read.is_err(), "{length}");
            }
        }
    }

    #[test]
    fn what_is_no_new_tcp_connection_is_passed_over() {
        let mut writer = Writer::default();
        for kind in [number::DELETE, number::NEW] {
            let head = Head {
                kind: number::SUBSYSTEM << 8 | kind,
                flags: 0,
                sequence: 1,
                header: &netfilter_header(number::NFPROTO_IPV4, 0),
            };
            writer.message(head, |w| write(w, flow("192.0.2.1:1", "10.0.0.1:2")));
        }
        for message in messages(&writer.into_bytes()) {
            assert!(connection(&message.expect("a message")).is_err());
        }
    }
}
