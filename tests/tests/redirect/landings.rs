//! Where connections land, for both families: every test goes through them, and each has a control that fails when the
//! rules do nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tests::lab::{APP, Lab, PROXY, captured, direct, reset};

const LOOPBACK: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, 5)),
];

#[test]
fn without_rules_everything_is_direct() {
    let lab = Lab::with_servers();
    for (remote, pod) in lab.remote.addresses().into_iter().zip(lab.pod.addresses()) {
        assert_eq!(lab.pod_calls(APP, remote, 80), direct("remote"));
        assert_eq!(lab.remote_calls(pod, 8080), direct("app"));
        assert_eq!(lab.remote_calls(pod, 15006), direct("inbound"));
    }
}

#[test]
fn what_the_pod_sends_goes_to_the_proxy() {
    let lab = Lab::with_rules(&[]);
    for remote in lab.remote.addresses() {
        for user in [APP, (0, 0)] {
            assert_eq!(lab.pod_calls(user, remote, 80), captured("outbound", SocketAddr::new(remote, 80)));
        }
        // Nobody listens there: it is the proxy that finds out.
        assert_eq!(lab.pod_calls(APP, remote, 9), captured("outbound", SocketAddr::new(remote, 9)));
    }
}

#[test]
fn only_uid_and_gid_together_are_exempt() {
    let lab = Lab::with_rules(&[]);
    for remote in lab.remote.addresses() {
        assert_eq!(lab.pod_calls(PROXY, remote, 80), direct("remote"));
        for user in [(PROXY.0, APP.1), (APP.0, PROXY.1)] {
            assert_eq!(lab.pod_calls(user, remote, 80), captured("outbound", SocketAddr::new(remote, 80)));
        }
    }
}

#[test]
fn the_exempt_owner_and_the_ports_are_options() {
    let mut lab = Lab::with_servers();
    for address in LOOPBACK.into_iter().take(2) {
        lab.listen(|lab| &lab.pod, "moved-outbound", SocketAddr::new(address, 16001));
    }
    for address in [Ipv4Addr::UNSPECIFIED.into(), IpAddr::from(Ipv6Addr::UNSPECIFIED)] {
        lab.listen(|lab| &lab.pod, "moved-inbound", SocketAddr::new(address, 16006));
    }
    lab.install(&["--outbound-port=16001", "--inbound-port=16006", "--proxy-uid=2000", "--proxy-gid=3000"]);
    for (remote, pod) in lab.remote.addresses().into_iter().zip(lab.pod.addresses()) {
        assert_eq!(lab.pod_calls((2000, 3000), remote, 80), direct("remote"));
        assert_eq!(lab.pod_calls(PROXY, remote, 80), captured("moved-outbound", SocketAddr::new(remote, 80)));
        assert_eq!(lab.remote_calls(pod, 8080), captured("moved-inbound", SocketAddr::new(pod, 8080)));
        assert_eq!(lab.remote_calls(pod, 16006), reset());
    }
}

#[test]
fn loopback_is_never_captured() {
    let lab = Lab::with_rules(&["--include-outbound-ports=8080"]);
    for user in [APP, PROXY] {
        for address in LOOPBACK.into_iter().chain(lab.pod.addresses()) {
            assert_eq!(lab.pod_calls(user, address, 8080), direct("app"), "{user:?} to {address}");
        }
    }
}

#[test]
fn what_is_sent_to_the_pod_goes_to_the_proxy() {
    let lab = Lab::with_rules(&[]);
    for pod in lab.pod.addresses() {
        for port in [8080, 22, 1, 65535, api::ports::READINESS_CAPTURED] {
            assert_eq!(lab.remote_calls(pod, port), captured("inbound", SocketAddr::new(pod, port)));
        }
        for port in api::ports::INBOUND_LEFT_ALONE {
            assert_eq!(lab.remote_calls(pod, port), direct("own"), "{port}");
        }
    }
}

#[test]
fn excluded_inbound_ports_are_left_alone_and_readiness_is_not_among_them() {
    let lab = Lab::with_rules(&["--exclude-inbound-ports=8000-8099,15022,9999"]);
    for pod in lab.pod.addresses() {
        assert_eq!(lab.remote_calls(pod, 8080), direct("app"));
        assert_eq!(lab.remote_calls(pod, 9999), reset());
        for port in [7999, 8100, 15022] {
            assert_eq!(lab.remote_calls(pod, port), captured("inbound", SocketAddr::new(pod, port)));
        }
    }
}

#[test]
fn a_list_of_included_inbound_ports_captures_these_and_readiness() {
    let lab =
        Lab::with_rules(&["--include-inbound-ports=80,9000-9100,15020", "--exclude-inbound-ports=9050"]);
    for pod in lab.pod.addresses() {
        for port in [80, 9000, 9100, api::ports::READINESS_CAPTURED] {
            assert_eq!(lab.remote_calls(pod, port), captured("inbound", SocketAddr::new(pod, port)));
        }
        assert_eq!(lab.remote_calls(pod, 8080), direct("app"));
        assert_eq!(lab.remote_calls(pod, 15020), direct("own"));
        assert_eq!(lab.remote_calls(pod, 9050), reset());
    }
}

