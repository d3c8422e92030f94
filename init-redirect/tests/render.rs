//! The printed plan of a table of option sets, against files in `golden/`. With `REMORA_BLESS=1` the files are written
//! instead, for a change that was meant.

use std::path::Path;

use clap::Parser;
use init_redirect::args::Command;
use init_redirect::plan::Plan;

fn plan(arguments: &[&str]) -> Plan {
    let command =
        Command::try_parse_from([&["init-redirect"], arguments].concat()).expect("flags that exist");
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

#[test]
fn defaults_as_json() {
    let json = serde_json::to_string_pretty(&plan(&[])).expect("a plan is JSON");
    check("defaults.json", &(json + "\n"));
}

const EVERYTHING: [&str; 10] = [
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
