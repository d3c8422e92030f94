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
    let mut turn = 0;
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
            Ok(length) => {
                if let Err(error) = write(to, &buffer).await {
                    to.fail(&error).await
                }
                count(length);
                turn += length;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(from_broken(error)),
        }
        // Tokio's own budget would let a fast source carry 128 chunks, some milliseconds, before another connection's turn.
        if turn >= CHUNK {
            turn = 0;
            drop(buffer);
            tokio::task::yield_now().await;
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::io::Write;
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{CHUNK, Leg, relay};

    fn pair() -> (Leg, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        ours.set_nonblocking(true).unwrap();
        (Leg::new(tokio::net::TcpStream::from_std(ours).unwrap()), listener.accept().unwrap().0)
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_fast_transfer_gives_others_their_turn() {
        let ((client, mut sender), (server, mut receiver)) = (pair(), pair());
        let total = 512 * CHUNK;
        let feed = std::thread::spawn(move || sender.write_all(&vec![0; total]));
        let drain = std::thread::spawn(move || io::copy(&mut receiver, &mut io::sink()));
        let (carried, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let count = |bytes| {
            let carried = carried.fetch_add(bytes, Ordering::Relaxed) + bytes;
            most.fetch_max(carried, Ordering::Relaxed);
        };
        let others = async {
            loop {
                carried.store(0, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            ended = relay(&client, &server, count, |_| ()) => ended.unwrap(),
            () = others => {}
        }
        feed.join().unwrap().unwrap();
        assert_eq!(drain.join().unwrap().unwrap(), total as u64);
        let most = most.into_inner();
        assert!(most < 2 * CHUNK, "{most} bytes in one turn");
    }
}
