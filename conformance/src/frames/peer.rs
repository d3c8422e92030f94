//! A connection of frames.

use super::{ACK, Frame, PING, PREFACE, SETTINGS, frame, ping, settings};
use crate::wire::{Bytes, Connection, Stop};

/// Either side of it.
pub struct Peer<S> {
    connection: Connection<S>,
}

impl<S: Bytes> Peer<S> {
    /// Nothing was sent or read yet.
    pub fn new(connection: Connection<S>) -> Self {
        Self { connection }
    }

    /// Writes all, unless the other side has gone.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Stop> {
        self.connection.send(bytes).await
    }

    /// The same, and takes what comes meanwhile.
    pub async fn send_reading(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Stop> {
        self.connection.send_reading(bytes).await
    }

    /// Greets as a client, and reads nothing.
    pub async fn greet(&mut self, values: &[(u16, u32)]) -> Result<(), Stop> {
        self.send([PREFACE, &settings(values), &frame(SETTINGS, ACK, 0, [])].concat()).await
    }

    /// Greets as a server, after the client's preface has come.
    pub async fn welcome(&mut self, values: &[(u16, u32)]) -> Result<(), Stop> {
        self.read_preface().await?;
        self.send([settings(values), frame(SETTINGS, ACK, 0, [])].concat()).await
    }

    /// Waits for the client's preface. What does not begin with it has ended for us.
    pub async fn read_preface(&mut self) -> Result<(), Stop> {
        while self.connection.unread().len() < PREFACE.len() {
            self.connection.fill().await?;
        }
        if self.connection.take(PREFACE.len()) == PREFACE { Ok(()) } else { Err(Stop::Ended) }
    }

    /// The next frame.
    pub async fn next(&mut self) -> Result<Frame, Stop> {
        loop {
            if let Some(frame) = self.take() {
                return Ok(frame);
            }
            self.connection.fill().await?;
        }
    }

    fn take(&mut self) -> Option<Frame> {
        let [l1, l2, l3, kind, flags, s1, s2, s3, s4] = *self.connection.unread().first_chunk()?;
        let length = 9 + u32::from_be_bytes([0, l1, l2, l3]) as usize;
        if self.connection.unread().len() < length {
            return None;
        }
        let payload = self.connection.take(length).split_off(9);
        Some(Frame { kind, flags, stream: u32::from_be_bytes([s1, s2, s3, s4]), payload })
    }

    /// The next frame for which `wanted` has something.
    pub async fn wait_for<T>(&mut self, mut wanted: impl FnMut(&Frame) -> Option<T>) -> Result<T, Stop> {
        loop {
            if let Some(found) = wanted(&self.next().await?) {
                return Ok(found);
            }
        }
    }

    /// The next frame of this type.
    pub async fn next_of(&mut self, kind: u8) -> Result<Frame, Stop> {
        self.wait_for(|frame| (frame.kind == kind).then(|| frame.clone())).await
    }

    /// What carries the bytes; those that have come are lost.
    pub fn into_inner(self) -> S {
        self.connection.into_inner()
    }
}

/// What was caused by the frames before the first has come before the answer of the last.
const PINGS: [[u8; 8]; 3] = [*b"test one", *b"test two", *b"test end"];

/// All frames up to the answer of the last PING, or what came before the connection stopped, and how it did.
pub async fn read_to_the_last<S: Bytes>(peer: &mut Peer<S>) -> (Vec<Frame>, Option<Stop>) {
    let mut frames = vec![];
    for payload in &PINGS {
        // The other side may be gone before all is written.
        let _: Result<(), Stop> = peer.send(ping(payload)).await;
        loop {
            let frame = match peer.next().await {
                Ok(frame) => frame,
                Err(stop) => return (frames, Some(stop)),
            };
            let is_answer = frame.kind == PING && frame.flags & ACK != 0 && frame.payload == payload;
            frames.push(frame);
            if is_answer {
                break;
            }
        }
    }
    (frames, None)
}

/// The codes of all frames of this type, of RST_STREAM and GOAWAY.
pub fn codes(frames: &[Frame], kind: u8) -> Vec<u32> {
    frames.iter().filter(|frame| frame.kind == kind).map(Frame::code).collect()
}
