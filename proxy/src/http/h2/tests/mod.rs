//! Both faces on loopback, between peers of the h2 crate, and between peers that write frames by hand ([`raw`]).
//! What RFC 9113 says of each frame is the conformance crate's.

mod bounds;
mod dials;
mod floods;
mod flow;
mod long_lives;
mod peers;
mod raw;
mod resets;
mod retries;
mod spread;
mod streams;
mod times;
mod together;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Parser;
use runtime::shutdown::{self, Trigger};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Means;
use crate::budget::{self, Budget};
use crate::detect::Hint;
use crate::direction::Direction;
use crate::http::pool::Pool;
use crate::http::{self, GRACE, Http};
use crate::net::capacity::{Capacity, Room};
use crate::net::leg::Leg;
use crate::net::relay::{self, Relay};
use crate::telemetry::Relaying;
use crate::telemetry::access_log::{self, AccessLog, Format};
use crate::telemetry::connections::{Connections, Pair};
use crate::telemetry::edge::{Cluster, Edge};
use crate::telemetry::exposition::Shown;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::session::{Books, End, Reporter, Session};
use crate::telemetry::workload::Workload;
use crate::trace::Tracer;
use crate::upstream::{Dialed, Found, Kept, Reached, Upstream};
use raw::{PATIENCE, Raw};

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    http: http::Settings,
    #[command(flatten)]
    relay: relay::Settings,
    #[arg(long, default_value_t = 20_000)]
    descriptors: u64,
}

/// Names that are made would be in the way, where heads are compared; and each client has its own servers, as inbound.
const AS_SENT: [&str; 3] = ["proxy", "--http-request-id", "keep"];
const APART: &str = "--http-pool-size=0";

/// Clients have servers together, as outbound.
const SHARED: &str = "--http-pool-size=8";

/// Servers that are chosen one after the other, and the next one where that fails.
#[derive(Default)]
struct InTurn {
    addresses: Vec<SocketAddr>,
    turn: Arc<AtomicUsize>,
    dials: Arc<AtomicUsize>,
    /// How many dials go on, where not all do.
    gate: Option<Arc<Semaphore>>,
}

impl Upstream for InTurn {
    fn hint(&self) -> Option<Hint> {
        None
    }

    async fn learn(&mut self) {}

    async fn reach<C: Send>(
        &self,
        session: &Session,
        avoid: &[SocketAddr],
        mut kept: impl FnMut(SocketAddr) -> Option<Kept<C>> + Send,
    ) -> Result<Reached<C>, End> {
        let mut failure = None;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.addresses.len();
        let in_turn = self.addresses.iter().cycle().skip(turn).take(self.addresses.len());
        let is_avoided = |address: &&SocketAddr| avoid.contains(address);
        let (last, first): (Vec<_>, Vec<_>) = in_turn.partition(is_avoided);
        for &address in first.into_iter().chain(last) {
            if let Some(reached) = Reached::by_kept(session, address, &mut kept) {
                return Ok(reached);
            }
            self.dials.fetch_add(1, Ordering::Relaxed);
            if let Some(gate) = &self.gate {
                gate.acquire().await.unwrap().forget();
            }
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(Reached::at(address, Found::New(Leg::of(stream).unwrap()))),
                Err(error) => failure = Some(error.to_string()),
            }
        }
        Err(End { flags: "UF,URX", details: None, failure })
    }

    fn choices(&self) -> [Vec<SocketAddr>; 2] {
        [self.addresses.clone(), vec![]]
    }

    fn goes_to(&self, session: &Session, address: SocketAddr, local: SocketAddr) -> Reached<()> {
        session.connected(local, address);
        Reached::at(address, Found::Kept(()))
    }
}

/// A proxy between two sockets.
struct Lab {
    client: TcpStream,
    server: TcpStream,
    /// What becomes of the connection.
    end: JoinHandle<End>,
    /// Begins the drain.
    drain: Trigger,
    shown: Shown,
    relaying: Relaying,
}

impl Lab {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(arguments: &[&str]) -> Self {
        Self::between(arguments, Ok).await
    }

    /// With what `dialed` makes of the connection to the server, which is the only one.
    async fn between(arguments: &[&str], dialed: fn(Leg) -> Result<Leg, End>) -> Self {
        let (above, server) = pair().await;
        let to: SocketAddr = above.peer_addr().unwrap();
        let first = dialed(Leg::of(above).unwrap()).map(|leg| Reached::at(to, Found::New(leg)));
        let upstream = InTurn { addresses: vec![to], ..InTurn::default() };
        let (client, lab) = Self::before(arguments, Some(first), upstream).await;
        let Ended { end, drain, shown, relaying } = lab;
        Self { client, server, end, drain, shown, relaying }
    }

