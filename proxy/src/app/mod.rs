//! The wiring: binds everything, starts the threads, and ends them in order.
//!
//! Threads: the main one (admin, control socket, signals, drain), one for each worker, and one that writes the access
//! log. Invariant: nothing is served before everything is bound, so that a port in use leaves nothing half done.

mod lifecycle;
mod worker;

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use runtime::admin::Server;
use runtime::listen::ListenError;
use runtime::log::LogHandle;
use runtime::readiness::Readiness;
use runtime::shutdown::{self, Trigger};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use crate::admin::{self, Admin, Pages};
use crate::app_metrics::Scraper;
use crate::app_probes;
use crate::application::Client;
use crate::budget::Budget;
use crate::config::Config;
use crate::config_dump::{self, Effective};
use crate::control_socket::{self, Answer, ControlError, ControlSocket, Request};
use crate::direction::Direction;
use crate::discovery::Discovery;
use crate::discovery::file::{DirectoryError, FileSource};
use crate::drain::{Drain, Exit};
use crate::http::{Http, pool};
use crate::inbound::{Inbound, Parts};
use crate::limits::{self, Basis, Limit};
use crate::net::accept::Gate;
use crate::net::capacity::{self, Capacity, are_few};
use crate::net::dead_peers;
use crate::net::dial::Dialer;
use crate::net::listen::{Listeners, addresses};
use crate::net::original_dst::{Network, Rules};
use crate::net::relay::Relay;
use crate::outbound::Outbound;
use crate::probe::{self, Probes};
use crate::telemetry::access_log::{AccessLog, Flush};
use crate::telemetry::connections::Connections;
use crate::telemetry::session::{Books, Reporter};
use crate::telemetry::workload::Workload;
use crate::telemetry::{Acceptance, Relaying, metrics::Metrics};
use crate::trace::{EndpointError, Resource, Tracer};
pub use lifecycle::Event;
use lifecycle::{Carries, Closing, Lifecycle};
use worker::{Stories, Worker};

/// How long the end waits for stdout to take the last lines of the access log.
const FLUSH_LIMIT: Duration = Duration::from_millis(500);

/// The proxy cannot run.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The control socket.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The configuration of discovery.
    #[error(transparent)]
    Discovery(#[from] DirectoryError),
    /// The collector of spans.
    #[error(transparent)]
    Trace(#[from] EndpointError),
    /// A thread.
    #[error("a thread cannot be started: {0}; is the pod's limit of processes reached?")]
    Thread(io::Error),
    /// A server on the main thread.
    #[error("the admin server ended: {0}")]
    Admin(io::Error),
    /// A worker.
    #[error("a worker ended: {0}")]
    Worker(String),
}

/// A proxy that has bound everything and serves nothing yet.
pub struct App {
    config: Config,
    listeners: Vec<Listeners>,
    admin: Admin,
    control: Option<ControlSocket>,
}

/// Where a proxy listens, for those who let the kernel choose the ports.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// Of the first worker.
    pub inbound: Vec<SocketAddr>,
    /// Of the first worker.
    pub outbound: Vec<SocketAddr>,
    /// Metrics.
    pub metrics: Vec<SocketAddr>,
    /// Readiness.
    pub readiness: Vec<SocketAddr>,
    /// Administration.
    pub administration: Vec<SocketAddr>,
}

/// What the proxy is given from outside, and a test gives otherwise.
pub struct Surroundings<W> {
    /// Who knows original destinations.
    pub network: Arc<dyn Network>,
    /// Who this pod is.
    pub workload: Workload,
    /// How many descriptors this process may have.
    pub descriptors: u64,
    /// Where the access log goes.
    pub access_log: W,
    /// Changes what is logged.
    pub log: LogHandle,
    /// The options, to be shown.
    pub options: Vec<Effective>,
}

impl App {
    /// Binds all ports and the control socket, or nothing.
    pub fn bind(config: Config) -> Result<Self, AppError> {
        let listeners = config.listen.bind(config.workers)?;
        let admin = Admin::bind(&config.admin)?;
        let control = control_socket::bind(&config.control_socket)?;
        Ok(Self { config, listeners, admin, control })
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        let first = self.listeners.first();
        Addresses {
            inbound: first.map(|listeners| addresses(&listeners.inbound)).unwrap_or_default(),
            outbound: first.map(|listeners| addresses(&listeners.outbound)).unwrap_or_default(),
            metrics: addresses(&self.admin.metrics),
            readiness: addresses(&self.admin.readiness),
            administration: addresses(&self.admin.administration),
        }
    }

