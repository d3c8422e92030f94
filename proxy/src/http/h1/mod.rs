//! HTTP/1 by the letter: where a message begins and ends, what may be forwarded of it, and what is refused.
//!
//! Pure: bytes in, decisions out; sockets and time are somebody else's. A message is looked at in this order: [`scan`] finds
//! the end of its head, [`request`] or [`response`] reads the head in place and decides once how long the message is, the
//! head is forwarded with the edits that the next hop needs (`forward`), and [`body`] tells where the message ends.
//!
//! Invariant: a message that two readers of RFC 9112 could understand differently, as to where it ends or whom it is for,
//! is refused, with one [`Refusal`] that logs and metrics name. What is not refused keeps its own bytes: the case and order
//! of names, repeated fields, the reason phrase, chunk extensions and trailers.

pub mod body;
mod chunked;
mod connection;
mod fields;
mod forward;
mod refusal;
pub mod request;
pub mod response;
pub mod scan;
#[cfg(test)]
mod tests;

pub use chunked::Chunked;
pub(crate) use connection::{Connection, LINGER, MOST_INTERIM, Means};
pub use fields::{MOST_FIELDS, Room, Version};
pub use forward::Hop;
pub use refusal::Refusal;
pub(super) use refusal::Unended;

/// The most of everything that a message may bring besides its content.
#[derive(clap::Args, Clone, Copy, Debug)]
#[group(skip)]
pub struct Settings {
    /// Bytes that the head of an HTTP/1 message may have
    #[arg(long, env = "REMORA_HTTP_MAX_HEAD", default_value_t = 64 * 1024, value_name = "BYTES",
          value_parser = clap::value_parser!(u32).range(1024..=256 * 1024))]
    pub http_max_head: u32,

    /// Fields that the head of an HTTP/1 message may have, and its trailers again
    #[arg(long, env = "REMORA_HTTP_MAX_FIELDS", default_value_t = 100, value_name = "NUMBER",
          value_parser = clap::value_parser!(u16).range(1..=MOST_FIELDS as i64))]
    pub http_max_fields: u16,

    /// Bytes that the extensions of one chunk may have
    #[arg(long, env = "REMORA_HTTP_MAX_CHUNK_EXTENSION", default_value_t = 1024, value_name = "BYTES")]
    pub http_max_chunk_extension: u32,

    /// Bytes that the trailers of an HTTP/1 message may have
    #[arg(long, env = "REMORA_HTTP_MAX_TRAILERS", default_value_t = 16 * 1024, value_name = "BYTES")]
    pub http_max_trailers: u32,
}
