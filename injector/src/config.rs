//! The command line. Each part's options are declared with the part; here they are only put together.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use runtime::{duration, log::LogArgs};

use crate::bootstrap::{FileArgs, LifetimeArgs};
use crate::cluster::ClusterArgs;
use crate::command;
use crate::configuration::ConfigurationArgs;
use crate::webhook::ClientArgs;

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
    Serve(Box<ServeArgs>),
    /// One of the others.
    #[command(flatten)]
    Tool(Box<command::Command>),
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
    #[arg(long, env = "REMORA_SHUTDOWN_DELAY", default_value = "15s", value_name = "TIME", value_parser = duration::within(Duration::ZERO..=duration::DAY))]
    pub shutdown_delay: Duration,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub lifetimes: LifetimeArgs,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub tls: FileArgs,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub configuration: ConfigurationArgs,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub clients: ClientArgs,

    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take the text for the description of the subcommand")]
    pub cluster: ClusterArgs,
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
            for flag in ["--leaf-lifetime", "--ca-lifetime"] {
                let error = Cli::try_parse_from(["injector", "serve", &format!("{flag}={bad}")]).unwrap_err();
                let text = error.to_string();
                assert!(text.contains(flag) && text.contains("allowed are"), "{text}");
            }
        }
        let line = ["injector", "serve", "--leaf-lifetime", "20s", "--ca-lifetime", "2m"];
        let Command::Serve(args) = Cli::try_parse_from(line).unwrap().command else { panic!("serve") };
        let profile = args.lifetimes.profile().unwrap();
        assert_eq!((profile.leaf_lifetime.as_secs(), profile.ca_lifetime.as_secs()), (20, 120));
    }

    #[test]
    fn certificate_files_come_in_pairs() {
        for flags in [&["--tls-cert=a"][..], &["--tls-key=a"], &["--tls-ca=a"]] {
            let line = ["injector", "serve"].into_iter().chain(flags.iter().copied());
            let error = Cli::try_parse_from(line).unwrap_err().to_string();
            assert!(error.contains("--tls-"), "{error}");
        }
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
