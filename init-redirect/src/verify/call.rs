//! A call: the first packet of a TCP connection, sent by whoever this process is.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket};

use super::claim::Because;
use super::tracker::Flow;

/// Begins to call. The kernel has sent the first packet when this returns.
pub(super) fn begin(flow: Flow) -> Result<OwnedFd, Errno> {
    let family = if flow.source.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let client = socket(family, SockType::Stream, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)?;
    bind(client.as_raw_fd(), &SockaddrStorage::from(flow.source))?;
    match connect(client.as_raw_fd(), &SockaddrStorage::from(flow.destination)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Ok(client),
        Err(errno) => Err(errno),
    }
}

/// Why a call was not begun.
pub(super) fn not_sent(errno: Errno) -> Because {
    if errno == Errno::EPERM {
        return Because::new("lost", "another rule of the pod's refuses the packet");
    }
    Because::new("not-sent", format!("the packet cannot be sent: {errno}"))
}
