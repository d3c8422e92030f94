//! What commands that ask a cluster share: their options, the way to it, and the settings by which it is judged.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use super::settings::Judging;
use super::{OutputArgs, SettingsArgs};
use crate::cluster::{self, ClusterArgs, ClusterError, Survey, SurveyError};
use crate::configuration::ConfigurationError;

/// Options of commands that ask a cluster; flatten them into a subcommand's arguments.
#[derive(Args, Clone, Debug)]
pub struct LiveArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub settings: SettingsArgs,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub cluster: ClusterArgs,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub output: OutputArgs,
}

/// A cluster cannot be asked at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum LiveError {
    #[error("cannot wait for the network: {0}")]
    Runtime(#[from] std::io::Error),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    #[error(transparent)]
    Survey(#[from] SurveyError),
    #[error("{0}")]
    Absent(String),
}

/// As `kubectl`: outside of a pod there is a file that everybody has, where neither the flag nor the variable names another.
fn as_kubectl(args: &ClusterArgs) -> ClusterArgs {
    let in_a_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".kube/config"));
    let usual = || home().filter(|file| !in_a_pod && file.is_file());
    ClusterArgs { kubeconfig: args.kubeconfig.clone().or_else(usual) }
}

/// Does something with a cluster, by the settings of its installation.
pub(super) fn look<T>(
    cluster: &ClusterArgs,
    settings: &SettingsArgs,
    work: impl AsyncFnOnce(&Survey, Judging) -> Result<T, LiveError>,
) -> Result<T, LiveError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let clients = cluster::connect(&as_kubectl(cluster)).await?;
        let survey = Survey::new(clients.calls);
        let judging = settings.of_installation(&survey).await?;
        work(&survey, judging).await
    })
}

/// A list's items say neither version nor kind.
pub(super) fn as_pod(mut pod: Value) -> Value {
    if let Some(pod) = pod.as_object_mut() {
        pod.insert("apiVersion".to_owned(), "v1".into());
        pod.insert("kind".to_owned(), "Pod".into());
    }
    pod
}

/// The name of an object.
pub(super) fn name(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}
