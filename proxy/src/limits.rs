//! Every limit of the proxy in one list, as it is in use: what `proxy limits`, `/limits` on the port for administration and the
//! metric `remora_limit` show.
//!
//! It limits nothing. Invariant: an option that takes a number, a time or bytes is in the list (a test asks the command line's own
//! definition), and what is said about it is its help.

use std::fmt::{self, Write};
use std::io::{self, Read};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use axum::extract::RawQuery;
use axum::response::IntoResponse;
use axum::{Json, Router, routing::get};
use clap::{Args as _, Command, ValueEnum};
use serde::{Serialize, Serializer};

use crate::budget::Budget;
use crate::config::{Args, Config};
use crate::direction::Direction;
use crate::net::capacity::Capacity;

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
    let set_by = |name, value, unit, option: &'static str| {
        let argument = run.get_arguments().find(|argument| argument.get_long() == option.get(2..));
        let environment = argument.and_then(clap::Arg::get_env);
        let about = argument.and_then(clap::Arg::get_help).map(ToString::to_string).unwrap_or_default();
        let environment = environment.map(|name| name.to_string_lossy().into_owned());
        Limit { name, value, unit, option: Some(option), environment, about }
    };
    let follows = |name, value, unit, about: &str| Limit {
        name,
        value,
        unit,
        option: None,
        environment: None,
        about: about.to_owned(),
    };
    let Basis { config, descriptors, capacity, budget } = *basis;
    let (time, count) = (Value::Time, Value::Count);
    let bytes = |bytes: Option<u64>| bytes.map_or(Value::None, Value::Bytes);
    let [inbound, outbound] = Direction::BOTH.map(|direction| count(capacity.of(direction)));
    let dial = &config.dial;
    let dead_peer = config.dead_peers.dead_peer_timeout;
    let dead_peer = if dead_peer.is_zero() { Value::None } else { time(dead_peer) };
    let or_common = |timeout: Option<Duration>| time(timeout.unwrap_or(dial.connect_timeout));
    vec![
        set_by("workers", count(config.workers as u64), "threads", "--workers"),
        follows("descriptors", count(descriptors), "descriptors", "Of the process, by its hard limit"),
        follows(
            "connections",
            count(capacity.both()),
            "connections",
            "Carried at once in both directions, by descriptors and memory",
        ),
        set_by("inbound_connections", inbound, "connections", "--max-inbound-connections"),
        set_by("outbound_connections", outbound, "connections", "--max-outbound-connections"),
        set_by("memory", bytes(budget.limit()), "bytes", "--memory-limit"),
        follows("buffers", bytes(budget.buffers()), "bytes", "For slow readers; then less is read ahead"),
        set_by("connect", time(dial.connect_timeout), "seconds", "--connect-timeout"),
        set_by(
            "inbound_connect",
            or_common(dial.inbound_connect_timeout),
            "seconds",
            "--inbound-connect-timeout",
        ),
        set_by(
            "outbound_connect",
            or_common(dial.outbound_connect_timeout),
            "seconds",
            "--outbound-connect-timeout",
        ),
        set_by("connect_attempts", count(dial.connect_attempts.into()), "endpoints", "--connect-attempts"),
        set_by("detection", time(config.detection.detection_timeout), "seconds", "--detection-timeout"),
        set_by("discovery", time(config.discovery.discovery_interval), "seconds", "--discovery-interval"),
        set_by("dead_peer", dead_peer, "seconds", "--dead-peer-timeout"),
        set_by("half_closed", time(config.relay.half_closed_timeout), "seconds", "--half-closed-timeout"),
        set_by("splice_pipes", count(config.relay.splice_pipes.into()), "pipes", "--splice-pipes"),
        set_by(
            "admin_connections",
            count(config.admin.clients.max_admin_connections.into()),
            "connections",
            "--max-admin-connections",
        ),
        set_by("admin_client", time(config.admin.clients.admin_timeout), "seconds", "--admin-timeout"),
        set_by("drain_delay", time(config.drain.drain_delay), "seconds", "--drain-delay"),
        set_by("drain_deadline", time(config.drain.drain_deadline), "seconds", "--drain-deadline"),
    ]
}

/// How a list is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// The list as text.
pub fn written(limits: &[Limit], output: Output) -> String {
    match output {
        Output::Json => {
            let json = serde_json::to_string_pretty(limits);
            format!("{}\n", json.expect("numbers and strings always have a JSON form"))
        }
        Output::Table => table(limits),
    }
}

fn table(limits: &[Limit]) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let mut line = |name: &str, value: &str, option: &str, environment: &str| {
        let _ = writeln!(text, "{name:21} {value:>12}  {option:27} {environment}");
    };
    line("LIMIT", "VALUE", "OPTION", "ENVIRONMENT");
    for Limit { name, value, option, environment, .. } in limits {
        let environment = environment.as_deref().unwrap_or("-");
        line(name, &value.to_string(), option.unwrap_or("-"), environment);
    }
    text
}

