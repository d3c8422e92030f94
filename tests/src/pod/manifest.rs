//! The parts of a Pod that a kubelet acts on. Parsing refuses what the runner does not know how to do, where leaving it
//! out would make a test lie.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

/// A Pod as the API server would hand it to a kubelet.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) metadata: Metadata,
    pub(crate) spec: PodSpec,
}

impl Manifest {
    pub(crate) fn parse(pod: &Value) -> Result<Self> {
        let manifest: Self =
            serde_json::from_value(pod.clone()).context("this is not a Pod that can be run")?;
        if manifest.spec.host_network {
            bail!("hostNetwork: such a pod has no network of its own to run in");
        }
        for container in manifest.spec.init_containers.iter().chain(&manifest.spec.containers) {
            container.check().with_context(|| format!("container {}", container.name))?;
        }
        Ok(manifest)
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub(crate) name: String,
    #[serde(default = "default_name")]
    pub(crate) namespace: String,
    #[serde(default)]
    pub(crate) uid: String,
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PodSpec {
    #[serde(default)]
    pub(crate) init_containers: Vec<ContainerSpec>,
    pub(crate) containers: Vec<ContainerSpec>,
    #[serde(default)]
    pub(crate) volumes: Vec<Volume>,
    #[serde(default)]
    pub(crate) security_context: PodSecurity,
    #[serde(default = "default_name")]
    pub(crate) service_account_name: String,
    #[serde(default = "default_grace")]
    pub(crate) termination_grace_period_seconds: u64,
    #[serde(default)]
    host_network: bool,
}

fn default_name() -> String {
    "default".to_owned()
}

fn default_grace() -> u64 {
    30
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PodSecurity {
    pub(crate) run_as_user: Option<u32>,
    pub(crate) run_as_group: Option<u32>,
    pub(crate) run_as_non_root: Option<bool>,
    pub(crate) fs_group: Option<u32>,
    pub(crate) supplemental_groups: Vec<u32>,
    pub(crate) sysctls: Vec<NameValue>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct NameValue {
    pub(crate) name: String,
    pub(crate) value: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContainerSpec {
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) command: Option<Vec<String>>,
    pub(crate) args: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) env: Vec<EnvVar>,
    #[serde(default)]
    env_from: Vec<Value>,
    #[serde(default)]
    pub(crate) ports: Vec<Port>,
    #[serde(default)]
    pub(crate) resources: Resources,
    #[serde(default)]
    pub(crate) volume_mounts: Vec<VolumeMount>,
    #[serde(default)]
    pub(crate) security_context: Security,
    pub(crate) startup_probe: Option<Probe>,
    pub(crate) readiness_probe: Option<Probe>,
    #[serde(default)]
    pub(crate) lifecycle: Lifecycle,
    restart_policy: Option<String>,
}

impl ContainerSpec {
    /// Whether it is a native sidecar: an init container that goes on running.
    pub(crate) fn is_sidecar(&self) -> bool {
        self.restart_policy.as_deref() == Some("Always")
    }

    fn check(&self) -> Result<()> {
        if self.security_context.privileged == Some(true) {
            bail!("privileged containers are not run on the machine that runs the tests");
        }
        if !self.env_from.is_empty() {
            bail!("envFrom is not supported by the pod runner");
        }
        if let Some(policy) = self.restart_policy.as_deref().filter(|policy| *policy != "Always") {
            bail!("restartPolicy {policy:?} is not valid for a container");
        }
        Ok(())
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EnvVar {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) value: String,
    pub(crate) value_from: Option<ValueFrom>,
}

/// Where a value comes from; exactly one of these.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum ValueFrom {
    FieldRef(FieldRef),
    ResourceFieldRef(ResourceFieldRef),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FieldRef {
    pub(crate) field_path: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResourceFieldRef {
    pub(crate) container_name: Option<String>,
    pub(crate) resource: String,
    pub(crate) divisor: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Port {
    pub(crate) name: Option<String>,
    pub(crate) container_port: u16,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Resources {
    pub(crate) limits: BTreeMap<String, Value>,
    pub(crate) requests: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VolumeMount {
    pub(crate) name: String,
    pub(crate) mount_path: String,
    #[serde(default)]
    pub(crate) read_only: bool,
    #[serde(default)]
    pub(crate) sub_path: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Security {
    pub(crate) run_as_user: Option<u32>,
    pub(crate) run_as_group: Option<u32>,
    pub(crate) run_as_non_root: Option<bool>,
    pub(crate) read_only_root_filesystem: bool,
    pub(crate) allow_privilege_escalation: Option<bool>,
    pub(crate) capabilities: CapabilityChange,
    privileged: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CapabilityChange {
    pub(crate) add: Vec<String>,
    pub(crate) drop: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Lifecycle {
    pub(crate) post_start: Option<Handler>,
    pub(crate) pre_stop: Option<Handler>,
}

/// What a probe or a hook does.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Handler {
    Exec {
        command: Vec<String>,
    },
    HttpGet {
        port: PortRef,
        #[serde(default)]
        path: String,
        #[serde(default)]
        scheme: Scheme,
    },
    TcpSocket {
        port: PortRef,
    },
}

/// HTTPS is unknown here, and so refused.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(crate) enum Scheme {
    #[default]
    #[serde(rename = "HTTP")]
    Http,
}

/// A probe. Its period is the runner's own: nobody watches a test for seconds.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Probe {
    #[serde(flatten)]
    pub(crate) handler: Handler,
    #[serde(default = "one_second")]
    pub(crate) timeout_seconds: u64,
}

fn one_second() -> u64 {
    1
}

/// A port by number or by the name that the container gives it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum PortRef {
    Number(u16),
    Name(String),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Volume {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) source: VolumeSource,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum VolumeSource {
    EmptyDir {},
    Projected(Projected),
    #[serde(rename = "downwardAPI")]
    DownwardApi(DownwardFiles),
    ConfigMap(NamedObject),
    Secret(NamedObject),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Projected {
    #[serde(default)]
    pub(crate) sources: Vec<Projection>,
    pub(crate) default_mode: Option<u32>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Projection {
    ServiceAccountToken(TokenFile),
    #[serde(rename = "downwardAPI")]
    DownwardApi(DownwardFiles),
    ConfigMap(NamedObject),
    Secret(NamedObject),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenFile {
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) audience: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DownwardFiles {
    #[serde(default)]
    pub(crate) items: Vec<DownwardFile>,
    pub(crate) default_mode: Option<u32>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DownwardFile {
    pub(crate) path: String,
    #[serde(flatten)]
    pub(crate) value: ValueFrom,
}

/// A ConfigMap or Secret by its name.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct NamedObject {
    #[serde(alias = "secretName", default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) optional: bool,
}
