//! What is no fault of the rules: the run succeeds, and says what it could not prove and why.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use tests::lab::{Lab, PROXY};
use tests::peer::{Server, Service};
use tests::rules::BACKENDS;

use crate::verdict::Verdict;

/// Reasons, each for one family.
fn of(family: &str, reasons: &[(&str, &str)]) -> Vec<String> {
    reasons.iter().map(|(claim, reason)| format!("{claim} {family} {reason}")).collect()
}

#[test]
fn a_running_proxy_holds_its_ports_and_is_not_disturbed() {
    for backend in BACKENDS {
        let lab = Lab::on(backend);
        let [outbound, inbound] = api::ports::LISTENERS;
        let addresses = [
            SocketAddr::from((Ipv4Addr::LOCALHOST, outbound)),
            (Ipv6Addr::LOCALHOST, outbound).into(),
            (Ipv4Addr::UNSPECIFIED, inbound).into(),
            (Ipv6Addr::UNSPECIFIED, inbound).into(),
        ];
        let proxy =
            addresses.map(|address| Server::start(&lab.pod.netns, "proxy", address, Service::Echo).unwrap());
        let app =
            Server::start(&lab.pod.netns, "app", (Ipv4Addr::UNSPECIFIED, 80).into(), Service::Echo).unwrap();
        let verdict = Verdict::of(&lab, &[]);
        assert_eq!(verdict.exit_code, 0);
        let held = [("outbound-captured", "listener-held"), ("outbound-port-reset", "listener-held")];
        let mut expected = [of("ipv4", &held), of("ipv6", &held)].concat();
        expected.sort();
        assert_eq!(verdict.unproven, expected, "{}", backend.name);
        // Inbound rules are proven beside it, by connections that nobody sees.
        assert!(verdict.proven.iter().any(|claim| claim.starts_with("inbound-captured ipv6")), "{verdict:?}");
        let seen: usize = proxy.iter().chain([&app]).map(|server| server.seen().len()).sum();
        assert_eq!(seen, 0, "{}", backend.name);
    }
}

#[test]
fn ipv6_is_switched_off() {
    let lab = Lab::new();
    lab.pod.netns.set_sysctl("net/ipv6/conf/all/disable_ipv6", "1").unwrap();
    let verdict = Verdict::of(&lab, &[]);
    let reasons = [
        ("inbound-captured", "no-address"),
        ("inbound-port-reset", "no-address"),
        ("outbound-captured", "no-route"),
        ("proxy-exempt", "no-route"),
    ];
    assert_eq!((verdict.exit_code, verdict.unproven), (0, of("ipv6", &reasons)));
    assert!(verdict.proven.iter().any(|claim| claim.starts_with("inbound-captured ipv4")));
    assert!(verdict.proven.iter().any(|claim| claim.starts_with("outbound-captured ipv4")));
}

#[test]
fn a_family_has_no_route() {
    let lab = Lab::new();
    lab.pod.netns.ip(&["route flush dev eth0", "-6 route del default"]).unwrap();
    let verdict = Verdict::of(&lab, &[]);
    let reasons = [("outbound-captured", "no-route"), ("proxy-exempt", "no-route")];
    let mut expected = [of("ipv4", &reasons), of("ipv6", &reasons)].concat();
    expected.sort();
    assert_eq!((verdict.exit_code, verdict.unproven), (0, expected));
    assert!(verdict.proven.iter().any(|claim| claim.starts_with("inbound-captured ipv4")));
}

#[test]
fn a_firewall_of_the_pods_swallows_packets() {
    let lab = Lab::new();
    lab.nft(&["add table inet wall; add chain inet wall input { type filter hook input priority -10; }"]);
    lab.nft(&["add rule inet wall input meta nfproto ipv4 tcp dport { 15001, 15006 } drop"]);
    let verdict = Verdict::of(&lab, &[]);
    let lost = [
        ("inbound-captured", "lost"),
        ("inbound-port-reset", "lost"),
        ("outbound-captured", "lost"),
        ("outbound-port-reset", "lost"),
    ];
    assert_eq!((verdict.exit_code, verdict.unproven), (0, of("ipv4", &lost)));
}

#[test]
fn the_program_runs_as_the_proxys_user() {
    let lab = Lab::new();
    let program =
        tests::binaries::init_redirect_as_in_image(tempfile::tempdir().unwrap().keep().as_path()).unwrap();
    let (uid, gid) = (PROXY.0.to_string(), PROXY.1.to_string());
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid", &uid, "--regid", &gid, "--clear-groups"]).arg(program).env_clear();
    let output = lab.pod.netns.output(command.env("PATH", "/usr/bin:/bin")).unwrap();
    let verdict = Verdict::read(&String::from_utf8(output.stderr).unwrap());
    let own = [("outbound-captured", "own-user"), ("proxy-exempt", "own-user")];
    let mut expected = [of("ipv4", &own), of("ipv6", &own)].concat();
    expected.sort();
    assert_eq!((verdict.exit_code, verdict.unproven), (0, expected));
}

#[test]
fn another_run_is_verifying() {
    let lab = Lab::new();
    let lock = lab.pod.netns.run(|| {
        use std::os::linux::net::SocketAddrExt;
        let address = std::os::unix::net::SocketAddr::from_abstract_name("remora-verify").unwrap();
        std::os::unix::net::UnixListener::bind_addr(&address).unwrap()
    });
    let verdict = Verdict::of(&lab, &[]);
    assert_eq!((verdict.exit_code, verdict.proven), (0, vec!["rules-as-planned".to_owned()]));
    assert!(verdict.unproven.iter().all(|claim| claim.ends_with("busy")), "{:?}", verdict.unproven);
    drop(lock);
    assert_eq!(Verdict::of(&lab, &[]).unproven, [""; 0]);
}

#[test]
fn what_no_packet_shows_is_named() {
    let lab = Lab::new();
    let verdict = Verdict::of(&lab, &["--exclude-uids=2000", "--virtual-interfaces=tap0"]);
    let expected = [
        // What clients behind the interfaces send is left alone where it is not captured.
        "inbound-excluded ipv4 not-probed",
        "inbound-excluded ipv6 not-probed",
        "outbound-excluded ipv4 not-probed",
        "outbound-excluded ipv6 not-probed",
        "virtual-captured  not-probed",
    ];
    assert_eq!((verdict.exit_code, verdict.unproven), (0, expected.map(str::to_owned).to_vec()));
}

#[test]
fn nothing_is_captured_because_nothing_was_asked_for() {
    let lab = Lab::new();
    let verdict = Verdict::of(&lab, &["--include-outbound-cidrs="]);
    let nothing = [("outbound-captured", "nothing-captured"), ("proxy-exempt", "nothing-captured")];
    let mut expected = [of("ipv4", &nothing), of("ipv6", &nothing)].concat();
    expected.sort();
    assert_eq!((verdict.exit_code, verdict.unproven), (0, expected));
    // The ports are free again.
    lab.pod.netns.run(|| TcpListener::bind((Ipv4Addr::LOCALHOST, api::ports::OUTBOUND)).unwrap()).unwrap();
}
