//! Both faces on loopback, between peers of the h2 crate, and between peers that write frames by hand ([`raw`]).

mod client_face;
mod floods;
mod flow;
mod peers;
mod raw;
mod resets;
mod server_face;
mod streams;
mod times;

use std::net::SocketAddr;
use std::sync::Arc;

use clap::Parser;
use runtime::shutdown::{self, Trigger};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::Means;
use crate::budget::{self, Budget};
use crate::detect::Hint;
use crate::direction::Direction;
use crate::http::{self, Http};
use crate::net::leg::Leg;
use crate::net::relay::{self, Relay};
use crate::telemetry::Relaying;
use crate::telemetry::access_log::{self, AccessLog, Format};
use crate::telemetry::connections::{Connections, Pair};
use crate::telemetry::edge::{Cluster, Edge};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::session::{Books, End, Reporter, Session};
use crate::telemetry::workload::Workload;
use crate::upstream::{Dialed, Found, Kept, Reached, Upstream};
use raw::Raw;

/// Tells all that failed of a table at once.
fn assert_none(cases: usize, failures: &[String]) {
    assert!(failures.is_empty(), "{} of {cases}:\n{}", failures.len(), failures.join("\n"));
}

/// Each case of a table is found by its section and what it is about.
fn assert_named_apart(mut names: Vec<(&str, &str)>) {
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "each has a name of its own");
}

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    http: http::Settings,
    #[command(flatten)]
    relay: relay::Settings,
}

/// Names that are made would be in the way, where heads are compared.
const AS_SENT: [&str; 3] = ["proxy", "--http-request-id", "keep"];

/// The way to a server that was reached before, and cannot be reached again.
struct OneServer;

impl OneServer {
    fn reached(leg: Leg, address: SocketAddr) -> Dialed {
        Reached { found: Found::New(leg), address, held: None, is_self_call: false }
    }
}

impl Upstream for OneServer {
    fn hint(&self) -> Option<Hint> {
        None
    }

    async fn learn(&mut self) {}

    async fn reach<C: Send>(
        &self,
        _: &Session,
        _: impl FnMut(SocketAddr) -> Option<Kept<C>> + Send,
    ) -> Result<Reached<C>, End> {
        Err(End { flags: "UF,URX", details: None, failure: Some("no second time".to_owned()) })
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
    shown: runtime::metrics::Metrics,
    relaying: Relaying,
}

impl Lab {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(arguments: &[&str]) -> Self {
        Self::between(arguments, Ok).await
    }

    /// With what `dialed` makes of the connection to the server.
    async fn between(arguments: &[&str], dialed: fn(Leg) -> Result<Leg, End>) -> Self {
        let (metrics, shown) = (Metrics::default(), runtime::metrics::Metrics::default());
        metrics.register(&shown);
        let settings = access_log::Settings { access_log: Format::Off, access_log_queue: 1 };
        let (access_log, _flush) = AccessLog::start(&settings, metrics.clone(), std::io::sink()).unwrap();
        let relaying = Relaying::new(&metrics);
        let books = Books { metrics, access_log, connections: Connections::new(1), ended: Arc::default() };
        let workload = Arc::new(Workload::of_this_pod(|_| None));
        let settings = crate::telemetry::session::Settings { max_edges: 2 };
        let reporter = Arc::new(Reporter::new(settings, Direction::Inbound, workload, books));

        let ((client, below), (above, server)) = tokio::join!(pair(), pair());
        let addresses = Pair { local: below.local_addr().unwrap(), remote: below.peer_addr().unwrap() };
        let to: SocketAddr = above.peer_addr().unwrap();
        let (below, above) = (Leg::of(below).unwrap(), Leg::of(above).unwrap());
        let Command { http, relay } = Command::parse_from([&AS_SENT, arguments].concat());
        let relay = Relay::new(&relay, Budget::new(budget::Settings::default()), relaying.clone());
        let ((drain, retiring), (open, closing)) = (shutdown::channel(), shutdown::channel());
        let end = tokio::spawn(async move {
            let _open = open;
            let http = Http { settings: http, retiring, closing };
            let session = reporter.open(addresses, to);
            session.sent_to(Cluster::Passthrough, &Edge::past_services(None));
            let means = Means { relay: &relay, http: &http };
            let first = Some(dialed(above).map(|leg| OneServer::reached(leg, to)));
            let end = Box::pin(super::carry((below, first), &OneServer, &session, means)).await;
            session.close(end.clone());
            end
        });
        Self { client, server, end, drain, shown, relaying }
    }

    /// Peers that write by hand.
    async fn raw(arguments: &[&str]) -> (Raw, Raw, Ended) {
        let Self { client, server, end, drain, shown, relaying } = Self::with(arguments).await;
        (Raw::new(client), Raw::new(server), Ended { end, _drain: drain, shown, relaying })
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
    fn metric(shown: &runtime::metrics::Metrics, parts: &[&str]) -> Vec<String> {
        let text = shown.text();
        let has_all = |line: &&str| parts.iter().all(|part| line.contains(part));
        text.lines().filter(has_all).map(str::to_owned).collect()
    }
}

/// What is left when the peers are used.
struct Ended {
    end: JoinHandle<End>,
    _drain: Trigger,
    shown: runtime::metrics::Metrics,
    relaying: Relaying,
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (caller, called) =
        tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (caller.unwrap(), called.unwrap().0)
}
