//! Tests of the test kit itself: what a failure of it would make every other test lie about.

mod pod;

use std::net::SocketAddr;

use tests::netns::{Netns, Switch};
use tests::peer::{self, Server, Service};

#[test]
fn a_namespace_is_gone_when_its_owner_is() {
    let netns = Netns::new("short").unwrap();
    let path = netns.path();
    assert!(path.exists());
    assert_eq!(
        netns.run(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap()).unwrap().lines().count(),
        3
    );
    drop(netns);
    assert!(!path.exists());
    assert!(!std::fs::read_to_string("/proc/self/mounts").unwrap().contains(path.to_str().unwrap()));
}

#[test]
fn settings_belong_to_the_namespace() {
    let (one, two) = (Netns::new("one").unwrap(), Netns::new("two").unwrap());
    one.set_sysctl("net/ipv4/ip_forward", "1").unwrap();
    assert_eq!(one.sysctl("net/ipv4/ip_forward").unwrap(), "1");
    assert_eq!(two.sysctl("net/ipv4/ip_forward").unwrap(), "0");
}

#[test]
fn pods_on_a_switch_reach_each_other_in_both_families() {
    let mut switch = Switch::new("switch").unwrap();
    let (client, server) = (switch.attach("client").unwrap(), switch.attach("server").unwrap());
    for (from, to) in client.addresses().into_iter().zip(server.addresses()) {
        let listener =
            Server::start(&server.netns, "server", SocketAddr::new(to, 8080), Service::Landing).unwrap();
        let answer = client.netns.run(|| peer::call(listener.address(), b"")).unwrap();
        let landing = answer.landing().unwrap();
        assert_eq!((landing.label.as_str(), landing.port, landing.original), ("server", 8080, None));
        assert_eq!((landing.peer.ip(), landing.local.ip()), (from, to));
        assert_eq!(listener.seen(), [landing]);
    }
}

#[test]
fn a_redirect_shows_in_the_landing_and_spares_the_other_user() {
    let mut switch = Switch::new("switch").unwrap();
    let (client, server) = (switch.attach("client").unwrap(), switch.attach("server").unwrap());
    let rules = "add table inet t
        add chain inet t o { type nat hook output priority -100; }
        add rule inet t o meta skuid 1337 meta skgid 1337 return
        add rule inet t o tcp dport 8080 redirect to :15001";
    client.netns.tool("nftables", std::process::Command::new("nft").arg(rules)).unwrap();
    for target in server.addresses().map(|ip| SocketAddr::new(ip, 8080)) {
        let wildcard = if target.is_ipv4() { "0.0.0.0:15001" } else { "[::]:15001" };
        let _proxy =
            Server::start(&client.netns, "proxy", wildcard.parse().unwrap(), Service::Landing).unwrap();
        let _remote = Server::start(&server.netns, "remote", target, Service::Http).unwrap();
        let captured =
            client.netns.run_as(1000, 1000, || peer::call(target, b"")).unwrap().landing().unwrap();
        assert_eq!((captured.label.as_str(), captured.original), ("proxy", Some(target)));
        let spared =
            client.netns.run_as(1337, 1337, || peer::http_get(target, "/", peer::PATIENCE).unwrap()).unwrap();
        assert_eq!(spared.0, 200);
        assert!(spared.1.contains("remote"), "{spared:?}");
        let half = client.netns.run_as(1000, 1337, || peer::call(target, b"")).unwrap().landing().unwrap();
        assert_eq!(half.label, "proxy");
    }
}
