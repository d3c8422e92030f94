//! Every limit of the proxy in one list, as it is in use: what `proxy limits`, `/limits` on the port for administration and the
//! metric `remora_limit` show.
//!
//! It limits nothing. `list` says which there are, `shown` how they are told. Invariant: an option that takes a number, a time or
//! bytes is in the list (a test asks the command line's own definition), what is said about it is its help, and a limit that can
//! be set names the metrics that show how near it is, or what it kept out.

mod list;
mod shown;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use clap::{Arg, Args as _, Command};
use serde::{Serialize, Serializer};

use crate::budget::Budget;
use crate::config::{Args, Config};
use crate::net::capacity::Capacity;
use list::{Row, Source};
pub(crate) use shown::page;
pub use shown::{AskError, Output, of_running, written};

/// A limit in use.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Limit {
    /// In metrics and tables.
    pub name: &'static str,
    /// How much; in seconds for times, null if there is no limit.
    pub value: Value,
    /// Of what.
    pub unit: &'static str,
    /// The option that sets it, if one does.
    pub option: Option<&'static str>,
    /// The environment variable that sets it too.
    pub environment: Option<String>,
    /// Whether it is the same in every proxy.
    pub fixed: bool,
    /// Metrics that show how much of it is used, or what it kept out.
    pub metrics: &'static [&'static str],
    /// What it does.
    pub about: String,
}

/// How much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A number.
    Count(u64),
    /// Bytes.
    Bytes(u64),
    /// A time.
    Time(Duration),
    /// No limit.
    None,
}

impl Value {
    /// As a metric shows it.
    pub(crate) fn number(self) -> Option<f64> {
        match self {
            // Exact up to 8 PiB, which no limit reaches.
            Self::Count(number) | Self::Bytes(number) => Some(number as f64),
            Self::Time(time) => Some(time.as_secs_f64()),
            Self::None => None,
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(number) | Self::Bytes(number) => number.serialize(serializer),
            Self::Time(time) => time.as_secs_f64().serialize(serializer),
            Self::None => serializer.serialize_none(),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match *self {
            Self::Count(number) => write!(f, "{number}"),
            Self::Bytes(bytes) => match UNITS.into_iter().find(|(size, _)| bytes >= *size) {
                Some((size, unit)) if bytes % size == 0 => write!(f, "{} {unit}", bytes / size),
                Some((size, unit)) => write!(f, "{:.1} {unit}", bytes as f64 / size as f64),
                None => write!(f, "{bytes} B"),
            },
            Self::Time(time) => write!(f, "{}", humantime::format_duration(time)),
            Self::None => f.write_str("none"),
        }
    }
}

/// What limits follow from.
#[derive(Clone, Copy, Debug)]
pub struct Basis<'a> {
    /// The options.
    pub config: &'a Config,
    /// Descriptors that this process may have.
    pub descriptors: u64,
    /// Connections that follow from both and from memory.
    pub capacity: Capacity,
    /// Memory.
    pub budget: &'a Budget,
}

/// All of them.
pub fn in_use(basis: &Basis<'_>) -> Vec<Limit> {
    let run = Args::augment_args(Command::new("run"));
    list::rows(basis).into_iter().map(|row| limit(row, &run)).collect()
}

fn limit(Row { name, value, unit, source, metrics }: Row, run: &Command) -> Limit {
    let (option, fixed, about) = match source {
        Source::Option(option) => (Some(option), false, None),
        Source::Follows(about) => (None, false, Some(about.to_owned())),
        Source::Fixed(about) => (None, true, Some(about.to_owned())),
    };
    let named = |argument: &&Arg| option.is_some_and(|option| option.get(2..) == argument.get_long());
    let argument = run.get_arguments().find(named);
    let environment = argument.and_then(Arg::get_env).map(|variable| variable.to_string_lossy().into_owned());
    let help = argument.and_then(Arg::get_help).map(ToString::to_string);
    Limit {
        name,
        value,
        unit,
        option,
        environment,
        fixed,
        metrics,
        about: about.or(help).unwrap_or_default(),
    }
}
