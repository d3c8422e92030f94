//! A proxy in a thread, clients and servers. Everything waits for events, and gives up loudly after [`PATIENCE`].

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::Parser;
use proxy::app::{Addresses, App, AppError, Event, Surroundings};
use proxy::config::{Args, Config};
use proxy::drain::Exit;
use proxy::net::original_dst::{Network, Scope};
use proxy::telemetry::workload::Workload;
use runtime::log::{LogArgs, LogFormat, LogHandle};
use tokio::sync::{mpsc, oneshot};

/// No event is waited for longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How much of a test that takes long is run: all of it with `REMORA_SOAK=1`, else a part.
pub(crate) fn scale(what: &str, whole: usize, part: usize) -> usize {
    let is_soak = std::env::var_os("REMORA_SOAK").is_some_and(|value| value == "1");
    let scale = if is_soak { whole } else { part };
    println!("{what}: {scale} of {whole}; REMORA_SOAK=1 runs the whole");
    scale
}

/// The log of this process, which all its proxies share; silent, unless a test asks for more.
static LOG: LazyLock<LogHandle> = LazyLock::new(|| {
    runtime::log::init(&LogArgs { filter: "off".to_owned(), format: LogFormat::Text }, &[]).unwrap()
});

/// A family and a direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) inbound: bool,
    pub(crate) v6: bool,
}

impl Way {
    /// All four.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        [(false, false), (false, true), (true, false), (true, true)]
            .map(|(inbound, v6)| Self { inbound, v6 })
            .into_iter()
    }

    /// Loopback of the family.
    pub(crate) fn loopback(self) -> IpAddr {
        if self.v6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() }
    }

    /// A server's listener.
    pub(crate) fn listener(self) -> TcpListener {
        TcpListener::bind((self.loopback(), 0)).expect("a loopback listener")
    }
}

/// A port that is free in both families, and that no other test gets: it lies below those that the kernel chooses from
/// (`net.ipv4.ip_local_port_range`), and is handed out once. A test that is run beside another process of its kind begins
/// elsewhere.
pub(crate) fn unused_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 10_000;
    let own = u16::try_from(std::process::id() % u32::from(COUNT)).expect("below COUNT");
    loop {
        let tried = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(tried < COUNT, "no port from {FIRST} is free");
        let port = FIRST + (own + tried) % COUNT;
        let free = [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv6Addr::UNSPECIFIED.into()]
            .into_iter()
            .all(|address| TcpListener::bind((address, port)).is_ok());
        if free {
            return port;
        }
    }
}

pub(crate) const OUTBOUND: Way = Way { inbound: false, v6: false };
pub(crate) const INBOUND: Way = Way { inbound: true, v6: false };

/// The one address of the pod, of those that loopback has; the others are of other pods.
pub(crate) const THIS_POD: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 1, 1));

/// What the rules of a pod would do: every connection wanted to go to one address. Loopback is an ordinary network here.
#[derive(Clone, Default)]
pub(crate) struct Redirect(Arc<Mutex<Option<SocketAddr>>>);

impl Redirect {
    pub(crate) fn set(&self, to: Option<SocketAddr>) {
        *self.0.lock().unwrap() = to;
    }
}

impl Network for Redirect {
    fn original_dst(&self, _: &tokio::net::TcpStream, _: SocketAddr) -> io::Result<Option<SocketAddr>> {
        Ok(*self.0.lock().unwrap())
    }

    fn scope(&self, _: IpAddr) -> Scope {
        Scope::Routable
    }

    fn is_own(&self, _: IpAddr) -> bool {
        true
    }

    fn addresses(&self) -> Vec<IpAddr> {
        vec![THIS_POD]
    }
}

/// The access log of a proxy under test.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        let text = self.0.lock().unwrap().clone();
        text.split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).expect("a JSON line"))
            .collect()
    }
}

/// A running proxy.
pub(crate) struct Proxy {
    pub(crate) addresses: Addresses,
    pub(crate) redirect: Redirect,
    pub(crate) log: Log,
    pub(crate) directory: tempfile::TempDir,
    events: mpsc::Sender<Event>,
    thread: JoinHandle<Result<Exit, AppError>>,
}

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: Args,
}

