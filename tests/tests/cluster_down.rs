//! `tests/kind/cluster` leaves the machine as it was, whatever ends the cluster, and refuses a second one.
//!
//! Only the engine of our own is tested (`CLUSTER=own`); where the machine's Docker engine runs the nodes, removing them is
//! kind's work. Not part of `cargo test`, since it needs the machine for itself for two minutes: `make e2e` runs it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::cluster::eventually;
use tests::{leftovers, tool};

/// `ENGINE_NAME` in tests/kind/lib/settings.sh: the engine's network namespace and its cgroup.
const ENGINE: &str = "remora-kind";

/// Sysctls that change by themselves.
const RESTLESS: [&str; 9] = [
    "fs.aio-nr",
    "fs.dentry-state",
    "fs.file-nr",
    "fs.inode-",
    "fs.quota.",
    "kernel.ns_last_pid",
    "kernel.pty.nr",
    "kernel.random.",
    "net.netfilter.nf_conntrack_count",
];

#[test]
fn one_cluster_at_a_time_and_nothing_is_left_of_it() -> Result<()> {
    // `build` first: what it installs and caches is meant to stay.
    succeed("build")?;
    ensure!(!run("status")?.0, "a cluster is up on this machine; remove it: tests/kind/cluster down");
    succeed("down")?; // what one left that nobody ended is not how this machine is
    let before = Machine::look()?;

    succeed("up")?;
    let (second, text) = run("up")?;
    assert!(!second && text.contains("is up on this machine already"), "{text}");
    succeed("status")?;
    kill_process("tini")?;
    eventually("the engine to be gone", Duration::from_secs(60), || {
        Ok(engine_pids()?.is_empty().then_some(()))
    })?;
    succeed("up")?; // instead of what SIGKILL, or a machine that was switched off, has left
    succeed("down")?;
    before.compare("after an orderly end")?;

    let mut up = start("up")?;
    until_a_node_runs(&mut up)?;
    up.kill()?;
    up.wait()?;
    succeed("down")?;
    before.compare("after SIGKILL of `up`")?;

    let mut up = start("up")?;
    until_a_node_runs(&mut up)?;
    kill_process("dockerd")?;
    assert!(!up.wait()?.success(), "`up` succeeded without an engine");
    succeed("down")?;
    before.compare("after SIGKILL of dockerd")?;

    succeed("down")?; // again: nothing to do is no failure
    before.compare("after a second `down`")
}

fn cluster(command: &str) -> Command {
    let mut cluster = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("kind/cluster"));
    cluster.arg(command).env("CLUSTER", "own").stdin(Stdio::null());
    cluster
}

fn succeed(command: &str) -> Result<()> {
    let (success, text) = run(command)?;
    ensure!(success, "cluster {command}:\n{text}");
    Ok(())
}

/// Whether it succeeded, and what it said.
fn run(command: &str) -> Result<(bool, String)> {
    let output = cluster(command).output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

fn start(command: &str) -> Result<Child> {
    Ok(cluster(command).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
}

/// A container's cgroup tells it: the engine works, and kind is at work upon it.
fn until_a_node_runs(up: &mut Child) -> Result<()> {
    eventually("a node's cgroup", Duration::from_secs(120), || {
        ensure!(up.try_wait()?.is_none(), "`up` ended early");
        Ok(cgroups("4")?.iter().any(|path| path.contains(&format!("{ENGINE}/"))).then_some(()))
    })
}

/// A line for each of its processes.
fn engine_pids() -> Result<String> {
    let pids = tool::run("iproute2", Command::new("ip").args(["netns", "pids", ENGINE]))?;
    Ok(String::from_utf8(pids.stdout)?)
}

/// SIGKILL for a process of the engine.
fn kill_process(name: &str) -> Result<()> {
    let pids = engine_pids()?;
    let is_it = |pid: &&str| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name)
    };
    let pid = pids.lines().find(is_it).with_context(|| format!("no process {name} in {ENGINE}"))?;
    Ok(kill(Pid::from_raw(pid.parse()?), Signal::SIGKILL)?)
}

