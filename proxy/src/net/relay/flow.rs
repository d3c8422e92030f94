//! One direction of a connection: read and write at once, and wait only for what the kernel does not have or does not take.
//!
//! It is carried until its [`Content`] is complete: of a TCP connection that is when the source has ended.

use std::future::{pending, poll_fn};
use std::io;

use super::buffer::{self, Rest};
use super::content::{Content, NotContent};
use super::half_closed::Progress;
use super::pace::Pace;
use super::pipe::Pipe;
use super::reader::{Reader, Reason};
use super::{Account, Broken, CHUNK, Relay};
use crate::net::leg::Leg;
use crate::telemetry::NoPipe;
use crate::telemetry::connections::{RelayMode, Side};

/// A connection that is being carried.
pub(super) struct Carried<'a, A> {
    pub(super) relay: &'a Relay,
    pub(super) client: &'a Leg,
    pub(super) server: &'a Leg,
    pub(super) account: &'a A,
    pub(super) progress: Progress,
}

impl<'a, A> Carried<'a, A> {
    /// Of this side.
    pub(super) fn leg(&self, side: Side) -> &'a Leg {
        match side {
            Side::Client => self.client,
            Side::Server => self.server,
        }
    }

    /// Of the side that reads what this one has sent.
    pub(super) fn other_leg(&self, side: Side) -> &'a Leg {
        match side {
            Side::Client => self.server,
            Side::Server => self.client,
        }
    }

    /// Bytes were passed on.
    pub(super) fn moved(&self, bytes: usize, mode: RelayMode) {
        self.progress.step();
        self.relay.telemetry.of(mode).bytes.inc_by(bytes as u64);
    }

    /// What came from this side could not be written.
    pub(super) fn failed(&self, side: Side, error: &io::Error) {
        self.progress.stall();
        self.other_leg(side).fail(error);
    }
}

/// One of its directions. Small, since it is kept as long as the connection lasts.
pub(super) struct Flow<'a, A, C> {
    of: &'a Carried<'a, A>,
    /// Whose bytes these are.
    side: Side,
    content: C,
}

/// What a direction remembers from step to step.
#[derive(Default)]
struct State {
    pace: Pace,
    reader: Reader,
    /// Whether the last try to splice has found nothing.
    is_dry: bool,
}

/// What a step came to.
enum Step<'a> {
    /// Nothing has come.
    Nothing,
    /// So many bytes were passed on.
    Passed(usize),
    /// The reader did not take all of what has come.
    Held(Box<Held<'a>>),
    /// The source has ended.
    End,
}

