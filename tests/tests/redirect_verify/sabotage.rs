//! Somebody redirects packets elsewhere by rules that do not look like it, or that come after ours: packets tell.

use std::process::Command;

use tests::lab::Lab;
use tests::rules::BACKENDS;

use crate::verdict::Verdict;

/// A chain for NAT.
struct Sabotage {
    hook: &'static str,
    /// Ours have -100. What comes before them has to hide what it does, or the program refuses to work beside it.
    priority: i32,
    /// Where it redirects to.
    port: u16,
    /// Which packets, in the words of the nft program.
    packets: &'static str,
    /// What that makes false, if `packets` is for port 80 then of the first packet that the program tries.
    claims: &'static [&'static str],
}

const SABOTAGE: [Sabotage; 5] = [
    Sabotage {
        hook: "output",
        priority: -150,
        port: 9999,
        packets: "ip daddr 192.0.2.1 tcp dport vmap { 80 : goto away }",
        claims: &["outbound-captured ipv4 192.0.2.1:80", "proxy-exempt ipv4 192.0.2.1:80"],
    },
    Sabotage {
        hook: "prerouting",
        priority: -150,
        port: 8080,
        packets: "meta nfproto ipv6 tcp dport vmap { 80 : goto away }",
        claims: &["inbound-captured ipv6 [POD]:80"],
    },
    Sabotage {
        hook: "output",
        priority: -50,
        port: 15001,
        packets: "meta nfproto ipv6 tcp dport vmap { 3307 : goto away }",
        claims: &["outbound-excluded ipv6 [2001:db8::1]:3307"],
    },
    Sabotage {
        hook: "output",
        priority: -50,
        port: 15001,
        packets: "meta skuid 1337 meta nfproto ipv4 tcp dport vmap { 80 : goto away }",
        claims: &["proxy-exempt ipv4 192.0.2.1:80"],
    },
    Sabotage {
        hook: "prerouting",
        priority: -50,
        port: 15006,
        packets: "meta nfproto ipv6 tcp dport vmap { 9999 : goto away }",
        claims: &["inbound-excluded ipv6 [POD]:9999"],
    },
];

const EXCLUSIONS: [&str; 2] = ["--exclude-inbound-ports=9999", "--exclude-outbound-ports=3307"];

#[test]
fn a_packet_that_lands_elsewhere_is_found_whoever_installed_the_rules() {
    for backend in BACKENDS {
        let lab = Lab::on(backend);
        for Sabotage { hook, priority, port, packets, claims } in SABOTAGE {
            lab.nft(&[&format!(
                "add table inet theirs; add chain inet theirs away; \
                 add chain inet theirs nat {{ type nat hook {hook} priority {priority}; }}"
            )]);
            lab.nft(&[&format!("add rule inet theirs away meta l4proto tcp redirect to :{port}")]);
            lab.nft(&[&format!("add rule inet theirs nat {packets}")]);
            let verdict = Verdict::of(&lab, &EXCLUSIONS);
            let place = format!("{} {packets}: {verdict:?}", backend.name);
            let expected = claims.iter().map(|claim| claim.replace("POD", &lab.pod.v6.to_string()));
            assert_eq!(verdict.wrong, expected.collect::<Vec<_>>(), "{place}");
            assert_eq!(
                (verdict.exit_code, verdict.report["result"].as_str()),
                (40, Some("wrong")),
                "{place}"
            );
            lab.nft(&["delete table inet theirs"]);
            // Nothing of it is left, and the rules are still there.
            let verdict = Verdict::of(&lab, &EXCLUSIONS);
            assert_eq!((verdict.unproven, &verdict.report["changed"]), (vec![], &false.into()), "{place}");
        }
    }
}

#[test]
fn a_listener_of_the_proxys_that_can_be_reached_is_found() {
    let lab = Lab::new();
    lab.install(&[]);
    // A guard that does nothing is repaired, so it has to be undone as often as it is made: the packets are let past it.
    lab.nft(&[
        "add table inet theirs; add chain inet theirs nat { type nat hook prerouting priority -150; }",
    ]);
    lab.nft(&["add chain inet theirs away; add rule inet theirs away meta l4proto tcp redirect to :8080"]);
    lab.nft(&["add rule inet theirs nat meta nfproto ipv4 tcp dport vmap { 15006 : goto away }"]);
    let verdict = Verdict::of(&lab, &[]);
    // Sent to 15006 and redirected by somebody else: the guard resets it all the same.
    assert_eq!(verdict.wrong, [""; 0]);
    assert!(verdict.proven.contains(&format!("inbound-port-reset ipv4 {}:15006", lab.pod.v4)), "{verdict:?}");
}

#[test]
fn rules_of_others_that_change_nothing_are_no_fault() {
    let lab = Lab::new();
    for hook in ["prerouting", "output"] {
        lab.nft(&[&format!(
            "add table inet theirs; add chain inet theirs {hook} {{ type nat hook {hook} priority -150; }}"
        )]);
        lab.nft(&[&format!("add rule inet theirs {hook} tcp dport 22 counter accept")]);
    }
    let verdict = Verdict::of(&lab, &EXCLUSIONS);
    assert_eq!((verdict.exit_code, verdict.unproven, verdict.wrong), (0, vec![], vec![]));
    let mut conntrack = Command::new("conntrack");
    let entries = lab.pod.netns.tool("conntrack", conntrack.args(["-L", "-p", "tcp"])).unwrap();
    assert_eq!(String::from_utf8(entries.stdout).unwrap(), "", "connections are remembered");
}
