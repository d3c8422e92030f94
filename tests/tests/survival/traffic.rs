//! Applications whose every byte is checked.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

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
