//! The only sockets of carried traffic: listen, accept, find the original destination, dial, relay.
//!
//! It knows no policy and writes no log line about a connection that was carried. Invariant: a stream that is dropped
//! before both directions ended in good order is reset ([`leg`]), so that a truncation never looks like an end.

pub mod accept;
pub mod capacity;
pub mod dead_peers;
mod diag;
pub mod dial;
pub mod leg;
pub mod listen;
pub mod original_dst;
pub(crate) mod peek;
pub mod relay;
