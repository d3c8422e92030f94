//! Our own: what cargo has built for release, with its defaults, the access log on, and a Service from a file.

use anyhow::Result;
use tests::binaries;

use super::{CONFIGURATION_DIRECTORY, Metrics, OURS, Program, file, version};
use crate::backend::{HTTP1_PORT, HTTP2_PORT};
use crate::measures::memory;
use crate::protocol::Protocol;
use crate::{destinations, endpoints};

pub(super) fn program(options: &str) -> Result<Program> {
    let binary = binaries::proxy()?;
    // By default a quarter of the descriptors is kept for outbound connections.
    let limit = format!("--max-inbound-connections={}", memory::MOST_CONNECTIONS);
    let discovery = format!("--discovery-directory={CONFIGURATION_DIRECTORY}");
    let arguments =
        [api::pod::PROXY_BINARY, &limit, &discovery].into_iter().chain(options.split_whitespace());
    Ok(Program {
        name: OURS,
        version: version("none", &binary, "--version")?,
        setup: "as in a pod, with metrics, the access log in JSON to a pipe that is read, and a Service of 8 \
                endpoints from a file",
        inbound: &[Protocol::Opaque, Protocol::Http1, Protocol::Http2],
        outbound: &[Protocol::Http1, Protocol::Http2],
        mounts: vec![file(&binary, api::pod::PROXY_BINARY)],
        metrics: Some(Metrics {
            port: api::ports::METRICS,
            path: api::control::MERGED_METRICS_PATH,
            few: service() + &workloads(),
            many: service() + &workloads(),
        }),
        configuration: Some(service()),
        arguments: arguments.map(str::to_owned).collect(),
        binary,
    })
}

/// The Service that pods call.
fn service() -> String {
    let endpoints: String = endpoints::all().map(|endpoint| format!("- addresses: [{endpoint}]\n")).collect();
    format!(
        "apiVersion: remora.dev/v1alpha1
kind: Service
name: bench
namespace: bench
addresses: [{address}]
ports:
- {{ port: {HTTP1_PORT}, name: http }}
- {{ port: {HTTP2_PORT}, name: http2 }}
endpoints:
{endpoints}",
        address = endpoints::SERVICE,
    )
}

/// One for each of the other destinations.
fn workloads() -> String {
    let workload = |(number, address)| {
        format!(
            "---
apiVersion: remora.dev/v1alpha1
kind: Workload
name: workload-{number}
namespace: bench
addresses: [{address}]
"
        )
    };
    (0..).zip(destinations::addresses()).map(|pair: (usize, _)| workload(pair)).collect()
}
