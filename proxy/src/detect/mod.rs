//! What is spoken on a connection, told by the first bytes of its client: TLS, HTTP/1, HTTP/2, or something else, of which the
//! PROXY protocol is known by name.
//!
//! Pure: bytes in, an answer out; who gets the bytes, and who decides when none come, is `first_speaker`. Invariant: an
//! answer that was given for some bytes stands, whatever follows them; no bytes make it panic, and no more than [`LIMIT`]
//! of them are looked at.

mod client_hello;
mod hint;
mod http;
mod memory;
mod ports;
mod proxy_protocol;

use std::sync::Arc;
use std::time::Duration;

pub use client_hello::ClientHello;
pub use hint::Hint;
pub use http::is_http2_greeting;
pub(crate) use http::is_token;
pub use memory::Memory;
pub use ports::Ports;

/// The most that is looked at. ClientHellos have 200 to 2,000 bytes, and request lines of over 8 KiB are refused by most
/// servers; what is longer and looks like one is taken for one.
pub const LIMIT: usize = 16 * 1024;

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Protocol {
    /// TLS, whatever is inside.
    Tls,
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2 with prior knowledge.
    Http2,
    /// Anything else.
    Opaque,
}

impl Protocol {
    /// As logs and labels name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Http1 => "http1",
            Self::Http2 => "http2",
            Self::Opaque => "opaque",
        }
    }
}

/// Why a protocol is taken for the one that is spoken.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Reason {
    /// The client's first bytes are those of the protocol.
    FirstBytes,
    /// They are those of no protocol that is known.
    Unrecognized,
    /// The first record or head is longer than [`LIMIT`].
    TooLong,
    /// The first record or head stopped before it was whole.
    Incomplete,
    /// A side ended before the client had said enough.
    Ended,
    /// The server was the first to say something.
    ServerFirst,
    /// The port is declared so.
    Hint,
    /// So it was when the destination was looked at last.
    Memory,
}

impl Reason {
    /// As logs and labels name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::FirstBytes => "first_bytes",
            Self::Unrecognized => "unrecognized",
            Self::TooLong => "too_long",
            Self::Incomplete => "incomplete",
            Self::Ended => "ended",
            Self::ServerFirst => "server_first",
            Self::Hint => "hint",
            Self::Memory => "memory",
        }
    }
}

/// The answer about a connection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Detected {
    /// What is spoken.
    pub protocol: Protocol,
    /// Why that is believed.
    pub reason: Reason,
    /// What the client asked for, where it is TLS.
    pub hello: Option<Arc<ClientHello>>,
}

impl Detected {
    /// All answers that there are, apart from hellos.
    pub const KINDS: [(Protocol, Reason); 14] = [
        (Protocol::Tls, Reason::FirstBytes),
        (Protocol::Tls, Reason::Hint),
        (Protocol::Http1, Reason::FirstBytes),
        (Protocol::Http1, Reason::Hint),
        (Protocol::Http1, Reason::Memory),
        (Protocol::Http2, Reason::FirstBytes),
        (Protocol::Opaque, Reason::FirstBytes),
        (Protocol::Opaque, Reason::Unrecognized),
        (Protocol::Opaque, Reason::TooLong),
        (Protocol::Opaque, Reason::Incomplete),
        (Protocol::Opaque, Reason::Ended),
        (Protocol::Opaque, Reason::ServerFirst),
        (Protocol::Opaque, Reason::Hint),
        (Protocol::Opaque, Reason::Memory),
    ];

    /// A beginning that takes long, where the server has responded by HTTP last.
    pub(crate) const HTTP1_BY_MEMORY: Self =
        Self { protocol: Protocol::Http1, reason: Reason::Memory, hello: None };

    /// Nothing that is known, for this reason.
    pub fn opaque(reason: Reason) -> Self {
        Self { protocol: Protocol::Opaque, reason, hello: None }
    }

    fn by_first_bytes(protocol: Protocol) -> Self {
        Self { protocol, reason: Reason::FirstBytes, hello: None }
    }
}

/// What a client has begun, of which it is not known yet what it is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Begun {
    /// What could become TLS, and nothing else.
    Hello,
    /// What HTTP/2 begins with, as far as it goes. The first letters could be another method's.
    Preface,
    /// Anything else.
    #[default]
    Other,
}

impl Begun {
    /// By its first bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        match bytes {
            _ if is_hello(bytes) => Self::Hello,
            [_, ..] if http::is_preface(bytes) => Self::Preface,
            _ => Self::Other,
        }
    }
}

fn is_hello(bytes: &[u8]) -> bool {
    bytes.first() == Some(&client_hello::FIRST_BYTE)
}

/// What the first bytes of a client tell; none while they could still become several things.
pub fn detect(bytes: &[u8]) -> Option<Detected> {
    let looked_at = bytes.get(..LIMIT).unwrap_or(bytes);
    let found = match looked_at {
        [] => return None,
        _ if is_hello(looked_at) => client_hello::read(looked_at),
        _ => match http::read(looked_at) {
            Found::Nothing => proxy_protocol::read(looked_at),
            found @ (Found::Hello(_)
            | Found::Http1
            | Found::Http2
            | Found::Proxied
            | Found::TooLong
            | Found::Begun) => found,
        },
    };
    match found {
        Found::Hello(hello) => Some(Detected {
            protocol: Protocol::Tls,
            reason: Reason::FirstBytes,
            hello: Some(Arc::new(hello)),
        }),
        Found::Http1 => Some(Detected::by_first_bytes(Protocol::Http1)),
        Found::Http2 => Some(Detected::by_first_bytes(Protocol::Http2)),
        Found::Proxied => Some(Detected::by_first_bytes(Protocol::Opaque)),
        Found::Nothing => Some(Detected::opaque(Reason::Unrecognized)),
        Found::TooLong => Some(Detected::opaque(Reason::TooLong)),
        Found::Begun if looked_at.len() < LIMIT => None,
        // A reader of HTTP says that it is too long, and has a limit of its own.
        Found::Begun if http::asks_for_a_path(looked_at) => Some(Detected::by_first_bytes(Protocol::Http1)),
        Found::Begun => Some(Detected::opaque(Reason::TooLong)),
    }
}

/// What a reader of one protocol says.
#[derive(Debug, Eq, PartialEq)]
enum Found {
    Hello(ClientHello),
    Http1,
    Http2,
    /// The PROXY protocol, with whatever follows.
    Proxied,
    /// It is not the protocol.
    Nothing,
    /// It will be longer than [`LIMIT`].
    TooLong,
    /// It may become the protocol.
    Begun,
}

/// How protocols are detected.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// How long a client's first TLS record or HTTP head may take from its first byte to its last, before it is carried
    /// as bytes of any protocol; a client that says nothing is not bound by it
    #[arg(long, env = "REMORA_DETECTION_TIMEOUT", default_value = "100ms", value_name = "DURATION",
          value_parser = runtime::duration::parse)]
    pub detection_timeout: Duration,

    /// Destinations of which each worker remembers, at 50 bytes each, that they spoke no known protocol, so that most
    /// connections to them need no look, or HTTP/1, so that clients ask before a server is connected
    #[arg(long, env = "REMORA_DETECTION_MEMORY", default_value_t = 2048, value_name = "NUMBER",
          value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    pub detection_memory: u32,

    /// Ports of this pod on which no protocol is looked for: ports and ranges, comma separated
    #[arg(long, env = api::env::OPAQUE_PORTS, default_value = "", value_name = "PORTS", hide_default_value = true)]
    pub opaque_ports: Ports,
}

#[cfg(test)]
mod tests;
