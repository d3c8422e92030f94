//! Distributed tracing: which trace a request belongs to, and what the next hop is told of it.
//!
//! Invariant: ids and decisions that were given are never changed.

#[expect(dead_code, reason = "spans are about to use it")]
mod context;
#[expect(dead_code, reason = "spans are about to use it")]
mod sampling;

pub use sampling::Share;
