//! Runs after the first, connections that are open meanwhile, and what belongs to others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::process::Command;

use tests::binaries;
use tests::netns::Node;

use tests::lab::{APP, Lab, Open, captured, direct, report};

#[test]
fn a_second_run_writes_nothing() {
    let lab = Lab::new();
    for arguments in [
        &[][..],
        &[
            "--include-inbound-ports=80,8000-8100,65535",
            "--exclude-outbound-cidrs=10.0.0.1,10.0.0.2,255.0.0.0/8,2001:db8::/32,ffff::/16",
            "--include-outbound-cidrs=0.0.0.0/0,::/0",
            "--include-outbound-ports=1-65535",
            "--exclude-outbound-ports=25",
        ][..],
    ] {
        let first = lab.install(arguments);
        assert_eq!((&first["result"], &first["changed"]), (&"applied".into(), &true.into()), "{first}");
        // Without counters: the packets that prove the rules count.
        let ruleset = || lab.nft(&["-s", "-a", "list", "ruleset"]);
        let (generation, installed) = (lab.generation(), ruleset());
        for _ in 0..20 {
            let again = lab.install(arguments);
            assert_eq!(
                (&again["result"], &again["changed"]),
                (&"unchanged".into(), &false.into()),
                "{again}"
            );
        }
        assert_eq!(lab.generation(), generation);
        assert_eq!(ruleset(), installed);
    }
}

#[test]
fn whatever_was_changed_in_our_table_is_repaired() {
    let lab = Lab::new();
    lab.install(&["--exclude-inbound-ports=22"]);
    // Without what packets change, which come when they do; handles change with the repair.
    let rules = || lab.nft(&["-s", "list ruleset"]);
    let intact = rules();
    for damage in [
        "delete table inet remora",
        "flush chain inet remora REMORA_OUTBOUND",
        "insert rule inet remora REMORA_OUTBOUND accept",
        "add rule inet remora REMORA_GUARD tcp dport 80 log",
        "add element inet remora REMORA_INBOUND_4_ports { 80 }",
        "delete element inet remora REMORA_INBOUND_4_ports { 22 }",
        "add chain inet remora theirs",
        "add set inet remora theirs { type mark; }",
        "add table inet remora { flags dormant; }",
        "add chain inet remora REMORA_OUTBOUND { type nat hook output priority -100; policy drop; }",
    ] {
        lab.nft(&[damage]);
        assert_ne!(rules(), intact, "{damage}");
        assert_eq!(lab.install(&["--exclude-inbound-ports=22"])["changed"], true, "{damage}");
        assert_eq!(rules(), intact, "{damage}");
    }
}

#[test]
fn tables_of_others_are_not_touched() {
    let lab = Lab::new();
    lab.nft(&["add table ip nat; add chain ip nat OUTPUT { type nat hook output priority -100; }"]);
    lab.nft(&[
        "add table inet theirs; add chain inet theirs REMORA_OUTBOUND; add set inet theirs s { type mark; }",
    ]);
    lab.nft(&[
        "add table ip remora; add chain ip remora REMORA_INBOUND; add rule ip remora REMORA_INBOUND drop",
    ]);
    let before = lab.ruleset();
    lab.install(&[]);
    lab.install(&["--exclude-inbound-ports=22"]);
    assert_eq!(lab.install(&["--exclude-inbound-ports=22"])["changed"], false);
    assert!(lab.ruleset().starts_with(&before), "{}", lab.ruleset());
    lab.nft(&["delete table inet remora"]);
    assert_eq!(lab.ruleset(), before);
}

/// Listeners of both families, in the given order of the namespaces' addresses.
fn listeners(node: &Node, addresses: [SocketAddr; 2]) -> [TcpListener; 2] {
    addresses.map(|address| {
        node.netns.run(|| TcpListener::bind(address)).expect("the namespace").expect("a listener")
    })
}

fn at(addresses: [IpAddr; 2], port: u16) -> [SocketAddr; 2] {
    addresses.map(|address| SocketAddr::new(address, port))
}

const ANY: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
const LOCAL: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

#[test]
fn connections_that_are_open_before_installation_live_on() {
    let lab = Lab::new();
    let at_pod = listeners(&lab.pod, at(ANY, 8080));
    let at_remote = listeners(&lab.remote, at(ANY, 9000));
    let mut open = Vec::new();
    for (listener, address) in at_pod.iter().zip(at(lab.pod.addresses(), 8080)) {
        open.push(Open::new(&lab.remote.netns, APP, address, listener));
    }
    for (listener, address) in at_remote.iter().zip(at(lab.remote.addresses(), 9000)) {
        open.push(Open::new(&lab.pod.netns, APP, address, listener));
    }
    open.iter().for_each(Open::works);
    lab.install(&[]);
    open.iter().for_each(Open::works);
    open.iter().for_each(Open::works);
}

