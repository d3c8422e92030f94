//! HTTP/2 written by hand, byte for byte, and read by a parser of its own: nothing here keeps anybody from breaking a rule.
//!
//! [`Peer`] is a connection of frames; the rest makes what it sends.

mod decoder;
mod fields;
mod frame;
mod huffman;
mod peer;

pub use decoder::{Decoder, Field};
pub use fields::{GET, block, get_with, literal, never_indexed, post_with};
pub use frame::Frame;
pub use peer::{Peer, codes, read_to_the_last};

/// What a client begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// RFC 9113, section 6.1.
pub const DATA: u8 = 0;
/// RFC 9113, section 6.2.
pub const HEADERS: u8 = 1;
/// RFC 9113, section 6.3.
pub const PRIORITY: u8 = 2;
/// RFC 9113, section 6.4.
pub const RST_STREAM: u8 = 3;
/// RFC 9113, section 6.5.
pub const SETTINGS: u8 = 4;
/// RFC 9113, section 6.6.
pub const PUSH_PROMISE: u8 = 5;
/// RFC 9113, section 6.7.
pub const PING: u8 = 6;
/// RFC 9113, section 6.8.
pub const GOAWAY: u8 = 7;
/// RFC 9113, section 6.9.
pub const WINDOW_UPDATE: u8 = 8;
/// RFC 9113, section 6.10.
pub const CONTINUATION: u8 = 9;

/// Of SETTINGS and PING.
pub const ACK: u8 = 0x1;
/// Of DATA and HEADERS.
pub const END_STREAM: u8 = 0x1;
/// Of HEADERS, PUSH_PROMISE and CONTINUATION.
pub const END_HEADERS: u8 = 0x4;
/// Of DATA, HEADERS and PUSH_PROMISE.
pub const PADDED: u8 = 0x8;
/// Of HEADERS.
pub const WITH_PRIORITY: u8 = 0x20;

/// RFC 9113, section 7, as all codes are.
pub const NO_ERROR: u32 = 0;
/// A rule was broken.
pub const PROTOCOL_ERROR: u32 = 1;
/// Something went wrong.
pub const INTERNAL_ERROR: u32 = 2;
/// More than a window was sent, or a window is too large.
pub const FLOW_CONTROL_ERROR: u32 = 3;
/// A frame of a stream that has ended.
pub const STREAM_CLOSED: u32 = 5;
/// A frame is too long, or of a wrong length.
pub const FRAME_SIZE_ERROR: u32 = 6;
/// Nothing was done for the stream.
pub const REFUSED_STREAM: u32 = 7;
/// The stream is not wanted any more.
pub const CANCEL: u32 = 8;
/// Fields cannot be decompressed.
pub const COMPRESSION_ERROR: u32 = 9;
/// Too much work.
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame, of which the length is what the payload has.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    long_frame(payload.len(), kind, flags, stream, payload)
}

/// A frame that says to be of another length; no frame can say more than 2^24 - 1.
pub fn long_frame(length: usize, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [.., l1, l2, l3] = length.to_be_bytes();
    let mut frame = vec![l1, l2, l3, kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// SETTINGS, each with its number and value.
pub fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = vec![];
    for (id, value) in values {
        payload.extend(id.to_be_bytes());
        payload.extend(value.to_be_bytes());
    }
    frame(SETTINGS, 0, 0, payload)
}

/// RST_STREAM.
pub fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, code.to_be_bytes())
}

/// WINDOW_UPDATE.
pub fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, increment.to_be_bytes())
}

/// PING that is no answer.
pub fn ping(payload: &[u8; 8]) -> Vec<u8> {
    frame(PING, 0, 0, payload)
}

/// GOAWAY, with the last stream that was or will be taken.
pub fn goaway(last: u32, code: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, [last.to_be_bytes(), code.to_be_bytes()].concat())
}

/// HEADERS.
pub fn headers(stream: u32, flags: u8, block: impl AsRef<[u8]>) -> Vec<u8> {
    frame(HEADERS, flags, stream, block)
}

/// A request without content.
pub fn get(stream: u32) -> Vec<u8> {
    headers(stream, END_STREAM | END_HEADERS, get_with(&[]))
}

/// A request whose content follows.
pub fn post(stream: u32) -> Vec<u8> {
    headers(stream, END_HEADERS, post_with(&[]))
}
