//! Many runs, many rules.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, Instant};

use tests::binaries;
use tests::lab::{APP, Lab, PROXY, captured, direct};
use tests::rules::{BACKENDS, each_backend};

#[test]
fn a_hundred_runs_leave_the_same_bytes() {
    each_backend(|backend| {
        let lab = Lab::on(backend);
        let arguments = ["--exclude-inbound-ports=22,9000-9100", "--exclude-outbound-cidrs=203.0.113.0/24"];
        assert_eq!(lab.install(&arguments)["changed"], true);
        let (first, links) = (backend.saved(&lab.pod.netns), lab.links());
        for run in 2..=100 {
            assert_eq!(lab.install(&arguments)["changed"], false, "{} run {run}", backend.name);
        }
        assert_eq!(backend.saved(&lab.pod.netns), first);
        assert_eq!(lab.links(), links, "{}", backend.name);
    });
}

#[test]
fn what_alternates_leaves_the_same_bytes() {
    each_backend(|backend| {
        let lab = Lab::on(backend);
        let plans =
            [&["--exclude-inbound-ports=22"][..], &["--include-inbound-ports=80", "--proxy-uid=2000"]];
        let saved: Vec<String> = plans
            .iter()
            .map(|plan| {
                lab.install(plan);
                backend.saved(&lab.pod.netns)
            })
            .collect();
        for _ in 0..10 {
            for (plan, expected) in plans.iter().zip(&saved) {
                assert_eq!(lab.install(plan)["changed"], true);
                assert_eq!(backend.saved(&lab.pod.netns), *expected, "{}", backend.name);
            }
        }
    });
}

#[test]
fn runs_at_the_same_time_all_succeed_and_one_plan_holds() {
    const RUNS: u32 = 8;
    let script =
        "i=0; while [ $((i += 1)) -le $2 ]; do $1 $3 --exclude-inbound-ports=$i & all=\"$all $!\"; done
        for run in $all; do wait $run || exit 1; done";
    each_backend(|backend| {
        let lab = Lab::on(backend);
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(binaries::init_redirect().unwrap()).arg(RUNS.to_string());
        shell.arg(format!("--backend={}", backend.name));
        let output = lab.pod.netns.output(&mut shell).unwrap();
        assert!(output.status.success(), "{}: {output:?}", backend.name);
        // Whichever was last is there as a whole.
        let held = |port| lab.run(&["check", &format!("--exclude-inbound-ports={port}")]).status.success();
        assert_eq!((1..=RUNS).filter(|port| held(*port)).count(), 1, "{}", backend.name);
    });
}

#[test]
fn ten_thousand_networks_are_quick() {
    // The target is 200 ms; a busy machine gets five times that.
    const LIMIT: Duration = Duration::from_secs(1);
    let nft = BACKENDS[0];
    let lab = Lab::on(nft);
    // No two are neighbours, or they would be merged. An argument may have 128 KiB, so the texts are short.
    let networks = (0..10_000_u32).map(|n| Ipv4Addr::from_bits(0x0100_0000 + 2 * n).to_string());
    let argument = format!("--exclude-outbound-cidrs={}", networks.collect::<Vec<_>>().join(","));
    let begun = Instant::now();
    let report = lab.install(&[&argument, "--verify=off"]);
    let taken = begun.elapsed();
    assert!(report["counts"]["intervals"].as_u64() > Some(10_000), "{report}");
    assert!(taken <= LIMIT, "{taken:?}: {report}");
}

#[test]
fn thousands_of_networks_decide_by_every_backend() {
    each_backend(|backend| {
        let mut lab = Lab::on(backend);
        lab.serve();
        let networks = (0..2_000_u32).map(|n| Ipv4Addr::from_bits(0x0100_0000 + 2 * n).to_string());
        let networks: Vec<String> = networks.chain([lab.other.v4.to_string()]).collect();
        lab.install(&[&format!("--exclude-outbound-cidrs={}", networks.join(","))]);
        let (remote, other) = (lab.remote.v4, lab.other.v4);
        assert_eq!(lab.pod_calls(APP, other.into(), 80), direct("other"), "{}", backend.name);
        let outbound = captured("outbound", (remote, 80).into());
        assert_eq!(lab.pod_calls(APP, remote.into(), 80), outbound, "{}", backend.name);
        assert_eq!(lab.pod_calls(PROXY, remote.into(), 80), direct("remote"), "{}", backend.name);
    });
}
