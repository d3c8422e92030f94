//! DNS capture when the application and the proxy ask the same server from the same port: without conntrack zones the proxy's
//! question would be taken for the application's, and come back to the proxy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tests::datagram::{self, Server};
use tests::lab::{APP, Lab, PROXY};
use tests::rules::{BACKENDS, Backend, each_backend};

/// The proxy's resolver, and one at the host.
fn lab(backend: Backend) -> (Lab, Vec<Server>) {
    let lab = Lab::on(backend);
    lab.install(&["--redirect-dns", "--dns-servers=*"]);
    let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let own = loopback.map(|address| {
        Server::start(&lab.pod.netns, PROXY, "proxy", SocketAddr::new(address, api::ports::DNS))
    });
    let remote = lab.remote.addresses();
    let remote =
        remote.map(|address| Server::start(&lab.remote.netns, APP, "remote", SocketAddr::new(address, 53)));
    (lab, own.into_iter().chain(remote).collect())
}

/// From an address of the pod to one of the host.
type Pair = (IpAddr, IpAddr);

/// Who answers what this user asks the host from this port.
fn asks(lab: &Lab, (uid, gid): (u32, u32), (pod, remote): Pair, port: u16) -> String {
    let (source, target) = (SocketAddr::new(pod, port), SocketAddr::new(remote, 53));
    let answer = lab.pod.netns.run_as(uid, gid, || datagram::call_from(source, target));
    answer.expect("the namespace").map_or_else(|error| error.to_string(), |landing| landing.label)
}

fn pairs(lab: &Lab) -> impl Iterator<Item = Pair> {
    lab.pod.addresses().into_iter().zip(lab.remote.addresses())
}

#[test]
fn the_same_port_belongs_to_whoever_asks() {
    each_backend(|backend| {
        let (lab, _servers) = lab(backend);
        for pair in pairs(&lab) {
            for (port, order) in [(20_001, [APP, PROXY]), (20_002, [PROXY, APP])] {
                for user in order.into_iter().chain(order) {
                    let expected = if user == PROXY { "remote" } else { "proxy" };
                    let place = format!("{} {user:?} {pair:?} {port}", backend.name);
                    assert_eq!(asks(&lab, user, pair, port), expected, "{place}");
                }
            }
        }
    });
}

#[test]
fn without_zones_the_proxy_asks_itself() {
    let (lab, _servers) = lab(BACKENDS[0]);
    for chain in ["REMORA_ZONE_IN", "REMORA_ZONE_OUT"] {
        lab.nft(&["flush", "chain", "inet", "remora", chain]);
    }
    for pair in pairs(&lab) {
        assert_eq!(asks(&lab, APP, pair, 20_001), "proxy");
        assert_eq!(asks(&lab, PROXY, pair, 20_001), "proxy");
    }
}
