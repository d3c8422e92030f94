//! Probes, from the node's address to the pod's, as a kubelet makes them.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::manifest::{Handler, PortRef, Probe, Scheme};
use super::{PATIENCE, Pod, Running};
use crate::peer;

/// Between two probes. A kubelet waits for a second at least; nothing that is tested depends on that.
const PERIOD: Duration = Duration::from_millis(20);

impl Pod<'_> {
    /// Probes until it succeeds; fails at once when the container ends.
    pub(super) fn await_probe(&self, running: &Running, probe: &Probe) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let timeout = Duration::from_secs(probe.timeout_seconds);
        while let Err(error) = self.act(running, &probe.handler, timeout) {
            let name = &running.spec.name;
            if let Some(code) = running.process.wait_exit(PERIOD) {
                bail!("container {name} has ended with code {code}\n{}", running.process.progress());
            }
            if Instant::now() > deadline {
                return Err(error.context(format!(
                    "container {name}: still failing after {PATIENCE:?}\n{}",
                    running.process.progress()
                )));
            }
        }
        Ok(())
    }

    /// An httpGet or tcpSocket handler; the answer must be a success or a redirect.
    pub(super) fn call(&self, running: &Running, handler: &Handler, timeout: Duration) -> Result<()> {
        let kubelet = self.kubelet.switch.netns();
        match handler {
            Handler::HttpGet { port, path, scheme: Scheme::Http } => {
                let target = self.target(running, port)?;
                let path = if path.is_empty() { "/" } else { path };
                let (status, body) = kubelet.run(|| peer::http_get(target, path, timeout))??;
                if !(200..400).contains(&status) {
                    bail!("GET {path} at {target}: status {status}: {}", body.trim());
                }
                Ok(())
            }
            Handler::TcpSocket { port } => {
                let target = self.target(running, port)?;
                let connected = kubelet.run(|| TcpStream::connect_timeout(&target, timeout))?;
                connected.map(drop).with_context(|| format!("cannot connect to {target}"))
            }
            Handler::Exec { .. } => bail!("an exec handler makes no call"),
        }
    }

    fn target(&self, running: &Running, port: &PortRef) -> Result<SocketAddr> {
        let number = match port {
            PortRef::Number(number) => *number,
            PortRef::Name(name) => {
                let mut ports = running.spec.ports.iter();
                let found = ports.find(|port| port.name.as_ref() == Some(name));
                found
                    .with_context(|| format!("container {} has no port {name}", running.spec.name))?
                    .container_port
            }
        };
        Ok(SocketAddr::new(self.network.v4.into(), number))
    }
}
