//! What a peer of HTTP may send and what has to follow, case by case and by RFC section, for whoever is under test: a server, or a
//! proxy between two peers of ours.
//!
//! A case is data, and has a connection of its own, which the caller makes; so suites run against anybody, and their cases beside each
//! other. [`http1`] has messages that two readers could understand differently, [`http2`] frames, and [`attacks`] floods of them; each
//! has a suite for the server's face of a peer, by a hostile client, and one for the client's, by a hostile server. It deliberately
//! knows nobody: neither our proxy nor what it says beyond HTTP.

pub mod attacks;
pub mod frames;
pub mod http1;
pub mod http2;
pub mod report;
pub mod run;
pub mod wire;
