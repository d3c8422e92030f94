//! One direction of a connection: read and write at once, and wait only for what the kernel does not have or does not take.

use std::io;

use super::buffer::{self, Rest};
use super::half_closed::Progress;
use super::pace::Pace;
use super::pipe::Pipe;
use super::{Account, Broken, CHUNK, Relay};
use crate::net::leg::Leg;
use crate::telemetry::NoPipe;
use crate::telemetry::connections::{RelayMode, Side};

/// A direction.
pub(super) struct Flow<'a, A> {
    pub(super) relay: &'a Relay,
    /// Whose bytes these are.
    pub(super) side: Side,
    pub(super) from: &'a Leg,
    pub(super) to: &'a Leg,
    pub(super) account: &'a A,
    pub(super) progress: &'a Progress,
}

/// What a step came to.
enum Step<'a> {
    /// Nothing has come.
    Nothing,
    /// So many bytes were passed on.
    Passed(usize),
    /// The reader did not take all of what has come.
    Held(Held<'a>),
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
}

impl<'a, A: Account> Flow<'a, A> {
    /// Returns when the source has ended and that end was passed on. It does not return when writing has failed.
    pub(super) async fn run(self) -> Result<(), Broken> {
        let (mut pace, mut turn) = (Pace::default(), 0);
        loop {
            self.from.readable().await.map_err(|error| Broken::of(self.side, error))?;
            match self.step(&mut pace) {
                Ok(Step::Nothing) => {}
                Ok(Step::Passed(bytes)) => turn += bytes,
                Ok(Step::Held(held)) => {
                    if let Err(error) = self.flush(held).await {
                        self.to.fail(&error).await
                    }
                }
                Ok(Step::End) => {
                    if let Err(error) = self.to.end_writing() {
                        self.to.fail(&error).await
                    }
                    self.account.half_closed(self.side);
                    self.progress.end();
                    return Ok(());
                }
                Err(Failure::Write(error)) => self.to.fail(&error).await,
                Err(Failure::Read(error)) => return Err(Broken::of(self.side, error)),
            }
            // Tokio's own budget would let a fast source carry 128 chunks, some milliseconds, before another connection's turn.
            if turn >= CHUNK {
                turn = 0;
                tokio::task::yield_now().await;
            }
        }
    }

    /// Passes on what one read takes. It waits for nothing.
    fn step(&self, pace: &mut Pace) -> Result<Step<'a>, Failure> {
        if pace.wants_splice()
            && let Some(step) = self.splice(pace)?
        {
            return Ok(step);
        }
        buffer::with(|buffer| self.copy(buffer, pace))
    }

    fn copy(&self, buffer: &mut [u8], pace: &mut Pace) -> Result<Step<'a>, Failure> {
        let length = match self.from.read(buffer) {
            // What a reader reads after its writing has failed is no end.
            Ok(0) => match self.from.failure() {
                Some(error) => return Err(Failure::Read(error)),
                None => return Ok(Step::End),
            },
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Step::Nothing),
            Err(error) => return Err(Failure::Read(error)),
        };
        self.took(length, pace);
        let bytes = buffer.get(..length).unwrap_or_default();
        let written = accepted(self.to.stream().try_write(bytes))?;
        self.passed(written, RelayMode::Copy);
        Ok(match bytes.get(written..) {
            None | Some([]) => Step::Passed(written),
            Some(rest) => Step::Held(Held::Rest(Rest::new(rest, &self.relay.telemetry.copy.buffered))),
        })
    }

    /// Nothing, if it is better copied.
    fn splice(&self, pace: &mut Pace) -> Result<Option<Step<'a>>, Failure> {
        let telemetry = &self.relay.telemetry;
        let mut pipe = match self.relay.pipes.take(&telemetry.splice.buffered) {
            Ok(pipe) => pipe,
            Err(reason) => {
                self.stop_splicing(pace, reason);
                return Ok(None);
            }
        };
        let length = match pipe.fill(self.from) {
            Ok(0) => return Ok(None),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
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
            self.account.relayed(RelayMode::Splice);
        }
        self.took(length, pace);
        let written = accepted(pipe.drain(self.to))?;
        self.passed(written, RelayMode::Splice);
        Ok(Some(if pipe.is_empty() { Step::Passed(written) } else { Step::Held(Held::Pipe(pipe)) }))
    }

    fn stop_splicing(&self, pace: &mut Pace, reason: NoPipe) {
        self.relay.telemetry.no_pipe(reason);
        if pace.is_spliced() {
            self.account.relayed(RelayMode::Copy);
        }
        pace.refused();
    }

    /// Tells the pace of a piece, and the account of what follows from it.
    fn took(&self, length: usize, pace: &mut Pace) {
        let was_spliced = pace.is_spliced();
        pace.took(length);
        if was_spliced && !pace.is_spliced() {
            self.account.relayed(RelayMode::Copy);
        }
    }

    fn passed(&self, bytes: usize, mode: RelayMode) {
        self.progress.step();
        self.relay.telemetry.of(mode).bytes.inc_by(bytes as u64);
        self.account.carried(self.side, bytes);
    }

    /// Waits until everything that is held was taken.
    async fn flush(&self, mut held: Held<'_>) -> io::Result<()> {
        while !held.is_empty() {
            self.to.writable().await?;
            let (written, mode) = match &mut held {
                Held::Rest(rest) => (rest.write(self.to), RelayMode::Copy),
                Held::Pipe(pipe) => (pipe.drain(self.to), RelayMode::Splice),
            };
            match written {
                Ok(written) => self.passed(written, mode),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
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
fn accepted(written: io::Result<usize>) -> Result<usize, Failure> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        written => written.map_err(Failure::Write),
    }
}

/// Whether the kernel, or who guards its calls, does not splice these sockets at all.
fn is_unable(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
    )
}
