//! The two ports of captured traffic, and the listeners of each worker on them.

use std::net::{SocketAddr, TcpListener};

use super::leg;
use runtime::listen::{Listen, ListenError, Scope};

/// The ports to which the redirect rules send.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// Port for what the pod's own processes send; on loopback only, without --virtual-interfaces
    #[arg(long, env = "REMORA_PORT_OUTBOUND", default_value_t = api::ports::OUTBOUND, value_name = "PORT")]
    pub outbound_port: u16,

    /// Port for what others send to the pod
    #[arg(long, env = "REMORA_PORT_INBOUND", default_value_t = api::ports::INBOUND, value_name = "PORT")]
    pub inbound_port: u16,

    /// Take what clients behind virtual interfaces of the pod send, too, for which the outbound port is on the wildcard
    #[arg(long, env = api::env::VIRTUAL_INTERFACES, default_value_t = false, value_name = "BOOL",
          num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub virtual_interfaces: bool,
}

/// The listeners of one worker, one for each address family that the machine has.
#[derive(Debug)]
pub struct Listeners {
    /// On the wildcard.
    pub inbound: Vec<TcpListener>,
    /// On loopback, or on the wildcard.
    pub outbound: Vec<TcpListener>,
}

impl Settings {
    /// Listeners for each of `workers`.
    ///
    /// SO_REUSEPORT would let a second proxy of the same uid join the port unnoticed, so a single worker does without,
    /// and several make sure first that the port is free.
    pub fn bind(&self, workers: usize) -> Result<Vec<Listeners>, ListenError> {
        if workers > 1 {
            self.bind_worker(false)?;
        }
        (0..workers).map(|_| self.bind_worker(workers > 1)).collect()
    }

    fn bind_worker(&self, shared: bool) -> Result<Listeners, ListenError> {
        let inbound = Listen {
            purpose: "inbound traffic",
            flag: "--inbound-port",
            scope: Scope::Wildcard,
            port: self.inbound_port,
            shared,
        };
        let outbound = Listen {
            purpose: "outbound traffic",
            flag: "--outbound-port",
            // A redirected packet of theirs has the address of the interface on which it came.
            scope: if self.virtual_interfaces { Scope::Wildcard } else { Scope::Loopback },
            port: self.outbound_port,
            shared,
        };
        Ok(Listeners {
            inbound: inbound.bind_with(leg::configure)?,
            outbound: outbound.bind_with(|socket| {
                if !self.virtual_interfaces {
                    leg::unpace(socket);
                }
                leg::configure(socket)
            })?,
        })
    }
}

/// The addresses of `listeners`, for the log and for tests that let the kernel choose.
pub fn addresses(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect()
}
