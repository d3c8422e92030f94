//! Everything that the checks look at, read once.

use std::time::SystemTime;

use serde_json::Value;

use super::super::live::name;
use super::super::probe_pod;
use super::super::settings::Judging;
use crate::cluster::{Survey, SurveyError};
use crate::inject::NamespaceMetadata;
use crate::manifest::metadata_of;

/// What was seen, or why not.
pub(super) type Look<T> = Result<T, SurveyError>;

pub(super) struct Seen {
    pub(super) now: SystemTime,
    /// The namespace that the injector runs in.
    pub(super) own: String,
    pub(super) judging: Judging,
    pub(super) version: Value,
    pub(super) nodes: Look<Vec<Value>>,
    pub(super) mutating: Look<Vec<Value>>,
    pub(super) validating: Look<Vec<Value>>,
    pub(super) secret: Look<Option<Value>>,
    pub(super) deployment: Look<Option<Value>>,
    pub(super) namespaces: Look<Vec<SeenNamespace>>,
    /// By the namespace's label: a pod without any label of ours.
    pub(super) by_namespace: Option<DryRun>,
    /// By the pod's own label, in a namespace that says nothing.
    pub(super) by_object: Option<DryRun>,
}

pub(super) struct SeenNamespace {
    pub(super) name: String,
    pub(super) metadata: NamespaceMetadata,
}

/// A pod that was created for show.
pub(super) struct DryRun {
    pub(super) namespace: String,
    pub(super) pod: Look<Value>,
}

impl Seen {
    /// Fails only where the API server does not answer at all.
    pub(super) async fn look(survey: &Survey, own: &str, judging: Judging) -> Look<Self> {
        let version = survey.version().await?;
        let namespaces =
            survey.namespaces().await.map(|all| all.iter().filter_map(SeenNamespace::of).collect());
        let (by_namespace, by_object) =
            dry_runs(survey, namespaces.as_deref().unwrap_or_default(), own).await;
        Ok(Self {
            now: SystemTime::now(),
            own: own.to_owned(),
            judging,
            version,
            nodes: survey.nodes().await,
            mutating: survey.mutating_webhooks().await,
            validating: survey.validating_webhooks().await,
            secret: survey.secret(own, api::control::CA_SECRET).await,
            deployment: survey.deployment(own, api::control::INJECTOR).await,
            namespaces,
            by_namespace,
            by_object,
        })
    }

    /// Our webhook configuration.
    pub(super) fn configuration(&self) -> Look<Option<&Value>> {
        let all = self.mutating.as_ref().map_err(Clone::clone)?;
        Ok(all.iter().find(|object| name(object) == api::control::WEBHOOK_CONFIGURATION))
    }
}

impl SeenNamespace {
    fn of(object: &Value) -> Option<Self> {
        // One that is being deleted takes no pods.
        if object.pointer("/metadata/deletionTimestamp").is_some() {
            return None;
        }
        let metadata = object.get("metadata")?;
        Some(Self { name: metadata.get("name")?.as_str()?.to_owned(), metadata: metadata_of(metadata) })
    }

    /// The label that decides about injection.
    pub(super) fn switch(&self) -> Option<&str> {
        self.metadata.labels.get(api::labels::NAMESPACE_INJECTION).map(String::as_str)
    }

    pub(super) fn is_labelled(&self) -> bool {
        self.switch() == Some(api::labels::ENABLED)
    }

    fn is_silent(&self, own: &str) -> bool {
        let system = self.name == own
            || self.name.starts_with("kube-")
            || api::control::IGNORED.contains(&self.name.as_str());
        let revision = self.metadata.labels.contains_key(api::labels::REVISION);
        self.switch().is_none() && !revision && !system
    }
}

async fn dry_runs(
    survey: &Survey,
    namespaces: &[SeenNamespace],
    own: &str,
) -> (Option<DryRun>, Option<DryRun>) {
    let run = async |namespace: Option<&SeenNamespace>, label: Option<&str>| {
        let namespace = namespace?.name.clone();
        let pod = survey.dry_run(&namespace, &probe_pod(label)).await;
        Some(DryRun { namespace, pod })
    };
    let enforces = |namespace: &&SeenNamespace| {
        let level = namespace.metadata.labels.get(api::labels::POD_SECURITY_ENFORCE);
        level.is_some_and(|level| level != "privileged")
    };
    // One that refuses every injected pod would prove nothing.
    let best = |wanted: &dyn Fn(&SeenNamespace) -> bool| {
        let all = || namespaces.iter().filter(|namespace| wanted(namespace));
        all().find(|namespace| !enforces(namespace)).or_else(|| all().next())
    };
    let labelled = best(&|namespace| namespace.is_labelled() && namespace.name != own);
    let silent = best(&|namespace| namespace.is_silent(own));
    (run(labelled, None).await, run(silent, Some("true")).await)
}
