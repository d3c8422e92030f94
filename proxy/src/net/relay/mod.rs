//! Carrying bytes both ways between two legs until both directions have ended.
//!
//! Invariant: what is passed on is what came, in order, with its end: FIN as FIN (one direction ends, the other goes on),
//! and anything else as an error that names the leg, upon which the caller drops both, which resets them.
//!
//! An idle connection holds no buffer and no pipe. Bytes go through what the worker has for all of its connections
//! (`buffer`, and `pipe` for long transfers, as `pace` decides); a direction has memory of its own only for what its
//! reader did not take at once, and is not read further before that is gone: at most `CHUNK`, and of messages a head besides.
//! Read `flow` first.

mod buffer;
mod content;
mod flow;
mod half_closed;
mod messages;
mod pace;
mod pipe;
mod reader;
mod second_look;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use runtime::duration;
use runtime::metrics::types::gauge::Gauge;

use super::leg::Leg;
use crate::budget::{Budget, Share};
use crate::telemetry::Relaying;
use crate::telemetry::connections::{RelayMode, Side};
use crate::telemetry::session::Session;
pub(crate) use buffer::Ahead;
use content::Everything;
pub(crate) use content::{Content, NotContent};
use flow::{Carried, Flow};
use half_closed::Progress;
pub(crate) use messages::{Messages, Unsent};
use pipe::Pipes;
pub(crate) use reader::{Reader, Reason};

/// The most that one read takes, and so the most that a direction holds. Smaller ones cost more processor time for each
/// byte (64 KiB: twice as much), larger ones do not cost less.
pub(crate) const CHUNK: usize = 256 * 1024;

/// The longest that a half-closed connection can be kept; it may well be one on which a day is nothing.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How bytes are carried.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// How long a connection of which one direction has ended may be without traffic before it is reset
    #[arg(long, env = "REMORA_HALF_CLOSED_TIMEOUT", default_value = "1h", value_name = "DURATION",
          value_parser = duration::within(duration::SHORTEST..=LONGEST))]
    pub half_closed_timeout: Duration,

    /// Pipes of 256 KiB that long transfers may use, in all; 0 copies always
    #[arg(long, env = "REMORA_SPLICE_PIPES", default_value_t = 16, value_name = "NUMBER")]
    pub splice_pipes: u16,
}

/// Why a connection did not end in good order.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The client's leg failed.
    #[error("client: {0}")]
    Client(io::Error),
    /// The server's leg failed.
    #[error("server: {0}")]
    Server(io::Error),
    /// One direction had ended, and the other one carried nothing for so long.
    #[error("half-closed, and without traffic for {0:?}")]
    HalfClosed(Duration),
    /// What came from this side was not what had been announced.
    #[error("{name}: {1}", name = .0.name())]
    NotContent(Side, NotContent),
}

impl Broken {
    fn of(side: Side, error: io::Error) -> Self {
        match side {
            Side::Client => Self::Client(error),
            Side::Server => Self::Server(error),
        }
    }
}

/// Who is told what happens on a connection.
pub(crate) trait Account {
    /// Bytes of this side were passed on.
    fn carried(&self, from: Side, bytes: usize);
    /// From now on bytes are carried this way.
    fn relayed(&self, mode: RelayMode);
    /// This side has ended its stream, and the other one was told.
    fn half_closed(&self, side: Side);
}

impl Account for Session {
    fn carried(&self, from: Side, bytes: usize) {
        match from {
            Side::Client => self.received(bytes),
            Side::Server => self.sent(bytes),
        }
    }

    fn relayed(&self, mode: RelayMode) {
        self.relayed(mode);
    }

    fn half_closed(&self, side: Side) {
        self.half_closed(side);
    }
}

/// What the connections of a process share.
pub struct Relay {
    half_closed_timeout: Duration,
    pipes: Pipes,
    /// Says how much is read where much waits for slow readers already.
    budget: Budget,
    telemetry: Relaying,
}

/// The room for bytes that wait for slow readers; clones are the same one.
#[derive(Clone)]
pub(crate) struct WaitingRoom {
    budget: Budget,
    telemetry: Relaying,
}

impl WaitingRoom {
    /// How many bytes more may wait.
    pub(crate) fn bytes(&self) -> usize {
        self.budget.room(self.telemetry.buffered())
    }

    /// Counts those that do.
    pub(crate) fn counted(&self) -> Gauge {
        self.telemetry.copy.buffered.clone()
    }
}

