//! Brings `pki` and `cluster` together: certificates are found or made, a leaf is served, the bundle published, and all of
//! it looked after for as long as the program runs.
//!
//! Invariant: ready means that our own TLS port answered a handshake with a chain which the published bundle verifies. An
//! API server that is away changes nothing about that: what was ready stays so, as long as the served leaf lives.

mod built_in;
mod files;
mod lifetimes;
mod metrics;
mod port;

pub use files::FileArgs;
pub use lifetimes::{LifetimeArgs, LifetimesError};

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use runtime::metrics::Metrics;
use runtime::readiness::{Condition, Readiness};

use self::built_in::BuiltIn;
use self::files::Files;
use self::metrics::CertificateMetrics;
use self::port::Port;
use crate::cluster::{ApiClock, AuthorityStore, ClusterError, Published, Told, WebhookConfiguration};
use crate::pki::{Budget, Bundle, CurrentLeaf, FilesError, Keep, Leaf, PkiError, Profile, Publication};
use crate::webhook::{self, ProbeError};

/// Between two looks at what is stored and published: as long as nobody can create a pod after the bundle was wiped.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// After a failure.
const RETRY: Duration = Duration::from_secs(1);

/// How often a conflict is answered by reading again at once.
const ATTEMPTS: usize = 4;

/// What the certificates are for.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Namespace of the Service.
    pub namespace: String,
    /// The Service that leads to the webhook.
    pub service: String,
    /// Lifetimes.
    pub profile: Profile,
}

/// Where things are kept, and whose clock counts.
pub struct Places {
    /// The Secret.
    pub store: AuthorityStore,
    /// The webhook configuration.
    pub configuration: WebhookConfiguration,
    /// The API server's clock.
    pub clock: ApiClock,
}

/// The caretaker of certificates.
pub struct Bootstrap {
    source: Source,
    publishes: bool,
    configuration: WebhookConfiguration,
    publication: Publication,
    budget: Budget,
    clock: ApiClock,
    server_name: String,
    /// Our own TLS port.
    address: SocketAddr,
    port: Port,
    served: CurrentLeaf,
    leaf: Option<Leaf>,
    metrics: CertificateMetrics,
    conditions: Conditions,
    missing: Vec<&'static str>,
}

enum Source {
    BuiltIn(BuiltIn),
    Files(Files),
}

struct Conditions {
    certificate: Condition,
    bundle: Condition,
    tls: Condition,
}

#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Pki(#[from] PkiError),
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error(transparent)]
    Probe(#[from] ProbeError),
    #[error("the Secret of the certificate authority is changed again and again; tried again in {} s", wait.as_secs())]
    SecretHeldBack { wait: Duration },
    #[error(
        "caBundle is overwritten again and again by {writer}, whose configuration should leave it out; published again \
         in {} s", wait.as_secs()
    )]
    BundleHeldBack { writer: String, wait: Duration },
    #[error("other replicas write all the time")]
    Contended,
}

impl Bootstrap {
    /// Nothing happens before [`Bootstrap::run`].
    pub fn new(
        places: Places,
        identity: &Identity,
        files: &FileArgs,
        (address, served): (SocketAddr, CurrentLeaf),
        (readiness, metrics): (&Readiness, &Metrics),
    ) -> Self {
        let (profile, server_name) = (identity.profile, identity.server_name());
        let (source, keep, publishes) = match Files::new(files, profile, server_name.clone()) {
            Some(source) => {
                (Source::Files(source), Keep::Any, files.publish_bundle && files.tls_ca.is_some())
            }
            None => {
                let built_in = BuiltIn::new(places.store, profile, identity.names());
                (Source::BuiltIn(built_in), Keep::Ours, files.publish_bundle)
            }
        };
        Self {
            source,
            publishes,
            configuration: places.configuration,
            publication: Publication::new(keep, profile),
            budget: Budget::new(profile.write_interval()),
            clock: places.clock,
            server_name,
            address,
            port: Port::default(),
            served,
            leaf: None,
            metrics: CertificateMetrics::new(metrics),
            conditions: Conditions {
                certificate: readiness.condition("certificate"),
                bundle: readiness.condition("bundle"),
                tls: readiness.condition("tls"),
            },
            missing: Vec::new(),
        }
    }

