//! A segment that connection tracking cannot place is not translated: it must not reach the pod, which would answer it with a
//! reset of the proxy's connection.

use std::net::{SocketAddr, TcpListener};

use tests::lab::{APP, Lab, Open};
use tests::segment::Segment;

#[test]
fn an_invalid_segment_of_a_captured_connection_is_dropped() {
    let lab = Lab::new();
    lab.install(&[]);
    count_resets(&lab);
    for (pod, inbound) in lab.pod.addresses().into_iter().zip(["0.0.0.0:15006", "[::]:15006"]) {
        let listener = lab.pod.netns.run(|| TcpListener::bind(inbound)).unwrap().unwrap();
        let target = SocketAddr::new(pod, 8080);
        let open = Open::new(&lab.remote.netns, APP, target, &listener);
        let before = dropped(&lab);
        Segment::NULL.send(&lab.remote.netns, open.client().local_addr().unwrap(), target);
        // What the pod answered to the segment comes before what it answers to this.
        open.works();
        assert_eq!((dropped(&lab), resets(&lab)), (before + 1, 0), "{target}");
    }
}

#[test]
fn on_a_port_that_is_not_captured_it_is_the_pods_business() {
    let lab = Lab::new();
    lab.install(&["--exclude-inbound-ports=8080"]);
    count_resets(&lab);
    for (number, pod) in (1..).zip(lab.pod.addresses()) {
        Segment::NULL.send(
            &lab.remote.netns,
            SocketAddr::new(lab.remote.addresses()[number - 1], 50_000),
            SocketAddr::new(pod, 8080),
        );
        // The kernel answers a segment to a closed port in the call that sends it.
        assert_eq!((dropped(&lab), resets(&lab)), (0, number), "{pod}");
    }
}

/// Counts the resets that leave the pod, in a table of the test's own.
fn count_resets(lab: &Lab) {
    lab.nft(&[
        "add table inet probe; add chain inet probe resets { type filter hook output priority -400; }",
    ]);
    lab.nft(&["add rule inet probe resets tcp flags & rst == rst counter"]);
}

fn resets(lab: &Lab) -> usize {
    packets(&lab.nft(&["list chain inet probe resets"]))
}

fn dropped(lab: &Lab) -> usize {
    let guard = lab.nft(&["list chain inet remora REMORA_GUARD"]);
    packets(guard.lines().find(|line| line.contains("drop")).expect("the rule"))
}

/// The only counter in a text of the nft program.
fn packets(text: &str) -> usize {
    let (_, rest) = text.split_once("packets ").expect("a counter");
    rest.split(' ').next().expect("a number").parse().expect("a number")
}
