//! Applications whose every byte is checked.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tests::meshed::PATIENCE;

/// Bytes that no other `seed` gives.
pub(crate) fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    bytes
}

/// A connection whose reads and writes do not wait for ever.
pub(crate) fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Nothing comes on a connection for `time`.
pub(crate) fn silent_for(time: Duration, mut stream: &TcpStream) {
    let before = stream.read_timeout().expect("the option");
    stream.set_read_timeout(Some(time)).expect("the option");
    assert_eq!(stream.read(&mut [0]).expect_err("nobody speaks").kind(), ErrorKind::WouldBlock);
    stream.set_read_timeout(before).expect("the option");
}

/// Waits until `condition` holds, for what happens a moment later and tells nobody.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < give_up, "{what}: not within {PATIENCE:?}");
        std::thread::yield_now();
    }
}

/// Sends `bytes` and their end, and takes what comes back meanwhile to its end. What came back is right or it panics; an
/// error is of the connection.
pub(crate) fn echo(target: SocketAddr, bytes: &[u8]) -> io::Result<()> {
    let mut stream = connect(target)?;
    let mut sender = stream.try_clone()?;
    let mut back = Vec::new();
    let (sent, received) = std::thread::scope(|scope| {
        let sending = scope.spawn(move || {
            sender.write_all(bytes)?;
            sender.shutdown(Shutdown::Write)
        });
        let received = stream.read_to_end(&mut back);
        (sending.join().expect("a thread that ends"), received)
    });
    assert!(bytes.starts_with(&back), "{} bytes came back, and other ones", back.len());
    received?;
    sent?;
    assert_eq!(back.len(), bytes.len(), "a clean end before all has come back");
    Ok(())
}