    /// Serves until the events and the connections let it end. `events` come from signals; the control socket's are
    /// added here.
    pub async fn run(
        self,
        surroundings: Surroundings<impl Write + Send + 'static>,
        (sender, events): (mpsc::Sender<Event>, mpsc::Receiver<Event>),
    ) -> Result<Exit, AppError> {
        let Self { config, listeners, admin, control } = self;
        let (metrics, registry) = (Metrics::default(), runtime::metrics::Metrics::default());
        metrics.register(&registry);
        let (log, flush) = AccessLog::start(&config.access_log, metrics.clone(), surroundings.access_log)
            .map_err(AppError::Thread)?;
        let readiness = Readiness::default();
        let accepting = readiness.condition("listeners");
        let (probes, captured) = probe::channel(metrics.clone());
        let ended = Arc::new(Notify::new());
        let closing = Closing::new(Arc::clone(&ended));
        let connections = Connections::new(config.workers);
        let Room { budget, capacity, limits } = Room::new(&config, surroundings.descriptors, &metrics);
        let (tracer, spans) = trace(&config, &surroundings.workload, &registry)?;
        let own = surroundings.network.addresses();
        let source = FileSource::start(&config.discovery, own.clone(), &registry)?;
        let store = source.as_ref().map(FileSource::store);
        let books =
            Books { metrics: metrics.clone(), access_log: log, connections: connections.clone(), ended };
        let stories = Wiring {
            config: &config,
            network: surroundings.network,
            descriptors: surroundings.descriptors,
            capacity,
            own,
            discovery: store.map(|store| Arc::clone(store) as Arc<dyn Discovery>),
            budget: budget.clone(),
            workload: Arc::new(surroundings.workload),
            closing: &closing,
            tracer,
            books,
        }
        .stories(probes);
        let (workers, failed) = Worker::start_all(listeners, stories, &closing).map_err(AppError::Thread)?;
        accepting.holds();

        let pages = Pages {
            server: Server::new(config.admin.clients, &registry),
            metrics: metrics_page(&config, registry, &metrics),
            administration: config_dump::page(surroundings.options, store.cloned())
                .merge(admin::connections::page(connections.clone()))
                .merge(admin::memory::page(budget.clone(), connections.clone(), Relaying::new(&metrics)))
                .merge(limits::page(limits)),
        };
        let _watched = watch(&config, budget, connections, metrics.clone());
        let lifecycle = Lifecycle { drain: Drain::new(config.drain.clone()), closing, metrics, accepting };
        let (_keep, never) = shutdown::channel();
        let exit = tokio::select! {
            exit = lifecycle.run(events) => Ok(exit),
            ended = admin.serve(readiness, pages, captured, never) => {
                Err(AppError::Admin(ended.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())))
            }
            error = failed => Err(AppError::Worker(error)),
            error = obey(control, sender, surroundings.log) => Err(AppError::Admin(error)),
        };
        workers.end();
        spans.end(FLUSH_LIMIT).await;
        write_rest(flush);
        exit
    }
}

/// Waits until the access log is written, as long as somebody takes it.
fn write_rest(flush: Flush) {
    if !flush.wait(FLUSH_LIMIT) {
        tracing::warn!("stdout takes no access log; lines are lost");
    }
}

/// What there is for connections.
struct Room {
    budget: Budget,
    capacity: Capacity,
    limits: Vec<Limit>,
}

impl Room {
    /// And tells the metrics.
    fn new(config: &Config, descriptors: u64, metrics: &Metrics) -> Self {
        let budget = Budget::new(config.memory);
        let capacity = Capacity::new(&config.capacity, descriptors, budget.connections());
        if are_few(descriptors) {
            tracing::warn!(
                descriptors,
                connections = capacity.both(),
                "few descriptors, by the hard limit of this process; raise that of the container (ulimit -Hn)"
            );
        }
        let limits = limits::in_use(&Basis { config, descriptors, capacity, budget: &budget });
        for direction in Direction::BOTH {
            metrics.limited_to(direction, capacity.of(direction));
        }
        for limit in &limits {
            if let Some(number) = limit.value.number() {
                metrics.limited(limit.name, number);
            }
        }
        Self { budget, capacity, limits }
    }
}

/// Looks after connections and memory until it is dropped.
fn watch(config: &Config, budget: Budget, connections: Connections, metrics: Metrics) -> JoinSet<()> {
    let mut watched = JoinSet::new();
    watched.spawn(dead_peers::sweep(config.dead_peers, connections.clone(), metrics));
    watched.spawn(budget.watch(move || connections.is_empty()));
    watched
}

/// The exporter of spans at work, if there is one.
struct Spans {
    end: Trigger,
    exporting: JoinSet<()>,
}

impl Spans {
    /// Sends what is left, if the collector takes it in time.
    async fn end(mut self, limit: Duration) {
        self.end.request();
        if tokio::time::timeout(limit, self.exporting.join_next()).await.is_err() {
            tracing::warn!("the collector takes no spans; they are lost");
        }
    }
}

