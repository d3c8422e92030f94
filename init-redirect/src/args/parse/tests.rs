//! Good and bad options, ours and Istio's.

use clap::Parser;

use crate::args::Command;
use crate::options::{BackendChoice, Cidrs, Options, Owner, Ports, Selection};

fn parse(arguments: &[&str]) -> Result<Options, String> {
    let command = Command::try_parse_from([&["init-redirect"], arguments].concat());
    let command = command.map_err(|error| error.to_string())?;
    command.typed.parse().map_err(|error| error.to_string())
}

#[test]
fn the_defaults_are_the_contracts() {
    let options = parse(&[]).expect("defaults");
    assert_eq!(options.proxy, Owner { uid: api::pod::PROXY_UID, gid: api::pod::PROXY_GID });
    assert_eq!(options.inbound.port.get(), api::ports::INBOUND);
    assert_eq!(options.outbound.port.get(), api::ports::OUTBOUND);
    assert_eq!(
        (options.inbound.ports.include, options.inbound.ports.exclude),
        (Selection::All, Ports::default())
    );
    assert_eq!(options.outbound.cidrs.include, Selection::All);
    assert_eq!(options.outbound.cidrs.exclude, Cidrs::default());
    assert_eq!(options.backend, BackendChoice::Auto);
}

#[test]
fn an_empty_list_of_included_means_none() {
    let options = parse(&["--include-inbound-ports=", "--include-outbound-cidrs="]).expect("empty lists");
    assert_eq!(options.inbound.ports.include, Selection::Only(Ports::default()));
    assert_eq!(options.outbound.cidrs.include, Selection::Only(Cidrs::default()));
}

#[test]
fn all_bad_options_are_named_at_once_a_line_each() {
    let error = parse(&[
        "--outbound-port=0",
        "--inbound-port=15021",
        "--proxy-uid=root",
        "--proxy-gid=4294967295",
        "--include-inbound-ports=*,80",
        "--exclude-inbound-ports=90-80",
        "--include-outbound-ports=http",
        "--exclude-outbound-ports=65536",
        "--include-outbound-cidrs=10.0.0.0/33",
        "--exclude-outbound-cidrs=example.com",
        "--backend=ebpf",
    ])
    .expect_err("eleven bad options");
    let expected = [
        ("--outbound-port (REMORA_OUTBOUND_PORT) \"0\"", "from 1 to 65535"),
        ("--inbound-port (REMORA_INBOUND_PORT) \"15021\"", "none of"),
        ("--proxy-uid (REMORA_PROXY_UID) \"root\"", "from 0 to 4294967294"),
        ("--proxy-gid (REMORA_PROXY_GID) \"4294967295\"", "from 0 to 4294967294"),
        ("--include-inbound-ports (REMORA_INCLUDE_INBOUND_PORTS) \"*,80\"", "allowed: *, or ports"),
        ("--exclude-inbound-ports (REMORA_EXCLUDE_INBOUND_PORTS) \"90-80\"", "ends before it begins"),
        ("--include-outbound-ports (REMORA_INCLUDE_OUTBOUND_PORTS) \"http\"", "as in 80,8000-8100"),
        ("--exclude-outbound-ports (REMORA_EXCLUDE_OUTBOUND_PORTS) \"65536\"", "\"65536\" is not a port"),
        ("--include-outbound-cidrs (REMORA_INCLUDE_OUTBOUND_CIDRS) \"10.0.0.0/33\"", "allowed: *, or IPv4"),
        ("--exclude-outbound-cidrs (REMORA_EXCLUDE_OUTBOUND_CIDRS) \"example.com\"", "not a network"),
        ("--backend (REMORA_REDIRECT_BACKEND) \"ebpf\"", "iptables-nft or iptables-legacy"),
    ];
    assert_eq!(error.lines().count(), expected.len(), "{error}");
    for (beginning, part) in expected {
        let found = error.lines().any(|line| line.starts_with(beginning) && line.contains(part));
        assert!(found, "{beginning} ... {part}\nin\n{error}");
    }
}

#[test]
fn the_two_ports_differ() {
    let error = parse(&["--outbound-port=15006"]).expect_err("the same port");
    assert!(error.contains("it is the inbound port too"), "{error}");
}
