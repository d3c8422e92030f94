//! A connection's first packet as a frame on a wire, and what the answer to it is. Pure.

use std::net::{IpAddr, SocketAddr};

use crate::netlink::Mac;

const ETHER_V4: u16 = 0x0800;
const ETHER_V6: u16 = 0x86dd;
const ETHER_HEADER: usize = 14;
const V4_HEADER: usize = 20;
const V6_HEADER: usize = 40;
const TCP: u8 = 6;

/// Flags of a TCP header (RFC 9293, 3.1), and where they are in it.
const FLAGS: usize = 13;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// What a frame does to a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Act {
    /// Asks for it.
    Open,
    /// Ends it before the handshake is over.
    Abort,
}

/// A TCP segment (RFC 9293) in IPv4 (RFC 791) or IPv6 (RFC 8200) in an Ethernet frame. The families of both addresses have
/// to be the same.
pub(super) fn frame(act: Act, [to, from]: [Mac; 2], source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let segment = segment(act, source, destination);
    let (kind, packet) = match (source.ip(), destination.ip()) {
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let length = u16::try_from(segment.len()).expect("a segment without data is short");
            let head = [&[0x60, 0, 0, 0][..], &length.to_be_bytes(), &[TCP, 64]].concat();
            (ETHER_V6, [head, source.octets().to_vec(), destination.octets().to_vec(), segment].concat())
        }
        (source, destination) => {
            (ETHER_V4, [v4_header(source, destination, segment.len()), segment].concat())
        }
    };
    [&to[..], &from, &kind.to_be_bytes(), &packet].concat()
}

/// What was answered to a SYN.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reply {
    Accepted,
    Reset,
}

/// The answer to a SYN that a frame holds, and to which port. Nothing if it holds anything else.
pub(super) fn reply(frame: &[u8]) -> Option<(u16, Reply)> {
    let kind = u16::from_be_bytes(*frame.get(12..)?.first_chunk()?);
    let packet = frame.get(ETHER_HEADER..)?;
    let segment = match kind {
        ETHER_V4 if packet.get(9) == Some(&TCP) => packet.get(usize::from(packet.first()? & 0x0f) * 4..)?,
        ETHER_V6 if packet.get(6) == Some(&TCP) => packet.get(V6_HEADER..)?,
        _ => return None,
    };
    let port = u16::from_be_bytes(*segment.get(2..)?.first_chunk()?);
    let reply = match segment.get(FLAGS)? & (SYN | RST | ACK) {
        flags if flags & RST != 0 => Reply::Reset,
        flags if flags == SYN | ACK => Reply::Accepted,
        _ => return None,
    };
    Some((port, reply))
}

/// A TCP header; it needs no option. A reset is heeded if its sequence number is the next that is expected (RFC 9293, 3.5.2).
fn segment(act: Act, source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    const WORDS: u8 = 5;
    let (sequence, flags) = match act {
        Act::Open => (1, SYN),
        Act::Abort => (2, RST),
    };
    let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
    let rest = [&[0, 0, 0, sequence, 0, 0, 0, 0][..], &[WORDS << 4, flags], &[0xff, 0xff]].concat();
    let with = |sum: u16| [&ports[..], &rest, &sum.to_be_bytes(), &[0, 0]].concat();
    // The pseudo headers of RFC 9293, 3.1, and RFC 8200, 8.1, sum up to the same.
    let length = [0, TCP, 0, WORDS * 4];
    let pseudo = [octets(source.ip()), octets(destination.ip()), length.to_vec()].concat();
    with(checksum(&[pseudo, with(0)].concat()))
}

fn v4_header(source: IpAddr, destination: IpAddr, payload: usize) -> Vec<u8> {
    let length = u16::try_from(V4_HEADER + payload).expect("a segment without data is short");
    let with = |sum: u16| {
        let head = [&[0x45, 0][..], &length.to_be_bytes(), &[0, 0, 0x40, 0, 64, TCP], &sum.to_be_bytes()];
        [head.concat(), octets(source), octets(destination)].concat()
    };
    with(checksum(&with(0)))
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// RFC 1071, of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let (words, _) = bytes.as_chunks::<2>();
    let sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let [_, _, high, low] = (folded + (folded >> 16)).to_be_bytes();
    !u16::from_be_bytes([high, low])
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::{Act, Reply, checksum, frame, octets, reply};

    const ENDS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];

    fn address(text: &str) -> SocketAddr {
        text.parse().expect(text)
    }

    #[test]
    fn sums_come_to_nothing() {
        let (source, destination) = (address("198.51.100.1:40000"), address("10.1.2.3:8080"));
        let bytes = frame(Act::Open, ENDS, source, destination);
        assert_eq!(checksum(&bytes[14..34]), 0);
        assert_eq!(bytes.len(), 14 + 20 + 20);
        assert_eq!(&bytes[34..38], [0x9c, 0x40, 0x1f, 0x90]);
        let (source, destination) = (address("[2001:db8::1]:1"), address("[fd00::2]:65535"));
        let bytes = frame(Act::Open, ENDS, source, destination);
        let pseudo =
            [octets(source.ip()), octets(destination.ip()), vec![0, 6, 0, 20], bytes[54..].to_vec()].concat();
        assert_eq!(checksum(&pseudo), 0);
        assert_eq!(bytes.len(), 14 + 40 + 20);
    }

    #[test]
    fn replies_are_told_apart() {
        for (from, to) in [("10.1.2.3:15006", "198.51.100.1:7"), ("[fd00::2]:15006", "[2001:db8::1]:7")] {
            let mut bytes = frame(Act::Open, ENDS, address(from), address(to));
            let flags = bytes.len() - 7;
            assert_eq!(reply(&bytes), None, "a SYN is no reply");
            bytes[flags] = 0x14;
            assert_eq!(reply(&bytes), Some((7, Reply::Reset)));
            bytes[flags] = 0x12;
            assert_eq!(reply(&bytes), Some((7, Reply::Accepted)));
            bytes[flags] = 0x10;
            assert_eq!(reply(&bytes), None);
            for length in 0..flags {
                assert_eq!(reply(&bytes[..length]), None, "{length}");
            }
        }
        assert_eq!(reply(&[0xff; 200]), None);
    }
}