/// Bytes that wait for their reader.
enum Held<'a> {
    Rest(Rest<'a>),
    Pipe(Pipe<'a>),
}

/// A step failed.
enum Failure {
    Read(io::Error),
    Write(io::Error),
    Content(NotContent),
}

impl<'a, A: Account, C: Content> Flow<'a, A, C> {
    pub(super) fn new(of: &'a Carried<'a, A>, side: Side, content: C) -> Self {
        Self { of, side, content }
    }

    fn from(&self) -> &'a Leg {
        self.of.leg(self.side)
    }

    fn to(&self) -> &'a Leg {
        self.of.other_leg(self.side)
    }

    /// Returns when the content is complete, and the source's end, if that was it, was passed on. It does not return when writing
    /// has failed: what that means for the connection is seen by whoever waits for broken legs.
    ///
    /// A connection keeps two of these as long as it lasts, so nothing but what is named here is held across an await.
    #[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice")]
    pub(super) fn run(mut self) -> impl Future<Output = Result<(), Broken>> {
        async move {
            let (mut state, mut turn) = (State::default(), 0);
            if C::IS_BEGUN {
                state.reader.owe();
            }
            while !self.content.is_complete() {
                let reason = self.readable(&mut state).await.map_err(|error| Broken::of(self.side, error))?;
                let held = match self.step(&mut state, reason) {
                    Ok(Step::Nothing) => Ok(None),
                    Ok(Step::Passed(bytes)) => {
                        turn += bytes;
                        Ok(None)
                    }
                    Ok(Step::Held(held)) => {
                        self.of.progress.stall();
                        // It was up to a chunk, and may be taken without a wait.
                        turn = CHUNK;
                        Ok(Some(held))
                    }
                    Ok(Step::End) if !self.content.may_end() => {
                        return Err(Broken::NotContent(self.side, NotContent::Truncated));
                    }
                    Ok(Step::End) => match self.to().end_writing() {
                        Ok(()) => {
                            self.of.account.half_closed(self.side);
                            self.of.progress.end();
                            return Ok(());
                        }
                        Err(error) => Err(error),
                    },
                    Err(Failure::Write(error)) => Err(error),
                    Err(Failure::Read(error)) => return Err(Broken::of(self.side, error)),
                    Err(Failure::Content(error)) => return Err(Broken::NotContent(self.side, error)),
                };
                let flushed = match held {
                    Ok(Some(held)) => self.flush(held).await,
                    Ok(None) => Ok(()),
                    Err(error) => Err(error),
                };
                if let Err(error) = flushed {
                    self.of.failed(self.side, &error);
                    pending::<()>().await;
                }
                // Tokio's own budget would let a fast source carry 128 chunks, some milliseconds, before another
                // connection's turn.
                if turn >= CHUNK && !self.content.is_complete() {
                    turn = 0;
                    tokio::task::yield_now().await;
                }
            }
            Ok(())
        }
    }

    fn readable(&self, state: &mut State) -> impl Future<Output = io::Result<Reason>> {
        poll_fn(|cx| state.reader.poll_readable(self.from(), cx))
    }

    /// Passes on what one read takes. It waits for nothing.
    fn step(&mut self, state: &mut State, reason: Reason) -> Result<Step<'a>, Failure> {
        let room = self.of.relay.room();
        if reason == Reason::Arrival
            && state.pace.wants_splice()
            && let Some(step) = self.splice(state, room.min(self.content.unseen()))?
        {
            return Ok(step);
        }
        buffer::with(|buffer| match buffer.get_mut(..room) {
            Some(buffer) => self.copy(buffer, state, reason),
            None => Ok(Step::Nothing),
        })
    }

    fn copy(&mut self, buffer: &mut [u8], state: &mut State, reason: Reason) -> Result<Step<'a>, Failure> {
        let length = match state.reader.read(self.from(), reason, buffer) {
            // What a reader reads after its writing has failed is no end.
            Ok(0) => match self.from().failure() {
                Some(error) => return Err(Failure::Read(error)),
                None => return Ok(Step::End),
            },
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Step::Nothing),
            Err(error) => return Err(Failure::Read(error)),
        };
        self.took(length, &mut state.pace);
        let bytes = self.content.take(buffer.get(..length).unwrap_or_default()).map_err(Failure::Content)?;
        let written = accepted(self.to().stream().try_write(bytes)).map_err(Failure::Write)?;
        self.passed(written, RelayMode::Copy);
        Ok(match bytes.get(written..) {
            None | Some([]) => Step::Passed(written),
            Some(rest) => {
                Step::Held(Box::new(Held::Rest(Rest::new(rest, &self.of.relay.telemetry.copy.buffered))))
            }
        })
    }

    /// Nothing, if it is better copied.
    ///
    /// That nothing has come is believed once, though it might be an urgent byte that stops the kernel: to copy at once would
    /// pass on, after each large piece, the few bytes that came meanwhile, and cost the reader a wake-up for them.
    fn splice(&mut self, state: &mut State, room: usize) -> Result<Option<Step<'a>>, Failure> {
        let telemetry = &self.of.relay.telemetry;
        let pace = &mut state.pace;
        let was_dry = std::mem::take(&mut state.is_dry);
        if room == 0 {
            return Ok(None);
        }
        let mut pipe = match self.of.relay.pipes.take(&telemetry.splice.buffered) {
            Ok(pipe) => pipe,
            Err(reason) => {
                self.stop_splicing(pace, reason);
                return Ok(None);
            }
        };
        let length = match pipe.fill(self.from(), room) {
            Ok(0) => return Ok(None),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if was_dry {
                    return Ok(None);
                }
                state.is_dry = true;
                state.reader.owe();
                self.from().await_arrival();
                return Ok(Some(Step::Nothing));
            }
            Err(error) if is_unable(&error) => {
                self.stop_splicing(pace, NoPipe::Failed);
                pace.never_splice();
                return Ok(None);
            }
            Err(error) => return Err(Failure::Read(error)),
        };
        if !pace.is_spliced() {
            pace.begin_splice();
            telemetry.switches.inc();
            self.of.account.relayed(RelayMode::Splice);
        }
        self.took(length, pace);
        self.content.skip(length);
        let written = accepted(pipe.drain(self.to())).map_err(Failure::Write)?;
        self.passed(written, RelayMode::Splice);
        Ok(Some(if pipe.is_empty() { Step::Passed(written) } else { Step::Held(Box::new(Held::Pipe(pipe))) }))
    }

    fn stop_splicing(&self, pace: &mut Pace, reason: NoPipe) {
        self.of.relay.telemetry.no_pipe(reason);
        if pace.is_spliced() {
            self.of.account.relayed(RelayMode::Copy);
        }
        pace.refused();
    }

    /// Tells the pace of a piece, and the account of what follows from it.
    fn took(&self, length: usize, pace: &mut Pace) {
        let was_spliced = pace.is_spliced();
        pace.took(length);
        if was_spliced && !pace.is_spliced() {
            self.of.account.relayed(RelayMode::Copy);
        }
    }

    fn passed(&self, bytes: usize, mode: RelayMode) {
        self.of.moved(bytes, mode);
        self.of.account.carried(self.side, bytes);
    }

    /// Waits until everything that is held was taken.
    #[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice")]
    fn flush(&self, mut held: Box<Held<'_>>) -> impl Future<Output = io::Result<()>> {
        async move {
            while !held.is_empty() {
                self.to().writable().await?;
                let (written, mode) = match held.as_mut() {
                    Held::Rest(rest) => (rest.write(self.to()), RelayMode::Copy),
                    Held::Pipe(pipe) => (pipe.drain(self.to()), RelayMode::Splice),
                };
                self.passed(accepted(written)?, mode);
            }
            Ok(())
        }
    }
}

impl Held<'_> {
    fn is_empty(&self) -> bool {
        match self {
            Self::Rest(rest) => rest.is_empty(),
            Self::Pipe(pipe) => pipe.is_empty(),
        }
    }
}

/// How much the kernel took; a full socket takes nothing.
pub(super) fn accepted(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        written => written,
    }
}

/// Whether the kernel, or who guards its calls, does not splice these sockets at all.
fn is_unable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
    )
}
