//! A pod's namespace with the rules of init-redirect and a running proxy in it, both the real programs, and what its log and
//! its metrics tell.
//!
//! Less than [`crate::pod`]: no manifest, no kubelet; the proxy's options are the test's. Applications are threads of the
//! test ([`crate::peer`]).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::cgroup::Cgroup;
use crate::exec::{self, Container, Mount, Place, Process, Progress, Spec};
use crate::netns::{Netns, Node, Switch};
use crate::peer::{self, Exchange, Server, Service};
use crate::{binaries, leftovers};

/// No event is waited for longer.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The port of applications.
pub const PORT: u16 = 8080;

const APP: (u32, u32) = (1000, 1000);
const WILDCARD: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];

/// A node with its proxy.
pub struct Meshed {
    /// The namespace.
    pub node: Node,
    /// The running proxy.
    pub proxy: Process,
    /// What its container has of files: `root` and `state`.
    pub directory: TempDir,
    options: Vec<String>,
    limits: Limits,
}

/// What the proxy's container may take; all of the machine by default.
#[derive(Clone, Default)]
struct Limits {
    cgroups: Vec<PathBuf>,
    descriptors: Option<u64>,
}

impl Meshed {
    /// With the rules of init-redirect.
    pub fn new(switch: &mut Switch, label: &str, options: &[&str]) -> Self {
        Self::with_proxy(with_rules(switch, label), options)
    }

    /// The same, and the proxy runs in a control group.
    pub fn within(cgroup: &Cgroup, switch: &mut Switch, label: &str, options: &[&str]) -> Self {
        let limits = Limits { cgroups: vec![cgroup.path()], ..Limits::default() };
        Self::start(with_rules(switch, label), options, limits)
    }

    /// The same, and the proxy is started with this limit of descriptors, soft and hard.
    pub fn with_descriptors(limit: u64, switch: &mut Switch, label: &str, options: &[&str]) -> Self {
        let limits = Limits { descriptors: Some(limit), ..Limits::default() };
        Self::start(with_rules(switch, label), options, limits)
    }

    /// Whatever the rules are.
    pub fn with_proxy(node: Node, options: &[&str]) -> Self {
        Self::start(node, options, Limits::default())
    }

    /// As a kubelet does it: a user without capabilities, a read-only root, a state directory.
    fn start(node: Node, options: &[&str], limits: Limits) -> Self {
        let directory = leftovers::directory("proxy").expect("a directory");
        let [root, state] = ["root", "state"].map(|name| directory.path().join(name));
        for path in [&root, &state] {
            std::fs::create_dir(path).expect("a directory");
        }
        std::os::unix::fs::chown(&state, Some(api::pod::PROXY_UID), Some(api::pod::PROXY_GID))
            .expect("its owner");
        let options: Vec<_> = options.iter().map(ToString::to_string).collect();
        let proxy = start(&node, &directory, &options, limits.clone());
        Self { node, proxy, directory, options, limits }
    }

    /// Starts the proxy again, as a kubelet does when it has ended; the state directory is the pod's and stays.
    pub fn start_again(&mut self) {
        self.proxy = start(&self.node, &self.directory, &self.options, self.limits.clone());
    }

    /// What the application of this pod gets when it calls.
    pub fn calls(&self, target: SocketAddr) -> Exchange {
        as_app(&self.node.netns, || peer::call(target, b""))
    }

    /// The access-log lines about `destination`, once there are `count` of them.
    pub fn log(&self, destination: SocketAddr, count: usize) -> Vec<Value> {
        let lines = |progress: &Progress| {
            let all = progress.stdout.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let lines: Vec<_> =
                all.filter(|line| line["original_destination"] == destination.to_string()).collect();
            (lines.len() >= count).then_some(lines)
        };
        let lines = self.proxy.wait_for("access log", PATIENCE, lines).expect("as many lines");
        assert_eq!(lines.len(), count, "{lines:?}");
        lines
    }

