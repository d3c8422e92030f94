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
    let both = async {
        let to_server = copy(client, Broken::Client, server, received);
        tokio::try_join!(to_server, copy(server, Broken::Server, client, sent)).map(drop)
    };
    // A leg that is not being read, since its direction has ended or its bytes are not taken, can be reset unnoticed; so
    // can one that is written to, while an answer waits in it. A leg that is being read says so itself, after its last
    // byte; so the directions come first.
    tokio::select! {
        biased;
        ended = both => ended,
        error = client.broken() => Err(Broken::Client(error)),
        error = server.broken() => Err(Broken::Server(error)),
    }
}

/// One direction, until its source has ended and that end was passed on. It does not return when writing has failed.
async fn copy(
    from: &Leg,
    from_broken: fn(io::Error) -> Broken,
    to: &Leg,
    count: impl Fn(usize),
) -> Result<(), Broken> {
    loop {
        from.readable().await.map_err(from_broken)?;
        let mut buffer = Vec::with_capacity(CHUNK);
        match from.stream().try_read_buf(&mut buffer) {
            Ok(0) => {
                if let Some(error) = from.failure() {
                    return Err(from_broken(error));
                }
                match to.end_writing() {
                    Ok(()) => return Ok(()),
                    Err(error) => to.fail(&error).await,
                }
            }
            Ok(length) => match write(to, &buffer).await {
                Ok(()) => count(length),
                Err(error) => to.fail(&error).await,
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(from_broken(error)),
        }
    }
}

/// Writes all of `bytes`.
async fn write(to: &Leg, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.stream().try_write(bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => to.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
