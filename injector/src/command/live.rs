//! What commands that ask a cluster share.

use std::path::PathBuf;

use crate::cluster::{self, ClusterArgs, ClusterError, Survey, SurveyError};

/// A cluster cannot be asked at all.
#[derive(Debug, thiserror::Error)]
pub(super) enum LiveError {
    #[error("cannot wait for the network: {0}")]
    Runtime(#[from] std::io::Error),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
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

/// Does something with a cluster.
pub(super) fn look<T>(
    args: &ClusterArgs,
    work: impl AsyncFnOnce(&Survey) -> Result<T, LiveError>,
) -> Result<T, LiveError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let clients = cluster::connect(&as_kubectl(args)).await?;
        work(&Survey::new(clients.calls)).await
    })
}

/// A list's items say neither version nor kind.
pub(super) fn as_pod(mut pod: serde_json::Value) -> serde_json::Value {
    if let Some(pod) = pod.as_object_mut() {
        pod.insert("apiVersion".to_owned(), "v1".into());
        pod.insert("kind".to_owned(), "Pod".into());
    }
    pod
}
