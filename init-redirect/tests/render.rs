//! The printed plan of a table of option sets, against files in `golden/`. With `REMORA_BLESS=1` the files are written
//! instead, for a change that was meant.

use std::path::Path;

use init_redirect::args::Command;
use init_redirect::plan::Plan;

fn plan(arguments: &[&str]) -> Plan {
    let command =
        Command::from_arguments([&["init-redirect"], arguments].concat()).expect("flags that exist");
    Plan::new(&command.typed.parse().expect("values that are allowed"))
}

#[track_caller]
fn check(name: &str, printed: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("REMORA_BLESS").is_some() {
        std::fs::write(&path, printed).expect("the golden directory can be written");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == printed, "{name} is now\n{printed}\nwhere it was\n{golden}");
}

#[test]
fn defaults() {
    check("defaults.txt", &plan(&[]).to_string());
}

/// The README's rule table is this text; when the plan changes, the page has to.
#[test]
fn the_readme_shows_the_defaults() {
    let readme = include_str!("../../README.md");
    assert!(
        readme.contains(plan(&[]).to_string().trim_end()),
        "README.md shows other rules than `init-redirect plan`"
    );
}

#[test]
fn defaults_as_json() {
    let json = serde_json::to_string_pretty(&plan(&[])).expect("a plan is JSON");
    check("defaults.json", &(json + "\n"));
}

const EVERYTHING: [&str; 24] = [
    "--outbound-port=16001",
    "--inbound-port=16006",
    "--proxy-uid=2000",
    "--proxy-gid=3000",
    "--include-inbound-ports=80,8000-8100",
    "--exclude-inbound-ports=8050,15000-16000",
    "--include-outbound-ports=443,3306",
    "--exclude-outbound-ports=25,3307",
    "--include-outbound-cidrs=10.0.0.0/8,2001:db8::/32",
    "--exclude-outbound-cidrs=10.1.0.0/16,10.1.2.0/24,203.0.113.7,2001:db8:2::/48",
    "--families=ipv4,ipv6",
    "--include-inbound-cidrs=10.0.0.0/8,2001:db8::/32",
    "--exclude-inbound-cidrs=192.0.2.0/24",
    "--include-uids=0-4000",
    "--exclude-uids=100,200-300",
    "--include-gids=*",
    "--exclude-gids=999",
    "--include-interfaces=eth0,net+",
    "--exclude-interfaces=net2",
    "--virtual-interfaces=tap0",
    "--redirect-dns",
    "--dns-servers=10.96.0.53,2001:db8:53::53",
    "--dns-port=16053",
    "--hold-until-ready",
];

#[test]
fn everything() {
    check("everything.txt", &plan(&EVERYTHING).to_string());
}

#[test]
fn everything_as_json() {
    let json = serde_json::to_string_pretty(&plan(&EVERYTHING)).expect("a plan is JSON");
    check("everything.json", &(json + "\n"));
}

#[test]
fn nothing_captured_but_the_readiness_probe() {
    check("nothing.txt", &plan(&["--include-inbound-ports=", "--include-outbound-cidrs="]).to_string());
}

#[test]
fn one_family_and_exclusions_of_all_inbound() {
    let arguments = ["--exclude-inbound-ports=22", "--include-outbound-cidrs=2001:db8::/32"];
    check("one-family.txt", &plan(&arguments).to_string());
}

#[test]
fn one_family() {
    check(
        "ipv4-only.txt",
        &plan(&["--families=ipv4", "--exclude-outbound-cidrs=203.0.113.0/24"]).to_string(),
    );
}

#[test]
fn dns_of_any_server() {
    check("dns.txt", &plan(&["--redirect-dns", "--dns-servers=*"]).to_string());
}

#[test]
fn dns_is_left_alone_where_its_port_is_excluded() {
    let excluded = ["--redirect-dns", "--dns-servers=*", "--exclude-outbound-ports=50-60"];
    assert_eq!(plan(&excluded), plan(&["--exclude-outbound-ports=50-60"]));
}

#[test]
fn a_virtual_machines_interface() {
    let arguments = ["--virtual-interfaces=tap0", "--exclude-outbound-ports=22", "--drop-invalid=false"];
    check("virtual.txt", &plan(&arguments).to_string());
}

#[test]
fn established_connections_and_held_ones() {
    check("established.txt", &plan(&["--capture-established", "--hold-until-ready"]).to_string());
}

/// What the other emitters are held to.
const SETS: [(&str, &[&str]); 7] = [
    ("defaults", &[]),
    ("everything", &EVERYTHING),
    ("nothing", &["--include-inbound-ports=", "--include-outbound-cidrs="]),
    ("ipv4-only", &["--families=ipv4", "--exclude-outbound-cidrs=203.0.113.0/24"]),
    ("dns", &["--redirect-dns", "--dns-servers=*"]),
    ("hold", &["--hold-until-ready", "--include-outbound-cidrs=0.0.0.0/0,2001:db8::/32"]),
    ("many-ports", &["--exclude-inbound-ports=1,3,5,7,9,11,13,15,17,19,21,23,25,27,29-30,80,8000-8100"]),
];

#[test]
fn texts_for_nft() {
    for (name, arguments) in SETS {
        check(&format!("{name}.nft"), &plan(arguments).to_nft());
    }
}

#[test]
fn texts_for_iptables() {
    for (name, arguments) in SETS {
        check(&format!("{name}.iptables"), &plan(arguments).to_iptables());
    }
}
