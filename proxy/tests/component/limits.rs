//! The limits, wherever they are shown: by the program with options, by the running proxy, and as metrics.

use serde_json::Value;

use crate::command_line::{failure, proxy};
use crate::support::{Proxy, unused_port};

fn shown(arguments: &[&str]) -> String {
    let output = proxy(arguments).env(api::env::MEMORY_LIMIT, "50000000").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn value<'a>(limits: &'a Value, name: &str) -> &'a Value {
    let limits = limits.as_array().expect("a list");
    let limit = limits.iter().find(|limit| limit["name"] == name);
    &limit.unwrap_or_else(|| panic!("no {name} in {limits:?}"))["value"]
}

#[test]
fn options_and_environment_show_in_the_list() {
    let json = shown(&["limits", "-o", "json", "--connect-timeout", "3s"]);
    let limits: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(*value(&limits, "inbound_connect"), 3.0);
    assert_eq!(*value(&limits, "memory"), 50_000_000);
    assert_eq!(*value(&limits, "connections"), 2034, "memory is what is scarce");
    let table = shown(&["limits"]);
    let column = table.find("OPTION").expect(&table);
    let is_in_column =
        |line: &str| line.get(column - 2..column) == Some("  ") && line.as_bytes()[column] != b' ';
    assert!(table.lines().all(is_in_column), "{table}");
    let line = table.lines().find(|line| line.starts_with("connect ")).expect(&table);
    let words: Vec<_> = line.split_whitespace().collect();
    let by = ["--connect-timeout", "REMORA_CONNECT_TIMEOUT", "remora_connect_timeouts_total"];
    assert_eq!(words, [&["connect", "10s"][..], &by].concat());
}

#[test]
fn the_running_proxy_tells_its_own() {
    let discovery = tempfile::tempdir().unwrap();
    let discovery = discovery.path().to_str().unwrap();
    let running = Proxy::start(&["--max-outbound-connections", "17", "--discovery-directory", discovery]);
    let port = running.addresses.administration[0].port().to_string();
    let ask = |output| shown(&["limits", "--running", "--admin-port", &port, "--output", output]);
    let limits: Value = serde_json::from_str(&ask("json")).expect("JSON");
    assert_eq!(*value(&limits, "outbound_connections"), 17);
    let table = ask("table");
    assert!(
        table.lines().any(|line| line.starts_with("outbound_connections") && line.contains(" 17 ")),
        "{table}"
    );
    let metrics = running.get(&running.addresses.metrics, "/metrics");
    for limit in limits.as_array().unwrap() {
        let series = format!("remora_limit{{name={}}} ", limit["name"]);
        let line = metrics.lines().find_map(|line| line.strip_prefix(&series));
        assert_eq!(line.map(|value| value.parse::<f64>().unwrap()), limit["value"].as_f64(), "{series}");
        for shows in limit["metrics"].as_array().unwrap().iter().filter_map(Value::as_str) {
            let (name, label) = shows.split_once('{').unwrap_or((shows, ""));
            let (names, label) = ([format!("{name} "), format!("{name}{{")], label.trim_end_matches('}'));
            let shown = metrics
                .lines()
                .any(|line| names.iter().any(|name| line.starts_with(name)) && line.contains(label));
            assert!(shown, "{shows} is nowhere, and should show {limit}");
        }
    }
}

#[test]
fn without_a_running_proxy_it_says_how_to_reach_one() {
    let port = unused_port().to_string();
    let message = failure(&["limits", "--running", "--admin-port", &port]);
    assert!(message.contains(&port) && message.contains("--admin-port"), "{message}");
    assert!(failure(&["limits", "--memory-limit", "much"]).contains("--memory-limit"));
}