    /// Looks after the certificates until the future is dropped.
    pub async fn run(mut self) {
        let mut told = Told::default();
        loop {
            let pause = match self.look_after().await {
                Ok(()) => {
                    told.is_over();
                    CHECK_INTERVAL
                }
                Err(error) => {
                    if told.is_news(&error.to_string(), Instant::now()) {
                        tracing::warn!(%error, "certificates");
                    }
                    RETRY
                }
            };
            let renewal = self.source.until_renewal(self.clock.now()).filter(|time| !time.is_zero());
            tokio::time::sleep(renewal.map_or(pause, |renewal| renewal.min(pause))).await;
        }
    }

    /// One look at everything. What fails does not keep the rest from being looked at; the first failure is returned.
    async fn look_after(&mut self) -> Result<(), StepError> {
        // Before anything that may take long.
        let renewed = self.renew();
        let refreshed = self.refresh().await;
        let is_away = matches!(refreshed, Err(StepError::Cluster(ClusterError::Away { .. })));
        // Nobody who is away needs to be asked twice.
        let published = if is_away { Ok(()) } else { self.publish().await };
        let renewed = renewed.and(self.renew());
        self.judge_certificate([&renewed, &refreshed]);
        self.judge_bundle(&published);
        let probed = self.probe().await;
        refreshed.and(published).and(renewed).and(probed)
    }

    async fn refresh(&mut self) -> Result<(), StepError> {
        let now = self.clock.now();
        let settled = self.settled(now);
        match &mut self.source {
            Source::BuiltIn(built_in) => built_in.refresh(now, &settled, &self.metrics).await,
            Source::Files(files) => files.refresh(now, &self.metrics),
        }
    }

    fn renew(&mut self) -> Result<(), StepError> {
        let now = self.clock.now();
        let (settled, published) = (self.settled(now), self.publication.bundle());
        let renewed = match &mut self.source {
            Source::BuiltIn(built_in) => built_in.renew(now, &settled)?,
            Source::Files(files) => files.renew(now, &settled, &published)?,
        };
        if let Some(leaf) = renewed {
            let end = leaf.validity().not_after;
            self.served.replace(&leaf);
            self.metrics.leaf_ends(end);
            tracing::info!(until = %humantime::format_rfc3339_seconds(end), "serving a new certificate");
            self.leaf = Some(leaf);
        }
        if let Source::BuiltIn(built_in) = &self.source {
            self.metrics.phase(built_in.rotation.phase(&self.publication.bundle()));
            built_in.rotation.authority_ends().iter().for_each(|end| self.metrics.authority_ends(*end));
        }
        Ok(())
    }

    /// What every API server verifies by.
    fn settled(&self, now: SystemTime) -> Bundle {
        let settling = match &self.source {
            Source::BuiltIn(built_in) => built_in.rotation.settling(),
            Source::Files(files) => files.settling(),
        };
        self.publication.settled(now, settling)
    }

