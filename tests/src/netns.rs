//! Network namespaces: a pod's network, and a switch that joins several, as a node joins the pods that run on it.
//!
//! A namespace is removed when its owner is dropped, and what a killed process left behind is removed by the next one that
//! makes a namespace. Nobody ever "enters" a namespace for good: work is done by a thread that ends in it, since sockets
//! stay in the namespace where they were made. `ip netns exec` is not used: it changes mounts too.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{Gid, Uid, setfsgid, setfsuid};

use crate::leftovers::{self, NAMESPACES};
use crate::tool;

/// A network namespace with a name, lo up.
#[derive(Debug)]
pub struct Netns {
    name: String,
    handle: File,
}

impl Netns {
    /// An empty namespace; `label` is for the human who reads `ip netns list`.
    pub fn new(label: &str) -> Result<Self> {
        if !Uid::effective().is_root() {
            bail!("network namespaces need root: run this as root");
        }
        let name = leftovers::name(label);
        std::fs::create_dir_all(NAMESPACES).with_context(|| format!("cannot make {NAMESPACES}"))?;
        let path = Path::new(NAMESPACES).join(&name);
        File::create_new(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let handle = on_thread(|| make(&path)).inspect_err(|_| leftovers::remove_namespace(&path))?;
        let netns = Self { name, handle };
        // Addresses are usable at once: nobody else is on these links.
        for scope in ["all", "default"] {
            netns.set_sysctl(&format!("net/ipv6/conf/{scope}/accept_dad"), "0")?;
        }
        netns.ip(&["link set lo up"])?;
        Ok(netns)
    }

    /// The namespace of a running process, under a name like the others.
    pub fn of_process(label: &str, pid: u32) -> Result<Self> {
        let own = format!("/proc/{pid}/ns/net");
        let handle = File::open(&own).with_context(|| format!("cannot open {own}"))?;
        let name = leftovers::name(label);
        let path = Path::new(NAMESPACES).join(&name);
        File::create_new(&path).with_context(|| format!("cannot make {}", path.display()))?;
        mount(Some(own.as_str()), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .with_context(|| format!("cannot bind {own} to {}", path.display()))?;
        Ok(Self { name, handle })
    }

    /// The name under which `ip -n` and `nsenter --net=/run/netns/NAME` find it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that holds it.
    pub fn path(&self) -> PathBuf {
        Path::new(NAMESPACES).join(&self.name)
    }

    /// Does `work` in the namespace and gives back what it made; sockets among that go on belonging to the namespace.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        on_thread(|| {
            setns(&self.handle, CloneFlags::CLONE_NEWNET)
                .with_context(|| format!("cannot enter {}", self.name))?;
            Ok(work())
        })
    }

    /// As [`Netns::run`], with sockets that belong to `uid` and `gid`. The kernel's owner match looks at the file-system
    /// ids of who opened the socket, and those belong to the thread alone.
    pub fn run_as<T: Send>(&self, uid: u32, gid: u32, work: impl FnOnce() -> T + Send) -> Result<T> {
        self.run(|| {
            setfsgid(Gid::from_raw(gid));
            setfsuid(Uid::from_raw(uid));
            work()
        })
    }

    /// Runs a program in the namespace and waits for it.
    pub fn output(&self, command: &mut Command) -> Result<Output> {
        self.run(|| command.output())?.with_context(|| format!("cannot run {command:?}"))
    }

    /// Runs a tool of the machine in the namespace, which must succeed; see [`tool::run`].
    pub fn tool(&self, package: &str, command: &mut Command) -> Result<Output> {
        self.run(|| tool::run(package, command))?
    }

    /// Runs `ip` in the namespace; each command is a line without the word `ip`.
    pub fn ip(&self, commands: &[&str]) -> Result<()> {
        for line in commands {
            let mut ip = Command::new("ip");
            ip.args(["-n", &self.name]).args(line.split_whitespace());
            tool::run("iproute2", &mut ip)?;
        }
        Ok(())
    }

    /// The value of a setting, for example `net/ipv4/ip_forward`.
    pub fn sysctl(&self, key: &str) -> Result<String> {
        let path = Path::new("/proc/sys").join(key);
        let value = self.run(|| std::fs::read_to_string(&path))?;
        Ok(value
            .with_context(|| format!("cannot read {} in {}", path.display(), self.name))?
            .trim()
            .to_owned())
    }

    /// Sets it.
    pub fn set_sysctl(&self, key: &str, value: &str) -> Result<()> {
        let path = Path::new("/proc/sys").join(key);
        self.run(|| std::fs::write(&path, value))?
            .with_context(|| format!("cannot write {value:?} to {} in {}", path.display(), self.name))
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        leftovers::remove_namespace(&self.path());
    }
}

