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
    let programs = (FIRST_PORT..).zip(PROGRAMS);
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