fn trace(
    config: &Config,
    workload: &Workload,
    registry: &runtime::metrics::Metrics,
) -> Result<(Tracer, Spans), AppError> {
    let resource =
        Resource(workload.resource().map(|(key, value)| (key.to_owned(), value.to_owned())).collect());
    let (tracer, exporter) = Tracer::start(&config.trace, (workload.service(), resource), registry)?;
    let (end, ending) = shutdown::channel();
    let mut exporting = JoinSet::new();
    if let Some(exporter) = exporter {
        exporting.spawn(exporter.run(ending));
    }
    Ok((tracer, Spans { end, exporting }))
}

/// What the port for metrics answers: the proxy's metrics, and what it asks of the application for kubelet and scrapers.
fn metrics_page(config: &Config, registry: runtime::metrics::Metrics, metrics: &Metrics) -> axum::Router {
    let client = Client::new(&config.application);
    let shown = metrics.shown(registry);
    let scraper = Scraper::new(&config.app_metrics, client.clone(), shown.clone(), metrics.clone());
    admin::metrics::page(shown).merge(app_probes::routes(&config.app_probes, client)).merge(scraper.routes())
}

/// Does what is asked over the control socket; without a socket it waits for ever.
async fn obey(control: Option<ControlSocket>, events: mpsc::Sender<Event>, log: LogHandle) -> io::Error {
    let Some(socket) = control else { return std::future::pending().await };
    let served = socket.serve(|request| async {
        match request {
            Request::Drain => drain(&events).await,
            Request::Logging(filter) => set_logging(&log, filter.as_deref()),
        }
    });
    served.await.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

async fn drain(events: &mpsc::Sender<Event>) -> Answer {
    let (done, effective) = tokio::sync::oneshot::channel();
    // Both fail only while the process is ending, which is more than was asked for.
    let _ = events.send(Event::Drain(done)).await;
    let _ = effective.await;
    Ok(String::new())
}

fn set_logging(log: &LogHandle, filter: Option<&str>) -> Answer {
    let set = || {
        if let Some(filter) = filter {
            log.set(filter)?;
            tracing::info!(filter, "what is logged was changed");
        }
        log.current()
    };
    set().map_err(|error| error.to_string())
}

/// What both directions are made of.
struct Wiring<'a> {
    config: &'a Config,
    network: Arc<dyn Network>,
    descriptors: u64,
    capacity: Capacity,
    own: Vec<IpAddr>,
    discovery: Option<Arc<dyn Discovery>>,
    budget: Budget,
    workload: Arc<Workload>,
    closing: &'a Closing,
    tracer: Tracer,
    books: Books,
}

impl Wiring<'_> {
    fn stories(self, probes: Probes) -> Stories {
        let dialer = Dialer::new(&self.config.dial, self.books.metrics.clone());
        let relay =
            Arc::new(Relay::new(&self.config.relay, self.budget.clone(), Relaying::new(&self.books.metrics)));
        let parts = |direction| Parts {
            dialer: dialer.clone(),
            relay: Arc::clone(&relay),
            reporter: Arc::new(Reporter::new(
                self.config.telemetry,
                direction,
                Arc::clone(&self.workload),
                self.books.clone(),
            )),
            gate: self.gate(direction),
            detection: self.config.detection.clone(),
            http: self.http(direction),
            discovery: self.discovery.clone(),
        };
        let inbound = Arc::new(Inbound::new(parts(Direction::Inbound), probes));
        let policy = self.config.balance.load_balancer;
        let outbound =
            Outbound::new(parts(Direction::Outbound), Arc::clone(&inbound), self.own.clone(), policy);
        Stories {
            inbound,
            inbound_gate: self.gate(Direction::Inbound),
            outbound: Arc::new(outbound),
            outbound_gate: self.gate(Direction::Outbound),
        }
    }

    fn http(&self, direction: Direction) -> Http {
        let settings = self.config.http;
        let pooled = pool::affordable(settings.http_pool_size, self.descriptors);
        let metrics = &self.books.metrics;
        let room = capacity::Room::new(self.capacity, metrics.sockets());
        let carries = Carries { settings, tracer: self.tracer.clone(), pooled, room, metrics };
        self.closing.http(direction, carries)
    }

    fn gate(&self, direction: Direction) -> Gate {
        let listen = &self.config.listen;
        Gate {
            rules: Rules {
                direction,
                listeners: vec![listen.outbound_port, listen.inbound_port],
                private: vec![self.config.admin.admin_port],
            },
            network: Arc::clone(&self.network),
            capacity: self.capacity,
            budget: self.budget.clone(),
            telemetry: Acceptance::new(direction, self.books.metrics.clone()),
        }
    }
}
