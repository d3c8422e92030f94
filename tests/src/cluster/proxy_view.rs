//! What a pod's proxy says it has carried: its access log and its counters.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

use super::kubectl::kubectl;
use super::workload::Pod;

/// A connection, or a request of HTTP, as a proxy saw it: pod, reporter, original destination.
pub type Seen = (String, String, String);

/// The access log of a pod's proxy.
pub fn access_log(pod: &Pod) -> Result<Vec<Value>> {
    let text = kubectl(&["-n", &pod.namespace, "logs", &pod.name, "-c", api::pod::PROXY_CONTAINER])?;
    text.lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).with_context(|| format!("access log line {line:?}")))
        .collect()
}

/// How often each stands in the access logs of `pods`.
pub fn seen(pods: &[&Pod]) -> Result<BTreeMap<Seen, usize>> {
    let mut counts = BTreeMap::new();
    for pod in pods {
        for line in access_log(pod)? {
            let text = |key: &str| line[key].as_str().unwrap_or("absent").to_owned();
            *counts.entry((pod.name.clone(), text("reporter"), text("original_destination"))).or_insert(0) +=
                1;
        }
    }
    Ok(counts)
}

/// What a pod's proxy has counted as one reporter, through the API server's proxy: connections, and requests of HTTP.
pub fn counted(pod: &Pod, reporter: &str) -> Result<u64> {
    let path = format!(
        "/api/v1/namespaces/{}/pods/{}:{}/proxy/metrics",
        pod.namespace,
        pod.name,
        api::ports::METRICS
    );
    Ok(sum(&kubectl(&["get", "--raw", &path])?, reporter))
}

const FAMILIES: [&str; 2] = ["istio_tcp_connections_opened_total{", "istio_requests_total{"];

fn sum(metrics: &str, reporter: &str) -> u64 {
    let label = format!("reporter=\"{reporter}\"");
    metrics
        .lines()
        .filter(|line| FAMILIES.iter().any(|family| line.starts_with(family)) && line.contains(&label))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn series_of_one_reporter_are_added() {
        let text = "istio_tcp_connections_opened_total{reporter=\"source\",a=\"1\"} 3\n\
                    istio_tcp_connections_opened_total{reporter=\"source\",a=\"2\"} 4\n\
                    istio_requests_total{reporter=\"source\"} 5\n\
                    istio_tcp_connections_opened_total{reporter=\"destination\"} 9\n\
                    istio_tcp_connections_closed_total{reporter=\"source\"} 7\n";
        assert_eq!((sum(text, "source"), sum(text, "destination")), (12, 9));
    }
}