#[test]
fn captured_connections_live_through_a_replacement() {
    let lab = Lab::new();
    let inbound = listeners(&lab.pod, at(ANY, 15006));
    let outbound = listeners(&lab.pod, at(LOCAL, 15001));
    lab.install(&[]);
    let mut open = Vec::new();
    for (listener, address) in inbound.iter().zip(at(lab.pod.addresses(), 8080)) {
        open.push(Open::new(&lab.remote.netns, APP, address, listener));
    }
    for (listener, address) in outbound.iter().zip(at(lab.remote.addresses(), 9000)) {
        open.push(Open::new(&lab.pod.netns, APP, address, listener));
    }
    open.iter().for_each(Open::works);
    // The new rules would capture none of them.
    let other = ["--include-inbound-ports=", "--include-outbound-cidrs="];
    assert_eq!(lab.install(&other)["changed"], true);
    open.iter().for_each(Open::works);
    assert_eq!(lab.install(&[])["changed"], true);
    open.iter().for_each(Open::works);
}

#[test]
fn runs_at_the_same_time_all_succeed_and_one_plan_holds() {
    const RUNS: u32 = 24;
    let lab = Lab::new();
    let script = "i=0; while [ $((i += 1)) -le $2 ]; do $1 --exclude-inbound-ports=$i & all=\"$all $!\"; done
        for run in $all; do wait $run || exit 1; done";
    // From nothing each time: two runs that both found no table must not both add to it.
    for _ in 0..5 {
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(binaries::init_redirect().unwrap()).arg(RUNS.to_string());
        let output = lab.pod.netns.output(&mut shell).unwrap();
        assert!(output.status.success(), "{output:?}");
        // Whichever was last is there as a whole: a run with its plan finds nothing to do.
        let set = lab.nft(&["list set inet remora REMORA_INBOUND_4_ports"]);
        let winner = (1..=RUNS).find(|port| set.contains(&format!("{{ {port} }}"))).expect(&set);
        assert_eq!(lab.install(&[&format!("--exclude-inbound-ports={winner}")])["changed"], false);
        lab.nft(&["delete table inet remora"]);
    }
}

#[test]
fn twenty_thousand_networks_are_one_transaction() {
    let lab = Lab::with_servers();
    // No two are neighbours, or they would be merged. An argument may have 128 KiB, so the texts are short.
    let excluded = (0..10_000_u32).map(|n| Ipv4Addr::from_bits(0x0100_0000 + 2 * n).to_string());
    let included = (0..10_000_u128).map(|n| Ipv6Addr::from_bits((1 << 124) + 2 * n).to_string());
    let remote = lab.remote.addresses().map(|address| address.to_string());
    let excluded = excluded.collect::<Vec<_>>().join(",");
    let included = included.chain(remote).collect::<Vec<_>>().join(",");
    let arguments = ["--exclude-outbound-cidrs", &excluded, "--include-outbound-cidrs", &included];
    let generation = lab.generation();
    let first = lab.install(&arguments);
    assert!(first["counts"]["intervals"].as_u64() > Some(20_000), "{first}");
    assert_eq!(lab.generation(), generation + 1);
    assert_eq!(lab.install(&arguments)["changed"], false);
    for (remote, other) in lab.remote.addresses().into_iter().zip(lab.other.addresses()) {
        assert_eq!(lab.pod_calls(APP, remote, 80), captured("outbound", SocketAddr::new(remote, 80)));
        assert_eq!(lab.pod_calls(APP, other, 80), direct("other"));
    }
}

#[test]
fn the_report_says_what_was_done() {
    let lab = Lab::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("report");
    std::fs::write(&path, "x".repeat(10_000)).unwrap();
    let argument = format!("--report={}", path.display());
    lab.install(&[&argument]);
    let first = report(&path);
    assert_eq!(first["result"], "applied");
    assert_eq!(first["backend"], "nft");
    assert_eq!(first["families"], serde_json::json!(["ipv4", "ipv6"]));
    assert_eq!(first["counts"]["chains"], 3);
    let steps: Vec<_> = first["steps"].as_array().unwrap().iter().map(|step| step["step"].clone()).collect();
    let proof = ["verify-outbound", "verify-inbound", "verify-rules"];
    assert_eq!(steps, [&["plan", "addresses", "read", "write"][..], &proof].concat());
    lab.install(&[&argument]);
    assert_eq!(report(&path)["result"], "unchanged");
}
