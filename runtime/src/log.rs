//! The log of a binary: one line an event on stderr, so that stdout stays free for what the program is asked for (access
//! log, patched manifests). The filter can be changed while the program runs.

use std::io::{self, Write};
use std::os::fd::AsFd;

use clap::{Args, ValueEnum};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{EnvFilter, Registry, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt};

/// What a pipe takes as a whole (limits.h).
const PIPE_BUF: usize = 4096;

/// Log options of a binary; flatten them into its arguments.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// What is logged: a level (error, warn, info, debug, trace) or `module=level` directives, comma separated
    #[arg(long = "log", env = "REMORA_LOG", default_value = "info", value_name = "FILTER")]
    pub filter: String,

    /// How a line is written
    #[arg(long = "log-format", env = "REMORA_LOG_FORMAT", default_value = "text", value_enum)]
    pub format: LogFormat,
}

/// Layout of a log line.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// The log could not be set up or changed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is not one.
    #[error(
        "log filter {filter:?}: {reason}; allowed are error, warn, info, debug, trace and module=level, comma separated"
    )]
    Filter {
        /// As given.
        filter: String,
        /// What the parser says.
        reason: String,
    },
    /// Another part of the process has set up a log already.
    #[error("the log is already set up")]
    AlreadySet,
    /// The subscriber is gone.
    #[error("the log is gone")]
    Gone,
}

/// Changes the filter of the running program.
#[derive(Clone)]
pub struct LogHandle(reload::Handle<EnvFilter, Registry>);

impl LogHandle {
    /// Replaces the filter; a bad one changes nothing.
    pub fn set(&self, filter: &str) -> Result<(), LogError> {
        let filter = parse(filter)?;
        self.0.reload(filter).map_err(|_| LogError::Gone)
    }
}

/// Sets up the process's log. Once a process.
pub fn init(args: &LogArgs) -> Result<LogHandle, LogError> {
    let (filter, handle) = reload::Layer::new(parse(&args.filter)?);
    let registry = tracing_subscriber::registry().with(filter);
    let done = match args.format {
        LogFormat::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(|| Stderr)).try_init()
        }
        LogFormat::Text => registry.with(fmt::layer().with_ansi(false).with_writer(|| Stderr)).try_init(),
    };
    done.map_err(|_| LogError::AlreadySet)?;
    Ok(LogHandle(handle))
}

/// Standard error, whose reader may leave it full: then lines are lost, and nobody waits.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut stderr = io::stderr().lock();
        for piece in line.chunks(PIPE_BUF) {
            if !has_room(&stderr) {
                break;
            }
            stderr.write_all(piece)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether PIPE_BUF bytes can be written without blocking (pipe(7)); a file always has room.
fn has_room(output: &impl AsFd) -> bool {
    let mut output = [PollFd::new(output.as_fd(), PollFlags::POLLOUT)];
    poll(&mut output, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

fn parse(filter: &str) -> Result<EnvFilter, LogError> {
    let refused = |reason| LogError::Filter { filter: filter.to_owned(), reason };
    // To EnvFilter a lone word is a module, so a mistyped level would silence everything else.
    if let Some(word) =
        filter.split(',').find(|part| !part.contains('=') && part.parse::<LevelFilter>().is_err())
    {
        return Err(refused(format!("{word:?} is no level")));
    }
    EnvFilter::try_new(filter).map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn levels_and_directives_are_filters() {
        for good in
            ["info", "OFF", "proxy=debug", "warn,injector::webhook=trace", "info,proxy[span{field=1}]=debug"]
        {
            assert!(parse(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_bad_filter_is_named() {
        for bad in ["proxy=loud", "loud", "warning", "info,proxy"] {
            let error = parse(bad).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(&format!("{bad:?}")) && error.contains("allowed are"), "{bad:?}: {error}");
        }
    }
}