    /// The sum of the series whose name and labels contain all of `parts`.
    pub fn metric(&self, parts: &[&str]) -> u64 {
        let target = (Ipv4Addr::LOCALHOST, api::ports::METRICS).into();
        let answer =
            self.node.netns.run(|| peer::http_get(target, "/metrics", PATIENCE)).expect("the namespace");
        let (_, text) = answer.expect("metrics");
        let series = text.lines().filter(|line| !line.starts_with('#'));
        let lines = series.filter(|line| parts.iter().all(|part| line.contains(part)));
        let values = lines.filter_map(|line| line.rsplit(' ').next());
        values.map(|value| value.trim_end_matches(".0").parse::<u64>().expect("a whole number")).sum()
    }

    /// Runs a subcommand of the proxy in its container.
    pub fn runs(&self, arguments: &[&str]) -> Process {
        let spec = as_proxy(Place::Join { pid: self.proxy.pid() }, with_program(arguments));
        exec::start("proxy", &spec).expect("the program starts")
    }

    /// Begins the inbound drain.
    pub fn drain(&self) {
        let drain = self.runs(&["drain"]);
        assert_eq!(drain.wait_exit(PATIENCE), Some(0), "{}", drain.progress());
    }

    /// The pod's application, in both families.
    pub fn serves(&self, service: Service) -> [Server; 2] {
        servers(&self.node, service)
    }
}

fn with_rules(switch: &mut Switch, label: &str) -> Node {
    let node = switch.attach(label).expect("a namespace");
    let mut init = Command::new(binaries::init_redirect().expect("the program"));
    let output = node.netns.output(init.env_clear()).expect("the program runs");
    assert!(output.status.success(), "{output:?}");
    node
}

fn start(node: &Node, directory: &TempDir, options: &[String], limits: Limits) -> Process {
    let mount = |source, target: &str, read_only| Mount { source, target: target.into(), read_only };
    let container = Container {
        netns: node.netns.path(),
        cgroups: limits.cgroups,
        descriptors: limits.descriptors,
        processors: Vec::new(),
        hostname: "pod".to_owned(),
        root: directory.path().join("root"),
        read_only_root: true,
        mounts: vec![
            mount(binaries::proxy().expect("the program"), api::pod::PROXY_BINARY, true),
            mount(directory.path().join("state"), api::pod::STATE_PATH, false),
        ],
    };
    let mut spec = as_proxy(Place::New(container), with_program(options));
    spec.environment = vec![(api::env::WORKLOAD_NAME.to_owned(), node.netns.name().to_owned())];
    let proxy = exec::start("proxy", &spec).expect("the proxy starts");
    proxy
        .wait_for("ready", PATIENCE, |progress| progress.stderr.contains("is ready").then_some(()))
        .expect("the proxy becomes ready");
    proxy
}

fn with_program(arguments: &[impl ToString]) -> Vec<String> {
    let program = api::pod::PROXY_BINARY.to_owned();
    std::iter::once(program).chain(arguments.iter().map(ToString::to_string)).collect()
}

/// A program as the injector lets the proxy run: whom the rules leave alone, and without capabilities.
pub fn as_proxy(place: Place, arguments: Vec<String>) -> Spec {
    Spec {
        parent: nix::unistd::getpid().as_raw(),
        place,
        uid: api::pod::PROXY_UID,
        gid: api::pod::PROXY_GID,
        groups: Vec::new(),
        capabilities: Vec::new(),
        no_new_privileges: true,
        environment: Vec::new(),
        arguments,
    }
}

/// An application in both families, each with its own listener.
pub fn servers(node: &Node, service: Service) -> [Server; 2] {
    node.netns.set_sysctl("net/ipv6/bindv6only", "1").expect("the setting");
    WILDCARD.map(|address| {
        Server::start(&node.netns, "app", SocketAddr::new(address, PORT), service).expect("a listener")
    })
}

/// Does `work` as an application in the namespace: its sockets are no proxy's.
pub fn as_app<T: Send>(netns: &Netns, work: impl FnOnce() -> T + Send) -> T {
    netns.run_as(APP.0, APP.1, work).expect("the namespace")
}
