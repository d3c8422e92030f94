//! What TCP is not: a server for datagrams that says what it saw, its client, and an ICMP echo.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::{io, mem};

use crate::netns::Netns;
use crate::peer::{self, Landing, PATIENCE};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, recv, sendto,
    setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

/// Answers each datagram with what it saw of it, in JSON; it ends when dropped.
#[derive(Debug)]
pub struct Server {
    socket: Arc<UdpSocket>,
    answering: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens at exactly this address, by a socket of this user and group.
    pub fn start(netns: &Netns, owner: (u32, u32), label: &str, address: SocketAddr) -> Self {
        let socket = netns.run_as(owner.0, owner.1, || UdpSocket::bind(address)).expect("the namespace");
        let socket = Arc::new(socket.expect("a free port"));
        let (server, label) = (Arc::clone(&socket), label.to_owned());
        let answering = std::thread::spawn(move || {
            let mut buffer = [0; 512];
            // An empty datagram is the end.
            while let Ok((1.., peer)) = server.recv_from(&mut buffer) {
                let landing = Landing {
                    label: label.clone(),
                    port: address.port(),
                    original: None,
                    local: address,
                    peer,
                };
                let answer = serde_json::to_vec(&landing).expect("a landing is JSON");
                // Who does not get it tells the test.
                let _ = server.send_to(&answer, peer);
            }
        });
        Self { socket, answering: Some(answering) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = nix::sys::socket::shutdown(self.socket.as_raw_fd(), nix::sys::socket::Shutdown::Both);
        if let Some(answering) = self.answering.take() {
            let _ = answering.join();
        }
    }
}

/// Sends a datagram and waits for the answer. The socket is connected, so what another address answers does not count.
pub fn call(target: SocketAddr) -> io::Result<Landing> {
    let any: IpAddr = if target.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    call_from(SocketAddr::new(any, 0), target)
}

/// The same from this address and port.
pub fn call_from(source: SocketAddr, target: SocketAddr) -> io::Result<Landing> {
    let socket = peer::again(|| UdpSocket::bind(source))?;
    socket.connect(target)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(b"?")?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer)?;
    Ok(serde_json::from_slice(answer.get(..length).unwrap_or_default())?)
}

/// Sends an echo request (RFC 792 and RFC 4443, 4.1) and waits for the reply; needs `net.ipv4.ping_group_range`.
pub fn echo(target: IpAddr) -> io::Result<()> {
    let (family, protocol, kind) = match target {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp, 8),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6, 128),
    };
    let fd = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, protocol)?;
    setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::seconds(PATIENCE.as_secs().cast_signed()))?;
    let request = [kind, 0, 0, 0, 0, 0, 0, 1];
    match SocketAddr::new(target, 0) {
        SocketAddr::V4(to) => sendto(fd.as_raw_fd(), &request, &SockaddrIn::from(to), MsgFlags::empty()),
        SocketAddr::V6(to) => sendto(fd.as_raw_fd(), &request, &SockaddrIn6::from(to), MsgFlags::empty()),
    }?;
    let mut reply = [0; mem::size_of::<[u64; 8]>()];
    recv(fd.as_raw_fd(), &mut reply, MsgFlags::empty())?;
    Ok(())
}
