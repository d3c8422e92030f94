//! The way to the API server: the pod's service account, or a kubeconfig outside of a cluster.

use std::path::PathBuf;
use std::time::Duration;

use axum::http::Response;
use clap::Args;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::util::MapResponseLayer;

use super::{ApiClock, ClusterError, chain};

/// Where the API server is; flatten it into a subcommand's arguments.
#[derive(Args, Clone, Debug)]
pub struct ClusterArgs {
    /// Kubeconfig for running outside of a cluster; in a pod its service account is used
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// The client's own lines about failures. Each is returned, too, and told once as long as it lasts.
pub const QUIET: runtime::log::Quiet =
    &["kube_client::client=off", "kube_client::client::tls=warn", "kube_runtime::watcher=off"];

/// A call that takes longer is given up and tried again, so that one that hangs holds up nothing else for long.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Ways to the same API server.
#[derive(Clone)]
pub struct Clients {
    /// For calls, which are given up after a few seconds.
    pub calls: Client,
    /// For watches, where nothing may happen for minutes; a watch ends itself when it is too old.
    pub watches: Client,
    /// What their answers say the time is.
    pub clock: ApiClock,
}

/// Clients; nothing is sent yet.
pub async fn connect(args: &ClusterArgs) -> Result<Clients, ClusterError> {
    let mut config = match &args.kubeconfig {
        Some(path) => {
            let wrong = |error: &dyn std::error::Error| ClusterError::Kubeconfig {
                path: path.clone(),
                reason: chain(error),
            };
            let kubeconfig = Kubeconfig::read_from(path).map_err(|error| wrong(&error))?;
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
                .await
                .map_err(|error| wrong(&error))?
        }
        None => Config::incluster().map_err(|error| ClusterError::NoCluster { reason: chain(&error) })?,
    };
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.write_timeout = Some(CALL_TIMEOUT);
    let clock = ApiClock::default();
    let watches = client(config.clone(), &clock)?;
    config.read_timeout = Some(CALL_TIMEOUT);
    Ok(Clients { calls: client(config, &clock)?, watches, clock })
}

fn client(config: Config, clock: &ApiClock) -> Result<Client, ClusterError> {
    let clock = clock.clone();
    let builder =
        ClientBuilder::try_from(config).map_err(|error| ClusterError::NoCluster { reason: chain(&error) })?;
    let heard = MapResponseLayer::new(move |response: Response<_>| {
        clock.heard(response.headers());
        response
    });
    Ok(builder.with_layer(&heard).build())
}
