//! The log of a binary: one line an event on stderr, so that stdout stays free for what the program is asked for (access
//! log, patched manifests). The filter can be changed while the program runs.

use std::io::{self, Write};
use std::os::fd::AsFd;

use clap::{Args, ValueEnum};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::{Registry, fmt, layer::SubscriberExt, reload, util::SubscriberInitExt};

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

/// What libraries may say unless the filter names them: `module=level`. For those that log each failure that they return as
/// well, so that a failure which is tried again and again would be told each time.
pub type Quiet = &'static [&'static str];

/// Changes the filter of the running program.
#[derive(Clone)]
pub struct LogHandle {
    filter: reload::Handle<Targets, Registry>,
    quiet: Quiet,
}

impl LogHandle {
    /// The filter, with what was added for libraries.
    pub fn current(&self) -> Result<String, LogError> {
        self.filter.with_current(ToString::to_string).map_err(|_| LogError::Gone)
    }

    /// Replaces the filter; a bad one changes nothing.
    pub fn set(&self, filter: &str) -> Result<(), LogError> {
        let filter = parse(filter, self.quiet)?;
        self.filter.reload(filter).map_err(|_| LogError::Gone)
    }
}

/// Sets up the process's log. Once a process.
pub fn init(args: &LogArgs, quiet: Quiet) -> Result<LogHandle, LogError> {
    let (filter, handle) = reload::Layer::new(parse(&args.filter, quiet)?);
    let registry = tracing_subscriber::registry().with(filter);
    let done = match args.format {
        LogFormat::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(|| Stderr)).try_init()
        }
        LogFormat::Text => registry.with(fmt::layer().with_ansi(false).with_writer(|| Stderr)).try_init(),
    };
    done.map_err(|_| LogError::AlreadySet)?;
    Ok(LogHandle { filter: handle, quiet })
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

fn parse(filter: &str, quiet: Quiet) -> Result<Targets, LogError> {
    let refused = |reason| LogError::Filter { filter: filter.to_owned(), reason };
    // To Targets a lone word is a module, so a mistyped level would silence everything else, and nothing is `error`.
    let is_level = |word: &str| !word.is_empty() && word.parse::<LevelFilter>().is_ok();
    if let Some(word) = filter.split(',').find(|part| !part.contains('=') && !is_level(part)) {
        return Err(refused(format!("{word:?} is no level")));
    }
    with_quiet(filter, quiet).parse().map_err(|error: ParseError| refused(error.to_string()))
}

/// The filter, and what libraries may say of which it says nothing.
fn with_quiet(filter: &str, quiet: Quiet) -> String {
    let names = |library: &str| filter.split(',').any(|part| part.trim_start().starts_with(library));
    let library = |directive: &'static str| directive.split([':', '=']).next().unwrap_or(directive);
    let added = quiet.iter().filter(|directive| !names(library(directive)));
    added.fold(filter.to_owned(), |filter, directive| format!("{filter},{directive}"))
}

#[cfg(test)]
mod tests {
    use super::{parse, with_quiet};

    #[test]
    fn levels_and_directives_are_filters() {
        for good in
            ["info", "OFF", "proxy=debug", "warn,injector::webhook=trace", "info,proxy[{field}]=debug"]
        {
            assert!(parse(good, &["kube_client::client=off"]).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_bad_filter_is_named() {
        for bad in ["proxy=loud", "loud", "warning", "info,proxy", "", "info,", "proxy[span{field=1}]=debug"]
        {
            let error = parse(bad, &[]).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(&format!("{bad:?}")) && error.contains("allowed are"), "{bad:?}: {error}");
        }
    }
    #[test]
    fn a_library_is_quiet_until_it_is_named() {
        let quiet = &["kube_client::client=off", "kube_runtime=off"];
        assert_eq!(with_quiet("debug", quiet), "debug,kube_client::client=off,kube_runtime=off");
        assert_eq!(with_quiet("info,kube_client=debug", quiet), "info,kube_client=debug,kube_runtime=off");
    }
}