#[test]
fn excluded_outbound_ports_and_networks_are_left_alone() {
    let lab = Lab::with_servers();
    let networks = lab.other.addresses().map(|address| address.to_string()).join(",");
    lab.install(&["--exclude-outbound-ports=3300-3310", "--exclude-outbound-cidrs", &networks]);
    for (remote, other) in lab.remote.addresses().into_iter().zip(lab.other.addresses()) {
        assert_eq!(lab.pod_calls(APP, remote, 3307), direct("remote"));
        assert_eq!(lab.pod_calls(APP, remote, 443), captured("outbound", SocketAddr::new(remote, 443)));
        assert_eq!(lab.pod_calls(APP, other, 443), direct("other"));
    }
}

#[test]
fn included_networks_and_ports_are_captured_and_nothing_else() {
    let lab = Lab::with_servers();
    let networks = lab.remote.addresses().map(|address| address.to_string()).join(",");
    lab.install(&["--include-outbound-cidrs", &networks, "--include-outbound-ports=443"]);
    for (remote, other) in lab.remote.addresses().into_iter().zip(lab.other.addresses()) {
        assert_eq!(lab.pod_calls(APP, remote, 80), captured("outbound", SocketAddr::new(remote, 80)));
        assert_eq!(lab.pod_calls(APP, other, 80), direct("other"));
        assert_eq!(lab.pod_calls(APP, other, 443), captured("outbound", SocketAddr::new(other, 443)));
    }
}

#[test]
fn a_network_of_one_family_leaves_the_other_alone() {
    let lab = Lab::with_rules(&["--include-outbound-cidrs=0.0.0.0/0"]);
    assert_eq!(
        lab.pod_calls(APP, lab.remote.v4.into(), 80),
        captured("outbound", (lab.remote.v4, 80).into())
    );
    assert_eq!(lab.pod_calls(APP, lab.remote.v6.into(), 80), direct("remote"));
}

#[test]
fn a_direct_hit_on_the_proxys_ports_is_reset() {
    let lab = Lab::with_rules(&[]);
    for port in api::ports::LISTENERS {
        for pod in lab.pod.addresses() {
            assert_eq!(lab.remote_calls(pod, port), reset(), "remote to {pod} {port}");
            for user in [APP, PROXY] {
                assert_eq!(lab.pod_calls(user, pod, port), reset(), "{user:?} to {pod} {port}");
            }
        }
        for address in LOOPBACK {
            assert_eq!(lab.pod_calls(APP, address, port), reset(), "app to {address} {port}");
        }
    }
}

#[test]
fn the_proxys_ports_of_other_hosts_are_ports_like_any_other() {
    let lab = Lab::with_rules(&[]);
    for remote in lab.remote.addresses() {
        for port in api::ports::LISTENERS {
            assert_eq!(lab.pod_calls(APP, remote, port), captured("outbound", SocketAddr::new(remote, port)));
            assert_eq!(lab.pod_calls(PROXY, remote, port), direct("remote"));
        }
    }
}

#[test]
fn a_syn_that_offers_ecn_is_a_syn() {
    let lab = Lab::with_rules(&[]);
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
        assert_eq!(lab.pod_calls(APP, remote, 80), captured("outbound", SocketAddr::new(remote, 80)));
        assert_eq!(lab.remote_calls(pod, 8080), captured("inbound", SocketAddr::new(pod, 8080)));
        assert_eq!(lab.remote_calls(pod, 15006), reset());
    }
    let counted = lab.nft(&["list table inet probe"]);
    assert!(!counted.contains("packets 0 ") && counted.matches("packets ").count() == 2, "{counted}");
}

#[test]
fn with_ipv6_disabled_ipv4_works() {
    let mut lab = Lab::new();
    lab.pod.netns.set_sysctl("net/ipv6/conf/all/disable_ipv6", "1").unwrap();
    lab.listen(|lab| &lab.pod, "outbound", (Ipv4Addr::LOCALHOST, 15001).into());
    lab.listen(|lab| &lab.pod, "inbound", (Ipv4Addr::UNSPECIFIED, 15006).into());
    lab.install(&["--exclude-outbound-cidrs=2001:db8::/32"]);
    let (remote, pod) = (lab.remote.v4, lab.pod.v4);
    assert_eq!(lab.pod_calls(APP, remote.into(), 80), captured("outbound", (remote, 80).into()));
    assert_eq!(lab.remote_calls(pod.into(), 8080), captured("inbound", (pod, 8080).into()));
}
