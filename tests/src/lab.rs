//! A pod, two hosts that are not, and listeners everywhere: where a connection lands says what `init-redirect` did with it.
//!
//! It is for tests alone: what cannot be had is a panic.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Output};

use crate::netns::{Netns, Node, Switch};
use crate::peer::{self, Server, Service};
use crate::rules::{Backend, without_counters};
use crate::{binaries, tool};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

/// The application's uid and gid.
pub const APP: (u32, u32) = (1000, 1000);
/// The proxy's.
pub const PROXY: (u32, u32) = (api::pod::PROXY_UID, api::pod::PROXY_GID);

/// Where a connection landed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Landing {
    /// At the server of this name, translated from this address if at all.
    At(String, Option<SocketAddr>),
    /// Nowhere: the client was told so.
    Failed(String),
}

/// Landed at a server that was addressed.
pub fn direct(label: &str) -> Landing {
    Landing::At(label.to_owned(), None)
}

/// Landed at a server although `original` was addressed.
pub fn captured(label: &str, original: SocketAddr) -> Landing {
    Landing::At(label.to_owned(), Some(original))
}

/// Landed nowhere, by a TCP reset.
pub fn reset() -> Landing {
    Landing::Failed("ConnectionRefused".to_owned())
}

/// What a single test has for itself.
pub struct Lab {
    /// The pod, where the rules are.
    pub pod: Node,
    /// A host.
    pub remote: Node,
    /// Another.
    pub other: Node,
    backend: Option<Backend>,
    servers: Vec<Server>,
    _switch: Switch,
}

impl Lab {
    /// Nothing is installed and nobody listens. The program chooses how it installs.
    #[expect(clippy::new_without_default, reason = "it makes namespaces")]
    pub fn new() -> Self {
        Self::with_backend(None)
    }

    /// The same, and the rules are to be installed by this backend.
    pub fn on(backend: Backend) -> Self {
        Self::with_backend(Some(backend))
    }

    fn with_backend(backend: Option<Backend>) -> Self {
        let mut switch = Switch::new("switch").expect("a switch");
        let [pod, remote, other] =
            ["pod", "remote", "other"].map(|label| switch.attach(label).expect("a namespace"));
        for node in [&pod, &remote, &other] {
            // A wildcard listener is to have one family, so that the answer is in that family's terms.
            node.netns.set_sysctl("net/ipv6/bindv6only", "1").expect("the setting");
        }
        Self { pod, remote, other, backend, servers: Vec::new(), _switch: switch }
    }

    /// With the proxy's listeners, an application on 8080 and servers at the hosts.
    pub fn with_servers() -> Self {
        let mut lab = Self::new();
        lab.serve();
        lab
    }

    /// Starts these servers.
    pub fn serve(&mut self) {
        self.serve_proxy();
        self.serve_others();
    }

    fn serve_proxy(&mut self) {
        let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let wildcard: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let [outbound, inbound] = api::ports::LISTENERS;
        for address in loopback {
            self.listen(|lab| &lab.pod, "outbound", SocketAddr::new(address, outbound));
        }
        for address in wildcard {
            self.listen(|lab| &lab.pod, "inbound", SocketAddr::new(address, inbound));
            for port in api::ports::INBOUND_LEFT_ALONE {
                self.listen(|lab| &lab.pod, "own", SocketAddr::new(address, port));
            }
        }
    }

    /// Starts the servers that are not the proxy's.
    pub fn serve_others(&mut self) {
        let wildcard: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let [outbound, inbound] = api::ports::LISTENERS;
        for address in wildcard {
            self.listen(|lab| &lab.pod, "app", SocketAddr::new(address, 8080));
            for port in [80, 443, 3307, outbound, inbound] {
                self.listen(|lab| &lab.remote, "remote", SocketAddr::new(address, port));
                self.listen(|lab| &lab.other, "other", SocketAddr::new(address, port));
            }
        }
    }

    /// The same, and the rules.
    pub fn with_rules(arguments: &[&str]) -> Self {
        let lab = Self::with_servers();
        lab.install(arguments);
        lab
    }

    /// Adds a server to one of the nodes.
    pub fn listen(&mut self, node: impl FnOnce(&Self) -> &Node, label: &str, address: SocketAddr) {
        let server = Server::start(&node(self).netns, label, address, Service::Landing).expect("a listener");
        self.servers.push(server);
    }

    /// Runs the program in the pod and wants it to succeed; gives its log line.
    pub fn install(&self, arguments: &[&str]) -> serde_json::Value {
        let output = self.run(arguments);
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stderr).expect("one line of JSON on stderr")
    }

    /// Runs the program in the pod.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.pod.netns.output(&mut self.command(arguments)).expect("the program runs")
    }

    /// The program with these arguments, to be run in the pod.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binaries::init_redirect().expect("the program"));
        command.args(self.backend.map(|backend| format!("--backend={}", backend.name)));
        command.args(arguments).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    /// Where the pod's user lands.
    pub fn pod_calls(&self, (uid, gid): (u32, u32), address: IpAddr, port: u16) -> Landing {
        let target = SocketAddr::new(address, port);
        landing(&self.pod.netns.run_as(uid, gid, || peer::call(target, b"")).expect("the namespace"))
    }

    /// Where the remote host lands.
    pub fn remote_calls(&self, address: IpAddr, port: u16) -> Landing {
        let target = SocketAddr::new(address, port);
        landing(&self.remote.netns.run(|| peer::call(target, b"")).expect("the namespace"))
    }

    /// The pod's rules as the nft program shows them, with handles; without counters, which packets change.
    pub fn ruleset(&self) -> String {
        without_counters(&self.nft(&["-a", "list", "ruleset"]))
    }

    /// Runs the nft program in the pod.
    pub fn nft(&self, arguments: &[&str]) -> String {
        let output = self.pod.netns.run(|| tool::run("nftables", Command::new("nft").args(arguments)));
        String::from_utf8(output.expect("the namespace").expect("nft").stdout).expect("UTF-8")
    }

    /// Runs a tool in the pod, which must succeed; `line` is its command line without quotes.
    pub fn tool(&self, line: &str) -> String {
        let mut words = line.split_whitespace();
        let program = words.next().expect("a program");
        let package = match program {
            "nft" => "nftables",
            "ip" => "iproute2",
            _ => "iptables",
        };
        let output = self.pod.netns.tool(package, Command::new(program).args(words)).expect(line);
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// The pod's interfaces with their addresses.
    pub fn links(&self) -> String {
        self.tool("ip -brief address")
    }

    /// The number by which the kernel counts every change of the pod's rules.
    pub fn generation(&self) -> u32 {
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
pub struct Open {
    client: TcpStream,
    server: TcpStream,
}

impl Open {
    /// From one namespace to a listener.
    pub fn new(from: &Netns, (uid, gid): (u32, u32), target: SocketAddr, listener: &TcpListener) -> Self {
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

    /// The end of who opened it.
    pub fn client(&self) -> &TcpStream {
        &self.client
    }

    /// Bytes go through, both ways, the client's first.
    pub fn works(&self) {
        for (mut from, mut to) in [(&self.client, &self.server), (&self.server, &self.client)] {
            from.write_all(b"payload").expect("the connection lives");
            let mut received = [0; 7];
            to.read_exact(&mut received).expect("the connection lives");
            assert_eq!(&received, b"payload");
        }
    }
}

/// The report in a file.
pub fn report(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).expect("a report")).expect("JSON")
}
