//! Brings `pki` and `cluster` together: the authority is found or made, a leaf is served, the bundle published, and all of
//! it looked after for as long as the program runs.
//!
//! Invariant: ready means that our own TLS port answered a handshake with a chain which the published bundle verifies. An
//! API server that is away changes nothing about that: what was ready stays so.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use runtime::readiness::{Condition, Readiness};

use crate::cluster::{AuthorityStore, ClusterError, Told, WebhookConfiguration};
use crate::pki::{self, Action, Ca, CurrentLeaf, PkiError};
use crate::webhook::{self, ProbeError, WebhookMetrics};

/// Between two looks at what is stored and published: as long as nobody can create a pod after the bundle was wiped.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// After a failure.
const RETRY: Duration = Duration::from_secs(1);

/// What the certificates are for.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Namespace of the Service.
    pub namespace: String,
    /// The Service that leads to the webhook.
    pub service: String,
    /// Lifetime of a leaf.
    pub leaf_lifetime: Duration,
}

/// The caretaker of certificates.
pub struct Bootstrap {
    store: AuthorityStore,
    configuration: WebhookConfiguration,
    identity: Identity,
    /// Our own TLS port.
    port: SocketAddr,
    served: CurrentLeaf,
    metrics: WebhookMetrics,
    certificate: Condition,
    bundle: Condition,
    tls: Condition,
    authority: Option<Ca>,
    state: pki::State,
    told: Told,
}

#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Pki(#[from] PkiError),
    #[error("the published bundle does not verify what is served: {0}")]
    Probe(#[from] ProbeError),
}

impl Bootstrap {
    /// Nothing happens before [`Bootstrap::run`].
    pub fn new(
        (store, configuration): (AuthorityStore, WebhookConfiguration),
        identity: Identity,
        (port, served): (SocketAddr, CurrentLeaf),
        readiness: &Readiness,
        metrics: WebhookMetrics,
    ) -> Self {
        Self {
            store,
            configuration,
            identity,
            port,
            served,
            metrics,
            certificate: readiness.condition("certificate"),
            bundle: readiness.condition("bundle"),
            tls: readiness.condition("tls"),
            authority: None,
            state: pki::State::default(),
            told: Told::default(),
        }
    }

    /// Looks after the certificates until the future is dropped.
    pub async fn run(mut self) {
        loop {
            let now = SystemTime::now();
            let done = match pki::next(now, &self.state, CHECK_INTERVAL) {
                Action::Wait(time) => {
                    tokio::time::sleep(time).await;
                    continue;
                }
                Action::LoadAuthority => self.load_authority(now).await,
                Action::IssueLeaf => self.issue_leaf(now),
                Action::Check => self.check(now).await,
            };
            if let Err(error) = done {
                if self.told.is_news(&error.to_string(), Instant::now()) {
                    tracing::warn!(%error, "certificates");
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    }

    async fn load_authority(&mut self, now: SystemTime) -> Result<(), StepError> {
        let loaded = self.store.load_or_create(self.authority.as_ref(), now).await;
        let loaded = loaded.inspect_err(|error| {
            if !self.state.authority {
                self.certificate.fails(error.to_string());
            }
        })?;
        if self.authority.as_ref().is_none_or(|held| !held.is(&loaded)) {
            if self.authority.is_some() {
                tracing::info!("another certificate authority is stored");
                // Before anything signed by it is served; the former one stays in the bundle.
                self.configuration.publish(&loaded, now).await?;
            }
            self.state = pki::State::default();
        }
        self.state.authority = true;
        self.authority = Some(loaded);
        Ok(())
    }

    fn issue_leaf(&mut self, now: SystemTime) -> Result<(), StepError> {
        let Some(authority) = &self.authority else { return Ok(()) };
        let issued = authority.issue(&self.identity.names(), now, self.identity.leaf_lifetime);
        let leaf = issued.inspect_err(|error| {
            // Its time is over, or has not begun where a clock was wrong: what it signed is good for nothing, and only
            // another one helps.
            self.state.authority = false;
            self.certificate.fails(error.to_string());
        })?;
        self.served.replace(&leaf);
        self.state.leaf = Some(leaf.validity());
        self.metrics.certificate_ends(leaf.validity().not_after);
        self.certificate.holds();
        tracing::info!(lifetime = ?self.identity.leaf_lifetime, "serving a new certificate");
        Ok(())
    }

    async fn check(&mut self, now: SystemTime) -> Result<(), StepError> {
        self.load_authority(now).await?;
        let (Some(authority), Some(_)) = (&self.authority, self.state.leaf) else { return Ok(()) };
        let bundle = match self.configuration.publish(authority, now).await {
            Ok(bundle) => bundle,
            Err(error) => {
                self.not_published(&error);
                return Err(error.into());
            }
        };
        self.bundle.holds();
        let probed = webhook::probe(self.port, &self.identity.server_name(), &bundle).await;
        self.metrics.bundle_matches(probed.is_ok());
        match &probed {
            Ok(()) => self.tls.holds(),
            Err(error) => self.tls.fails(error.to_string()),
        }
        self.state.checked = Some(now);
        Ok(probed?)
    }

    /// Whether the field is right is unknown while the API server is away; where it answers, it is known to be wrong.
    fn not_published(&self, error: &ClusterError) {
        let unknown = matches!(error, ClusterError::Call { .. }) && self.state.checked.is_some();
        if !unknown {
            self.bundle.fails(error.to_string());
            self.metrics.bundle_matches(false);
        }
    }
}

impl Identity {
    /// The name by which the API server verifies a webhook behind a Service.
    fn server_name(&self) -> String {
        format!("{}.{}.svc", self.service, self.namespace)
    }

    fn names(&self) -> Vec<String> {
        let short = format!("{}.{}", self.service, self.namespace);
        let full = self.server_name();
        vec![self.service.clone(), short, format!("{full}.cluster.local"), full]
    }
}
