//! Serving, for clients that may be anybody who reaches a port: what each of them can take is bounded, and who would take
//! more is ended and counted.
//!
//! `axum::serve` would wait for ever for a client that says nothing, or reads nothing. Invariant: a client that holds
//! connections, requests or answers costs others nothing, and the program no more than its limits.

use std::collections::VecDeque;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::time::Duration;

use axum::{Router, response::Response, serve::Listener};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::task::AbortHandle;

use super::HangUp;
use crate::duration;
use crate::metrics::{Metrics, types::counter::Counter, types::family::Family};
use crate::shutdown::Shutdown;

/// The longest head of a request. Whoever reaches the port could otherwise have 400 KiB a connection.
pub const LONGEST_HEAD: usize = 16 * 1024;

/// Kubelet, scrapers and people need a handful; more would take the program's descriptors.
const CONNECTIONS: u16 = 32;

const PATIENCE: Duration = Duration::from_secs(30);

/// What clients of the ports for people and machines may take.
#[derive(clap::Args, Clone, Copy, Debug)]
#[group(skip)]
pub struct Settings {
    /// Connections at once to each port and address family for people and machines; one more ends the oldest
    #[arg(long, env = "REMORA_MAX_ADMIN_CONNECTIONS", default_value_t = CONNECTIONS, value_name = "NUMBER",
          value_parser = clap::value_parser!(u16).range(1..))]
    pub max_admin_connections: u16,

    /// How long a client of the ports for people and machines may take for a request, and may take nothing of an answer
    #[arg(long, env = "REMORA_ADMIN_TIMEOUT", default_value = "30s", value_name = "DURATION",
          value_parser = duration::parse)]
    pub admin_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_admin_connections: CONNECTIONS, admin_timeout: PATIENCE }
    }
}

/// Why a connection was ended.
#[derive(Clone, Copy)]
enum Reason {
    /// It was the oldest of too many.
    TooMany,
    /// No request came, the first or the next one, or not all of it.
    NoRequest,
    /// Nothing of the answer was taken.
    Unread,
}

impl Reason {
    const ALL: [Self; 3] = [Self::TooMany, Self::NoRequest, Self::Unread];

    /// The value of the label `reason`.
    fn name(self) -> &'static str {
        match self {
            Self::TooMany => "too_many",
            Self::NoRequest => "no_request",
            Self::Unread => "unread",
        }
    }

    /// If it is a limit of ours that ended the connection.
    fn of(error: &hyper::Error) -> Option<Self> {
        let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
        if cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::TimedOut) {
            return Some(Self::Unread);
        }
        error.is_timeout().then_some(Self::NoRequest)
    }
}

/// Serves any number of listeners by one set of limits; clones count into the same metric.
#[derive(Clone)]
pub struct Server {
    settings: Settings,
    ended: Family<[(&'static str, &'static str); 1], Counter>,
}

impl Server {
    /// By these settings; `metrics` will tell whom they ended.
    pub fn new(settings: Settings, metrics: &Metrics) -> Self {
        let server = Self { settings, ended: Family::default() };
        for reason in Reason::ALL {
            // There before the first one, so that a rate sees it.
            server.count(reason, 0);
        }
        metrics.register(|registry| {
            registry.register(
                "remora_admin_connections_ended",
                "Connections to the ports for people and machines that a limit ended",
                server.ended.clone(),
            );
        });
        server
    }

    fn count(&self, reason: Reason, connections: u64) {
        self.ended.get_or_create(&[("reason", reason.name())]).inc_by(connections);
    }

    /// Serves `router` on each of `listeners` until shutdown; requests that are being answered are finished.
    pub async fn serve(
        self,
        listeners: Vec<TcpListener>,
        router: Router,
        shutdown: Shutdown,
    ) -> std::io::Result<()> {
        let mut servers = tokio::task::JoinSet::new();
        for listener in listeners {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            servers.spawn(self.clone().serve_one(listener, router.clone(), shutdown.clone()));
        }
        while let Some(ended) = servers.join_next().await {
            ended.map_err(std::io::Error::other)?;
        }
        Ok(())
    }

    /// Like [`serve`](Self::serve), with one listener of whatever kind.
    pub async fn serve_one(
        self,
        mut listener: impl Listener<Io: AsFd>,
        router: Router,
        mut shutdown: Shutdown,
    ) {
        let patience = self.settings.admin_timeout;
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(patience).max_buf_size(LONGEST_HEAD);
        let open = GracefulShutdown::new();
        let mut by_age = ByAge::default();
        loop {
            let (stream, _) = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shutdown.requested() => break,
            };
            // The kernel ends what is not taken for so long, also where all of it lies with the kernel, and forgets it.
            // That cannot fail for TCP.
            let _ = SockRef::from(&stream).set_tcp_user_timeout(Some(patience));
            let router = TowerToHyperService::new(router.clone());
            let service = service_fn(move |request| {
                let answered = router.call(request);
                async move { answered.await.map_or_else(|never| match never {}, or_hang_up) }
            });
            let served = open.watch(http.serve_connection(TokioIo::new(stream), service));
            let server = self.clone();
            let task = tokio::spawn(async move {
                if let Err(error) = served.await {
                    tracing::debug!(%error, "connection ended");
                    Reason::of(&error).into_iter().for_each(|reason| server.count(reason, 1));
                }
            });
            if by_age.push(task.abort_handle(), self.settings.max_admin_connections.into()) {
                self.count(Reason::TooMany, 1);
            }
        }
        drop(listener);
        open.shutdown().await;
    }
}

