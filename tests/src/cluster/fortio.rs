//! fortio's client, run inside a pod by `kubectl exec`.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::kubectl::{eventually, kubectl};
use super::workload::Pod;

/// Protocol of a load.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// HTTP/1.1 echo.
    Http,
    /// gRPC health check.
    Grpc,
    /// TCP echo.
    Tcp,
}

impl Protocol {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Http, Self::Grpc, Self::Tcp];

    /// fortio's port for it.
    pub fn port(self) -> u16 {
        match self {
            Self::Http => 8080,
            Self::Grpc => 8079,
            Self::Tcp => 8078,
        }
    }
}

/// A load, built up from one connection that carries two calls.
#[derive(Clone, Debug)]
pub struct Load {
    arguments: Vec<String>,
    target: String,
}

impl Load {
    /// Two calls over one connection.
    pub fn one_connection(protocol: Protocol, host: &str, v6: bool) -> Self {
        let mut arguments: Vec<String> = ["-c", "1", "-n", "2", "-qps", "0"].map(str::to_owned).into();
        if v6 {
            arguments.extend(["-resolve-ip-type", "ip6"].map(str::to_owned));
        }
        let authority = format!("{host}:{}", protocol.port());
        let target = match protocol {
            Protocol::Http => format!("http://{authority}/"),
            Protocol::Tcp => format!("tcp://{authority}"),
            Protocol::Grpc => {
                arguments.push("-grpc".to_owned());
                authority
            }
        };
        Self { arguments, target }
    }

    /// HTTP calls with a connection each, for a time (fortio's notation).
    pub fn connection_per_request(host: &str, connections: u32, rate: u32, time: &str) -> Self {
        let arguments = format!("-c {connections} -qps {rate} -t {time} -keepalive=false -nocatchup");
        Self {
            arguments: arguments.split(' ').map(str::to_owned).collect(),
            target: format!("http://{host}:{}/", Protocol::Http.port()),
        }
    }

    /// Runs it in a pod's `fortio` container.
    pub fn run(&self, from: &Pod) -> Result<LoadResult> {
        let fixed =
            ["-n", &from.namespace, "exec", &from.name, "-c", "fortio", "--", "/fortio", "load", "-quiet"];
        let mut arguments: Vec<&str> = fixed.to_vec();
        arguments.extend(["-allow-initial-errors", "-json", "-"]);
        arguments.extend(self.arguments.iter().map(String::as_str));
        arguments.push(&self.target);
        let text = kubectl(&arguments).with_context(|| format!("{} -> {}", from.name, self.target))?;
        let json = text.get(text.find('{').context("fortio printed no JSON")?..).unwrap_or_default();
        LoadResult::parse(&serde_json::from_str(json)?)
    }
}

impl Load {
    /// Runs it again until each of `calls` calls is answered: a new pod is ready before every kube-proxy knows of it, and
    /// until then its Service refuses.
    pub fn until_answered(&self, from: &Pod, calls: u64) -> Result<()> {
        eventually("an answer of the Service", Duration::from_secs(30), || {
            self.run(from)?.check(calls).map(Some)
        })
    }
}

/// What came of a load.
#[derive(Clone, Debug)]
pub struct LoadResult {
    /// Answers by code; fortio's `200`, `SERVING` and `OK` are the good ones, `-1` is a connection that failed.
    pub codes: BTreeMap<String, u64>,
}

impl LoadResult {
    fn parse(result: &Value) -> Result<Self> {
        let codes = result["RetCodes"].as_object().context("fortio reported no codes")?;
        let codes = codes.iter().filter_map(|(code, count)| Some((code.clone(), count.as_u64()?))).collect();
        Ok(Self { codes })
    }

    /// Calls in all.
    pub fn calls(&self) -> u64 {
        self.codes.values().sum()
    }

    /// Calls that were not answered as they should be.
    pub fn lost(&self) -> u64 {
        let good = ["200", "SERVING", "OK"];
        self.codes.iter().filter(|(code, _)| !good.contains(&code.as_str())).map(|(_, count)| count).sum()
    }

    /// Fails unless every one of `calls` calls was answered.
    pub fn check(&self, calls: u64) -> Result<()> {
        ensure!(self.calls() == calls && self.lost() == 0, "expected {calls} answers, got {:?}", self.codes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::LoadResult;

    #[test]
    fn a_failed_connection_is_a_lost_call() {
        let result = LoadResult::parse(&serde_json::json!({"RetCodes": {"200": 3, "-1": 1}})).unwrap();
        assert_eq!((result.calls(), result.lost()), (4, 1));
        assert!(result.check(4).is_err());
    }
}
