//! A proxy in a thread, and the ways to its faces.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use clap::Parser;
use conformance::report::Report;
use conformance::run::Pace;
use conformance::wire::Ends;
use proxy::app::{App, AppError, Event, Surroundings};
use proxy::config::Args;
use proxy::drain::Exit;
use proxy::net::original_dst::{Network, Scope};
use proxy::telemetry::workload::Workload;
use runtime::log::{LogArgs, LogFormat, LogHandle};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;

/// Whoever does nothing for so long hangs, and a case that takes so long does. Everything that is waited for comes, so this is only
/// for failures.
const MOST: Duration = Duration::from_secs(5);

pub(crate) const PACE: Pace = Pace { patience: MOST, at_once: 16 };

/// The log of this process, which all its proxies share; silent.
static LOG: LazyLock<LogHandle> = LazyLock::new(|| {
    runtime::log::init(&LogArgs { filter: "off".to_owned(), format: LogFormat::Text }, &[]).unwrap()
});

/// Whose connections are carried.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Direction {
    Inbound,
    Outbound,
}

/// What the rules of a pod would do: each client's connection wanted to go somewhere, and those of others to one address. Loopback is
/// an ordinary network here.
#[derive(Clone, Default)]
struct Wanted {
    destinations: Arc<Mutex<Destinations>>,
    /// This pod's addresses.
    own: Vec<IpAddr>,
}

#[derive(Default)]
struct Destinations {
    of: HashMap<SocketAddr, SocketAddr>,
    of_others: Option<SocketAddr>,
}

impl Network for Wanted {
    fn original_dst(&self, stream: &TcpStream, _: SocketAddr) -> io::Result<Option<SocketAddr>> {
        let destinations = self.destinations.lock().unwrap();
        Ok(destinations.of.get(&stream.peer_addr()?).copied().or(destinations.of_others))
    }

    fn scope(&self, _: IpAddr) -> Scope {
        Scope::Routable
    }

    fn is_own(&self, _: IpAddr) -> bool {
        true
    }

    fn addresses(&self) -> Vec<IpAddr> {
        self.own.clone()
    }
}

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

/// A running proxy.
pub(crate) struct Proxy {
    captures: SocketAddr,
    metrics: SocketAddr,
    wanted: Wanted,
    /// Of servers, until the end.
    ports: Mutex<Vec<TcpSocket>>,
    events: mpsc::Sender<Event>,
    thread: JoinHandle<Result<Exit, AppError>>,
    _directory: tempfile::TempDir,
}

impl Proxy {
    /// With ports that the kernel chooses.
    pub(crate) fn start(direction: Direction, options: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("proxy.sock");
        let mut line = vec!["proxy", "--access-log=off", "--control-socket", socket.to_str().unwrap()];
        line.extend(["--inbound-port=0", "--outbound-port=0", "--metrics-port=0", "--readiness-port=0"]);
        line.push("--admin-port=0");
        line.extend(options);
        let config = Command::parse_from(line).args.try_into().expect("valid options");
        let app = App::bind(config).expect("free ports");
        // Who calls a server that is in another pod does not call itself.
        let own = match direction {
            Direction::Inbound => vec![Ipv4Addr::LOCALHOST.into()],
            Direction::Outbound => vec![],
        };
        let wanted = Wanted { destinations: Arc::default(), own };
        let (addresses, events) = (app.addresses(), mpsc::channel(8));
        let sender = events.0.clone();
        let surroundings = Surroundings {
            network: Arc::new(wanted.clone()),
            workload: Workload::of_this_pod(|_| None),
            descriptors: 20_000,
            access_log: io::sink(),
            log: LOG.clone(),
            options: Vec::new(),
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(app.run(surroundings, events))
        });
        let captures = match direction {
            Direction::Inbound => on_loopback(&addresses.inbound),
            Direction::Outbound => on_loopback(&addresses.outbound),
        };
        let metrics = on_loopback(&addresses.metrics);
        Self {
            captures,
            metrics,
            wanted,
            ports: Mutex::default(),
            events: sender,
            thread,
            _directory: directory,
        }
    }

    /// A client whose connection wanted to go to `to`.
    pub(crate) async fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        self.wanted.destinations.lock().unwrap().of.insert(socket.local_addr()?, to);
        let stream = socket.connect(self.captures).await?;
        // Pieces are segments.
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Where whoever connects wanted to go to `to`.
    pub(crate) fn all_to(&self, to: SocketAddr) -> SocketAddr {
        self.wanted.destinations.lock().unwrap().of_others = Some(to);
        self.captures
    }

    /// A client, and where its server is awaited: a port that nobody else gets, so that a server which has gone stays away.
    pub(crate) async fn open(&self) -> io::Result<Ends> {
        let [kept, listening] = [TcpSocket::new_v4()?, TcpSocket::new_v4()?];
        kept.set_reuseaddr(true)?;
        listening.set_reuseaddr(true)?;
        kept.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        listening.bind(kept.local_addr()?)?;
        self.ports.lock().unwrap().push(kept);
        let listener = listening.listen(16)?;
        let client = self.connect(listener.local_addr()?).await?;
        Ok(Ends { client, listener })
    }

    /// How many messages of `side` were refused, by the reasons that the metrics tell.
    pub(crate) fn refused(&self, side: &str) -> HashMap<String, u64> {
        let mut stream = std::net::TcpStream::connect(self.metrics).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let side = format!("side=\"{side}\"");
        let lines = text.lines().filter(|line| line.starts_with("remora_http_refused_messages_total{"));
        let told = lines.filter(|line| line.contains(&side)).map(|line| {
            let (_, rest) = line.split_once("reason=\"").expect("a reason");
            let (reason, _) = rest.split_once('"').expect("its end");
            (reason.to_owned(), line.rsplit(' ').next().unwrap().parse().unwrap())
        });
        told.filter(|(_, times)| *times > 0).collect()
    }

    /// Ends it, after everything.
    pub(crate) async fn stop(self) {
        self.events.send(Event::Terminate("test")).await.expect("the proxy runs");
        tokio::task::spawn_blocking(|| self.thread.join().expect("no panic").expect("no error"))
            .await
            .unwrap();
    }
}

fn on_loopback(addresses: &[SocketAddr]) -> SocketAddr {
    let v4 = addresses.iter().find(|address| address.is_ipv4()).expect("IPv4");
    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), v4.port())
}

/// Says what became of a suite, whatever the test runner captures, and fails with what failed.
pub(crate) fn assert_clean(direction: Direction, report: &Report) {
    assert_clean_but_for(direction, report, &[]);
}

/// The same where exactly these cases fail, whose reason is known.
pub(crate) fn assert_clean_but_for(direction: Direction, report: &Report, known: &[&str]) {
    let longest = report.lines.iter().map(|line| line.took).max().unwrap_or_default();
    tell(format_args!("{direction:?} {}, the longest in {longest:.0?}", report.summary()));
    let failures: Vec<_> = report.failures().collect();
    let names: Vec<_> = failures.iter().map(|line| line.name.as_str()).collect();
    assert_eq!(names, known, "\n{failures:#?}");
    let skipped: Vec<_> = report.skipped().collect();
    assert!(skipped.is_empty(), "{skipped:#?}");
    let hung: Vec<_> = report.lines.iter().filter(|line| line.took > MOST).collect();
    assert!(hung.is_empty(), "{hung:#?}");
}

pub(crate) fn tell(what: fmt::Arguments<'_>) {
    writeln!(io::stderr().lock(), "{what}").unwrap();
}
