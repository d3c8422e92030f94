//! Connections that are open while rules come and go, and what of a connection the rules drop.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use tests::lab::{APP, Lab, Open, captured, reset};
use tests::netns::Node;
use tests::rules::each_backend;
use tests::segment::Segment;

const ANY: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
const LOCAL: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// A listener at each address.
fn listeners(node: &Node, addresses: [IpAddr; 2], port: u16) -> [TcpListener; 2] {
    addresses.map(|address| {
        node.netns.run(|| TcpListener::bind((address, port))).expect("the namespace").expect("a listener")
    })
}

/// A connection to each address, accepted by the listener of its family.
fn open(from: &Node, to: [IpAddr; 2], port: u16, accepting: &[TcpListener; 2]) -> Vec<Open> {
    let pairs = to.into_iter().zip(accepting);
    pairs.map(|(to, at)| Open::new(&from.netns, APP, SocketAddr::new(to, port), at)).collect()
}

#[test]
fn what_is_open_before_installation_lives_on() {
    each_backend(|backend| {
        let lab = Lab::on(backend);
        let at_pod = listeners(&lab.pod, ANY, 8080);
        let at_remote = listeners(&lab.remote, ANY, 9000);
        let mut all = open(&lab.remote, lab.pod.addresses(), 8080, &at_pod);
        all.extend(open(&lab.pod, lab.remote.addresses(), 9000, &at_remote));
        lab.install(&[]);
        all.iter().for_each(Open::works);
        all.iter().for_each(Open::works);
    });
}

#[test]
fn what_is_captured_lives_through_a_replacement() {
    each_backend(|backend| {
        let lab = Lab::on(backend);
        lab.install(&[]);
        let inbound = listeners(&lab.pod, ANY, 15006);
        let outbound = listeners(&lab.pod, LOCAL, 15001);
        let mut all = open(&lab.remote, lab.pod.addresses(), 8080, &inbound);
        all.extend(open(&lab.pod, lab.remote.addresses(), 9000, &outbound));
        all.iter().for_each(Open::works);
        // The new rules would capture none of them.
        let other = ["--include-inbound-ports=", "--include-outbound-cidrs="];
        assert_eq!(lab.install(&other)["changed"], true, "{}", backend.name);
        all.iter().for_each(Open::works);
        assert_eq!(lab.install(&[])["changed"], true, "{}", backend.name);
        all.iter().for_each(Open::works);
    });
}

#[test]
fn a_container_that_starts_again_beside_a_running_proxy_changes_nothing() {
    each_backend(|backend| {
        let lab = Lab::on(backend);
        lab.install(&[]);
        let saved = backend.saved(&lab.pod.netns);
        let inbound = listeners(&lab.pod, ANY, 15006);
        let outbound = listeners(&lab.pod, LOCAL, 15001);
        let mut all = open(&lab.remote, lab.pod.addresses(), 8080, &inbound);
        all.extend(open(&lab.pod, lab.remote.addresses(), 9000, &outbound));
        assert_eq!(lab.install(&[])["changed"], false, "{}", backend.name);
        assert_eq!(backend.saved(&lab.pod.netns), saved);
        all.iter().for_each(Open::works);
        // Nothing of the verification was left to the proxy: the next connection that it accepts is the next that is made.
        let mut next = open(&lab.remote, lab.pod.addresses(), 8081, &inbound);
        next.extend(open(&lab.pod, lab.remote.addresses(), 9001, &outbound));
        next.iter().for_each(Open::works);
    });
}

#[test]
fn a_syn_that_offers_ecn_is_a_syn() {
    each_backend(|backend| {
        let mut lab = Lab::on(backend);
        lab.serve();
        lab.install(&[]);
        for node in [&lab.pod, &lab.remote] {
            node.netns.set_sysctl("net/ipv4/tcp_ecn", "1").unwrap();
        }
        // Proves that there were such packets: the counters of a table of the test's own.
        lab.nft(&["add table inet probe"]);
        for (chain, hook) in [("sent", "output"), ("received", "prerouting")] {
            lab.nft(&[&format!("add chain inet probe {chain} {{ type filter hook {hook} priority -400; }}")]);
            lab.nft(&[&format!(
                "add rule inet probe {chain} tcp flags & (syn|ack|ecn|cwr) == syn|ecn|cwr counter"
            )]);
        }
        for (remote, pod) in lab.remote.addresses().into_iter().zip(lab.pod.addresses()) {
            let outbound = captured("outbound", SocketAddr::new(remote, 80));
            assert_eq!(lab.pod_calls(APP, remote, 80), outbound, "{}", backend.name);
            let inbound = captured("inbound", SocketAddr::new(pod, 8080));
            assert_eq!(lab.remote_calls(pod, 8080), inbound, "{}", backend.name);
            assert_eq!(lab.remote_calls(pod, 15006), reset(), "{}", backend.name);
        }
        let counted = lab.nft(&["list table inet probe"]);
        assert!(!counted.contains("packets 0 ") && counted.matches("packets ").count() == 2, "{counted}");
    });
}

/// Counts the resets that leave the pod, in a table of the test's own, and gives their number.
fn resets(lab: &Lab) -> u32 {
    let counted = lab.nft(&["list", "chain", "inet", "probe", "resets"]);
    let packets = counted.split_once("packets ").and_then(|(_, rest)| rest.split(' ').next());
    packets.and_then(|number| number.parse().ok()).expect("a counter")
}

#[test]
fn a_segment_that_belongs_to_no_connection_is_dropped_where_it_would_have_been_captured() {
    each_backend(|backend| {
        let lab = Lab::on(backend);
        lab.install(&["--exclude-inbound-ports=9000"]);
        lab.nft(&[
            "add table inet probe; add chain inet probe resets { type filter hook output priority -400; }",
        ]);
        lab.nft(&["add rule inet probe resets tcp flags & rst == rst counter"]);
        let inbound = listeners(&lab.pod, ANY, 15006);
        let all = open(&lab.remote, lab.pod.addresses(), 8080, &inbound);
        for (open, pod) in all.iter().zip(lab.pod.addresses()) {
            let from = open.client().local_addr().expect("an address");
            for segment in [Segment::NULL, Segment::OUT_OF_WINDOW] {
                segment.send(&lab.remote.netns, from, SocketAddr::new(pod, 8080));
                // What the pod answered to the segment comes before what it answers to this.
                open.works();
                assert_eq!(resets(&lab), 0, "{} {segment:?} {pod}", backend.name);
            }
        }
        // The control: where nothing is captured it is the pod's business, which answers in the call that sends it.
        for (number, (remote, pod)) in (1..).zip(lab.remote.addresses().into_iter().zip(lab.pod.addresses()))
        {
            Segment::NULL.send(
                &lab.remote.netns,
                SocketAddr::new(remote, 50_000),
                SocketAddr::new(pod, 9000),
            );
            assert_eq!(resets(&lab), number, "{} {pod}", backend.name);
        }
    });
}
