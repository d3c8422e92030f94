//! What `explain` says of a packet, against the table of landings which the network namespace tests hold every backend to.

use std::collections::BTreeMap;
use std::net::IpAddr;

use init_redirect::args::{Command, Subaction, TypedPacket};
use init_redirect::plan::Plan;
use init_redirect::plan::explain::{Explanation, Landing};

const TABLE: &str = include_str!("../../tests/tests/redirect_matrix/landings.txt");

/// Ports of the pod on which nobody listens: a packet that lands there is refused by nobody's rule.
const CLOSED: [u16; 3] = [22, 1, api::ports::READINESS_CAPTURED];

/// Addresses of the pod itself.
const OWN: [&str; 6] = ["pod", "gateway", "localhost", "loopback5", "resolver", "proxy-lo"];

#[derive(Default)]
struct Table {
    /// Addresses of each host, one a family or `-`.
    hosts: BTreeMap<&'static str, Vec<&'static str>>,
    options: Vec<Vec<&'static str>>,
    /// Packet and landing for each set of options.
    rows: Vec<(&'static str, Vec<&'static str>)>,
}

impl Table {
    fn read() -> Self {
        let (mut table, mut section) = (Self::default(), "");
        for line in TABLE.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            let mut words = line.split_whitespace();
            match (line.starts_with(' '), section) {
                (false, _) => section = words.next().expect("a heading"),
                (true, "hosts") => {
                    table.hosts.insert(words.next().expect("a name"), words.collect());
                }
                (true, "options") => table.options.push(words.skip(1).collect()),
                (true, "landings") => {
                    let (packet, cells) = line.trim().split_once("  ").expect("a packet and its landings");
                    table.rows.push((packet, cells.split_whitespace().collect()));
                }
                (true, other) => assert_eq!(other, "", "landings.txt: a section that is not known"),
            }
        }
        table
    }
}

/// What is typed for a packet of the table; nothing for what has no ports.
fn arguments(table: &Table, packet: &str, address: IpAddr) -> Option<Vec<String>> {
    let (from, to) = packet.split_once(" > ").expect("a packet");
    let (host, port) = to.split_once(':')?;
    let (sender, protocol) = from.split_once(' ').unwrap_or((from, "tcp"));
    let interface = match (sender, host) {
        ("guest", _) | (_, "guest") => "vnet0",
        ("remote", _) => "eth0",
        (_, host) if OWN.contains(&host) => "lo",
        _ => "eth0",
    };
    let source = table.hosts.get(sender).filter(|_| ["remote", "guest"].contains(&sender));
    let source = source.and_then(|addresses| addresses.get(usize::from(address.is_ipv6())));
    let source = source.map(|address| format!("--source={address}"));
    // To others the pod's addresses are the pod itself, of which nothing else is known here.
    let outside = ["remote", "guest"].contains(&sender);
    let sender = match sender {
        "guest" => "remote".to_owned(),
        "proxy-lo" => "proxy".to_owned(),
        ids if ids.contains(':') => format!("uid:{}", ids.replace(':', ",gid:")),
        other => other.to_owned(),
    };
    let target = std::net::SocketAddr::new(address, port.parse().expect("a port"));
    let target = if outside && OWN.contains(&host) { format!(":{port}") } else { target.to_string() };
    let family = if address.is_ipv4() { "ipv4" } else { "ipv6" };
    let arguments = [
        "explain".to_owned(),
        format!("--from={sender}"),
        format!("--to={target}"),
        format!("--protocol={protocol}"),
        format!("--interface={interface}"),
        format!("--family={family}"),
    ];
    Some(arguments.into_iter().chain(source).collect())
}

fn agrees(cell: &str, landing: Landing, packet: &str) -> bool {
    let redirected = |port: u16| matches!(landing, Landing::Redirected(to) if to.get() == port);
    match cell {
        "O" => redirected(api::ports::OUTBOUND),
        "I" => redirected(api::ports::INBOUND),
        "D" => redirected(api::ports::DNS),
        "x" => {
            let closed = CLOSED.iter().any(|port| packet.ends_with(&format!(":{port}")));
            landing == Landing::Reset || closed && landing == Landing::Direct
        }
        _ => landing == Landing::Direct,
    }
}

