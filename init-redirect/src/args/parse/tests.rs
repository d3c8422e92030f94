//! Good and bad options, ours and Istio's.

use std::io;

use crate::args::Command;
use crate::options::{BackendChoice, Cidrs, Options, Owner, Ports, Selection};

fn parse(arguments: &[&str]) -> Result<Options, String> {
    let command = Command::from_arguments([&["init-redirect"], arguments].concat());
    let command = command.map_err(|error| error.to_string())?;
    command.typed.parse_with(|| Ok(RESOLV_CONF.to_owned())).map_err(|error| error.to_string())
}

const RESOLV_CONF: &str = "# nameserver 192.0.2.1\nsearch default.svc\nnameserver 10.96.0.10\n\
    nameserver\tfe80::1%eth0 # the node\nnameserver nonsense\noptions ndots:5\n";

/// Both are understood, and as the same.
#[track_caller]
fn same(arguments: &[&str], ours: &[&str]) {
    let expected = parse(ours).expect("our own options");
    assert_eq!(parse(arguments).as_ref(), Ok(&expected), "{arguments:?}");
}

/// For each part of a line there is a line with it.
#[track_caller]
fn refused(arguments: &[&str], expected: &[(&str, &str)]) {
    let error = parse(arguments).expect_err("bad options");
    assert_eq!(error.lines().count(), expected.len(), "{error}");
    for (beginning, part) in expected {
        let found = error.lines().any(|line| line.starts_with(beginning) && line.contains(part));
        assert!(found, "{beginning} ... {part}\nin\n{error}");
    }
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

/// A bad value of every option.
const BAD: [&str; 27] = [
    "--outbound-port=0",
    "--inbound-port=15021",
    "--proxy-uid=root",
    "--proxy-gid=4294967295",
    "--families=ipv5",
    "--include-inbound-ports=*,80",
    "--exclude-inbound-ports=90-80",
    "--include-inbound-cidrs=10.0.0.0/99",
    "--exclude-inbound-cidrs=::/129",
    "--include-outbound-ports=http",
    "--exclude-outbound-ports=65536",
    "--include-outbound-cidrs=10.0.0.0/33",
    "--exclude-outbound-cidrs=example.com",
    "--include-uids=root",
    "--exclude-uids=2-1",
    "--include-gids=-1",
    "--exclude-gids=,",
    "--include-interfaces=eth 0",
    "--exclude-interfaces=a-name-too-long-for-linux",
    "--virtual-interfaces=lo",
    "--redirect-dns=yes",
    "--dns-servers=example.com",
    "--dns-port=15020",
    "--drop-invalid=2",
    "--capture-established=",
    "--hold-until-ready=on",
    "--backend=ebpf",
];

#[test]
fn all_bad_options_are_named_at_once_a_line_each() {
    refused(
        &BAD,
        &[
            ("--outbound-port (REMORA_OUTBOUND_PORT) \"0\"", "from 1 to 65535"),
            ("--inbound-port (REMORA_INBOUND_PORT) \"15021\"", "none of"),
            ("--proxy-uid (REMORA_PROXY_UID) \"root\"", "from 0 to 4294967294"),
            ("--proxy-gid (REMORA_PROXY_GID) \"4294967295\"", "from 0 to 4294967294"),
            ("--families (REMORA_FAMILIES) \"ipv5\"", "allowed: ipv4, ipv6 or ipv4,ipv6"),
            ("--include-inbound-ports (REMORA_INCLUDE_INBOUND_PORTS) \"*,80\"", "allowed: *, or ports"),
            ("--exclude-inbound-ports (REMORA_EXCLUDE_INBOUND_PORTS) \"90-80\"", "ends before it begins"),
            ("--include-inbound-cidrs (REMORA_INCLUDE_INBOUND_CIDRS) \"10.0.0.0/99\"", "allowed: *, or IPv4"),
            ("--exclude-inbound-cidrs (REMORA_EXCLUDE_INBOUND_CIDRS) \"::/129\"", "not a network"),
            ("--include-outbound-ports (REMORA_INCLUDE_OUTBOUND_PORTS) \"http\"", "as in 80,8000-8100"),
            ("--exclude-outbound-ports (REMORA_EXCLUDE_OUTBOUND_PORTS) \"65536\"", "\"65536\" is not a port"),
            (
                "--include-outbound-cidrs (REMORA_INCLUDE_OUTBOUND_CIDRS) \"10.0.0.0/33\"",
                "allowed: *, or IPv4",
            ),
            ("--exclude-outbound-cidrs (REMORA_EXCLUDE_OUTBOUND_CIDRS) \"example.com\"", "not a network"),
            ("--include-uids (REMORA_INCLUDE_UIDS) \"root\"", "allowed: *, or numbers"),
            ("--exclude-uids (REMORA_EXCLUDE_UIDS) \"2-1\"", "ends before it begins"),
            ("--include-gids (REMORA_INCLUDE_GIDS) \"-1\"", "not a numeric id"),
            ("--exclude-gids (REMORA_EXCLUDE_GIDS) \",\"", "not a numeric id"),
            ("--include-interfaces (REMORA_INCLUDE_INTERFACES) \"eth 0\"", "allowed: *, or names"),
            ("--exclude-interfaces (REMORA_EXCLUDE_INTERFACES) \"a-name", "at most 15 characters"),
            ("--virtual-interfaces (REMORA_VIRTUAL_INTERFACES) \"lo\"", "lo is never captured"),
            ("--redirect-dns (REMORA_REDIRECT_DNS) \"yes\"", "allowed: true or false"),
            ("--dns-servers (REMORA_DNS_SERVERS) \"example.com\"", "resolv.conf, * or addresses"),
            ("--dns-port (REMORA_DNS_PORT) \"15020\"", "none of"),
            ("--drop-invalid (REMORA_DROP_INVALID) \"2\"", "allowed: true or false"),
            ("--capture-established (REMORA_CAPTURE_ESTABLISHED) \"\"", "allowed: true or false"),
            ("--hold-until-ready (REMORA_HOLD_UNTIL_READY) \"on\"", "allowed: true or false"),
            ("--backend (REMORA_REDIRECT_BACKEND) \"ebpf\"", "iptables-nft or iptables-legacy"),
        ],
    );
}

#[test]
fn the_proxys_ports_differ() {
    refused(&["--outbound-port=15006"], &[("--outbound-port", "it is the inbound port too")]);
    refused(&["--dns-port=15001"], &[("--dns-port", "it is the outbound port too")]);
    refused(&["--inbound-port=15053"], &[("--dns-port", "it is the inbound port too")]);
}

#[test]
fn the_resolvers_configuration_is_read_where_it_matters() {
    let servers = |arguments: &[&str]| parse(arguments).expect("options").dns.map(|dns| dns.servers);
    let of_file = "10.96.0.10,fe80::1".parse::<Cidrs>().expect("addresses");
    assert_eq!(servers(&["--redirect-dns"]), Some(Selection::Only(of_file)));
    assert_eq!(servers(&["--redirect-dns", "--dns-servers=*"]), Some(Selection::All));
    assert_eq!(servers(&[]), None);

    let with = |arguments: &[&str], resolv_conf: io::Result<&str>| {
        let command = Command::from_arguments([&["init-redirect"], arguments].concat()).expect("flags");
        let parsed = command.typed.parse_with(|| resolv_conf.map(str::to_owned));
        parsed.map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(with(&[], Err(io::ErrorKind::NotFound.into())), Ok(()));
    let unread = with(&["--redirect-dns"], Err(io::ErrorKind::NotFound.into())).expect_err("no file");
    assert!(
        unread.starts_with("--dns-servers (REMORA_DNS_SERVERS) \"resolv.conf\": /etc/resolv.conf: "),
        "{unread}"
    );
    let empty = with(&["--redirect-dns"], Ok("search svc\n")).expect_err("no server");
    assert!(empty.contains("names no server"), "{empty}");
}

#[test]
fn a_pod_template_of_istios_is_understood() {
    let template = "istio-iptables -p 15001 -z 15006 -u 1337 -m REDIRECT -i * -x  -b * -d 15090,15021,15020 \
        --log_output_level=default:info";
    let template: Vec<&str> = template.split(' ').collect();
    same(&template, &["--exclude-inbound-ports=15090,15021,15020"]);
}

#[test]
fn istios_flags_mean_ours() {
    for (istio, ours) in [
        ("-p=16001", "--outbound-port=16001"),
        ("--envoy-port=16001", "--outbound-port=16001"),
        ("-z=16006", "--inbound-port=16006"),
        ("--inbound-capture-port=16006", "--inbound-port=16006"),
        ("-e=16008", "--exclude-inbound-ports=16008"),
        ("--inbound-tunnel-port=15008", "--exclude-inbound-ports="),
        ("-g=3000", "--proxy-gid=3000"),
        ("-m=redirect", "--backend=auto"),
        ("-b=80,443", "--include-inbound-ports=80,443"),
        ("--istio-inbound-ports=", "--include-inbound-ports="),
        ("--istio-local-exclude-ports=22", "--exclude-inbound-ports=22"),
        ("-c=net1", "--exclude-interfaces=net1"),
        ("-i=10.0.0.0/8", "--include-outbound-cidrs=10.0.0.0/8"),
        ("--istio-service-cidr=", "--include-outbound-cidrs="),
        ("-x=192.0.2.1/32", "--exclude-outbound-cidrs=192.0.2.1"),
        ("-q=443", "--include-outbound-ports=443"),
        ("-o=3306", "--exclude-outbound-ports=3306"),
        ("-k=tap0,tap1", "--virtual-interfaces=tap0,tap1"),
        ("--istio-outbound-owner-groups=101", "--include-gids=101"),
        ("--istio-outbound-owner-groups-exclude=101", "--exclude-gids=101"),
        ("--invalid-drop=false", "--drop-invalid=false"),
        ("--native-nftables", "--backend=nft"),
        ("--native-nftables=false", "--backend=auto"),
        ("--force-iptables-binary=legacy", "--backend=iptables-legacy"),
        ("--force-iptables-binary=nft", "--backend=iptables-nft"),
        ("--envoy-user=istio-proxy", "--backend=auto"),
        ("--dual-stack", "--families=ipv4,ipv6"),
        ("-n=false", "--backend=auto"),
        ("--network-namespace=", "--backend=auto"),
    ] {
        same(&[istio], &[ours]);
    }
    same(&["--redirect-dns", "--capture-all-dns"], &["--redirect-dns", "--dns-servers=*"]);
    same(&["--istio-meta-dns-capture=true"], &["--redirect-dns=true"]);
    same(&["-u=2000"], &["--proxy-uid=2000", "--proxy-gid=2000"]);
    same(&["-u=2000", "--proxy-gid=3000"], &["--proxy-uid=2000", "--proxy-gid=3000"]);
}

#[test]
fn what_only_istio_can_is_refused_with_the_reason() {
    refused(
        &[
            "-m=TPROXY",
            "-p=http",
            "-e=0",
            "--skip-rule-apply",
            "--cleanup-only",
            "-n",
            "--cni-mode",
            "--network-namespace=/proc/1/ns/net",
            "--envoy-user=envoy",
            "--force-iptables-binary=xtables",
        ],
        &[
            (
                "-m, --istio-inbound-interception-mode (ISTIO_INBOUND_INTERCEPTION_MODE) \"TPROXY\"",
                "allowed: REDIRECT",
            ),
            ("-p, --envoy-port (ENVOY_PORT) \"http\"", "from 1 to 65535"),
            ("-e, --inbound-tunnel-port (INBOUND_TUNNEL_PORT) \"0\"", "from 1 to 65535"),
            ("--skip-rule-apply (SKIP_RULE_APPLY) \"true\"", "init-redirect check"),
            ("--cleanup-only (CLEANUP_ONLY) \"true\"", "init-redirect cleanup"),
            ("-n, --dry-run (DRY_RUN) \"true\"", "init-redirect plan"),
            ("--cni-mode (CNI_MODE) \"true\"", "CNI plugin"),
            ("--network-namespace (NETWORK_NAMESPACE) \"/proc/1/ns/net\"", "nsenter"),
            ("--envoy-user (ENVOY_USER) \"envoy\"", "--proxy-uid"),
            ("--force-iptables-binary (FORCE_IPTABLES_BINARY) \"xtables\"", "nft or legacy"),
        ],
    );
    refused(&["-m=NONE"], &[("-m", "nothing to install")]);
}

#[test]
fn two_names_of_an_option_have_to_agree() {
    same(&["--outbound-port=16001", "-p=16001"], &["--outbound-port=16001"]);
    refused(
        &["--outbound-port=16001", "-p=17001", "--redirect-dns", "--istio-meta-dns-capture=false"],
        &[
            (
                "-p, --envoy-port (ENVOY_PORT) \"17001\"",
                "--outbound-port (REMORA_OUTBOUND_PORT) says \"16001\"",
            ),
            ("--istio-meta-dns-capture (ISTIO_META_DNS_CAPTURE) \"false\"", "--redirect-dns"),
        ],
    );
}
