//! RFC 9113 and RFC 7541 by section: frames that a peer may send, and what becomes of it when it sends something else.
//!
//! [`server_face()`] is a client's, [`client_face()`] a server's. A stream error may be answered as an error of the connection (RFC
//! 9113, section 5.4); the other way round is a failure.

mod became;
mod client_face;
mod server_face;

pub use client_face::client_face;
pub use server_face::{preflight, server_face};
