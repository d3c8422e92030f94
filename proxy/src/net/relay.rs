//! Carrying bytes both ways between two legs until both directions have ended.
//!
//! Invariant: what is passed on is what came, in order, with its end: FIN as FIN (one direction ends, the other goes on),
//! and anything else as an error that names the leg, upon which the caller drops both, which resets them.
//!
//! An idle connection holds no buffer: one is taken when there is something to read and given back when there is not.
//! A direction whose reader is slow holds one buffer, and is not read further.

use std::io;

use super::leg::Leg;

/// The most that one read takes, and so the most that a direction holds.
const CHUNK: usize = 64 * 1024;

/// A leg failed.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The client's.
    #[error("client: {0}")]
    Client(io::Error),
    /// The server's.
    #[error("server: {0}")]
    Server(io::Error),
}

/// Relays until both sides have ended; each callback is told how many bytes went by: `received` from the client,
/// `sent` to the client.
pub(crate) async fn relay(
    client: &Leg,
    server: &Leg,
    received: impl Fn(usize),
    sent: impl Fn(usize),
) -> Result<(), Broken> {
    let mut to_server = std::pin::pin!(copy((client, Broken::Client), (server, Broken::Server), received));
    let mut to_client = std::pin::pin!(copy((server, Broken::Server), (client, Broken::Client), sent));
    // After one direction has ended nobody reads its source any more, and so nobody would see it being reset.
    tokio::select! {
        biased;
        ended = &mut to_server => {
            ended?;
            tokio::select! { biased; ended = to_client => ended, error = client.broken() => Err(Broken::Client(error)) }
        }
        ended = &mut to_client => {
            ended?;
            tokio::select! { biased; ended = to_server => ended, error = server.broken() => Err(Broken::Server(error)) }
        }
    }
}

/// A leg and how its failures are named.
type Named<'a> = (&'a Leg, fn(io::Error) -> Broken);

/// One direction, until its source has ended and that end was passed on.
async fn copy(
    (from, from_broken): Named<'_>,
    (to, to_broken): Named<'_>,
    count: impl Fn(usize),
) -> Result<(), Broken> {
    loop {
        from.stream().readable().await.map_err(from_broken)?;
        let mut buffer = Vec::with_capacity(CHUNK);
        match from.stream().try_read_buf(&mut buffer) {
            Ok(0) => return to.end_writing().map_err(to_broken),
            Ok(length) => {
                write((from, from_broken), (to, to_broken), &buffer).await?;
                count(length);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(from_broken(error)),
        }
    }
}

/// Writes all of `bytes`. While `to` takes nothing, `from` is not read; that it was reset must be seen nevertheless.
async fn write(
    (from, from_broken): Named<'_>,
    (to, to_broken): Named<'_>,
    mut bytes: &[u8],
) -> Result<(), Broken> {
    while !bytes.is_empty() {
        match to.stream().try_write(bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::select! {
                    biased;
                    ready = to.stream().writable() => ready.map_err(to_broken)?,
                    error = from.broken() => return Err(from_broken(error)),
                }
            }
            Err(error) => return Err(to_broken(error)),
        }
    }
    Ok(())
}
