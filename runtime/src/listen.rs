//! Listening sockets on the wildcard or on loopback of both families. A family that the machine does not have is not an
//! error; a port in use is one, and the message names it and the remedy.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that wait to be accepted, where `net.core.somaxconn` allows so many.
pub const QUEUE: u16 = 4096;

/// Where to listen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scope {
    /// 127.0.0.1 and ::1.
    Loopback,
    /// 0.0.0.0 and ::, each by a socket of its own.
    Wildcard,
}

impl Scope {
    fn addresses(self) -> [IpAddr; 2] {
        match self {
            Self::Loopback => [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            Self::Wildcard => [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        }
    }
}

/// A port that cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else has it.
    #[error(
        "{purpose}: {address} is in use; another process listens there: stop it, or choose another port with {flag}"
    )]
    InUse {
        /// What the port is for.
        purpose: &'static str,
        /// The address.
        address: SocketAddr,
        /// The option that sets the port.
        flag: &'static str,
    },
    /// Neither family is available.
    #[error("{purpose}: neither IPv4 nor IPv6 is available on this machine")]
    NoFamily {
        /// What the port is for.
        purpose: &'static str,
    },
    /// Anything else.
    #[error("{purpose}: cannot listen on {address}: {source}")]
    Other {
        /// What the port is for.
        purpose: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
}

/// A listener to be made; the names go into the error.
#[derive(Clone, Copy, Debug)]
pub struct Listen {
    /// What the port is for.
    pub purpose: &'static str,
    /// The option that sets the port.
    pub flag: &'static str,
    /// Where.
    pub scope: Scope,
    /// The port; 0 lets the kernel choose one, a different one for each family.
    pub port: u16,
    /// Whether several sockets may share the port (SO_REUSEPORT), one for each worker.
    pub shared: bool,
}

impl Listen {
    /// Non-blocking listeners, one for each family that the machine has.
    pub fn bind(&self) -> Result<Vec<TcpListener>, ListenError> {
        self.bind_with(|_| Ok(()))
    }

    /// Like [`Listen::bind`], with socket options that every accepted connection inherits: `prepare` sets them before the
    /// first connection can arrive.
    pub fn bind_with(
        &self,
        prepare: impl Fn(&Socket) -> io::Result<()>,
    ) -> Result<Vec<TcpListener>, ListenError> {
        let mut listeners = Vec::with_capacity(2);
        for ip in self.scope.addresses() {
            let address = SocketAddr::new(ip, self.port);
            match self.socket(address, &prepare) {
                Ok(listener) => listeners.push(listener),
                Err(error) if absent_family(&error) => {
                    tracing::info!(%address, purpose = self.purpose, %error, "address family not available");
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    return Err(ListenError::InUse { purpose: self.purpose, address, flag: self.flag });
                }
                Err(source) => return Err(ListenError::Other { purpose: self.purpose, address, source }),
            }
        }
        if listeners.is_empty() {
            return Err(ListenError::NoFamily { purpose: self.purpose });
        }
        Ok(listeners)
    }

    fn socket(
        &self,
        address: SocketAddr,
        prepare: impl Fn(&Socket) -> io::Result<()>,
    ) -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // TIME_WAIT of an earlier process must not keep a container from starting again.
        socket.set_reuse_address(true)?;
        if self.shared {
            socket.set_reuse_port(true)?;
        }
        prepare(&socket)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(QUEUE.into())?;
        Ok(socket.into())
    }
}

/// IPv6 can be absent in three ways: not compiled in, switched off at boot, or switched off by sysctl on the interface.
fn absent_family(error: &io::Error) -> bool {
    const EAFNOSUPPORT: i32 = 97;
    const EADDRNOTAVAIL: i32 = 99;
    matches!(error.raw_os_error(), Some(EAFNOSUPPORT | EADDRNOTAVAIL))
}

#[cfg(test)]
mod tests {
    use super::{Listen, Scope};

    fn listen(port: u16, shared: bool) -> Listen {
        Listen { purpose: "test listener", flag: "--test-port", scope: Scope::Loopback, port, shared }
    }

    #[test]
    fn a_port_in_use_is_named_with_the_option() {
        let first = listen(0, false).bind().unwrap();
        let port = first[0].local_addr().unwrap().port();
        let error = listen(port, false).bind().unwrap_err().to_string();
        assert!(error.contains(&format!("127.0.0.1:{port}")) && error.contains("--test-port"), "{error}");
    }

    #[test]
    fn workers_share_a_port() {
        let first = listen(0, true).bind().unwrap();
        let port = first[0].local_addr().unwrap().port();
        assert!(listen(port, true).bind().is_ok());
    }
}
