//! The conformance crate's peer of HTTP/2, in tests where everything that is waited for comes.

use std::time::Duration;

pub(super) use conformance::frames::*;
use conformance::wire::{Connection, Stop};
use tokio::net::TcpStream;

/// No event is waited for longer.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A connection.
pub(super) struct Raw(Peer<TcpStream>);

impl Raw {
    pub(super) fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self(Peer::new(Connection::new(stream, PATIENCE)))
    }

    /// Writes all, unless the other side has gone.
    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Stop> {
        in_time(self.0.send(bytes).await)
    }

    /// Greets as a client, and reads nothing.
    pub(super) async fn greet(&mut self, values: &[(u16, u32)]) {
        self.0.greet(values).await.unwrap();
    }

    /// Greets as a server, after the client's preface has come.
    pub(super) async fn welcome(&mut self, values: &[(u16, u32)]) {
        self.0.welcome(values).await.unwrap();
    }

    /// The next frame; none when the other side has ended, or reset, the connection.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        in_time(self.0.next().await).ok()
    }

    /// The next frame for which `wanted` has something.
    pub(super) async fn wait_for<T>(&mut self, mut wanted: impl FnMut(&Frame) -> Option<T>) -> T {
        let mut seen = vec![];
        while let Some(frame) = self.next().await {
            if let Some(found) = wanted(&frame) {
                return found;
            }
            seen.push((frame.kind, frame.flags, frame.stream, frame.payload.len()));
        }
        panic!("the connection has ended after {seen:?}");
    }

    /// The next frame of this type.
    pub(super) async fn next_of(&mut self, kind: u8) -> Frame {
        self.wait_for(|frame| (frame.kind == kind).then(|| frame.clone())).await
    }

    /// The proxy has seen to all that was sent before.
    pub(super) async fn is_heard(&mut self) {
        self.send(ping(&[0; 8])).await.unwrap();
        self.next_of(PING).await;
    }

    /// The socket.
    pub(super) fn into_stream(self) -> TcpStream {
        self.0.into_inner()
    }
}

/// What does not come is a failure.
fn in_time<T>(result: Result<T, Stop>) -> Result<T, Stop> {
    match result {
        Err(stop @ Stop::Silent(_)) => panic!("{stop}"),
        other => other,
    }
}
