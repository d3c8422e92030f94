//! `--hold-until-ready`: connections wait for the proxy's listeners, which come later.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::thread;

use tests::lab::{APP, Lab, captured, reset};
use tests::peer::{Server, Service};
use tests::rules::each_backend;

/// The state of a connection that waits for an answer to its SYN, in /proc/net/tcp.
const SYN_SENT: &str = "02";

#[test]
fn connections_wait_for_the_listener_in_both_directions() {
    each_backend(|backend| {
        let lab = Lab::on(backend);
        lab.install(&["--hold-until-ready"]);
        for (remote, pod) in lab.remote.addresses().into_iter().zip(lab.pod.addresses()) {
            let any: IpAddr =
                if pod.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            let [outbound, inbound] = api::ports::LISTENERS;
            thread::scope(|scope| {
                let out = scope.spawn(|| lab.pod_calls(APP, remote, 80));
                let into = scope.spawn(|| lab.remote_calls(pod, 8080));
                for node in [&lab.pod, &lab.remote] {
                    while !node.netns.run(waits).expect("the namespace") {
                        thread::yield_now();
                    }
                }
                let listen = |label, port| {
                    let address = SocketAddr::new(any, port);
                    Server::start(&lab.pod.netns, label, address, Service::Landing).expect("a listener")
                };
                let _servers = [listen("outbound", outbound), listen("inbound", inbound)];
                let place = format!("{} {pod}", backend.name);
                let expected = captured("outbound", SocketAddr::new(remote, 80));
                assert_eq!(out.join().expect("a landing"), expected, "{place}");
                let expected = captured("inbound", SocketAddr::new(pod, 8080));
                assert_eq!(into.join().expect("a landing"), expected, "{place}");
            });
        }
    });
}

#[test]
fn without_it_they_are_refused_at_once() {
    each_backend(|backend| {
        let lab = Lab::on(backend);
        lab.install(&[]);
        for (remote, pod) in lab.remote.addresses().into_iter().zip(lab.pod.addresses()) {
            assert_eq!(lab.pod_calls(APP, remote, 80), reset(), "{}", backend.name);
            assert_eq!(lab.remote_calls(pod, 8080), reset(), "{}", backend.name);
        }
    });
}

/// Whether a connection of this namespace has sent its SYN and waits.
fn waits() -> bool {
    let tables =
        ["tcp", "tcp6"].map(|table| std::fs::read_to_string(format!("/proc/thread-self/net/{table}")));
    let mut lines = tables.iter().flatten().flat_map(|table| table.lines().skip(1));
    lines.any(|line| line.split_whitespace().nth(3) == Some(SYN_SENT))
}