    /// With servers of which none was reached yet.
    async fn among(arguments: &[&str], servers: &[&TcpListener]) -> (Raw, Ended, Arc<AtomicUsize>) {
        let addresses = servers.iter().map(|server| server.local_addr().unwrap()).collect();
        Self::through(arguments, InTurn { addresses, ..InTurn::default() }).await
    }

    /// The same by that way.
    async fn through(arguments: &[&str], upstream: InTurn) -> (Raw, Ended, Arc<AtomicUsize>) {
        let dials = Arc::clone(&upstream.dials);
        let (client, lab) = Self::before(arguments, None, upstream).await;
        let mut client = Raw::new(client);
        client.greet(&[(1, 0)]).await;
        (client, lab, dials)
    }

    /// The client, and what is between it and `upstream`.
    async fn before(
        arguments: &[&str],
        first: Option<Result<Dialed, End>>,
        upstream: InTurn,
    ) -> (TcpStream, Ended) {
        let (metrics, registry) = (Metrics::default(), runtime::metrics::Metrics::default());
        metrics.register(&registry);
        let shown = metrics.shown(registry);
        let settings = access_log::Settings { access_log: Format::Off, access_log_queue: 1 };
        let (access_log, _flush) = AccessLog::start(&settings, metrics.clone(), std::io::sink()).unwrap();
        let relaying = Relaying::new(&metrics);
        let (pooled, sockets) = (metrics.pooled(), metrics.sockets());
        let books = Books { metrics, access_log, connections: Connections::new(1), ended: Arc::default() };
        let workload = Arc::new(Workload::of_this_pod(|_| None));
        let settings = crate::telemetry::session::Settings { max_edges: 2 };
        let reporter = Arc::new(Reporter::new(settings, Direction::Inbound, workload, books));

        let apart: &[&str] = if arguments.contains(&SHARED) { &[] } else { &[APART] };
        let Command { http, relay, descriptors } = Command::parse_from([&AS_SENT, arguments, apart].concat());
        let (client, below) = pair().await;
        let addresses = Pair { local: below.local_addr().unwrap(), remote: below.peer_addr().unwrap() };
        let below = Leg::of(below).unwrap();
        let relay = Relay::new(&relay, Budget::new(budget::Settings::default()), relaying.clone());
        let ((drain, retiring), (open, closing)) = (shutdown::channel(), shutdown::channel());
        let pool = Pool::new((http.http_pool_size, GRACE), retiring.clone(), pooled);
        let room = Room::new(Capacity::new(&Default::default(), descriptors, None), sockets);
        let end = tokio::spawn(async move {
            let _open = open;
            let http = Http { settings: http, tracer: Tracer::default(), retiring, closing, pool, room };
            let session = reporter.open(addresses, addresses.local);
            session.sent_to(Cluster::Passthrough, &Edge::past_services(None));
            let means = Means { relay: &relay, http: &http };
            let end = Box::pin(super::carry((below, first), &upstream, &session, means)).await;
            session.close(end.clone());
            end
        });
        (client, Ended { end, drain, shown, relaying })
    }

    /// Peers that write by hand.
    async fn raw(arguments: &[&str]) -> (Raw, Raw, Ended) {
        let Self { client, server, end, drain, shown, relaying } = Self::with(arguments).await;
        (Raw::new(client), Raw::new(server), Ended { end, drain, shown, relaying })
    }

    /// The same, after both have been greeted.
    async fn greeted(arguments: &[&str]) -> (Raw, Raw, Ended) {
        let (mut client, mut server, ended) = Self::raw(arguments).await;
        // Without a table, so that a status can be read.
        client.greet(&[(1, 0)]).await;
        server.welcome(&[]).await;
        (client, server, ended)
    }

    /// Lines of metrics that contain all of `parts`.
    fn metric(shown: &Shown, parts: &[&str]) -> Vec<String> {
        let text = shown.text();
        let has_all = |line: &&str| parts.iter().all(|part| line.contains(part));
        text.lines().filter(has_all).map(str::to_owned).collect()
    }
}

/// A listener.
async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// The next connection to a server, which was greeted.
async fn accept(listener: &TcpListener) -> Raw {
    accept_with(&[], listener).await
}

/// The same, with these settings of the server.
async fn accept_with(values: &[(u16, u32)], listener: &TcpListener) -> Raw {
    let (stream, _) = timeout(PATIENCE, listener.accept()).await.expect("a connection").unwrap();
    let mut server = Raw::new(stream);
    server.welcome(values).await;
    server
}

/// What is left when the peers are used.
struct Ended {
    end: JoinHandle<End>,
    drain: Trigger,
    shown: Shown,
    relaying: Relaying,
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = listen().await;
    let (caller, called) =
        tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (caller.unwrap(), called.unwrap().0)
}
