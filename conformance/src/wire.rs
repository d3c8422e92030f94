//! A connection to whoever is under test, over whatever carries its bytes. It knows no protocol.
//!
//! Invariant: nothing is waited for longer than the connection's patience.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// What carries bytes both ways.
pub trait Bytes: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Bytes for T {}

/// Why nothing more comes, or is taken.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// In good order.
    #[error("the connection ended")]
    Ended,
    /// By a reset, or because nobody is there any more.
    #[error("the connection broke off ({0})")]
    Broken(io::Error),
    /// For as long as the patience lasts.
    #[error("nothing happened for {0:?}")]
    Silent(Duration),
}

/// A client of whoever is under test, and where its server is awaited.
pub struct Ends {
    /// Connected to whoever is under test.
    pub client: TcpStream,
    /// To which whoever is under test connects for this client, and for no other.
    pub listener: TcpListener,
}

/// The next connection.
pub(crate) async fn accept(listener: &TcpListener, patience: Duration) -> Result<TcpStream, Stop> {
    match timeout(patience, listener.accept()).await {
        Ok(Ok((stream, _))) => {
            // Pieces are segments.
            stream.set_nodelay(true).map_err(Stop::Broken)?;
            Ok(stream)
        }
        Ok(Err(error)) => Err(Stop::Broken(error)),
        Err(_) => Err(Stop::Silent(patience)),
    }
}

/// A connection, and what has come and was not looked at.
pub struct Connection<S> {
    stream: S,
    unread: Vec<u8>,
    patience: Duration,
}

impl<S: Bytes> Connection<S> {
    /// No event on `stream` is waited for longer than `patience`.
    pub fn new(stream: S, patience: Duration) -> Self {
        Self { stream, unread: Vec::new(), patience }
    }

    /// Writes all.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Stop> {
        match timeout(self.patience, self.stream.write_all(bytes.as_ref())).await {
            Ok(written) => written.map_err(Stop::Broken),
            Err(_) => Err(Stop::Silent(self.patience)),
        }
    }

    /// Writes all, and takes what comes meanwhile: nobody who is written to waits for a reader.
    pub async fn send_reading(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Stop> {
        let (mut from, mut to) = split(&mut self.stream);
        let (mut rest, mut has_ended) = (bytes.as_ref(), false);
        while !rest.is_empty() {
            let next = async {
                tokio::select! {
                    biased;
                    read = from.read_buf(&mut self.unread), if !has_ended => {
                        has_ended = read? == 0;
                        Ok(0)
                    }
                    written = to.write(rest) => written,
                }
            };
            let written = match timeout(self.patience, next).await {
                Ok(written) => written.map_err(Stop::Broken)?,
                Err(_) => return Err(Stop::Silent(self.patience)),
            };
            rest = rest.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// Waits until there is more in [`Self::unread`].
    pub async fn fill(&mut self) -> Result<(), Stop> {
        match timeout(self.patience, self.stream.read_buf(&mut self.unread)).await {
            Ok(Ok(0)) => Err(Stop::Ended),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Stop::Broken(error)),
            Err(_) => Err(Stop::Silent(self.patience)),
        }
    }

    /// What has come.
    pub fn unread(&self) -> &[u8] {
        &self.unread
    }

    /// The first `length` bytes of what has come, or all.
    pub fn take(&mut self, length: usize) -> Vec<u8> {
        self.unread.drain(..length.min(self.unread.len())).collect()
    }

    /// What carries the bytes; those that have come are lost.
    pub fn into_inner(self) -> S {
        self.stream
    }
}
