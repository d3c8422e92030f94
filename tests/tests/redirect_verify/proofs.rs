//! In a network where all is well everything is proven, by whichever backend, and what cannot be is named.

use tests::init_container::{InitContainer, binary_as_in_image};
use tests::lab::Lab;
use tests::rules::BACKENDS;

use crate::verdict::Verdict;

const EXCLUSIONS: [&str; 3] = [
    "--exclude-inbound-ports=9999",
    "--exclude-outbound-ports=3307",
    "--exclude-outbound-cidrs=203.0.113.0/24,2001:db8:2::/64",
];

/// All that can be claimed of rules with these exclusions.
fn everything(lab: &Lab) -> Vec<String> {
    let mut claims = vec!["rules-as-planned".to_owned()];
    for (family, pod, local, remote, excluded) in [
        ("ipv4", lab.pod.v4.to_string(), "127.0.0.1", "192.0.2.1", "203.0.113.0"),
        ("ipv6", format!("[{}]", lab.pod.v6), "[::1]", "[2001:db8::1]", "[2001:db8:2::]"),
    ] {
        for (claim, packet) in [
            ("outbound-captured", format!("{remote}:80")),
            ("outbound-excluded", format!("{remote}:3307")),
            ("outbound-excluded", format!("{excluded}:80")),
            ("outbound-port-reset", format!("{local}:15001")),
            ("proxy-exempt", format!("{remote}:80")),
            ("inbound-captured", format!("{pod}:80")),
            ("inbound-excluded", format!("{pod}:15008")),
            ("inbound-excluded", format!("{pod}:9999")),
            ("inbound-port-reset", format!("{pod}:15006")),
        ] {
            claims.push(format!("{claim} {family} {packet}"));
        }
    }
    claims.sort();
    claims
}

#[test]
fn everything_is_proven_by_every_backend() {
    for backend in BACKENDS {
        let lab = Lab::on(backend);
        // The second run finds the rules of the first, and whatever packets left.
        for _ in 0..2 {
            let verdict = Verdict::of(&lab, &EXCLUSIONS);
            assert_eq!(verdict.unproven, [""; 0], "{}", backend.name);
            assert_eq!(verdict.proven, everything(&lab), "{}", backend.name);
        }
    }
}

#[test]
fn net_admin_alone_proves_all_but_the_proxys_calls() {
    let (binary, _directory) = binary_as_in_image();
    let lab = Lab::new();
    let container = InitContainer::new(&binary);
    let (code, log) = container.run(&lab.pod.netns, &EXCLUSIONS);
    assert_eq!(code, 0, "{log}");
    let verdict = Verdict::read(&log);
    let exempt = ["ipv4", "ipv6"].map(|family| format!("proxy-exempt {family} capability-missing"));
    assert_eq!(verdict.unproven, exempt, "{log}");
    let mut rest = everything(&lab);
    rest.retain(|claim| !claim.starts_with("proxy-exempt"));
    assert_eq!(verdict.proven, rest, "{log}");
}

#[test]
fn setuid_and_setgid_prove_the_proxys_calls_too() {
    let (binary, _directory) = binary_as_in_image();
    let lab = Lab::new();
    let capabilities = ["CAP_NET_ADMIN", "CAP_SETUID", "CAP_SETGID"];
    let container = InitContainer::new(&binary).with_capabilities(&capabilities);
    let (code, log) = container.run(&lab.pod.netns, &EXCLUSIONS);
    assert_eq!(code, 0, "{log}");
    assert_eq!(Verdict::read(&log).unproven, [""; 0], "{log}");
    assert_eq!(Verdict::read(&log).proven, everything(&lab), "{log}");
}

#[test]
fn an_option_moves_the_packets_that_prove_it() {
    let lab = Lab::new();
    let verdict = Verdict::of(
        &lab,
        &[
            "--outbound-port=16001",
            "--inbound-port=16006",
            "--include-inbound-ports=8000-8100",
            "--include-outbound-cidrs=198.18.0.0/15,2001:db8:3::/48",
            "--exclude-outbound-cidrs=198.18.0.0/24,2001:db8:3::/64",
        ],
    );
    assert_eq!(verdict.unproven, [""; 0]);
    let pod = lab.pod.v4;
    for claim in [
        format!("inbound-captured ipv4 {pod}:8000"),
        "outbound-port-reset ipv4 127.0.0.1:16001".to_owned(),
        format!("inbound-port-reset ipv4 {pod}:16006"),
        "outbound-captured ipv4 198.19.255.255:80".to_owned(),
        "outbound-excluded ipv6 [2001:db8:3::]:80".to_owned(),
    ] {
        assert!(verdict.proven.contains(&claim), "{claim}: {:?}", verdict.proven);
    }
}

#[test]
fn senders_are_told_apart_by_packets_of_theirs() {
    let lab = Lab::new();
    for arguments in [
        ["--exclude-inbound-cidrs=10.1.0.0/16,2001:db8:9::/48", "--exclude-inbound-ports=22"],
        ["--include-inbound-cidrs=10.1.0.0/16,2001:db8:9::/48", "--exclude-inbound-cidrs=10.1.0.0/17"],
    ] {
        let verdict = Verdict::of(&lab, &arguments);
        assert_eq!(verdict.unproven, [""; 0], "{arguments:?}");
        for family in ["ipv4", "ipv6"] {
            let captured = format!("inbound-captured {family}");
            assert!(verdict.proven.iter().any(|claim| claim.starts_with(&captured)), "{verdict:?}");
        }
    }
}

#[test]
fn a_family_that_is_not_asked_for_is_not_spoken_of() {
    let lab = Lab::new();
    for (family, other) in [("ipv4", "ipv6"), ("ipv6", "ipv4")] {
        let verdict = Verdict::of(&lab, &["--families", family]);
        assert_eq!(verdict.unproven, [""; 0]);
        assert!(verdict.proven.iter().any(|claim| claim.contains(family)), "{verdict:?}");
        assert!(!verdict.proven.iter().any(|claim| claim.contains(other)), "{verdict:?}");
    }
}

#[test]
fn who_does_not_want_proof_gets_none() {
    let lab = Lab::new();
    for arguments in [&["--no-verify"][..], &["--verify=off"]] {
        let verdict = Verdict::of(&lab, arguments);
        assert_eq!((verdict.exit_code, verdict.report.get("proven")), (0, None));
    }
    let mut command = lab.command(&[]);
    let output = lab.pod.netns.output(command.env("REMORA_VERIFY", "off")).unwrap();
    assert_eq!(Verdict::read(&String::from_utf8(output.stderr).unwrap()).report.get("proven"), None);
}
