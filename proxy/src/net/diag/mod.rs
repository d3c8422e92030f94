//! What the kernel knows of this network namespace's TCP sockets: INET_DIAG over netlink, which needs no privilege.
//!
//! It reads and judges nothing. A list that ends early is a list that misses some: what it has is true nevertheless, and
//! whoever asks again sees the others.

mod wire;

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

pub(crate) use wire::Sighting;
use wire::{Family, Message};

/// The kernel makes no longer datagram for a list.
const DATAGRAM: usize = 32 * 1024;

/// The sockets cannot be listed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DiagError {
    /// A netlink socket cannot be made, written to or read.
    #[error("the kernel's list of sockets cannot be read: {0}")]
    Socket(#[from] Errno),
    /// The kernel refuses.
    #[error("the kernel does not list sockets: {0}; it needs tcp_diag and inet_diag")]
    Refused(io::Error),
    /// Bytes that are no answer, or none at all.
    #[error("the kernel's list of sockets breaks off")]
    BrokenOff,
}

/// Gives each TCP socket of both families to `each`. Between datagrams, of about eighty sockets, other tasks have their turn.
pub(crate) async fn each_socket(mut each: impl FnMut(Sighting)) -> Result<(), DiagError> {
    let netlink =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkSockDiag)?;
    let mut buffer = vec![0; DATAGRAM];
    for (sequence, family) in (1..).zip([Family::V4, Family::V6]) {
        send(netlink.as_raw_fd(), &wire::question(family, sequence), MsgFlags::empty())?;
        while !datagram(&netlink, &mut buffer, sequence, &mut each)? {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// Reads a part of the list; true when it was the last one.
fn datagram(
    netlink: &OwnedFd,
    buffer: &mut [u8],
    sequence: u32,
    each: &mut impl FnMut(Sighting),
) -> Result<bool, DiagError> {
    // The kernel lists within the calls that ask and read, so what is not there at once will never come.
    let length = recv(netlink.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT)?;
    let mut empty = true;
    for message in wire::messages(buffer.get(..length).unwrap_or_default(), sequence) {
        empty = false;
        match message.map_err(|wire::Malformed| DiagError::BrokenOff)? {
            Message::Socket(sighting) => sighting.into_iter().for_each(&mut *each),
            Message::End(0) => return Ok(true),
            Message::End(number) => {
                return Err(DiagError::Refused(io::Error::from_raw_os_error(number.saturating_neg())));
            }
        }
    }
    if empty { Err(DiagError::BrokenOff) } else { Ok(false) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};

    use super::each_socket;
    use crate::telemetry::connections::Pair;

    #[tokio::test(flavor = "current_thread")]
    async fn the_kernel_lists_sockets_of_both_families_with_what_they_wait_for() {
        for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            let listener = TcpListener::bind((ip, 0)).unwrap();
            let mut streams: Vec<_> =
                (0..100).map(|_| TcpStream::connect(listener.local_addr().unwrap()).unwrap()).collect();
            for stream in &mut streams {
                stream.write_all(b"x").unwrap();
            }
            let mut seen = Vec::new();
            each_socket(|sighting| seen.push(sighting)).await.unwrap();
            for stream in &streams {
                let pair = Pair { local: stream.local_addr().unwrap(), remote: stream.peer_addr().unwrap() };
                let sighting = seen.iter().find(|sighting| sighting.pair == pair).expect("it is listed");
                assert!(sighting.last_ack.as_secs() < 60 && sighting.rto.as_millis() >= 1, "{sighting:?}");
                assert_eq!(sighting.unacked, 0, "loopback acknowledges at once: {sighting:?}");
            }
        }
    }
}
