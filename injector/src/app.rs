//! The only wiring: listeners, webhook, certificates and administration of a running injector.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime::listen::{Listen, ListenError, Scope};
use runtime::metrics::Metrics;
use runtime::readiness::{Condition, Readiness};
use runtime::shutdown::{self, Shutdown};
use rustls::ServerConfig;
use tokio::task::JoinSet;

use crate::bootstrap::{Bootstrap, Identity, LifetimesError, Places};
use crate::cluster::{self, AuthorityStore, ClusterError, Events, Namespaces, WebhookConfiguration};
use crate::config::ServeArgs;
use crate::configuration::{self, ConfigurationError, ConfigurationMetrics, Current};
use crate::pki::CurrentLeaf;
use crate::webhook::{self, ClientAuthorityError, Reviewer, ServerTiming, WebhookMetrics};

/// A connection lives for a minute: often enough that a new replica soon has its share, seldom enough that handshakes
/// cost nothing.
const CONNECTION_AGE: Duration = Duration::from_secs(60);

/// No review takes longer than the API server waits for it.
const FINISH: Duration = Duration::from_secs(api::control::WEBHOOK_TIMEOUT_SECONDS as u64);

/// The injector cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The configuration file.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// Who may ask.
    #[error(transparent)]
    Clients(#[from] ClientAuthorityError),
    /// The way to the API server.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// TLS cannot be set up.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// Options that do not go together.
    #[error(transparent)]
    Lifetimes(#[from] LifetimesError),
    /// A server ended.
    #[error("serving: {0}")]
    Serve(#[from] std::io::Error),
}

/// What goes on beside the reviews, for as long as the program runs.
type Background = Pin<Box<dyn Future<Output = ()> + Send>>;

/// An injector whose ports are open.
pub struct App {
    webhook: Vec<TcpListener>,
    admin: Vec<TcpListener>,
    tls: Arc<ServerConfig>,
    router: (axum::Router, WebhookMetrics),
    timing: ServerTiming,
    background: Vec<Background>,
    readiness: Readiness,
    serving: Condition,
    metrics: Metrics,
}

impl App {
    /// Opens the ports. The API server may still be away.
    pub async fn start(args: &ServeArgs) -> Result<Self, AppError> {
        let callers = args.clients.authority()?;
        let configuration = args.configuration.load(&args.namespace)?;
        let webhook = listen("webhook", "--webhook-port", args.webhook_port)?;
        let admin = listen("administration", "--admin-port", args.admin_port)?;
        let clients = cluster::connect(&args.cluster).await?;
        let (metrics, readiness) = (Metrics::default(), Readiness::default());
        let webhook_metrics = WebhookMetrics::new(&metrics);
        let served = CurrentLeaf::default();
        let store = AuthorityStore::new(clients.calls.clone(), &args.namespace, &args.ca_secret);
        let published = WebhookConfiguration::new(clients.calls.clone(), &args.webhook_configuration);
        let places = Places { store, configuration: published, clock: clients.clock };
        let identity = Identity {
            namespace: args.namespace.clone(),
            service: args.service.clone(),
            profile: args.lifetimes.profile()?,
        };
        let port = (own_address(&webhook)?, served.clone());
        let bootstrap = Bootstrap::new(places, &identity, &args.tls, port, (&readiness, &metrics));
        let serving = readiness.condition("serving");
        serving.holds();
        let configuration_metrics = ConfigurationMetrics::new(&metrics);
        configuration_metrics.started(configuration.settings.hash());
        let (events, writer) = Events::new(&metrics, Instant::now());
        let reviewer = Reviewer {
            configuration: Current::new(configuration),
            namespaces: Namespaces::default(),
            events: Some(events),
        };
        let mut background: Vec<Background> = vec![
            Box::pin(bootstrap.run()),
            Box::pin(writer.run(clients.calls.clone())),
            Box::pin(reviewer.namespaces.clone().watch(clients.watches)),
            Box::pin(configuration::watch(
                args.configuration.clone(),
                args.namespace.clone(),
                reviewer.configuration.clone(),
                configuration_metrics,
            )),
        ];
        if let Some(authority) = callers.clone() {
            background.push(Box::pin(authority.watch()));
        }
        Ok(Self {
            webhook,
            admin,
            tls: webhook::server_config(Arc::new(served), callers)?,
            router: (webhook::router(reviewer, webhook_metrics.clone()), webhook_metrics),
            timing: ServerTiming {
                connection_age: CONNECTION_AGE,
                shutdown_delay: args.shutdown_delay,
                finish: FINISH,
            },
            background,
            readiness,
            serving,
            metrics,
        })
    }

    /// Where the webhook listens.
    pub fn webhook_address(&self) -> std::io::Result<SocketAddr> {
        own_address(&self.webhook)
    }

    /// Where the administration listens.
    pub fn admin_address(&self) -> std::io::Result<SocketAddr> {
        own_address(&self.admin)
    }

    /// Runs until it was asked to stop and the last review is answered. On the way out it is unready at once, and goes
    /// on serving for those who have not heard of it yet; health and metrics are there to the end.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), AppError> {
        let (admin_stop, admin_shutdown) = shutdown::channel();
        let admin = runtime::admin::Server::new(runtime::admin::Settings::default(), &self.metrics);
        let admin_router = runtime::admin::health(self.readiness)
            .merge(runtime::admin::metrics(self.metrics, &["/metrics"]));
        let admin = admin.serve(self.admin, admin_router, admin_shutdown);
        let mut stopping = shutdown.clone();
        let unready = async {
            stopping.requested().await;
            self.serving.fails("stopping");
            tracing::info!(delay = ?self.timing.shutdown_delay, "stopping: unready, still serving");
        };
        let webhook = async {
            let served = webhook::serve(self.webhook, self.tls, self.router, self.timing, shutdown).await;
            // The administration ends when nothing is left to be told.
            admin_stop.request();
            served
        };
        // It ends with this function.
        let _background: JoinSet<()> = self.background.into_iter().collect();
        let ended = tokio::try_join!(webhook, admin, async {
            unready.await;
            Ok(())
        });
        ended.map(|_| ()).map_err(AppError::Serve)
    }
}

fn listen(purpose: &'static str, flag: &'static str, port: u16) -> Result<Vec<TcpListener>, ListenError> {
    Listen { purpose, flag, scope: Scope::Wildcard, port, shared: false }.bind()
}

/// The address under which this process reaches its own listener.
fn own_address(listeners: &[TcpListener]) -> std::io::Result<SocketAddr> {
    let listener = listeners.first().ok_or(std::io::ErrorKind::AddrNotAvailable)?;
    let address = listener.local_addr()?;
    let ip: IpAddr = match address.ip() {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    Ok(SocketAddr::new(ip, address.port()))
}
