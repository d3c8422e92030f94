//! HTTP/2 on both faces, by the h2 crate: what a client sends on a stream is sent on a stream of the server, and back.
//!
//! A client's connection (`connection`) has its requests' servers (`servers`), each reached over a connection (`server`) that is its
//! own or is shared with other clients (`links`). A stream is a request that comes to one of them (`asking`) and its response (`stream`), and each of the two is a head (`head`), content with its trailers (`content`), or the reset that ended it. Frames are looked at as
//! they pass (`meter`, through `metered`), since h2 has no bound for some of those that carry nothing.
//!
//! Not kept, since h2 does not keep it: the order of fields of different names, that a field must not be indexed (no other peer's
//! fields are compressed with it), a fragment in a path, the scheme of a request without authority, pseudo-header fields
//! where they must not be, where frames begin and end, priorities (RFC 9113, section 5.3, has abolished them) and pushes, which servers are
//! told not to make. Invariant: memory is bounded for each connection by what peers were told (windows, streams, sizes of heads),
//! whatever a peer does not read.

mod alive;
mod asking;
mod begun;
mod broken;
mod connection;
mod content;
mod face;
mod grpc;
mod head;
mod links;
pub mod meter;
mod metered;
mod parts;
mod portion;
mod quiet;
mod refusal;
mod server;
mod servers;
mod shared;
mod slots;
mod stream;
mod stuck;
#[cfg(test)]
mod tests;
mod timers;
mod window;

use std::time::Duration;

pub use refusal::Refusal;
use runtime::duration;

use crate::http::Http;
use crate::net::leg::Leg;
use crate::net::relay::Relay;
use crate::telemetry::connections::Side;
use crate::telemetry::session::{End, Session};
use crate::upstream::{Dialed, Upstream};
use connection::{Connection, Ends};
use head::Most;
use metered::Seen;

/// What peers are told, and held to.
#[derive(clap::Args, Clone, Copy, Debug)]
#[group(skip)]
pub struct Settings {
    /// Requests that a client may have open at once on an HTTP/2 connection; what a server takes fewer of waits
    #[arg(long, env = "REMORA_HTTP2_MAX_STREAMS", default_value_t = 1024, value_name = "NUMBER",
          value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub http2_max_streams: u32,

    /// Bytes of a stream's content that are taken before its reader took them
    #[arg(long, env = "REMORA_HTTP2_STREAM_WINDOW", default_value_t = 1024 * 1024, value_name = "BYTES",
          value_parser = clap::value_parser!(u32).range(WINDOW..=MOST_WINDOW))]
    pub http2_stream_window: u32,

    /// The same for all streams of a connection, once it carries much and memory suffices; before, it is 65,535. What waits for
    /// slow readers comes on top, as memory suffices
    #[arg(long, env = "REMORA_HTTP2_CONNECTION_WINDOW", default_value_t = 4 * 1024 * 1024, value_name = "BYTES",
          value_parser = clap::value_parser!(u32).range(WINDOW..=MOST_WINDOW))]
    pub http2_connection_window: u32,

    /// Bytes that the fields of an HTTP/2 message may have, each with 32 more, as RFC 9113 counts them
    #[arg(long, env = "REMORA_HTTP2_MAX_HEAD", default_value_t = 64 * 1024, value_name = "BYTES",
          value_parser = clap::value_parser!(u32).range(1024..=256 * 1024))]
    pub http2_max_head: u32,

    /// Fields that an HTTP/2 message may have, and its trailers again
    #[arg(long, env = "REMORA_HTTP2_MAX_FIELDS", default_value_t = 200, value_name = "NUMBER",
          value_parser = clap::value_parser!(u16).range(1..))]
    pub http2_max_fields: u16,

    /// How long the peer of an HTTP/2 connection may be silent, while streams are open, before it is asked whether it is there
    // gRPC's servers leave who asks them for the third time within 5 minutes each without data between (too_many_pings).
    #[arg(long, env = "REMORA_HTTP2_PING_INTERVAL", default_value = "6m", value_name = "DURATION",
          value_parser = duration::within(duration::SHORTEST..=duration::DAY))]
    pub http2_ping_interval: Duration,

    /// How long that peer may take to answer; then the connection ends
    #[arg(long, env = "REMORA_HTTP2_PING_TIMEOUT", default_value = "20s", value_name = "DURATION",
          value_parser = duration::within(duration::SHORTEST..=duration::DAY))]
    pub http2_ping_timeout: Duration,
}

/// RFC 9113, section 6.9.2: what a connection begins with, and it cannot be less.
const WINDOW: i64 = 65_535;
const MOST_WINDOW: i64 = 64 * 1024 * 1024;

/// Windows change in steps of so many bytes.
const STEP: usize = 16 * 1024;

/// What a connection may take with one to a server while both carry content: some 51 KiB when nothing is carried, and buffers that have
/// grown.
pub(crate) const MEMORY: u64 = 128 * 1024;

