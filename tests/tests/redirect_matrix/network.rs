//! A pod with two interfaces, a host behind one and a guest behind the other, and listeners on everything that the table's
//! packets may reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::process::Command;

use tests::lab::{APP, PROXY};
use tests::netns::{End, Netns, connect};
use tests::peer::{self, Service};
use tests::rules::Backend;
use tests::{binaries, datagram};

use crate::packet::{Family, Packet, Protocol, Seen, Sender};
use crate::table::Table;

/// Which address families the network has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Families {
    V4,
    V6,
    Dual,
}

/// The pod's own ports, besides those of the proxy. 22 and 1 are closed.
const APP_PORTS: [u16; 4] = [80, 8080, 9999, 7005];
const REMOTE_PORTS: [u16; 9] = [53, 80, 443, 3307, 7005, 8080, 8443, 15001, 15006];
const UDP_PORTS: [u16; 2] = [53, 443];

/// Hosts that are addresses of the remote namespace.
const REMOTE_HOSTS: [&str; 7] = ["remote", "web", "vip", "metadata", "excluded", "dns", "dns2"];

/// One of the namespaces.
#[derive(Clone, Copy)]
enum Where {
    Pod,
    Remote,
    Guest,
}

pub(crate) struct Network {
    pod: Netns,
    remote: Netns,
    guest: Netns,
    tcp_servers: Vec<peer::Server>,
    udp_servers: Vec<datagram::Server>,
}

impl Families {
    pub(crate) fn list(self) -> &'static [Family] {
        match self {
            Self::V4 => &[Family::V4],
            Self::V6 => &[Family::V6],
            Self::Dual => &[Family::V4, Family::V6],
        }
    }
}

