//! The command line of the running proxy: it only assembles the settings that the modules own, and checks what no module
//! can see alone.

use std::collections::BTreeMap;

use crate::{
    admin, app_metrics, app_probes, application, balance, budget, control_socket, detect, discovery, drain,
    http, net, telemetry, trace,
};

/// Options of `proxy run`; all have defaults.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Threads that carry traffic, at most 128; the injector sets the variable to the CPU limit
    #[arg(long, env = api::env::CPU_LIMIT, default_value_t = 1, value_name = "NUMBER",
          value_parser = clap::value_parser!(u16).range(1..))]
    workers: u16,

    #[command(flatten)]
    listen: net::listen::Settings,
    #[command(flatten)]
    capacity: net::capacity::Settings,
    #[command(flatten)]
    memory: budget::Settings,
    #[command(flatten)]
    dial: net::dial::Settings,
    #[command(flatten)]
    dead_peers: net::dead_peers::Settings,
    #[command(flatten)]
    discovery: discovery::file::Settings,
    #[command(flatten)]
    balance: balance::Settings,
    #[command(flatten)]
    relay: net::relay::Settings,
    #[command(flatten)]
    detection: detect::Settings,
    #[command(flatten)]
    http: http::Settings,
    #[command(flatten)]
    drain: drain::Settings,
    #[command(flatten)]
    access_log: telemetry::access_log::Settings,
    #[command(flatten)]
    telemetry: telemetry::session::Settings,
    #[command(flatten)]
    trace: trace::Settings,
    #[command(flatten)]
    admin: admin::Settings,
    #[command(flatten)]
    application: application::Settings,
    #[command(flatten)]
    app_probes: app_probes::Settings,
    #[command(flatten)]
    app_metrics: app_metrics::Settings,
    #[command(flatten)]
    control_socket: control_socket::Settings,

    /// Log options
    #[command(flatten)]
    pub log: runtime::log::LogArgs,
}

/// More threads than that serve nobody, whatever the machine has.
const MOST_WORKERS: u16 = 128;

/// Checked settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Threads that carry traffic.
    pub workers: usize,
    /// Ports of captured traffic.
    pub listen: net::listen::Settings,
    /// Limits of connections.
    pub capacity: net::capacity::Settings,
    /// Limit of memory.
    pub memory: budget::Settings,
    /// Upstream connections.
    pub dial: net::dial::Settings,
    /// Peers that are no longer there.
    pub dead_peers: net::dead_peers::Settings,
    /// Who knows destinations.
    pub discovery: discovery::file::Settings,
    /// How requests are divided among endpoints.
    pub balance: balance::Settings,
    /// How bytes are carried.
    pub relay: net::relay::Settings,
    /// What connections speak.
    pub detection: detect::Settings,
    /// How HTTP is carried.
    pub http: http::Settings,
    /// How the proxy ends.
    pub drain: drain::Settings,
    /// Access log.
    pub access_log: telemetry::access_log::Settings,
    /// What is told apart.
    pub telemetry: telemetry::session::Settings,
    /// Tracing.
    pub trace: trace::Settings,
    /// Ports for people and machines.
    pub admin: admin::Settings,
    /// Where the application is.
    pub application: application::Settings,
    /// The application's probes.
    pub app_probes: app_probes::Settings,
    /// The application's metrics.
    pub app_metrics: app_metrics::Settings,
    /// Where `proxy drain` finds the proxy.
    pub control_socket: control_socket::Settings,
}

/// Options that do not go together.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// Two listeners on one port.
    #[error("{first} and {second} are both {port}; give each its own port")]
    SamePort {
        /// An option.
        first: &'static str,
        /// Another.
        second: &'static str,
        /// Their value.
        port: u16,
    },
    /// Nobody listens on the port of captured probes.
    #[error("{option} is {port}, which is the port of captured readiness probes; choose another port")]
    ProbePort {
        /// The option.
        option: &'static str,
        /// Its value.
        port: u16,
    },
}

impl TryFrom<Args> for Config {
    type Error = ConfigError;

    fn try_from(args: Args) -> Result<Self, ConfigError> {
        let Args {
            workers,
            listen,
            capacity,
            memory,
            dial,
            detection,
            http,
            dead_peers,
            discovery,
            balance,
            relay,
            drain,
            access_log,
            admin,
            control_socket,
            log: _,
            ..
        } = args;
        let Args { telemetry, trace, application, app_probes, app_metrics, .. } = args;
        let config = Self {
            workers: workers.min(MOST_WORKERS).into(),
            listen,
            capacity,
            memory,
            dial,
            detection,
            http,
            dead_peers,
            discovery,
            balance,
            relay,
            drain,
            access_log,
            telemetry,
            trace,
            admin,
            application,
            app_probes,
            app_metrics,
            control_socket,
        };
        config.check_ports()?;
        Ok(config)
    }
}

