//! HTTP/1 through the mesh and past it, with the real programs in namespaces: the same bytes are sent on each way, and what
//! servers and clients get of them is the same but for a list of differences; what is ambiguous reaches no server; three
//! libraries that know nothing of each other speak WebSocket; and of HTTP/2, streams of servers are the same (`streams`), and
//! libraries for gRPC see no difference.
//! (`cfg(test)` tells clippy that a helper is test code too.)
//!
//! Reading order: `script` is the language that conversations are written in, `shapes` are conversations, `client` and
//! `server` play them, `ways` are where; `wire` and `real` are the tests, and `differences` is what they allow.

mod ambiguous;
mod client;
mod differences;
#[cfg(test)]
mod grpc;
mod message;
mod origins;
mod program;
mod python;
mod real;
mod script;
mod server;
mod shapes;
mod streams;
mod ways;
mod websocket;
mod wire;