/// Settings with ports that the kernel chooses and a control socket in `directory`.
pub(crate) fn config(directory: &tempfile::TempDir, options: &[&str]) -> Config {
    let socket = directory.path().join("proxy.sock");
    let mut line = vec!["proxy", "--control-socket", socket.to_str().unwrap()];
    for port in ["--inbound-port", "--outbound-port", "--metrics-port", "--readiness-port", "--admin-port"] {
        if !options.contains(&port) {
            line.extend([port, "0"]);
        }
    }
    line.extend(options);
    Command::parse_from(line).args.try_into().expect("valid options")
}

impl Proxy {
    pub(crate) fn start(options: &[&str]) -> Self {
        let log = Log::default();
        Self::start_with(options, log.clone(), log)
    }

    /// With an access log that goes to `output` instead.
    pub(crate) fn start_with(options: &[&str], log: Log, output: impl Write + Send + 'static) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let app = App::bind(config(&directory, options)).expect("free ports");
        let (addresses, redirect) = (app.addresses(), Redirect::default());
        let events = mpsc::channel(8);
        let sender = events.0.clone();
        let surroundings = Surroundings {
            network: Arc::new(redirect.clone()),
            workload: Workload::of_this_pod(|name| {
                // As the downward API tells of a pod without the label `version`.
                let told = [
                    (api::env::WORKLOAD_NAME, "web"),
                    (api::env::APP, "storefront"),
                    (api::env::APP_VERSION, ""),
                    (api::env::CLUSTER, "east"),
                ];
                told.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
            }),
            descriptors: 20_000,
            access_log: output,
            log: LOG.clone(),
            options: Vec::new(),
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(app.run(surroundings, events))
        });
        Self { addresses, redirect, log, directory, events: sender, thread }
    }

    /// A client whose connection wanted to go to `to`.
    pub(crate) fn connect(&self, way: Way, to: SocketAddr) -> TcpStream {
        self.redirect.set(Some(to));
        patient(TcpStream::connect(self.port(way)).expect("the proxy accepts"))
    }

    /// A client and the server's end of its connection.
    pub(crate) fn pair(&self, way: Way) -> (TcpStream, TcpStream) {
        let listener = way.listener();
        let client = self.connect(way, listener.local_addr().unwrap());
        (client, accept(&listener))
    }

    /// Where connections of `way` are captured.
    pub(crate) fn port(&self, way: Way) -> SocketAddr {
        let addresses = if way.inbound { &self.addresses.inbound } else { &self.addresses.outbound };
        let address = addresses.iter().find(|address| address.is_ipv6() == way.v6).expect("both families");
        SocketAddr::new(way.loopback(), address.port())
    }

    pub(crate) fn send(&self, event: Event) {
        self.events.blocking_send(event).expect("the proxy runs");
    }

    pub(crate) fn terminate(&self) {
        self.send(Event::Terminate("test"));
    }

    pub(crate) fn drain(&self) {
        let (done, begun) = oneshot::channel();
        self.send(Event::Drain(done));
        begun.blocking_recv().expect("the drain begins");
    }

    /// How it ended, after it did.
    pub(crate) fn exit(self) -> Exit {
        self.thread.join().expect("no panic").expect("no error")
    }

    /// Waits until it has ended by itself, with nothing left to do: its log says that so many requests were answered, all well.
    pub(crate) fn has_answered(self, requests: usize) {
        let log = self.log.clone();
        assert_eq!(self.exit(), Exit::Idle);
        let lines = log.lines();
        assert_eq!(lines.len(), requests);
        let is_well =
            |line: &serde_json::Value| line["response_code"] == 200 && line["response_flags"] == "-";
        assert!(lines.iter().all(is_well), "{:?}", lines.iter().find(|line| !is_well(line)));
    }

    /// Ends it; all its log lines are there then.
    pub(crate) fn stop(self) -> Vec<serde_json::Value> {
        let log = self.log.clone();
        self.terminate();
        self.exit();
        log.lines()
    }

    /// The answer of an HTTP server of the proxy.
    pub(crate) fn get(&self, addresses: &[SocketAddr], path: &str) -> String {
        let port = addresses.first().expect("an address").port();
        http_get(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("an open port"), path)
    }

    /// The value of the one series whose name and labels contain all of `parts`; 0 if there is none.
    pub(crate) fn metric(&self, parts: &[&str]) -> u64 {
        let text = self.get(&self.addresses.metrics, "/metrics");
        let mut found = text
            .lines()
            .filter(|line| !line.starts_with('#') && parts.iter().all(|part| line.contains(part)));
        let value = found.next().map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap());
        assert_eq!(found.next(), None, "{parts:?} names several series");
        value
    }
}