impl Network {
    pub(crate) fn new(families: Families, table: &Table) -> Self {
        let [pod, remote, guest] =
            ["pod", "remote", "guest"].map(|label| Netns::new(label).expect("a namespace"));
        for netns in [&pod, &remote, &guest] {
            // A wildcard listener is to have one family, so that the answer is in that family's terms.
            netns.set_sysctl("net/ipv6/bindv6only", "1").expect("the setting");
            netns.set_sysctl("net/ipv4/ping_group_range", "0 65535").expect("the setting");
        }
        // The guest reaches others through the pod, as a virtual machine in it would.
        for setting in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
            pod.set_sysctl(setting, "1").expect("the setting");
        }
        let mut network = Self { pod, remote, guest, tcp_servers: Vec::new(), udp_servers: Vec::new() };
        network.join(families, table);
        network.serve(families, table);
        network
    }

    fn join(&self, families: Families, table: &Table) {
        let of = |names: &[&str], length: fn(Family) -> u8| {
            let of_family = |family: &Family| {
                let addresses = names.iter().filter_map(|name| table.host(name).address(*family));
                addresses.map(|address| (address, length(*family))).collect::<Vec<_>>()
            };
            families.list().iter().flat_map(of_family).collect::<Vec<_>>()
        };
        let net = |family| if family == Family::V4 { 24 } else { 64 };
        let single = |family| if family == Family::V4 { 32 } else { 128 };
        let [first, others @ ..] = REMOTE_HOSTS;
        let remote = [of(&[first], net), of(&others, single)].concat();
        connect(
            End { netns: &self.pod, interface: "eth0", addresses: &of(&["pod"], net) },
            End { netns: &self.remote, interface: "eth0", addresses: &remote },
        )
        .expect("a link");
        connect(
            End { netns: &self.pod, interface: "vnet0", addresses: &of(&["gateway"], net) },
            End { netns: &self.guest, interface: "eth0", addresses: &of(&["guest"], net) },
        )
        .expect("a link");
        for family in families.list() {
            for (netns, gateway) in [(&self.pod, "remote"), (&self.guest, "gateway"), (&self.remote, "pod")] {
                let gateway = table.host(gateway).address(*family).expect("an address");
                let flag = if gateway.is_ipv6() { "-6 " } else { "" };
                netns.ip(&[&format!("{flag}route add default via {gateway}")]).expect("a route");
            }
        }
    }

    fn serve(&mut self, families: Families, table: &Table) {
        let [outbound, inbound] = api::ports::LISTENERS;
        for family in families.list() {
            let (any, lo): (IpAddr, IpAddr) = match family {
                Family::V4 => (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::LOCALHOST.into()),
                Family::V6 => (Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::LOCALHOST.into()),
            };
            // On the wildcard, so that it is the rules that refuse what must not reach it.
            self.tcp(Where::Pod, PROXY, "O", (any, &[outbound]));
            self.tcp(Where::Pod, PROXY, "I", (any, &[inbound]));
            self.tcp(Where::Pod, PROXY, "D", (lo, &[api::ports::DNS]));
            self.udp(Where::Pod, PROXY, "D", (lo, &[api::ports::DNS]));
            self.tcp(Where::Pod, PROXY, "L", (any, &api::ports::INBOUND_LEFT_ALONE));
            self.tcp(Where::Pod, APP, "A", (any, &APP_PORTS));
            self.tcp(Where::Remote, APP, "R", (any, &REMOTE_PORTS));
            self.tcp(Where::Guest, APP, "G", (any, &[80]));
            let address = |name| table.host(name).address(*family);
            if let Some(local) = address("resolver") {
                self.tcp(Where::Pod, APP, "A", (local, &[53]));
                self.udp(Where::Pod, APP, "A", (local, &[53]));
            }
            // A datagram's answer comes from the address that was asked only where that is the socket's.
            for host in REMOTE_HOSTS.into_iter().filter_map(address) {
                self.udp(Where::Remote, APP, "R", (host, &UDP_PORTS));
            }
            if let Some(host) = address("pod") {
                self.udp(Where::Pod, APP, "A", (host, &UDP_PORTS));
            }
        }
    }

    /// Listens on these ports of an address.
    fn tcp(&mut self, place: Where, (uid, gid): (u32, u32), label: &str, (host, ports): (IpAddr, &[u16])) {
        for port in ports {
            let listener = self.netns(place).run_as(uid, gid, || TcpListener::bind((host, *port)));
            let listener = listener.expect("the namespace").expect("a free port");
            self.tcp_servers.push(peer::Server::serve(listener, label, Service::Landing).expect("a server"));
        }
    }

    fn udp(&mut self, place: Where, owner: (u32, u32), label: &str, (host, ports): (IpAddr, &[u16])) {
        for port in ports {
            let server = datagram::Server::start(self.netns(place), owner, label, (host, *port).into());
            self.udp_servers.push(server);
        }
    }

    fn netns(&self, place: Where) -> &Netns {
        match place {
            Where::Pod => &self.pod,
            Where::Remote => &self.remote,
            Where::Guest => &self.guest,
        }
    }

    pub(crate) fn install(&self, backend: Backend, arguments: &[String]) {
        let mut command = Command::new(binaries::init_redirect().expect("the program"));
        command.arg(format!("--backend={}", backend.name)).args(arguments);
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let output = self.pod.output(&mut command).expect("the program runs");
        assert!(output.status.success(), "{command:?}: {output:?}");
    }

    /// Sends a packet; nothing where there is no such address.
    pub(crate) fn send(&self, packet: &Packet, family: Family, table: &Table) -> Option<Seen> {
        let address = table.host(&packet.host).address(family)?;
        let target = SocketAddr::new(address, packet.port);
        let source = (packet.sender == Sender::Loopback).then(|| table.host("proxy-lo").address(family));
        let source = match source {
            Some(None) => return None,
            other => other.flatten(),
        };
        let (place, uid, gid) = match packet.sender {
            Sender::Pod(uid, gid) => (Where::Pod, uid, gid),
            Sender::Loopback => (Where::Pod, PROXY.0, PROXY.1),
            Sender::Remote => (Where::Remote, APP.0, APP.1),
            Sender::Guest => (Where::Guest, APP.0, APP.1),
        };
        let seen = self.netns(place).run_as(uid, gid, || match packet.protocol {
            Protocol::Tcp => Seen::exchange(&match source {
                Some(source) => peer::call_from(source, target, b""),
                None => peer::call(target, b""),
            }),
            Protocol::Udp => match datagram::call(target) {
                Ok(landing) => Seen::datagram(&landing),
                Err(error) => Seen::only(&format!("{:?}", error.kind())),
            },
            Protocol::Icmp => match datagram::echo(address) {
                Ok(()) => Seen::only("E"),
                Err(error) => Seen::only(&format!("{:?}", error.kind())),
            },
        });
        Some(seen.expect("the namespace"))
    }
}
