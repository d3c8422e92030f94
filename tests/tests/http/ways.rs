//! A pod that serves, and three ways to it: past its proxy, through it, and through the client's and then its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tests::meshed::{Meshed, as_app};
use tests::netns::{Netns, Node, Switch};

/// From whom to whom.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Way {
    /// From within the pod by the proxy's user, whom the rules leave alone.
    Direct,
    /// From a host without a proxy.
    Inbound,
    /// From a pod that has a proxy as well.
    Both,
}

impl Way {
    /// Those that a proxy is on.
    pub(crate) const MESHED: [Self; 2] = [Self::Inbound, Self::Both];
}

/// The pod and its clients.
pub(crate) struct Ways {
    pub(crate) server: Meshed,
    pub(crate) client: Meshed,
    pub(crate) plain: Node,
    _switch: Switch,
}

impl Ways {
    /// With proxies as they are by default.
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// Connections to servers end with those of their clients, so that what a server saw is known when its client has left.
    pub(crate) fn paired() -> Self {
        Self::with(&["--http-pool-size=0"])
    }

    fn with(options: &[&str]) -> Self {
        let mut switch = Switch::new("switch").expect("a switch");
        let server = Meshed::new(&mut switch, "server", options);
        let client = Meshed::new(&mut switch, "client", options);
        let plain = switch.attach("plain").expect("a namespace");
        Self { server, client, plain, _switch: switch }
    }

    /// Where clients find the port.
    pub(crate) fn address(&self, port: u16) -> SocketAddr {
        (IpAddr::V4(self.server.node.v4), port).into()
    }

    /// Where servers listen, at a port that is free.
    pub(crate) const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

    /// The pod's namespace.
    pub(crate) fn pod(&self) -> &Netns {
        &self.server.node.netns
    }

    /// Does a client's work.
    pub(crate) fn on<T: Send>(&self, way: Way, work: impl FnOnce() -> T + Send) -> T {
        let netns = self.netns(way);
        match way {
            Way::Direct => {
                netns.run_as(api::pod::PROXY_UID, api::pod::PROXY_GID, work).expect("the namespace")
            }
            Way::Inbound | Way::Both => as_app(netns, work),
        }
    }

    /// Where clients of this way are.
    pub(crate) fn netns(&self, way: Way) -> &Netns {
        match way {
            Way::Direct => self.pod(),
            Way::Inbound => &self.plain.netns,
            Way::Both => &self.client.node.netns,
        }
    }
}
