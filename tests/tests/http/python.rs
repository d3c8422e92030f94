//! Programs that need packages of the Python package index.

use std::sync::LazyLock;

use tests::exec::Mount;
use tests::python::Environment;

use crate::program::{Program, words};

/// What is installed: servers with parsers of their own, the two parsers that uvicorn can have, and libraries
/// for WebSocket and gRPC.
const PACKAGES: [&str; 11] = [
    "gunicorn==27.0.1",
    "uvicorn==0.54.0",
    "h11==0.16.0",
    "httptools==0.9.0",
    "waitress==3.0.2",
    "tornado==6.6.1",
    "aiohttp==3.14.5",
    "websockets==17.4",
    "wsproto==1.3.2",
    "grpcio==1.85.3",
    "hypercorn==0.18.0",
];

/// The interpreter's path, and what its container has to have.
static INSTALLED: LazyLock<(String, Vec<Mount>)> = LazyLock::new(|| {
    let environment = Environment::with(&PACKAGES).expect("the packages");
    let mounts = environment.mounts().expect("its places");
    (environment.python().display().to_string(), mounts)
});

/// The interpreter with these arguments, and a script in its home, where it also looks for modules.
pub(crate) fn program(
    name: &'static str,
    (script, text): (&'static str, &str),
    arguments: &[&str],
) -> Program {
    let (python, mounts) = &*INSTALLED;
    let shell = ["/bin/sh", "-c", "cd \"$HOME\" && exec \"$0\" \"$@\"", python];
    Program {
        name,
        package: "python3-venv",
        files: vec![(script, text.to_owned())],
        arguments: words(shell.into_iter().chain(arguments.iter().copied())),
        mounts: mounts.clone(),
    }
}