/// Frames that carry nothing, of all kinds together, and streams that break rules.
pub(crate) use meter::{MOST_BROKEN, MOST_USELESS};

/// How often a request is tried: after these the client may do so itself.
pub(crate) const MOST_ATTEMPTS: u32 = 3;

/// Connections to servers that nobody needs.
pub(crate) const MOST_SERVERS: usize = 100;

/// Connections to the same server that clients share, where one has no room.
pub(crate) const MOST_EACH: usize = 16;

/// Streams that were reset and of which frames may still come, and how long: for the longest way there and back.
const REMEMBERED: usize = 1024;
const REMEMBERED_FOR: Duration = Duration::from_secs(2);

/// Streams that may be reset while they wait to be looked at. The meter has its own bound, which is lower for who has not earned more.
const MOST_UNSEEN: usize = 2_000;

/// h2's measure for frames of content below 256 bytes that wait within h2: what they are short of that, in all. In one turn
/// there are some thousand frames of a few bytes; then all have been taken, but for those that wait for a server. h2 also counts
/// those that it ignores, for the connection's whole life.
const SMALL_FRAMES: usize = 4 * 1024 * 1024;
const SMALL: u32 = 256;

/// Streams that are opened before the server has said how many it takes (RFC 9113, section 6.5.2: no fewer than 100).
const UNTOLD_STREAMS: usize = 100;

/// What carries HTTP, apart from the two ends.
#[derive(Clone, Copy)]
pub(crate) struct Means<'a> {
    pub(crate) relay: &'a Relay,
    pub(crate) http: &'a Http,
}

/// Carries the streams of a client to their servers and back until the client's connection has ended, and tells how. `first` is
/// the server that was reached before there was a request, or why it was not. Where no server is, a request is answered.
pub(crate) async fn carry(
    (client, first): (Leg, Option<Result<Dialed, End>>),
    upstream: &impl Upstream,
    session: &Session,
    means: Means<'_>,
) -> End {
    session.speaks_http();
    session.uses_links();
    let Some(_share) = means.relay.share(MEMORY) else {
        return session.lacks_memory();
    };
    // Apart, since the greetings are long over while the connection is there.
    match Box::pin(Connection::open(Ends { client, first, upstream }, session, means)).await {
        Ok(mut connection) => {
            let ended = connection.run().await;
            connection.leave(ended).end().await
        }
        Err(end) => end,
    }
}

/// How a connection has ended that broke: because of what came over it, or of the peer's end.
fn ended_by(error: &::h2::Error, seen: &Seen, side: Side) -> End {
    leave(error, seen);
    match seen.left() {
        Some(code) => End::refused(side, code),
        None => End::gone(side, format!("{}: {error}", side.name())),
    }
}

/// Says why a peer is left, if it is h2 that has found it.
fn leave(error: &::h2::Error, seen: &Seen) {
    if let Some(reason) = error.reason().filter(|_| error.is_library()) {
        seen.leave(broken::left_for(reason));
    }
}

impl Settings {
    fn most(&self) -> Most {
        let head = usize::try_from(self.http2_max_head).unwrap_or(usize::MAX);
        Most { fields: self.http2_max_fields.into(), head }
    }

    /// As a server.
    fn facing_client(&self) -> ::h2::server::Builder {
        let mut builder = ::h2::server::Builder::new();
        builder
            .max_concurrent_streams(self.http2_max_streams)
            .initial_window_size(self.http2_stream_window)
            .max_frame_size(meter::FRAME_SIZE)
            // Twice, since h2 only tells of heads that it has left something out (`head`).
            .max_header_list_size(2 * self.http2_max_head)
            .max_send_buffer_size(self.http2_stream_window as usize)
            .max_concurrent_reset_streams(REMEMBERED)
            .reset_stream_duration(REMEMBERED_FOR)
            // The meter has an account for them; h2 would count for the connection's whole life.
            .max_local_error_reset_streams(None)
            .max_pending_accept_reset_streams(MOST_UNSEEN)
            .data_frame_budget(SMALL_FRAMES);
        builder
    }

    /// As a client.
    fn facing_server(&self) -> ::h2::client::Builder {
        let mut builder = ::h2::client::Builder::new();
        builder
            .enable_push(false)
            .initial_max_send_streams(UNTOLD_STREAMS)
            .initial_window_size(self.http2_stream_window)
            .max_frame_size(meter::FRAME_SIZE)
            // Twice, since h2 only tells of heads that it has left something out (`head`).
            .max_header_list_size(2 * self.http2_max_head)
            .max_send_buffer_size(self.http2_stream_window as usize)
            .max_concurrent_reset_streams(REMEMBERED)
            .reset_stream_duration(REMEMBERED_FOR)
            .max_local_error_reset_streams(None)
            .data_frame_budget(SMALL_FRAMES);
        builder
    }
}