impl Relay {
    /// Tells `telemetry` what it does.
    pub fn new(settings: &Settings, budget: Budget, telemetry: Relaying) -> Self {
        Self {
            half_closed_timeout: settings.half_closed_timeout,
            pipes: Pipes::new(settings.splice_pipes.into(), telemetry.pipes.clone()),
            budget,
            telemetry,
        }
    }

    /// Shows `look` what one read of `leg` takes, none of which is kept; no bytes are the end of the stream.
    pub(crate) fn read<T>(
        &self,
        leg: &Leg,
        reader: &mut Reader,
        reason: Reason,
        look: impl FnOnce(&[u8]) -> T,
    ) -> io::Result<T> {
        buffer::with(|buffer| {
            let buffer = buffer.get_mut(..self.room()).unwrap_or_default();
            let length = reader.read(leg, reason, buffer)?;
            Ok(look(buffer.get(..length).unwrap_or_default()))
        })
    }

    /// Keeps bytes that are to be written.
    pub(crate) fn keep(&self, bytes: Vec<u8>) -> Ahead<'_> {
        Ahead::of(bytes, &self.telemetry.copy.buffered)
    }

    /// For bytes that are read before their time.
    pub(crate) fn ahead(&self) -> Ahead<'_> {
        Ahead::new(&self.telemetry.copy.buffered)
    }

    /// What is known of the room for bytes that wait for slow readers elsewhere.
    pub(crate) fn waiting_room(&self) -> WaitingRoom {
        WaitingRoom { budget: self.budget.clone(), telemetry: self.telemetry.clone() }
    }

    /// Memory for something that will take so much, if there is as much.
    pub(crate) fn share(&self, bytes: u64) -> Option<Share> {
        self.budget.share(bytes)
    }

    /// The most that is read at once now.
    fn room(&self) -> usize {
        self.budget.room(self.telemetry.buffered()).min(CHUNK)
    }

    /// Returns when both sides have ended, or the connection is broken.
    #[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice")]
    pub(crate) fn carry<'a>(
        &'a self,
        client: &'a Leg,
        server: &'a Leg,
        account: &'a impl Account,
    ) -> impl Future<Output = Result<(), Broken>> {
        async move {
            account.relayed(RelayMode::Copy);
            let carried = Carried { relay: self, client, server, account, progress: Progress::default() };
            let both = async {
                let flow = |side| Flow::new(&carried, side, Everything::<false>).run();
                tokio::try_join!(flow(Side::Client), flow(Side::Server)).map(drop)
            };
            // A leg that is being read says itself that it is broken, after its last byte; so the directions come first.
            tokio::select! {
                biased;
                ended = both => ended,
                broken = carried.breaks() => Err(broken),
            }
        }
    }
}

impl<A> Carried<'_, A> {
    /// Returns when the connection has ended otherwise than by the end of both directions.
    #[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice")]
    fn breaks(&self) -> impl Future<Output = Broken> {
        async move {
            tokio::select! {
                biased;
                error = broken(self.client, &self.progress) => Broken::Client(error),
                error = broken(self.server, &self.progress) => Broken::Server(error),
                () = self.progress.idle_for(self.relay.half_closed_timeout) => {
                    self.relay.telemetry.half_closed_reset.inc();
                    Broken::HalfClosed(self.relay.half_closed_timeout)
                }
            }
        }
    }
}

/// Returns when the leg is broken. A leg that is not being read, since its direction has ended or its bytes are not taken, can
/// be reset unnoticed; so can one that is written to, while an answer waits in it. What the kernel still has of it is passed
/// on before, which ends, since a broken leg gets nothing more, unless nobody takes it. Most connections never come to
/// that, and keep no room for it.
fn broken<'a>(leg: &'a Leg, progress: &'a Progress) -> impl Future<Output = io::Error> + Send + use<'a> {
    let mut watch: Option<Pin<Box<dyn Future<Output = io::Error> + Send + 'a>>> = None;
    poll_fn(move |cx| {
        if !progress.has_stalled() {
            return Poll::Pending;
        }
        let breaks = || {
            Box::pin(async {
                leg.until_broken().await;
                progress.at_rest().await;
                leg.break_error()
            }) as Pin<Box<dyn Future<Output = io::Error> + Send>>
        };
        watch.get_or_insert_with(breaks).as_mut().poll(cx)
    })
}