/// `/limits`; with `?format=text` as a table.
pub(crate) fn page(limits: Vec<Limit>) -> Router {
    let answer = move |RawQuery(query): RawQuery| {
        std::future::ready(match query.as_deref() {
            Some(TABLE) => table(&limits).into_response(),
            Some(_) | None => Json(&limits).into_response(),
        })
    };
    Router::new().route(PATH, get(answer))
}

const PATH: &str = "/limits";
const TABLE: &str = "format=text";

/// The running proxy cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody answers, or no proxy does.
    #[error("port {port}: {error}; is the proxy running, and with the same --admin-port?")]
    Unreachable {
        /// Where it was asked.
        port: u16,
        /// Why not.
        error: io::Error,
    },
}

/// What the proxy says that has its port for administration here.
pub fn of_running(port: u16, output: Output) -> Result<String, AskError> {
    let addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), (Ipv6Addr::LOCALHOST, port).into()];
    ask(&addresses, output).map_err(|error| AskError::Unreachable { port, error })
}

fn ask(addresses: &[SocketAddr], output: Output) -> io::Result<String> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let mut stream = TcpStream::connect(addresses)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let query = match output {
        Output::Table => format!("?{TABLE}"),
        Output::Json => String::new(),
    };
    io::Write::write_all(&mut stream, format!("GET {PATH}{query} HTTP/1.0\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.split(' ').nth(1) == Some("200") => Ok(format!("{}\n", body.trim_end())),
        Some(_) | None => Err(io::Error::other("it does not tell its limits")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::{Args as _, Command, FromArgMatches};

    use super::{Args, Basis, Budget, Capacity, Config, Limit, Output, Value, in_use, written};

    fn limits(options: &[&str]) -> Vec<Limit> {
        let run = Args::augment_args(Command::new("run"));
        let matches = run.get_matches_from([&["run"], options].concat());
        let config = Config::try_from(Args::from_arg_matches(&matches).unwrap()).unwrap();
        let budget = Budget::new(config.memory);
        let capacity = Capacity::new(&config.capacity, 20_000, budget.connections());
        in_use(&Basis { config: &config, descriptors: 20_000, capacity, budget: &budget })
    }

    fn value(limits: &[Limit], name: &str) -> Value {
        limits.iter().find(|limit| limit.name == name).expect(name).value
    }

    #[test]
    fn every_option_that_takes_an_amount_is_in_the_list() {
        let limits = limits(&[]);
        let run = Args::augment_args(Command::new("run"));
        let amounts: Vec<_> = run
            .get_arguments()
            .filter(|argument| {
                let names = argument.get_value_names().unwrap_or_default();
                names.iter().any(|name| ["NUMBER", "DURATION", "BYTES"].contains(&name.as_str()))
            })
            .map(|argument| format!("--{}", argument.get_long().unwrap()))
            .collect();
        assert!(amounts.len() > 8, "{amounts:?}");
        for option in &amounts {
            let found = limits.iter().find(|limit| limit.option == Some(option));
            let limit = found.unwrap_or_else(|| panic!("{option} limits something and is not in `in_use`"));
            assert!(limit.environment.is_some() && !limit.about.is_empty(), "{limit:?}");
        }
        for limit in limits.iter().filter_map(|limit| limit.option) {
            assert!(
                amounts.iter().any(|option| option == limit),
                "{limit} is no option that takes an amount"
            );
        }
    }

    #[test]
    fn values_are_those_in_use() {
        let limits = limits(&[
            "--connect-timeout=3s",
            "--outbound-connect-timeout=500ms",
            "--dead-peer-timeout=0s",
            "--memory-limit=24576000",
            "--max-inbound-connections=5",
        ]);
        for (name, expected) in [
            ("connect", Value::Time(Duration::from_secs(3))),
            ("inbound_connect", Value::Time(Duration::from_secs(3))),
            ("outbound_connect", Value::Time(Duration::from_millis(500))),
            ("memory", Value::Bytes(24_576_000)),
            ("connections", Value::Count(1000)),
            ("inbound_connections", Value::Count(5)),
            ("outbound_connections", Value::Count(750)),
        ] {
            assert_eq!(value(&limits, name), expected, "{name}");
        }
        let table = written(&limits, Output::Table);
        for line in
            ["dead_peer ", "outbound_connect "].map(|name| table.lines().find(|line| line.starts_with(name)))
        {
            let words: Vec<_> = line.unwrap().split_whitespace().collect();
            assert!(["none", "500ms"].contains(&words[1]) && words[3].starts_with("REMORA_"), "{line:?}");
        }
        let json: serde_json::Value = serde_json::from_str(&written(&limits, Output::Json)).unwrap();
        assert_eq!(json.as_array().unwrap().len(), limits.len());
        assert!(json.as_array().unwrap().iter().any(|limit| limit["value"] == 0.5), "{json}");
    }

    #[test]
    fn amounts_are_readable() {
        for (value, text) in [
            (Value::Bytes(1023), "1023 B"),
            (Value::Bytes(64 << 20), "64 MiB"),
            (Value::Bytes(3 << 29), "1.5 GiB"),
            (Value::Time(Duration::from_secs(90)), "1m 30s"),
            (Value::None, "none"),
        ] {
            assert_eq!(value.to_string(), text);
        }
    }
}