/// Of each edge, as many as are told apart.
pub(crate) const OUTCOMES: u16 = 32;

impl Proxy {
    /// One that has 2,144 series for each of `edges` to show, in 1.7 MB of text: of requests to the workloads `web-0` and so on
    /// at addresses of loopback, answered with as many codes each as are told apart. One more workload was asked nothing.
    pub(crate) fn with_series(edges: u8, discovery: &tempfile::TempDir, options: &[&str]) -> Self {
        let workloads = (0..=edges).map(|number| {
            let (head, at) = ("apiVersion: remora.dev/v1alpha1\nkind: Workload", workload_at(number));
            format!("{head}\nname: web-{number}\nnamespace: shop\naddresses: [{at}]\n")
        });
        let text = workloads.collect::<Vec<_>>().join("---\n");
        std::fs::write(discovery.path().join("mesh.yaml"), text).unwrap();
        let ours = ["--discovery-directory", discovery.path().to_str().unwrap()];
        let proxy = Self::start(&[&ours, options].concat());
        eventually("the workloads are known", || proxy.metric(&["remora_discovery_generation "]) == 1);
        (0..edges).for_each(|number| proxy.make_series(number));
        let last = format!("destination_workload=\"web-{}\"", edges - 1);
        let code = format!("response_code=\"{}\"", 399 + OUTCOMES);
        eventually("all are counted", || proxy.metric(&["istio_requests_total{", &last, &code]) == 1);
        proxy
    }

    /// Those of the workload of this number.
    pub(crate) fn make_series(&self, number: u8) {
        let listener = TcpListener::bind((workload_at(number), 0)).unwrap();
        let mut client = self.connect(OUTBOUND, listener.local_addr().unwrap());
        let mut server = None;
        for code in 400..400 + OUTCOMES {
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            let server = server.get_or_insert_with(|| accept(&listener));
            read_head(server);
            write!(server, "HTTP/1.1 {code} X\r\nContent-Length: 0\r\n\r\n").unwrap();
            read_head(&mut client);
        }
    }
}

fn workload_at(number: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 4, number + 1).into()
}

fn read_head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Seen::Byte(byte) = next(stream) else {
            panic!("an end within {}", String::from_utf8_lossy(&head))
        };
        head.push(byte);
    }
}

/// Has asked for metrics, and reads little at a time; the answer has begun.
pub(crate) fn slow_scraper(proxy: &Proxy, path: &str) -> TcpStream {
    let port = proxy.addresses.metrics.first().expect("an address").port();
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()).unwrap();
    let mut scraper = patient(socket.into());
    write!(scraper, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(next(&scraper), Seen::Byte(b'H'));
    scraper
}

/// Sends a request and returns status line, headers and body.
pub(crate) fn http_get(mut stream: TcpStream, path: &str) -> String {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    patient(stream).read_to_string(&mut answer).unwrap();
    answer
}

/// Waits until `condition` holds. For what another thread does a moment later and tells nobody.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < give_up, "{what}: not within {PATIENCE:?}");
        std::thread::yield_now();
    }
}

pub(crate) fn accept(listener: &TcpListener) -> TcpStream {
    patient(listener.accept().expect("the proxy connects").0)
}

pub(crate) fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Closes by RST.
pub(crate) fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// The next byte, the end, or a reset.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Seen {
    Byte(u8),
    End,
    Reset,
}

pub(crate) fn next(mut stream: &TcpStream) -> Seen {
    let mut byte = [0];
    match stream.read(&mut byte) {
        Ok(0) => Seen::End,
        Ok(_) => Seen::Byte(byte[0]),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Seen::Reset,
        // By the end of another test's child: a read with a time limit is not restarted.
        Err(error) if error.kind() == io::ErrorKind::Interrupted => next(stream),
        Err(error) => panic!("neither data, end nor reset: {error}"),
    }
}
