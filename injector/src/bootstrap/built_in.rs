//! The built-in source of certificates: authorities in a Secret, which replicas rotate without a leader.

use std::time::{Duration, SystemTime};

use super::StepError;
use super::metrics::CertificateMetrics;
use crate::cluster::{AuthorityStore, ClusterError};
use crate::pki::{Budget, Bundle, Leaf, Profile, Rotation, Step};

/// How often a conflict is answered by reading again at once: each means that another replica has done something.
const ATTEMPTS: usize = 4;

pub(super) struct BuiltIn {
    store: AuthorityStore,
    pub(super) rotation: Rotation,
    budget: Budget,
}

impl BuiltIn {
    pub(super) fn new(store: AuthorityStore, profile: Profile, names: Vec<String>) -> Self {
        let budget = Budget::new(profile.write_interval());
        Self { store, rotation: Rotation::new(profile, names), budget }
    }

    /// Brings what is stored up to date.
    pub(super) async fn refresh(
        &mut self,
        now: SystemTime,
        settled: &Bundle,
        metrics: &CertificateMetrics,
    ) -> Result<(), StepError> {
        for _ in 0..ATTEMPTS {
            let found = self.store.read().await?;
            let authorities = found.as_ref().map(|found| &found.authorities);
            let step = self.rotation.step(now, authorities, settled);
            let Some((step, wanted)) = step.map_err(|error| self.store.unusable(error))? else {
                if let Some(found) = found {
                    self.rotation.stored(found.authorities);
                }
                return Ok(());
            };
            if let Err(wait) = self.budget.take(now) {
                metrics.authority_write("held_back");
                return Err(StepError::SecretHeldBack { wait });
            }
            match self.store.write(found, &wanted).await {
                Ok(()) => {
                    metrics.authority_write(step.name());
                    tell(step);
                    self.rotation.stored(wanted);
                    return Ok(());
                }
                Err(ClusterError::Conflict { .. }) => metrics.authority_write("conflict"),
                Err(error) => {
                    metrics.authority_write("failed");
                    return Err(error.into());
                }
            }
        }
        Err(StepError::Contended)
    }

    pub(super) fn renew(&mut self, now: SystemTime, settled: &Bundle) -> Result<Option<Leaf>, StepError> {
        self.rotation.renew(now, settled).map_err(|error| self.store.unusable(error).into())
    }

    pub(super) fn until_renewal(&self, now: SystemTime) -> Option<Duration> {
        self.rotation.until_renewal(now)
    }
}

fn tell(step: Step) {
    let text = match step {
        Step::Keep => return,
        Step::Create => "a certificate authority was made and stored",
        Step::Restore => "the Secret of the certificate authority was gone; it is put back",
        Step::MakeNext => "half of the certificate authority's life is over; the next one was made",
        Step::Promote => "the next certificate authority signs from now on",
        Step::Replace => "the certificate authority had ended; another one was made",
    };
    tracing::info!("{text}");
}