/// The open connections of a listener, the oldest first.
///
/// When there are too many the oldest one ends, so that clients which hold connections cannot keep the kubelet out, whose
/// probe is new and short.
#[derive(Default)]
struct ByAge(VecDeque<AbortHandle>);

impl ByAge {
    /// Whether the oldest one of `most` had to end.
    fn push(&mut self, connection: AbortHandle, most: usize) -> bool {
        self.0.retain(|connection| !connection.is_finished());
        let oldest = if self.0.len() >= most { self.0.pop_front() } else { None };
        self.0.push_back(connection);
        oldest.inspect(AbortHandle::abort).is_some()
    }
}

/// An error of the service ends the connection at once.
fn or_hang_up(response: Response) -> std::io::Result<Response> {
    match response.extensions().get::<HangUp>() {
        Some(HangUp) => Err(std::io::ErrorKind::ConnectionAborted.into()),
        None => Ok(response),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::time::{Duration, Instant};

    use axum::{Router, routing::get};

    use super::{CONNECTIONS, Server, Settings};
    use crate::{admin, metrics::Metrics, readiness::Readiness, shutdown};

    /// No event is waited for longer.
    const LIMIT: Duration = Duration::from_secs(30);

    /// A client that means to be in time is so, also on a busy machine.
    const IMPATIENT: Settings =
        Settings { max_admin_connections: CONNECTIONS, admin_timeout: Duration::from_secs(1) };

    /// What `clients` find out of a server of `router`, with the metrics.
    async fn serve<T: Send + 'static>(
        settings: Settings,
        router: Router,
        clients: impl FnOnce(SocketAddr, Metrics) -> T + Send + 'static,
    ) -> T {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_keep, never) = shutdown::channel();
        let metrics = Metrics::default();
        let server = Server::new(settings, &metrics);
        let clients = tokio::task::spawn_blocking(move || clients(address, metrics));
        tokio::select! {
            () = server.serve_one(listener, router, never) => panic!("nobody asked for the end"),
            found = clients => found.unwrap(),
        }
    }

    fn connect(address: SocketAddr, said: &str) -> TcpStream {
        let mut client = TcpStream::connect(address).unwrap();
        client.set_read_timeout(Some(LIMIT)).unwrap();
        // Who was ended before learns it from the next read.
        let _ = client.write_all(said.as_bytes());
        client
    }

    fn health() -> Router {
        admin::health(Readiness::default())
    }

    /// Waits until so many connections were ended for this reason.
    fn ended(metrics: &Metrics, reason: &str, count: u64) {
        let give_up = Instant::now() + LIMIT;
        let line = format!("remora_admin_connections_ended_total{{reason=\"{reason}\"}} {count}\n");
        while !metrics.text().contains(&line) {
            assert!(Instant::now() < give_up, "no {line} in\n{}", metrics.text());
            std::thread::yield_now();
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_response_can_be_no_response() {
        let router = Router::new().route("/", get(|| async { (axum::Extension(super::HangUp), "not said") }));
        let clients = |address, _| {
            let mut answer = Vec::new();
            let mut client = connect(address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            client.read_to_end(&mut answer).expect("the server closes");
            answer
        };
        assert!(serve(Settings::default(), router, clients).await.is_empty());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_client_that_says_nothing_more_is_closed() {
        let clients = |address, metrics| {
            let said = ["", "GET /healthz/live HT", "GET /healthz/live HTTP/1.1\r\nHost: a\r\n\r\n"];
            for mut client in said.map(|said| connect(address, said)) {
                if let Err(error) = client.read_to_end(&mut Vec::new()) {
                    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "what it said came after its end");
                }
            }
            ended(&metrics, "no_request", 3);
        };
        serve(IMPATIENT, health(), clients).await;
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_client_that_does_not_read_its_answer_is_reset() {
        // More than both kernels' buffers take, so that the rest of it would stay here.
        const ANSWER: usize = 64 << 20;
        let router = Router::new().route("/", get(|| async { vec![b'x'; ANSWER] }));
        let clients = |address, metrics| {
            let mut client = connect(address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            ended(&metrics, "unread", 1);
            let mut answer = Vec::new();
            let error = client.read_to_end(&mut answer).expect_err("it was reset");
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            assert!(answer.len() < ANSWER, "{}", answer.len());
        };
        serve(IMPATIENT, router, clients).await;
    }

    #[tokio::test(flavor = "current_thread")]
    async fn silent_clients_do_not_keep_others_out() {
        let clients = |address, metrics| {
            let mut silent: Vec<_> = (0..CONNECTIONS).map(|_| connect(address, "")).collect();
            let mut kubelet = connect(address, "GET /healthz/live HTTP/1.0\r\n\r\n");
            let mut answer = String::new();
            kubelet.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
            assert_eq!(silent[0].read(&mut [0]).expect("the oldest one is ended"), 0);
            silent[1].set_nonblocking(true).unwrap();
            let error = silent[1].read(&mut [0]).expect_err("the others stay open");
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            ended(&metrics, "too_many", 1);
        };
        serve(Settings::default(), health(), clients).await;
    }
}