/// Everything of the machine that a cluster could leave a trace in.
struct Machine(Vec<(&'static str, BTreeSet<String>)>);

impl Machine {
    fn look() -> Result<Self> {
        Ok(Self(vec![
            ("process namespace", process_namespaces()?),
            ("process", helpers()?),
            ("network namespace", names("/run/netns").into_iter().filter(|name| not_a_tests(name)).collect()),
            ("mount", lines(fs::read_to_string("/proc/self/mounts")?, not_a_tests)),
            // What somebody makes within a cgroup that was there before is not ours.
            ("cgroup", cgroups("2")?),
            ("iptables rule", filter_rules("iptables", Command::new("iptables-save"))?),
            ("ip6tables rule", filter_rules("iptables", Command::new("ip6tables-save"))?),
            (
                "nftables rule",
                filter_rules("nftables", {
                    let mut nft = Command::new("nft");
                    nft.args(["list", "ruleset"]);
                    nft
                })?,
            ),
            ("sysctl", sysctls()?),
            (
                "directory entry",
                ["/run", "/etc", "/opt", "/var/lib", "/lib"].into_iter().flat_map(names).collect(),
            ),
        ]))
    }

    /// An error that names what there is more or less than at this look.
    fn compare(&self, when: &str) -> Result<()> {
        let now = Self::look()?;
        for ((what, before), (_, after)) in self.0.iter().zip(&now.0) {
            let changed: Vec<_> = before.symmetric_difference(after).collect();
            ensure!(changed.is_empty(), "{when}: {what}: {changed:#?}");
        }
        Ok(())
    }
}

/// The process namespaces that somebody is in. The engine has its own, and each container; other tests' pods have not.
fn process_namespaces() -> Result<BTreeSet<String>> {
    let processes = fs::read_dir("/proc")?.flatten();
    // Not every entry is a process, and processes end.
    let namespaces = processes.filter_map(|process| fs::read_link(process.path().join("ns/pid")).ok());
    Ok(namespaces.map(|namespace| namespace.display().to_string()).collect())
}

/// Processes that `cluster` started outside of the engine, by the environment which it gives them.
fn helpers() -> Result<BTreeSet<String>> {
    const MARK: &[u8] = b"KIND_CLUSTER_NAME=remora";
    let processes = fs::read_dir("/proc")?.flatten().map(|process| process.path());
    let is_ours = |process: &PathBuf| {
        fs::read(process.join("environ")).is_ok_and(|all| all.split(|byte| *byte == 0).any(|one| one == MARK))
    };
    let name = |process: PathBuf| {
        let comm = fs::read_to_string(process.join("comm")).unwrap_or_default();
        format!("{} {}", process.display(), comm.trim_end())
    };
    Ok(processes.filter(is_ours).map(name).collect())
}

fn cgroups(depth: &str) -> Result<BTreeSet<String>> {
    let found = Command::new("find").args(["/sys/fs/cgroup", "-maxdepth", depth, "-type", "d"]).output()?;
    Ok(lines(String::from_utf8(found.stdout)?, |_| true))
}

/// Rules without comments and counters.
fn filter_rules(package: &str, mut command: Command) -> Result<BTreeSet<String>> {
    let output = String::from_utf8(tool::run(package, &mut command)?.stdout)?;
    let rules = lines(output, |line| !line.starts_with('#'));
    Ok(rules.iter().map(|rule| rule.split(" [").next().unwrap_or_default().to_owned()).collect())
}

fn sysctls() -> Result<BTreeSet<String>> {
    // It fails for those that cannot be read; what could be is on its standard output.
    let output = Command::new("sysctl").arg("-a").output().context("install Debian's package procps")?;
    Ok(lines(String::from_utf8_lossy(&output.stdout).into_owned(), |line| {
        !RESTLESS.iter().any(|name| line.starts_with(name))
    }))
}

/// Not of another test that runs meanwhile.
fn not_a_tests(line: &str) -> bool {
    !line.contains(leftovers::PREFIX)
}

fn names(directory: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().display().to_string()).collect()
}

fn lines(text: String, keep: impl Fn(&str) -> bool) -> BTreeSet<String> {
    text.lines().filter(|line| keep(line)).map(str::to_owned).collect()
}
