//! The libraries, each as a server in the pod, and as a client that is somewhere.

use std::net::TcpListener;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::Value;
use tests::meshed::as_app;
use tests::node::Modules;

use super::tonic;
use crate::client::PATIENCE;
use crate::origins::Origin;
use crate::program::{Program, USER, own, words};
use crate::python;
use crate::ways::{Way, Ways};

const SCRIPT: (&str, &str) = ("rpc.py", include_str!("../apps/rpc.py"));
const NODE_SCRIPT: (&str, &str) = ("rpc.js", include_str!("../apps/rpc.js"));

/// What npm installs. The second is written by `npm install --package-lock-only --omit-lockfile-registry-resolved`.
const PACKAGES: [&str; 2] =
    [include_str!("../apps/grpc-js/package.json"), include_str!("../apps/grpc-js/package-lock.json")];

static GRPC_JS: LazyLock<Modules> =
    LazyLock::new(|| Modules::with("grpc-js", PACKAGES[0], PACKAGES[1]).expect("the library"));

/// Of one call of many the longest, on average.
const OF_MANY: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Library {
    /// On the library that is written in C.
    Grpcio,
    Tonic,
    GrpcJs,
}

/// A server that runs, until it is dropped.
pub(super) enum Server {
    Program { _running: Origin },
    Thread { _running: tonic::Server },
}

impl Library {
    pub(super) const ALL: [Self; 3] = [Self::Grpcio, Self::Tonic, Self::GrpcJs];

    /// Of its server.
    pub(super) const fn port(self) -> u16 {
        match self {
            Self::Grpcio => 8301,
            Self::Tonic => 8311,
            Self::GrpcJs => 8321,
        }
    }

    /// Its server, once it can be asked.
    pub(super) fn serve(self, ways: &Ways) -> Server {
        if self == Self::Tonic {
            let address = (Ways::ANY.ip(), self.port());
            let listener = as_app(ways.pod(), || TcpListener::bind(address)).expect("a free port");
            return Server::Thread { _running: tonic::Server::start(listener) };
        }
        let program = self.program("grpc", &["serve", &self.port().to_string()]);
        let server = Origin::start(ways, self.port(), program);
        server.wait_until_it_listens(ways);
        Server::Program { _running: server }
    }

    /// What its client sees of the server at this port: of the calls of this name, with so many of them where it asks for that.
    pub(super) fn ask(self, ways: &Ways, way: Way, port: u16, calls: &[&str]) -> Value {
        let address = ways.address(port);
        if self == Self::Tonic {
            return ways.on(way, || tonic::call(address, calls));
        }
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let (which, counts) = calls.split_first().expect("a name");
        let program = self.program("client", &[&[*which, &host, &port], counts].concat());
        // Whom the rules leave alone, or not.
        let user = if way == Way::Direct { api::pod::PROXY_UID } else { USER };
        let running = program.start(ways.netns(way), user);
        let many: u32 = counts.iter().map(|count| count.parse::<u32>().expect("a number")).sum();
        let code = running.process.wait_exit(3 * PATIENCE + many * OF_MANY);
        let progress = running.process.progress();
        assert_eq!(code, Some(0), "{self:?} at {port} ({way:?}):\n{progress}");
        serde_json::from_str(&progress.stdout).expect("a line of JSON")
    }

    /// As a script; tonic has none.
    fn program(self, name: &'static str, arguments: &[&str]) -> Program {
        if self == Self::Grpcio {
            return python::program(name, SCRIPT, &[&[own(SCRIPT.0).as_str()], arguments].concat());
        }
        let library = GRPC_JS.path("@grpc/grpc-js").display().to_string();
        Program {
            name,
            package: "nodejs",
            files: vec![(NODE_SCRIPT.0, NODE_SCRIPT.1.to_owned())],
            arguments: words([&["/usr/bin/node", &own(NODE_SCRIPT.0), &library], arguments].concat()),
            mounts: vec![GRPC_JS.mount()],
        }
    }
}
