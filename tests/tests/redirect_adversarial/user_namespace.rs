//! A pod with `hostUsers: false`: the network namespace belongs to a user namespace, in which ids are others than on the node.

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use tests::binaries;
use tests::lab::{APP, PROXY};
use tests::netns::{End, Netns, connect};
use tests::peer::{self, Server, Service};
use tests::rules::{Backend, each_backend};

/// Where the ids of the user namespace begin on the node.
const BASE: u32 = 100_000;

const POD: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 89, 1, 2));
const REMOTE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 89, 1, 1));

/// The user namespace, its network namespace with an address, and a host beside it. It ends with its process, whose input
/// ends when this is dropped.
struct Pod {
    netns: Netns,
    remote: Netns,
    process: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Pod {
    /// With this many ids. It has the program, as root, run by [`Pod::install`].
    fn new(ids: u32, program: &Command) -> Self {
        let script = "echo ready; read -r go; \"$@\" 2>&1; echo \"code $?\"; read -r end";
        let mut unshare = Command::new("setpriv");
        unshare.args([&format!("--reuid={BASE}"), &format!("--regid={BASE}"), "--clear-groups"]);
        unshare.args(["unshare", "--user", "--net", "sh", "-c", script, "sh"]);
        unshare.arg(program.get_program()).args(program.get_args());
        unshare.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        let process = unshare.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = process.expect("Debian's package util-linux has setpriv");
        let mut output = BufReader::new(process.stdout.take().expect("a pipe"));
        output.read_line(&mut String::new()).expect("it is ready");
        for map in ["uid_map", "gid_map"] {
            let path = format!("/proc/{}/{map}", process.id());
            std::fs::write(path, format!("0 {BASE} {ids}")).expect("a map");
        }
        let netns = Netns::of_process("pod", process.id()).expect("its network");
        let remote = Netns::new("remote").expect("a namespace");
        netns.ip(&["link set lo up"]).expect("loopback");
        connect(
            End { netns: &netns, interface: "eth0", addresses: &[(POD, 24)] },
            End { netns: &remote, interface: "eth0", addresses: &[(REMOTE, 24)] },
        )
        .expect("a link");
        Self { netns, remote, process, output }
    }

    /// Gives exit code and log.
    fn install(&mut self) -> (i32, String) {
        writeln!(self.process.stdin.as_mut().expect("a pipe")).expect("it waits");
        let mut log = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).expect("its output"), 0, "{log}");
            match line.trim_end().strip_prefix("code ") {
                Some(code) => return (code.parse().expect("a code"), log),
                None => log.push_str(&line),
            }
        }
    }

    /// Listens, in one of the namespaces.
    fn listen(netns: &Netns, label: &str, port: u16) -> Server {
        let listener = netns.run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)));
        Server::serve(listener.expect("the namespace").expect("a free port"), label, Service::Landing)
            .expect("a server")
    }

    /// Who answers a user of the pod, and the address that the server was called by.
    fn call(&self, (uid, gid): (u32, u32)) -> (String, Option<SocketAddr>) {
        let target = SocketAddr::new(REMOTE, 80);
        let call = || peer::call(target, b"");
        let exchange = self.netns.run_as(BASE + uid, BASE + gid, call).expect("the namespace");
        let landing = exchange.landing().expect("an answer");
        (landing.label, landing.original)
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// The program where the pod's root may execute it.
fn program(backend: Backend, directory: &tempfile::TempDir) -> Command {
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).expect("the directory");
    let copy = directory.path().join("init-redirect");
    std::fs::copy(binaries::init_redirect().expect("the program"), &copy).expect("a copy");
    let mut command = Command::new(copy);
    command.arg(format!("--backend={}", backend.name));
    command
}

#[test]
fn ids_are_those_of_the_user_namespace() {
    each_backend(|backend| {
        let directory = tempfile::tempdir().unwrap();
        let mut pod = Pod::new(65_536, &program(backend, &directory));
        let (code, log) = pod.install();
        assert_eq!(code, 0, "{}: {log}", backend.name);
        let _outbound = Pod::listen(&pod.netns, "outbound", api::ports::OUTBOUND);
        let _remote = Pod::listen(&pod.remote, "remote", 80);
        let captured = ("outbound".to_owned(), Some(SocketAddr::new(REMOTE, 80)));
        assert_eq!(pod.call(APP), captured, "{}", backend.name);
        assert_eq!(pod.call((PROXY.0, APP.1)), captured, "{}", backend.name);
        assert_eq!(pod.call(PROXY), ("remote".to_owned(), None), "{}", backend.name);
    });
}

/// iptables' programs are refused an owner that is nobody, so nothing is installed; nftables takes one that never matches.
#[test]
fn a_proxy_without_an_id_there_is_refused_or_exempts_nobody() {
    each_backend(|backend| {
        let directory = tempfile::tempdir().expect("a directory");
        let mut pod = Pod::new(APP.0 + 1, &program(backend, &directory));
        let (code, log) = pod.install();
        let _outbound = Pod::listen(&pod.netns, "outbound", api::ports::OUTBOUND);
        let _remote = Pod::listen(&pod.remote, "remote", 80);
        let captured = ("outbound".to_owned(), Some(SocketAddr::new(REMOTE, 80)));
        let (expected, landing) =
            if backend.runs_programs { (30, ("remote".to_owned(), None)) } else { (0, captured) };
        assert_eq!(code, expected, "{}: {log}", backend.name);
        assert_eq!(pod.call(APP), landing, "{}", backend.name);
        let saved = backend.saved(&pod.netns);
        assert_eq!(saved.contains("REMORA"), code == 0, "{}: {saved}", backend.name);
    });
}