/// One end of a link: which namespace, and its interface's addresses there.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// The namespace.
    pub netns: &'a Netns,
    /// The interface's name.
    pub interface: &'a str,
    /// Addresses with their prefix lengths.
    pub addresses: &'a [(IpAddr, u8)],
}

/// Joins two namespaces by a veth pair, both ends up.
pub fn connect(left: End<'_>, right: End<'_>) -> Result<()> {
    let pair = format!(
        "link add {} type veth peer name {} netns {}",
        left.interface,
        right.interface,
        right.netns.name()
    );
    left.netns.ip(&[&pair])?;
    for end in [left, right] {
        end.netns.ip(&[&format!("link set {} up", end.interface)])?;
        for (address, length) in end.addresses {
            let nodad = if address.is_ipv6() { " nodad" } else { "" };
            end.netns.ip(&[&format!("addr add {address}/{length} dev {}{nodad}", end.interface)])?;
        }
    }
    Ok(())
}

/// A namespace whose bridge joins others: the node. It has an address itself, from which a kubelet would probe, and is
/// everybody's default route.
#[derive(Debug)]
pub struct Switch {
    netns: Netns,
    ports: u8,
}

impl Switch {
    const V4: [u8; 3] = [10, 89, 0];
    const V6: u16 = 0xfd89;

    /// The switch's own addresses, `.1` and `::1`.
    pub const ADDRESSES: (Ipv4Addr, Ipv6Addr) = (Self::v4(1), Self::v6(1));

    /// A switch that joins nobody yet.
    pub fn new(label: &str) -> Result<Self> {
        let netns = Netns::new(label)?;
        let (v4, v6) = Self::ADDRESSES;
        netns.ip(&[
            "link add br0 type bridge forward_delay 0 mcast_snooping 0",
            &format!("addr add {v4}/24 dev br0"),
            &format!("addr add {v6}/64 dev br0 nodad"),
            "link set br0 up",
        ])?;
        Ok(Self { netns, ports: 1 })
    }

    /// The namespace, for a kubelet's probes and for peers that are not pods.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// A new namespace on the switch, with an address of each family on `eth0` and a default route.
    pub fn attach(&mut self, label: &str) -> Result<Node> {
        self.ports = self.ports.checked_add(1).filter(|n| *n < 255).context("the switch has no free port")?;
        let (v4, v6) = (Self::v4(self.ports), Self::v6(u16::from(self.ports)));
        let netns = Netns::new(label)?;
        let port = format!("port{}", self.ports);
        connect(
            End { netns: &netns, interface: "eth0", addresses: &[(v4.into(), 24), (v6.into(), 64)] },
            End { netns: &self.netns, interface: &port, addresses: &[] },
        )?;
        self.netns.ip(&[&format!("link set {port} master br0")])?;
        let (gateway4, gateway6) = Self::ADDRESSES;
        netns.ip(&[
            &format!("route add default via {gateway4}"),
            &format!("-6 route add default via {gateway6}"),
        ])?;
        Ok(Node { netns, v4, v6 })
    }

    const fn v4(host: u8) -> Ipv4Addr {
        let [a, b, c] = Self::V4;
        Ipv4Addr::new(a, b, c, host)
    }

    const fn v6(host: u16) -> Ipv6Addr {
        Ipv6Addr::new(Self::V6, 0, 0, 0, 0, 0, 0, host)
    }
}

/// A namespace on a [`Switch`].
#[derive(Debug)]
pub struct Node {
    /// The namespace.
    pub netns: Netns,
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
}

impl Node {
    /// Both addresses, IPv4 first.
    pub fn addresses(&self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }
}

/// Makes a namespace and keeps it by binding it to `path`.
fn make(path: &Path) -> Result<File> {
    const OWN: &str = "/proc/thread-self/ns/net";
    unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")?;
    mount(Some(OWN), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .with_context(|| format!("cannot bind a network namespace to {}", path.display()))?;
    File::open(OWN).with_context(|| format!("cannot open {OWN}"))
}

/// Runs `work` on a thread of its own, whose namespaces end with it. A panic (a failed assertion) goes on in the caller.
fn on_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| scope.spawn(work).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
