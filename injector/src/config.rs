//! The command line. Each part's options are declared with the part; here they are only put together.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use runtime::log::LogArgs;

use crate::cluster::ClusterArgs;
use crate::command;
use crate::inject::InjectArgs;

/// Adds the mesh's containers to pods: as the cluster's admission webhook, or to manifests in files
#[derive(Clone, Debug, Parser)]
#[command(name = "injector", version)]
pub struct Cli {
    /// What is logged, and how.
    #[command(flatten)]
    pub log: LogArgs,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the admission webhook
    Serve(ServeArgs),
    /// One of the others.
    #[command(flatten)]
    Tool(command::Command),
}

/// Options of `injector serve`.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// Port of the webhook (TLS)
    #[arg(long, env = "REMORA_WEBHOOK_PORT", default_value_t = api::ports::WEBHOOK, value_name = "PORT")]
    pub webhook_port: u16,

    /// Port of liveness, readiness and metrics (plain HTTP)
    #[arg(long, env = "REMORA_ADMIN_PORT", default_value_t = api::ports::INJECTOR_ADMIN, value_name = "PORT")]
    pub admin_port: u16,

    /// How long a serving certificate lives; it is replaced after two thirds of it
    #[arg(long, env = "REMORA_LEAF_LIFETIME", default_value = "24h", value_name = "TIME", value_parser = leaf_lifetime)]
    pub leaf_lifetime: Duration,

    /// The namespace that the injector runs in
    #[arg(long, env = "POD_NAMESPACE", default_value = api::control::NAMESPACE, value_name = "NAMESPACE")]
    pub namespace: String,

    /// MutatingWebhookConfiguration whose caBundle is kept
    #[arg(long, env = "REMORA_WEBHOOK_CONFIGURATION", default_value = api::control::WEBHOOK_CONFIGURATION, value_name = "NAME")]
    pub webhook_configuration: String,

    /// Secret of the certificate authority
    #[arg(long, env = "REMORA_CA_SECRET", default_value = api::control::CA_SECRET, value_name = "NAME")]
    pub ca_secret: String,

    /// Service that leads to the webhook
    #[arg(long, env = "REMORA_SERVICE", default_value = api::control::INJECTOR, value_name = "NAME")]
    pub service: String,

    /// How long to go on serving, unready, after SIGTERM
    #[arg(long, env = "REMORA_SHUTDOWN_DELAY", default_value = "15s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub shutdown_delay: Duration,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub inject: InjectArgs,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub cluster: ClusterArgs,
}

/// Below it a replica would hardly do anything else than replace certificates.
const SHORTEST_LEAF_LIFETIME: Duration = Duration::from_secs(10);

/// Longer than an authority lives.
const LONGEST_LEAF_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

fn leaf_lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if (SHORTEST_LEAF_LIFETIME..=LONGEST_LEAF_LIFETIME).contains(&lifetime) {
        return Ok(lifetime);
    }
    Err("allowed are times from 10s to 3650d, such as 24h".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, Command};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_lifetime_out_of_range_is_told_with_the_allowed_ones() {
        for bad in ["9s", "11y", "soon", "-1h"] {
            let error =
                Cli::try_parse_from(["injector", "serve", &format!("--leaf-lifetime={bad}")]).unwrap_err();
            assert!(error.to_string().contains("--leaf-lifetime"), "{error}");
        }
        let cli = Cli::try_parse_from(["injector", "serve", "--leaf-lifetime", "20s"]).unwrap();
        let Command::Serve(args) = cli.command else { panic!("serve") };
        assert_eq!(args.leaf_lifetime.as_secs(), 20);
    }

    /// Every pod would be refused for it, by the API server.
    #[test]
    fn an_image_has_a_name() {
        for flag in ["--proxy-image", "--init-image"] {
            let error = Cli::try_parse_from(["injector", "serve", &format!("{flag}=")]).unwrap_err();
            assert!(error.to_string().contains(flag), "{error}");
        }
    }
}
