//! A pod: a namespace with the rules of `init-redirect`, an application behind them, and one of the proxies as its sidecar.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tests::exec::{self, Container, Mount, Place, Process};
use tests::meshed::as_proxy;
use tests::netns::{End, Netns, connect};
use tests::{binaries, leftovers};

use crate::backend::Service;
use crate::machine;
use crate::programs::{CONFIGURATION, Program};

/// What is read of a log at once.
const LOG_CHUNK: usize = 64 * 1024;

/// A pod, with or without its proxy running.
pub(crate) struct Pod {
    pub(crate) program: Program,
    netns: Netns,
    address: Ipv4Addr,
    directory: TempDir,
    proxy: Option<Process>,
}

impl Pod {
    /// With rules, and nobody runs. A link of its own joins it to the client: a bridge between them would cost as much as a
    /// good proxy does. `number` tells the pods' networks apart.
    pub(crate) fn new(client: &Netns, number: u8, program: Program) -> Result<Self> {
        let netns = Netns::new(program.name)?;
        let [gateway, address] = [1, 2].map(|host| Ipv4Addr::new(10, 90, number, host));
        connect(
            End { netns: client, interface: program.name, addresses: &[(gateway.into(), 24)] },
            End { netns: &netns, interface: "eth0", addresses: &[(address.into(), 24)] },
        )?;
        netns.ip(&[&format!("route add default via {gateway}")])?;
        let left_alone = Service::ALL.map(|service| service.port(true).to_string()).join(",");
        let mut rules = Command::new(binaries::init_redirect()?);
        for option in ["--exclude-inbound-ports", "--exclude-outbound-ports"] {
            rules.args([option, &left_alone]);
        }
        rules.env_clear();
        let output = netns.output(&mut rules)?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
        let directory = leftovers::directory("bench")?;
        for name in ["root", "state"] {
            std::fs::create_dir(directory.path().join(name)).context("a directory of the container")?;
        }
        chown(directory.path().join("state"), Some(api::pod::PROXY_UID), Some(api::pod::PROXY_GID))?;
        let pod = Self { program, netns, address, directory, proxy: None };
        if let Some(text) = &pod.program.configuration {
            pod.configure(text)?;
        }
        Ok(pod)
    }

    /// What its proxy finds as configuration, when it is started next.
    pub(crate) fn configure(&self, text: &str) -> Result<()> {
        std::fs::write(self.directory.path().join("configuration.yaml"), text).context("a configuration file")
    }

    /// Where it is.
    pub(crate) fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Where a client finds the application: through the rules and the proxy, or past them.
    pub(crate) fn address(&self, service: Service, direct: bool) -> SocketAddr {
        (self.address, service.port(direct)).into()
    }

    /// Starts its proxy, in place of the one that runs; comes back when the program is about to be executed.
    pub(crate) fn start(&mut self) -> Result<()> {
        // First, since the ports are taken until it has ended.
        self.proxy = None;
        let mut spec = as_proxy(Place::New(self.container()), self.program.arguments.clone());
        spec.environment = vec![(api::env::WORKLOAD_NAME.to_owned(), "bench".to_owned())];
        let (log, output) = std::io::pipe().context("a pipe")?;
        self.proxy = Some(exec::start_into(self.program.name, &spec, output)?);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || read_to_end(log))?;
        Ok(())
    }

    /// The running proxy's process id. An error when it does not run, with what it has said.
    pub(crate) fn pid(&self) -> Result<u32> {
        let proxy = self.proxy.as_ref().context("its proxy was not started")?;
        let progress = proxy.progress();
        ensure!(progress.exit.is_none(), "its proxy has ended\n{progress}");
        Ok(proxy.pid())
    }

    fn container(&self) -> Container {
        let own = |name: &str| self.directory.path().join(name);
        let mount = |name: &str, target: &str, read_only| Mount {
            source: own(name),
            target: Path::new(target).to_owned(),
            read_only,
        };
        let mut mounts = self.program.mounts.clone();
        mounts.push(mount("state", api::pod::STATE_PATH, false));
        if self.program.configuration.is_some() {
            mounts.push(mount("configuration.yaml", CONFIGURATION, true));
        }
        Container {
            netns: self.netns.path(),
            cgroups: Vec::new(),
            descriptors: None,
            processors: vec![machine::PROXY],
            hostname: self.program.name.to_owned(),
            root: own("root"),
            read_only_root: true,
            mounts,
        }
    }
}

/// Takes an access log off a proxy, as what collects the logs of containers does, and forgets it.
fn read_to_end(mut log: std::io::PipeReader) {
    let mut buffer = vec![0; LOG_CHUNK];
    while matches!(log.read(&mut buffer), Ok(1..)) {}
}
