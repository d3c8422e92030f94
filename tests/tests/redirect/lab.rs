//! A pod, two hosts that are not, and listeners everywhere: where a connection lands says what the rules did with it.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Output};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};
use tests::netns::{Netns, Node, Switch};
use tests::peer::{self, Server, Service};
use tests::{binaries, tool};

/// A user of the pod, uid and gid.
pub(crate) const APP: (u32, u32) = (1000, 1000);
pub(crate) const PROXY: (u32, u32) = (api::pod::PROXY_UID, api::pod::PROXY_GID);

/// Where a connection landed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Landing {
    /// At the server of this name, translated from this address if at all.
    At(String, Option<SocketAddr>),
    /// Nowhere: the client was told so.
    Failed(String),
}

/// Landed at a server that was addressed.
pub(crate) fn direct(label: &str) -> Landing {
    Landing::At(label.to_owned(), None)
}

/// Landed at a server although `original` was addressed.
pub(crate) fn captured(label: &str, original: SocketAddr) -> Landing {
    Landing::At(label.to_owned(), Some(original))
}

pub(crate) fn reset() -> Landing {
    Landing::Failed("ConnectionRefused".to_owned())
}

/// What a single test has for itself.
pub(crate) struct Lab {
    pub(crate) pod: Node,
    pub(crate) remote: Node,
    pub(crate) other: Node,
    servers: Vec<Server>,
    _switch: Switch,
}

impl Lab {
    /// Nothing is installed and nobody listens.
    pub(crate) fn new() -> Self {
        let mut switch = Switch::new("switch").expect("a switch");
        let [pod, remote, other] =
            ["pod", "remote", "other"].map(|label| switch.attach(label).expect("a namespace"));
        for node in [&pod, &remote, &other] {
            // A wildcard listener is to have one family, so that the answer is in that family's terms.
            node.netns.set_sysctl("net/ipv6/bindv6only", "1").expect("the setting");
        }
        Self { pod, remote, other, servers: Vec::new(), _switch: switch }
    }

    /// With the proxy's listeners, an application on 8080 and servers at the hosts.
    pub(crate) fn with_servers() -> Self {
        let mut lab = Self::new();
        let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let wildcard: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let [outbound, inbound] = api::ports::LISTENERS;
        for address in loopback {
            lab.listen(|lab| &lab.pod, "outbound", SocketAddr::new(address, outbound));
        }
        for address in wildcard {
            lab.listen(|lab| &lab.pod, "inbound", SocketAddr::new(address, inbound));
            lab.listen(|lab| &lab.pod, "app", SocketAddr::new(address, 8080));
            for port in api::ports::INBOUND_LEFT_ALONE {
                lab.listen(|lab| &lab.pod, "own", SocketAddr::new(address, port));
            }
            for port in [80, 443, 3307, outbound, inbound] {
                lab.listen(|lab| &lab.remote, "remote", SocketAddr::new(address, port));
                lab.listen(|lab| &lab.other, "other", SocketAddr::new(address, port));
            }
        }
        lab
    }

    /// The same, and the rules.
    pub(crate) fn with_rules(arguments: &[&str]) -> Self {
        let lab = Self::with_servers();
        lab.install(arguments);
        lab
    }

    pub(crate) fn listen(&mut self, node: impl FnOnce(&Self) -> &Node, label: &str, address: SocketAddr) {
        let server = Server::start(&node(self).netns, label, address, Service::Landing).expect("a listener");
        self.servers.push(server);
    }

    /// Runs the program in the pod and wants it to succeed; gives its log line.
    pub(crate) fn install(&self, arguments: &[&str]) -> serde_json::Value {
        let output = self.run(arguments);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stderr).expect("one line of JSON on stderr")
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binaries::init_redirect().expect("the program"));
        self.pod.netns.output(command.args(arguments).env_clear()).expect("the program runs")
    }

    /// Where the pod's user lands.
    pub(crate) fn pod_calls(&self, (uid, gid): (u32, u32), address: IpAddr, port: u16) -> Landing {
        let target = SocketAddr::new(address, port);
        landing(&self.pod.netns.run_as(uid, gid, || peer::call(target, b"")).expect("the namespace"))
    }

    /// Where the remote host lands.
    pub(crate) fn remote_calls(&self, address: IpAddr, port: u16) -> Landing {
        let target = SocketAddr::new(address, port);
        landing(&self.remote.netns.run(|| peer::call(target, b"")).expect("the namespace"))
    }

    /// The pod's rules as the nft program shows them, with handles.
    pub(crate) fn ruleset(&self) -> String {
        self.nft(&["-a", "list", "ruleset"])
    }

    /// Runs the nft program in the pod.
    pub(crate) fn nft(&self, arguments: &[&str]) -> String {
        let output = self.pod.netns.run(|| tool::run("nftables", Command::new("nft").args(arguments)));
        String::from_utf8(output.expect("the namespace").expect("nft").stdout).expect("UTF-8")
    }

    /// The number by which the kernel counts every change of the pod's rules.
    pub(crate) fn generation(&self) -> u32 {
        self.pod.netns.run(generation).expect("the namespace")
    }
}

fn landing(exchange: &peer::Exchange) -> Landing {
    match &exchange.error {
        Some(error) => Landing::Failed(error.clone()),
        None => {
            let landing = exchange.landing().expect("an answer of a server of the lab");
            Landing::At(landing.label, landing.original)
        }
    }
}

/// Asks NFT_MSG_GETGEN (16) of the nf_tables subsystem (10); NFTA_GEN_ID is the first attribute of the answer.
fn generation() -> u32 {
    let protocol = SockProtocol::NetlinkNetFilter;
    let fd =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol).expect("netlink");
    let mut request = 20_u32.to_ne_bytes().to_vec();
    request.extend((10_u16 << 8 | 16).to_ne_bytes());
    request.extend(1_u16.to_ne_bytes());
    request.extend([0; 12]);
    send(fd.as_raw_fd(), &request, MsgFlags::empty()).expect("a question");
    let mut answer = [0; 256];
    let length = recv(fd.as_raw_fd(), &mut answer, MsgFlags::empty()).expect("an answer");
    assert!(length >= 28 && answer.get(22) == Some(&1), "{length} bytes: {answer:?}");
    u32::from_be_bytes(*answer.get(24..).and_then(<[u8]>::first_chunk).expect("28 bytes"))
}

/// A connection that is kept open.
pub(crate) struct Open {
    client: TcpStream,
    server: TcpStream,
}

impl Open {
    /// From one namespace to a listener.
    pub(crate) fn new(
        from: &Netns,
        (uid, gid): (u32, u32),
        target: SocketAddr,
        listener: &TcpListener,
    ) -> Self {
        let client = from
            .run_as(uid, gid, || TcpStream::connect_timeout(&target, peer::PATIENCE))
            .expect("the namespace")
            .expect("a connection");
        let (server, _) = listener.accept().expect("the connection's other end");
        for stream in [&client, &server] {
            stream.set_read_timeout(Some(peer::PATIENCE)).expect("the option");
        }
        Self { client, server }
    }

    pub(crate) fn client(&self) -> &TcpStream {
        &self.client
    }

    /// Bytes go through, both ways, the client's first.
    pub(crate) fn works(&self) {
        for (mut from, mut to) in [(&self.client, &self.server), (&self.server, &self.client)] {
            from.write_all(b"payload").expect("the connection lives");
            let mut received = [0; 7];
            to.read_exact(&mut received).expect("the connection lives");
            assert_eq!(&received, b"payload");
        }
    }
}

/// The report in a file.
pub(crate) fn report(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).expect("a report")).expect("JSON")
}
