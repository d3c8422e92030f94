//! The header of the PROXY protocol, versions 1 and 2, by which load balancers tell servers for whom they call. What follows it may
//! be anything, HTTP too, and is the server's to read: this proxy does not take the word of whoever calls for an address.
//!
//! Source: "The PROXY protocol", sections 2.1 and 2.2. It reads no address; no header of HTTP begins so.

use super::Found;

/// Section 2.2: what a server of another protocol takes for nonsense, and leaves.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Section 2.1: a line for people.
const LINES: [&[u8]; 3] = [b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN"];

/// Reads the beginning of a stream that is no HTTP.
pub(super) fn read(bytes: &[u8]) -> Found {
    if bytes.starts_with(SIGNATURE) || LINES.iter().any(|line| bytes.starts_with(line)) {
        Found::Proxied
    } else if SIGNATURE.starts_with(bytes) {
        Found::Begun
    } else {
        Found::Nothing
    }
}