#[test]
fn it_agrees_with_what_packets_did() {
    let table = Table::read();
    let (mut faults, mut compared) = (Vec::new(), 0);
    for (column, options) in table.options.iter().enumerate() {
        for (packet, cells) in &table.rows {
            let cell = cells.get(column).expect("a landing for each set of options");
            let host = packet.split_once(" > ").expect("a packet").1.split(':').next().expect("a host");
            let addresses = table.hosts.get(host).expect("a host of the table");
            for address in addresses.iter().filter_map(|text| text.parse().ok()) {
                let Some(arguments) = arguments(&table, packet, address) else { continue };
                let typed = options.iter().map(ToString::to_string).chain(arguments.clone());
                explained(typed, |explanation| {
                    compared += 1;
                    if !agrees(cell, explanation.landing, packet) {
                        faults.push(format!("{options:?} {arguments:?}: {cell}, but\n{explanation}"));
                    }
                });
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    assert!(compared > 500, "{compared} comparisons");
}

fn packet(action: Option<Subaction>) -> TypedPacket {
    let packet = match action {
        Some(Subaction::Explain { packet, .. }) => Some(packet),
        _ => None,
    };
    packet.expect("explain was typed")
}

fn explained(arguments: impl Iterator<Item = String>, look: impl FnOnce(&Explanation<'_>)) {
    let command = Command::from_arguments(std::iter::once("init-redirect".to_owned()).chain(arguments));
    let command = command.expect("flags that exist");
    let options = command.typed.parse().expect("values that are allowed");
    let packet = packet(command.action).parse(&options).expect("a packet");
    look(&Plan::new(&options).explain(&packet));
}

#[track_caller]
fn says(arguments: &[&str], expected: &[&str]) {
    explained(arguments.iter().map(ToString::to_string), |explanation| {
        let said = explanation.to_string();
        assert_eq!(said.lines().map(str::trim).collect::<Vec<_>>(), expected, "{said}");
    });
}

#[test]
fn an_applications_call() {
    says(
        &["explain", "--from=app", "--to=10.0.0.5:443"],
        &[
            "It lands on port 15001 of the pod, redirected.",
            "REMORA_OUTBOUND, rule 3: TCP SYN -> to port 15001: new connections (--include-outbound-cidrs)",
            "REMORA_GUARD: no rule matches",
        ],
    );
}

#[test]
fn a_direct_hit() {
    says(
        &["explain", "--from=remote", "--to=:15006"],
        &[
            "It is refused: its sender gets a reset.",
            "REMORA_INBOUND, rule 4: TCP SYN -> to port 15006: new connections (--include-inbound-ports)",
            "REMORA_GUARD, rule 1: not from lo, TCP SYN, sent to port 15001, 15006 -> reset: a direct hit from outside: the \
             proxy is no service (always)",
        ],
    );
}

#[test]
fn a_packet_of_no_connection() {
    says(
        &["explain", "--from=remote", "--to=[2001:db8::2]:8080", "--state=invalid"],
        &[
            "It is dropped: its sender hears nothing.",
            "REMORA_GUARD, rule 3: not from lo, TCP, of no known connection, any port but 15008, 15020-15021, 15090 -> drop: \
             not translated: the pod would answer with a reset (--drop-invalid, --include-inbound-ports)",
        ],
    );
}

#[test]
fn dns_and_its_zone() {
    says(
        &[
            "--redirect-dns",
            "--dns-servers=10.96.0.53",
            "explain",
            "--from=app",
            "--to=10.96.0.53:53",
            "--protocol=udp",
        ],
        &[
            "It lands on port 15053 of the pod, redirected.",
            "REMORA_ZONE_OUT, rule 3: UDP, port 53, to 10.96.0.53/32 -> zone 2: questions to the proxy (--redirect-dns, \
             --dns-servers)",
            "REMORA_OUTBOUND, rule 2: UDP, port 53, to 10.96.0.53/32 -> to port 15053: DNS (--redirect-dns, --dns-servers)",
            "REMORA_GUARD: no rule matches",
        ],
    );
}

#[test]
fn a_connection_that_was_there_before_the_rules() {
    for (switch, landing) in [
        ("false", "It lands where it was sent to."),
        ("true", "It lands on port 15006 of the pod, redirected."),
    ] {
        let switch = format!("--capture-established={switch}");
        let arguments = [&switch, "explain", "--from=remote", "--to=:80", "--state=established"];
        explained(arguments.iter().map(ToString::to_string), |explanation| {
            assert_eq!(explanation.landing.to_string(), landing);
        });
    }
}

#[test]
fn what_is_no_packet_is_refused_at_once() {
    let command = Command::from_arguments([
        "init-redirect",
        "explain",
        "--from=uid:x",
        "--to=example.com:443",
        "--protocol=icmp",
        "--family=ipv5",
        "--state=open",
        "--interface=a/b",
    ]);
    let command = command.expect("flags that exist");
    let options = command.typed.parse().expect("defaults");
    let error = packet(command.action).parse(&options).expect_err("six bad values").to_string();
    for option in [
        "--from \"uid:x\"",
        "--protocol \"icmp\"",
        "--family \"ipv5\"",
        "--state \"open\"",
        "--interface \"a/b\"",
    ] {
        assert!(
            error.lines().any(|line| line.starts_with(option) && line.contains("allowed: ")),
            "{option}\n{error}"
        );
    }
}
