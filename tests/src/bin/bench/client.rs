//! A client's connection: asks, and knows when it has been answered.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use socket2::{Domain, Socket, Type};
use tests::peer::PATIENCE;

use crate::wire;

/// A connection on which one request at a time is asked.
pub(crate) struct Client {
    stream: TcpStream,
    received: usize,
}

impl Client {
    /// Connects and waits for it. What follows waits, too.
    pub(crate) fn connect(to: SocketAddr) -> Result<Self> {
        let stream =
            TcpStream::connect_timeout(&to, PATIENCE).with_context(|| format!("connecting to {to}"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, received: 0 })
    }

    /// The same, for many at once: nothing that follows waits.
    pub(crate) fn connect_without_waiting(to: SocketAddr) -> Result<Self> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM.nonblocking().cloexec(), None)?;
        match socket.connect(&to.into()) {
            Err(error) if error.raw_os_error() != Some(Errno::EINPROGRESS as i32) => {
                Err(error).with_context(|| format!("connecting to {to}"))
            }
            _ => Ok(Self { stream: socket.into(), received: 0 }),
        }
    }

    /// Nothing that follows waits.
    pub(crate) fn without_waiting(self) -> Result<Self> {
        self.stream.set_nonblocking(true)?;
        Ok(self)
    }

    /// Sends a request, for which there is always room.
    pub(crate) fn ask(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).context("asking")
    }

    /// Reads; tells whether the answer is complete now.
    pub(crate) fn answered(&mut self) -> Result<bool> {
        let mut buffer = [0; 2 * wire::RESPONSE_LENGTH];
        match self.stream.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            read => {
                let length = read.context("waiting for an answer")?;
                ensure!(length > 0, "the connection was ended before the answer");
                self.received += length;
            }
        }
        ensure!(self.received <= wire::RESPONSE_LENGTH, "more came than was asked for");
        let complete = self.received == wire::RESPONSE_LENGTH;
        if complete {
            self.received = 0;
        }
        Ok(complete)
    }

    /// Asks and waits for the whole answer; for a connection that waits.
    pub(crate) fn exchange(&mut self, request: &[u8]) -> Result<()> {
        self.ask(request)?;
        let before = std::time::Instant::now();
        while !self.answered()? {
            ensure!(before.elapsed() < PATIENCE, "no answer within {PATIENCE:?}");
        }
        Ok(())
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
