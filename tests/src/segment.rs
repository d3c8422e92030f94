//! TCP segments that no socket would send.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, sendto, socket,
};

use crate::netns::Netns;

/// What of a TCP header matters to connection tracking.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Sequence number.
    pub sequence: u32,
    /// Acknowledgement number.
    pub acknowledgement: u32,
    /// FIN, SYN, RST, PSH, ACK and so on, from the lowest bit.
    pub flags: u8,
}

impl Segment {
    /// Without any flag, as no connection ever has it.
    pub const NULL: Self = Self { sequence: 0, acknowledgement: 0, flags: 0 };

    /// Far from where any connection of a test is, unless its random first number is by a chance of one in thousands.
    pub const OUT_OF_WINDOW: Self = Self { sequence: 0x7000_0000, acknowledgement: 0x7000_0000, flags: 0x18 };

    /// Sends it from one of the namespace's addresses.
    pub fn send(self, netns: &Netns, from: SocketAddr, to: SocketAddr) {
        let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
        let numbers = [self.sequence.to_be_bytes(), self.acknowledgement.to_be_bytes()].concat();
        let header = |sum: u16| {
            [&ports, &numbers, &[5 << 4, self.flags, 0xff, 0xff][..], &sum.to_be_bytes(), &[0; 2]].concat()
        };
        let segment = header(checksum(from.ip(), to.ip(), &header(0)));
        let send = |family, send: &(dyn Fn(i32) -> nix::Result<usize> + Sync)| {
            netns
                .run(|| {
                    let fd = socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Tcp)
                        .expect("root's raw socket");
                    assert_eq!(send(fd.as_raw_fd()), Ok(segment.len()));
                })
                .expect("the namespace");
        };
        match to {
            SocketAddr::V4(mut to) => {
                to.set_port(0);
                let to = SockaddrIn::from(to);
                send(AddressFamily::Inet, &|fd| sendto(fd, &segment, &to, MsgFlags::empty()));
            }
            SocketAddr::V6(mut to) => {
                to.set_port(0);
                let to = SockaddrIn6::from(to);
                send(AddressFamily::Inet6, &|fd| sendto(fd, &segment, &to, MsgFlags::empty()));
            }
        }
    }
}

/// TCP's checksum with the pseudo header of RFC 9293, 3.1, and RFC 8200, 8.1; their fields sum up to the same.
fn checksum(from: IpAddr, to: IpAddr, segment: &[u8]) -> u16 {
    let octets = |address| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let length = u16::try_from(segment.len()).expect("a short segment");
    let bytes =
        [octets(from), octets(to), vec![0, 6], length.to_be_bytes().to_vec(), segment.to_vec()].concat();
    let (words, _) = bytes.as_chunks::<2>();
    let sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).expect("folded")
}
