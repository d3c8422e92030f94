//! Servers that people use, of Debian and of the Python package index: each in a container of the pod, at a port of its own.

mod debian;
mod python;

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::client::PATIENCE;
use crate::program::{Program, Running, USER};
use crate::ways::{Way, Ways};

/// Where those write their access log that cannot write it to their output, in their home.
const LOG: &str = "access.log";

/// How each is started at a port.
const PROGRAMS: [fn(u16) -> Program; 11] = [
    debian::nginx,
    debian::haproxy,
    debian::apache,
    debian::h2o,
    debian::node,
    python::gunicorn,
    python::uvicorn_h11,
    python::uvicorn_httptools,
    python::waitress,
    python::tornado,
    python::aiohttp,
];

/// How each that speaks HTTP/2 without TLS is started at a port.
const PROGRAMS_OF_HTTP2: [fn(u16) -> Program; 6] = [
    debian::nginx_http2,
    debian::haproxy_http2,
    debian::apache_http2,
    debian::h2o,
    debian::node_http2,
    python::hypercorn,
];

/// The port of the first.
const FIRST_PORT: u16 = 8101;

/// A server that runs.
pub(crate) struct Origin {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    running: Running,
}

/// All of them, once they can be asked.
pub(crate) fn start(ways: &Ways) -> Vec<Origin> {
    start_all(ways, &PROGRAMS)
}

/// The same of those that speak HTTP/2.
pub(crate) fn start_http2(ways: &Ways) -> Vec<Origin> {
    start_all(ways, &PROGRAMS_OF_HTTP2)
}

/// nginx, which leaves after so many requests.
pub(crate) fn start_leaving(ways: &Ways, requests: u32) -> Origin {
    let origin = Origin::start(ways, FIRST_PORT, debian::nginx_leaving(FIRST_PORT, requests));
    origin.wait_until_it_listens(ways);
    origin
}

fn start_all(ways: &Ways, programs: &[fn(u16) -> Program]) -> Vec<Origin> {
    let programs = (FIRST_PORT..).zip(programs);
    let all: Vec<_> = programs.map(|(port, program)| Origin::start(ways, port, program(port))).collect();
    for origin in &all {
        origin.wait_until_it_listens(ways);
    }
    all
}

impl Origin {
    /// In the pod.
    pub(crate) fn start(ways: &Ways, port: u16, program: Program) -> Self {
        Self { name: program.name, port, running: program.start(ways.pod(), USER) }
    }

    /// Waits until it can be asked.
    pub(crate) fn wait_until_it_listens(&self, ways: &Ways) {
        let give_up = Instant::now() + PATIENCE;
        let target = ways.address(self.port);
        let process = &self.running.process;
        while ways.on(Way::Direct, || TcpStream::connect(target)).is_err() {
            assert!(Instant::now() < give_up, "{}: nobody listens\n{}", self.name, process.progress());
            // Its end would be the end of waiting as well.
            let ended = process.wait_exit(Duration::from_millis(20));
            assert_eq!(ended, None, "{}: {}", self.name, process.progress());
        }
    }

    /// Whether its log, or anything else that it has written, has this text.
    pub(crate) fn has_written(&self, text: &str) -> bool {
        let progress = self.running.process.progress();
        [self.running.written(LOG), progress.stdout, progress.stderr]
            .iter()
            .any(|written| written.contains(text))
    }

    /// Waits until it has written a text.
    pub(crate) fn wait_until_it_has_written(&self, text: &str) {
        let give_up = Instant::now() + PATIENCE;
        while !self.has_written(text) {
            assert!(Instant::now() < give_up, "{}: {text:?} is not in what it writes", self.name);
            std::thread::yield_now();
        }
    }
}