    /// Makes sure that what is needed is published.
    async fn publish(&mut self) -> Result<(), StepError> {
        let needed = self.source.needed();
        for _ in 0..ATTEMPTS {
            let found = match self.configuration.read().await {
                Ok(found) => found,
                Err(error) => {
                    if matches!(error, ClusterError::NoConfiguration { .. } | ClusterError::NoEntry { .. }) {
                        self.publication.gone();
                    }
                    return Err(error.into());
                }
            };
            self.tell_missing(&found);
            let now = self.clock.now();
            let wanted = self.look_at(now, &found, &needed);
            if !self.publishes || needed.is_empty() || found.bundles.iter().all(|b| wanted.as_bytes() == b) {
                return Ok(());
            }
            if let Err(wait) = self.budget.take(now) {
                self.metrics.publication("held_back");
                let writer = found.other_writer.unwrap_or_else(|| "somebody else".to_owned());
                return Err(StepError::BundleHeldBack { writer, wait });
            }
            match self.configuration.publish(&found, &wanted).await {
                Ok(()) => {
                    self.metrics.publication("written");
                    tracing::info!("caBundle published");
                    let published = vec![wanted.into_bytes(); found.bundles.len()];
                    self.publication.seen(now, &published, &needed);
                    return Ok(());
                }
                Err(ClusterError::Conflict { .. }) => self.metrics.publication("conflict"),
                Err(error) => {
                    self.metrics.publication("failed");
                    return Err(error.into());
                }
            }
        }
        Err(StepError::Contended)
    }

    /// Takes note of what is published, and says what should be.
    fn look_at(&mut self, now: SystemTime, found: &Published, needed: &Bundle) -> String {
        if self.publication.is_foreign(&found.bundles, needed) {
            self.metrics.foreign_change();
            tracing::warn!(by = found.other_writer, "caBundle was changed by somebody else");
        }
        let wanted = self.publication.wanted(now, &found.bundles, needed);
        self.publication.seen(now, &found.bundles, needed);
        wanted.pem()
    }

    /// Not an error: whoever applied the configuration may not want the entry.
    fn tell_missing(&mut self, found: &Published) {
        if self.missing != found.missing {
            self.missing.clone_from(&found.missing);
            match self.missing.as_slice() {
                [] => tracing::info!("the webhook configuration has all entries"),
                missing => tracing::info!(?missing, "the webhook configuration lacks entries"),
            }
        }
    }

    fn judge_certificate(&self, outcomes: [&Result<(), StepError>; 2]) {
        let now = self.clock.now();
        if self.leaf.as_ref().is_some_and(|leaf| !leaf.validity().has_ended(now)) {
            return self.conditions.certificate.holds();
        }
        let failure = outcomes.into_iter().find_map(|outcome| outcome.as_ref().err());
        let ended = || "the served certificate has ended".to_owned();
        self.conditions.certificate.fails(failure.map_or_else(ended, ToString::to_string));
    }

    /// By what was seen last: whether it is still so is unknown while the API server is away.
    fn judge_bundle(&self, published: &Result<(), StepError>) {
        let Some(leaf) = &self.leaf else { return };
        let bundle = self.publication.bundle();
        let verified = bundle.verifies(leaf.chain(), &self.server_name, self.clock.now());
        self.metrics.bundle(bundle.len(), verified.is_ok());
        match (verified, published) {
            (Ok(()), _) => self.conditions.bundle.holds(),
            (Err(_), Err(error)) => self.conditions.bundle.fails(error.to_string()),
            (Err(error), Ok(())) => self.conditions.bundle.fails(error.to_string()),
        }
    }

    async fn probe(&mut self) -> Result<(), StepError> {
        let bundle = self.publication.bundle();
        if self.leaf.is_none() || bundle.is_empty() {
            return Ok(());
        }
        let clock = Arc::new(self.clock.clone());
        let probed = webhook::probe(self.address, &self.server_name, &bundle.pem(), clock).await;
        let probed = self.port.probed(probed);
        match &probed {
            Ok(()) => self.conditions.tls.holds(),
            Err(error) => self.conditions.tls.fails(error.to_string()),
        }
        Ok(probed?)
    }
}

impl Source {
    fn needed(&self) -> Bundle {
        match self {
            Self::BuiltIn(built_in) => built_in.rotation.needed(),
            Self::Files(files) => files.needed(),
        }
    }

    fn until_renewal(&self, now: SystemTime) -> Option<Duration> {
        match self {
            Self::BuiltIn(built_in) => built_in.until_renewal(now),
            Self::Files(_) => None,
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
