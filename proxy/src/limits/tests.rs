//! The list against the command line that it is of, and its forms.

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
        let limit = found.unwrap_or_else(|| panic!("{option} limits something and is not in `list`"));
        assert!(limit.environment.is_some() && !limit.metrics.is_empty(), "{limit:?}");
    }
    for limit in &limits {
        assert!(!limit.about.is_empty(), "{limit:?}");
        assert_eq!(limits.iter().filter(|other| other.name == limit.name).count(), 1, "{limit:?}");
    }
    for limit in limits.iter().filter_map(|limit| limit.option) {
        assert!(amounts.iter().any(|option| option == limit), "{limit} is no option that takes an amount");
    }
}

/// Rows of README's table of limits: the default as it is told, and the options.
fn told() -> Vec<(&'static str, &'static str)> {
    const README: &str = include_str!("../../../README.md");
    let (_, table) = README.split_once("| limit | default | option |\n").expect("the table of limits");
    let rows = table.lines().skip(1).take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| row.trim_matches('|').split('|').collect::<Vec<_>>());
    cells.map(|cells| (cells[1], cells[2])).collect()
}

/// Numbers, alone or of a unit.
fn amounts(text: &str) -> Vec<Value> {
    let words = text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    let words: Vec<_> = words.collect();
    let amount = |(at, word): (usize, &&str)| {
        let number: u64 = word.parse().ok()?;
        Some(match words.get(at + 1).copied().unwrap_or_default() {
            "KiB" => Value::Bytes(number << 10),
            "MiB" => Value::Bytes(number << 20),
            "ms" => Value::Time(Duration::from_millis(number)),
            "s" => Value::Time(Duration::from_secs(number)),
            "min" => Value::Time(Duration::from_secs(60 * number)),
            "h" => Value::Time(Duration::from_secs(3_600 * number)),
            _ => Value::Count(number),
        })
    };
    words.iter().enumerate().filter_map(amount).collect()
}

#[test]
fn the_readme_tells_all_defaults() {
    let (run, limits, told) = (Args::augment_args(Command::new("run")), limits(&[]), told());
    for limit in limits.iter().filter(|limit| limit.option.is_some()) {
        let option = limit.option.unwrap();
        let (default, _) = told
            .iter()
            .find(|(_, options)| options.contains(&format!("`{option}`")))
            .unwrap_or_else(|| panic!("{option} is not in README's table of limits"));
        let argument = run.get_arguments().find(|argument| argument.get_long() == option.strip_prefix("--"));
        // Others follow from what the process is given.
        if !argument.unwrap().get_default_values().is_empty() {
            assert!(amounts(default).contains(&limit.value), "{option} is {}, and not{default}", limit.value);
        }
    }
    let (slow_readers, _) = told.iter().find(|(default, _)| default.ends_with("a direction ")).unwrap();
    assert_eq!(amounts(slow_readers), [value(&limits, "read_ahead")]);
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