impl Config {
    fn check_ports(&self) -> Result<(), ConfigError> {
        let mut seen = BTreeMap::new();
        for (option, port) in [
            ("--outbound-port", self.listen.outbound_port),
            ("--inbound-port", self.listen.inbound_port),
            ("--metrics-port", self.admin.metrics_port),
            ("--readiness-port", self.admin.readiness_port),
            ("--admin-port", self.admin.admin_port),
        ] {
            if port == api::ports::READINESS_CAPTURED {
                return Err(ConfigError::ProbePort { option, port });
            }
            // 0 lets the kernel choose, a different one each time.
            if let Some(first) = seen.insert(port, option)
                && port != 0
            {
                return Err(ConfigError::SamePort { first, second: option, port });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Args, Config, ConfigError};
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn config(options: &[&str]) -> Result<Config, ConfigError> {
        let command = Command::try_parse_from([&["proxy"], options].concat()).unwrap();
        Config::try_from(command.args)
    }

    #[test]
    fn defaults_are_the_contract() {
        let config = config(&[]).unwrap();
        assert_eq!((config.listen.outbound_port, config.listen.inbound_port), (15001, 15006));
        assert_eq!(
            (config.admin.metrics_port, config.admin.readiness_port, config.admin.admin_port),
            (15020, 15021, 15000)
        );
        assert_eq!(config.workers, 1);
    }

    #[test]
    fn a_port_has_one_purpose() {
        let error = config(&["--metrics-port", "15021"]).unwrap_err().to_string();
        assert_eq!(error, "--metrics-port and --readiness-port are both 15021; give each its own port");
        let error = config(&["--inbound-port", "15022"]).unwrap_err().to_string();
        assert!(error.contains("--inbound-port") && error.contains("15022"), "{error}");
        assert!(config(&["--metrics-port", "0", "--admin-port", "0"]).is_ok());
    }

    #[test]
    fn bad_values_are_refused() {
        for bad in [
            ["--workers", "0"],
            ["--inbound-port", "65536"],
            ["--drain-delay", "soon"],
            ["--drain-delay", "25h"],
            ["--drain-deadline", "500000000000y"],
            ["--detection-memory", "1"],
            ["--http-max-head", "1023"],
            ["--http-max-fields", "257"],
            ["--http-max-chunk-extension", "4294967296"],
            ["--http-max-trailers", "4294967296"],
            ["--http2-max-streams", "0"],
            ["--http2-stream-window", "65534"],
            ["--http2-connection-window", "67108865"],
            ["--http2-max-head", "1023"],
            ["--http2-max-fields", "0"],
            ["--opaque-ports", "smtp"],
            ["--dead-peer-timeout", "5ms"],
            ["--dead-peer-timeout", "300000000000y"],
            ["--connect-attempts", "0"],
            ["--max-discovery-bytes", "0"],
            ["--splice-pipes", "65536"],
            ["--max-inbound-connections", "0"],
            ["--max-outbound-connections", "many"],
            ["--memory-limit", "0"],
            ["--max-admin-connections", "0"],
            ["--max-application-scrapes", "0"],
            ["--access-log", "xml"],
            ["--access-log-queue", "0"],
            ["--max-edges", "0"],
            ["--sidecar-mode", "both"],
        ] {
            let error = Command::try_parse_from([&["proxy"], &bad[..]].concat()).unwrap_err().to_string();
            assert!(error.contains(bad[0]) && error.contains(bad[1]), "{error}");
        }
    }

    #[test]
    fn bad_times_are_refused() {
        for option in [
            "--connect-timeout",
            "--inbound-connect-timeout",
            "--outbound-connect-timeout",
            "--detection-timeout",
            "--http-head-timeout",
            "--http-idle-timeout",
            "--http-stream-idle-timeout",
            "--discovery-interval",
            "--half-closed-timeout",
            "--admin-timeout",
        ] {
            for bad in ["0s", "31d", "300000000000y", "30"] {
                let error = Command::try_parse_from(["proxy", option, bad]).unwrap_err().to_string();
                assert!(error.contains(option) && error.contains(bad), "{error}");
            }
        }
    }
}
