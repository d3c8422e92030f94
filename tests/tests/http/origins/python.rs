//! Servers of the Python package index, all with one application.

use crate::program::{HOME, Program, own};
use crate::python;

const SCRIPT: (&str, &str) = ("echo.py", include_str!("../apps/echo.py"));

pub(super) fn gunicorn(port: u16) -> Program {
    let listen = format!("0.0.0.0:{port}");
    let options = ["--worker-class", "gthread", "--threads", "8", "--keep-alive", "60"];
    let limits = ["--limit-request-field_size", "0", "--limit-request-line", "0", "--worker-tmp-dir", HOME];
    let arguments = [&["-m", "gunicorn", "--bind", &listen, "echo:wsgi"][..], &options, &limits].concat();
    python::program("gunicorn", SCRIPT, &arguments)
}

pub(super) fn uvicorn_h11(port: u16) -> Program {
    uvicorn("uvicorn-h11", "h11", port)
}

pub(super) fn uvicorn_httptools(port: u16) -> Program {
    uvicorn("uvicorn-httptools", "httptools", port)
}

fn uvicorn(name: &'static str, parser: &str, port: u16) -> Program {
    let port = port.to_string();
    let listen = ["-m", "uvicorn", "--host", "0.0.0.0", "--port", &port, "--timeout-keep-alive", "60"];
    let options = ["--http", parser, "--ws", "none", "--h11-max-incomplete-event-size", "65536"];
    python::program(name, SCRIPT, &[&listen[..], &options, &["echo:asgi"]].concat())
}

pub(super) fn hypercorn(port: u16) -> Program {
    own_server("hypercorn", port)
}

pub(super) fn waitress(port: u16) -> Program {
    own_server("waitress", port)
}

pub(super) fn tornado(port: u16) -> Program {
    own_server("tornado", port)
}

pub(super) fn aiohttp(port: u16) -> Program {
    own_server("aiohttp", port)
}

/// One that the script starts.
fn own_server(name: &'static str, port: u16) -> Program {
    python::program(name, SCRIPT, &[&own(SCRIPT.0), name, &port.to_string()])
}
