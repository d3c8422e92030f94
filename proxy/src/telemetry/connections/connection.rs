//! One carried connection as others see it while it lasts: who it joins, how far it is, how much went by; and the one thing
//! that others can do to it, to give it up.
//!
//! Its worker writes and the administration reads. Neither waits: what changes while bytes flow is an atomic, and a lock is
//! held for no longer than a copy takes.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::Place;
use super::silence::{GiveUp, Silence};
use crate::detect::Detected;
use crate::direction::Direction;
use crate::telemetry::edge::Cluster;

/// The addresses of one socket.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Pair {
    /// Ours.
    pub local: SocketAddr,
    /// The other end's.
    pub remote: SocketAddr,
}

/// A side of a carried connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Side {
    /// Who called.
    Client,
    /// Who was called.
    Server,
}

impl Side {
    /// The two.
    pub const BOTH: [Self; 2] = [Self::Client, Self::Server];

    /// As logs and labels name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// How bytes are carried.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RelayMode {
    /// Through the worker's buffer.
    Copy,
    /// Through a pipe of the kernel's.
    Splice,
}

impl RelayMode {
    /// As logs and labels name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Splice => "splice",
        }
    }
}

const CONNECTED: u8 = 1;
const CLIENT_ENDED: u8 = 2;
const SERVER_ENDED: u8 = 4;
const SPLICED: u8 = 8;
const RELAYED: u8 = 16;
const LINKED: u8 = 32;

/// A carried connection.
#[derive(Debug)]
pub struct Connection {
    pub(super) place: Place,
    /// Whose listener accepted it.
    pub direction: Direction,
    /// The client's socket.
    pub client: Pair,
    /// Where the client wanted to go.
    pub original_dst: SocketAddr,
    /// When it was accepted.
    pub started: (SystemTime, Instant),
    way: Mutex<Way>,
    received: AtomicU64,
    sent: AtomicU64,
    progress: AtomicU8,
    detected: OnceLock<Detected>,
    end: GiveUp,
}

/// The way to the other end. A later request may take another one.
#[derive(Clone, Debug, Default)]
pub(in crate::telemetry) struct Way {
    /// Where the connection is sent, once that is known.
    pub(in crate::telemetry) cluster: Option<Cluster>,
    /// The upstream socket, once it is connected.
    pub(in crate::telemetry) server: Option<Pair>,
}

impl Connection {
    pub(super) fn new(place: Place, direction: Direction, client: Pair, original_dst: SocketAddr) -> Self {
        Self {
            place,
            direction,
            client,
            original_dst,
            started: (SystemTime::now(), Instant::now()),
            way: Mutex::default(),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            progress: AtomicU8::new(0),
            detected: OnceLock::new(),
            end: GiveUp::default(),
        }
    }

    /// Unique in this process, and higher for whoever came later.
    pub fn id(&self) -> u64 {
        self.place.id
    }

    /// Where it is sent now, once that is known.
    pub fn cluster(&self) -> Option<Cluster> {
        self.lock_way().cluster.clone()
    }

    /// The upstream socket that it has now, once it is connected.
    pub fn server(&self) -> Option<Pair> {
        self.lock_way().server
    }

    pub(in crate::telemetry) fn way(&self) -> Way {
        self.lock_way().clone()
    }

    fn lock_way(&self) -> MutexGuard<'_, Way> {
        self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that came from the client, and that went to it.
    pub fn bytes(&self) -> (u64, u64) {
        (self.received.load(Ordering::Relaxed), self.sent.load(Ordering::Relaxed))
    }

    /// What is spoken, once that is known.
    pub fn detected(&self) -> Option<&Detected> {
        self.detected.get()
    }

    /// How its bytes were carried last, once there were any.
    pub fn relay_mode(&self) -> Option<RelayMode> {
        let progress = self.progress.load(Ordering::Relaxed);
        let mode = if progress & SPLICED == 0 { RelayMode::Copy } else { RelayMode::Splice };
        (progress & RELAYED != 0).then_some(mode)
    }

    /// In a word.
    pub fn state(&self) -> &'static str {
        let progress = self.progress.load(Ordering::Relaxed);
        match progress & (CLIENT_ENDED | SERVER_ENDED) {
            0 if progress & CONNECTED == 0 => "connecting",
            0 => "open",
            CLIENT_ENDED => "client_half_closed",
            SERVER_ENDED => "server_half_closed",
            _ => "closing",
        }
    }

    pub(in crate::telemetry) fn sent_to(&self, cluster: Cluster) {
        self.lock_way().cluster = Some(cluster);
    }

    pub(in crate::telemetry) fn connected(&self, server: Pair) {
        self.lock_way().server = Some(server);
        self.progress.fetch_or(CONNECTED, Ordering::Relaxed);
    }

    pub(in crate::telemetry) fn unconnected(&self) {
        self.lock_way().server = None;
    }

    pub(in crate::telemetry) fn add_received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(in crate::telemetry) fn add_sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(in crate::telemetry) fn ended(&self, side: Side) {
        let bit = match side {
            Side::Client => CLIENT_ENDED,
            Side::Server => SERVER_ENDED,
        };
        self.progress.fetch_or(bit, Ordering::Relaxed);
    }

    pub(in crate::telemetry) fn speaks(&self, detected: Detected) {
        // The first word is the last: bytes of a protocol do not become another's.
        let _ = self.detected.set(detected);
    }

    pub(in crate::telemetry) fn relayed(&self, mode: RelayMode) {
        match mode {
            RelayMode::Copy => {
                self.progress.fetch_or(RELAYED, Ordering::Relaxed);
                self.progress.fetch_and(!SPLICED, Ordering::Relaxed);
            }
            RelayMode::Splice => {
                self.progress.fetch_or(RELAYED | SPLICED, Ordering::Relaxed);
            }
        }
    }

    /// Gives it up if it has a peer that has been silent for as long as `silent` says. Whose silence that is.
    pub fn give_up(&self, silent: impl Fn(Pair) -> Option<Duration>) -> Option<Side> {
        let is_linked = self.progress.load(Ordering::Relaxed) & LINKED != 0;
        let server = self.server().filter(|_| !is_linked);
        let peers = [(Some(self.client), Side::Client), (server, Side::Server)];
        peers.into_iter().find_map(|(pair, side)| {
            let lasts = pair.and_then(&silent)?;
            self.end.give_up(Silence { side, lasts }).then_some(side)
        })
    }

    /// Its upstream sockets are given up alone from now on, as [links](super::Connections::link).
    pub(in crate::telemetry) fn uses_links(&self) {
        self.progress.fetch_or(LINKED, Ordering::Relaxed);
    }

    /// Returns when all of it was given up, to the task that polls it first.
    pub(in crate::telemetry) fn given_up(&self) -> impl Future<Output = Silence> {
        self.end.given_up()
    }
}
