//! A client's connection: asks, and knows when it has been answered.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use socket2::{Domain, Socket, Type};
use tests::peer::PATIENCE;

use crate::backend::Service;
use crate::protocol::{Asking, Protocol};
use crate::way::Way;

/// More than an answer has.
const BUFFER: usize = 4096;

/// A connection on which one request at a time is asked.
pub(crate) struct Client {
    stream: TcpStream,
    asking: Asking,
}

impl Client {
    /// Connects and waits for it. What follows waits, too.
    pub(crate) fn connect(way: Way, protocol: Protocol) -> Result<Self> {
        Self::connect_to(way.to(Service::Exchange(protocol)), protocol)
    }

    /// The same, to an application that is elsewhere.
    pub(crate) fn connect_to(to: SocketAddr, protocol: Protocol) -> Result<Self> {
        let stream =
            TcpStream::connect_timeout(&to, PATIENCE).with_context(|| format!("connecting to {to}"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self::new(stream, protocol))
    }

    /// The same, for many at once: nothing that follows waits.
    pub(crate) fn connect_without_waiting(way: Way, protocol: Protocol) -> Result<Self> {
        let to = way.to(Service::Exchange(protocol));
        let socket = Socket::new(Domain::for_address(to), Type::STREAM.nonblocking().cloexec(), None)?;
        match socket.connect(&to.into()) {
            Err(error) if error.raw_os_error() != Some(Errno::EINPROGRESS as i32) => {
                Err(error).with_context(|| format!("connecting to {to}"))
            }
            _ => Ok(Self::new(socket.into(), protocol)),
        }
    }

    fn new(stream: TcpStream, protocol: Protocol) -> Self {
        Self { stream, asking: Asking::new(protocol) }
    }

    /// Nothing that follows waits.
    pub(crate) fn without_waiting(self) -> Result<Self> {
        self.stream.set_nonblocking(true)?;
        Ok(self)
    }

    /// Sends a request, for which there is always room.
    pub(crate) fn ask(&mut self) -> Result<()> {
        self.stream.write_all(&self.asking.request()).context("asking")
    }

    /// Reads; tells whether the answer is complete now. One that is not what was asked for is an error.
    pub(crate) fn answered(&mut self) -> Result<bool> {
        let mut buffer = [0; BUFFER];
        match self.stream.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            read => {
                let came = buffer.get(..read.context("waiting for an answer")?).unwrap_or_default();
                ensure!(!came.is_empty(), "the connection was ended before the answer");
                let (is_whole, replies) = self.asking.take(came).context("an answer")?;
                if !replies.is_empty() {
                    self.stream.write_all(&replies).context("answering")?;
                }
                Ok(is_whole)
            }
        }
    }

    /// Asks and waits for the whole answer; for a connection that waits.
    pub(crate) fn exchange(&mut self) -> Result<()> {
        self.ask()?;
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
