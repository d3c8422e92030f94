//! The application of a test pod: servers that answer with what they saw, or a client that prints what it got. It knows
//! nothing of a mesh.

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use socket2::{Domain, Protocol, Socket, Type};
use tests::peer::{self, Server, Service};

#[derive(Parser)]
#[command(about = "An application that knows nothing of a mesh")]
struct Command {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    /// Serve on the wildcard addresses of both families until killed.
    Serve(Serve),
    /// Connect, send, read to the end; print a line of JSON for each connection.
    Call(Call),
    /// Print a file, or the names in a directory.
    Show {
        /// Its path.
        path: PathBuf,
    },
    /// Write a file.
    Write {
        /// Its path.
        path: PathBuf,
    },
    /// Say why, also to the termination log, and end with a code.
    Fail {
        /// The exit code.
        #[arg(long)]
        code: u8,
        /// Why.
        reason: String,
    },
}

#[derive(Args)]
struct Serve {
    /// The name that answers carry.
    #[arg(long, env = "HOSTNAME", default_value = "peer")]
    name: String,
    /// Port that returns what it receives.
    #[arg(long)]
    echo: Option<u16>,
    /// Port that speaks first, and says what it saw.
    #[arg(long)]
    landing: Option<u16>,
    /// Port that says what it saw, by HTTP.
    #[arg(long)]
    http: Option<u16>,
}

#[derive(Args)]
struct Call {
    /// Where to connect, ADDRESS:PORT.
    target: SocketAddr,
    /// Text to send.
    #[arg(long, default_value = "")]
    send: String,
    /// Send a GET for this path instead.
    #[arg(long)]
    get: Option<String>,
    /// Number of connections, one after the other.
    #[arg(long, default_value_t = 1)]
    times: u32,
}

fn main() -> Result<ExitCode> {
    match Command::parse().role {
        Role::Serve(options) => serve(&options)?,
        Role::Call(options) => call(&options)?,
        Role::Show { path } => show(&path).with_context(|| format!("cannot read {}", path.display()))?,
        Role::Write { path } => {
            fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))?
        }
        Role::Fail { code, reason } => {
            eprintln!("{reason}");
            fs::write("/dev/termination-log", &reason)?;
            return Ok(ExitCode::from(code));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn serve(options: &Serve) -> Result<()> {
    let wanted =
        [(options.echo, Service::Echo), (options.landing, Service::Landing), (options.http, Service::Http)];
    let mut servers = Vec::new();
    for (port, service) in wanted {
        let Some(port) = port else { continue };
        for address in [(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()] {
            servers.push(Server::serve(listen(address)?, &options.name, service)?);
        }
    }
    println!("ready");
    std::io::stdout().flush()?;
    servers.into_iter().for_each(Server::wait);
    Ok(())
}

/// One family a socket, so that addresses are shown as they are.
fn listen(address: SocketAddr) -> Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&address.into()).with_context(|| format!("cannot listen on {address}"))?;
    socket.listen(1024)?;
    Ok(socket.into())
}

fn call(options: &Call) -> Result<()> {
    for _ in 0..options.times {
        let exchange = match &options.get {
            Some(path) => peer::http_call(options.target, path, peer::PATIENCE),
            None => peer::call(options.target, options.send.as_bytes()),
        };
        println!("{}", serde_json::to_string(&exchange)?);
    }
    Ok(())
}

fn show(path: &Path) -> Result<()> {
    if !path.is_dir() {
        let text = fs::read(path)?;
        return Ok(std::io::stdout().write_all(&text)?);
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        names.push(entry?.file_name().into_string().unwrap_or_default());
    }
    names.sort();
    for name in names {
        println!("{name}");
    }
    Ok(())
}
