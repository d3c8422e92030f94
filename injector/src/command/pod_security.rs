//! Pod Security Standards: which level a pod satisfies, and what keeps it from the next one
//! (kubernetes.io/docs/concepts/security/pod-security-standards).
//!
//! It deliberately is no admission: the API server decides, with the version that a namespace names. Windows pods are judged
//! like the others.

use serde::Serialize;
use serde_json::Value;

/// A level; each allows less than the one before.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }

    /// The level of a namespace's label; `None` where the label's value is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Privileged, Self::Baseline, Self::Restricted].into_iter().find(|level| level.as_str() == text)
    }
}

/// Something that a level does not allow.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub(super) struct Violation {
    /// The lowest level that does not allow it.
    pub(super) level: Level,
    pub(super) what: String,
}

/// The highest level that a pod with these violations satisfies.
pub(super) fn satisfied(violations: &[Violation]) -> Level {
    match violations.iter().map(|violation| violation.level).min() {
        Some(Level::Privileged | Level::Baseline) => Level::Privileged,
        Some(Level::Restricted) => Level::Baseline,
        None => Level::Restricted,
    }
}

/// Capabilities that a container of baseline may add: the runtime's own default set.
const DEFAULT_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Kinds of volumes that restricted allows.
const PLAIN_VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Sysctls that baseline allows.
const SAFE_SYSCTLS: [&str; 10] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_syncookies",
];

/// Everything that keeps a pod from the level restricted.
pub(super) fn violations(pod: &Value) -> Vec<Violation> {
    let spec = pod.get("spec").unwrap_or(&Value::Null);
    let mut found = Found(Vec::new());
    for field in ["hostNetwork", "hostPID", "hostIPC"] {
        found.baseline(is(spec, field, true), || format!("the pod sets {field}"));
    }
    found.volumes(spec);
    let context = spec.get("securityContext").unwrap_or(&Value::Null);
    for sysctl in list(context, "sysctls").iter().map(|sysctl| text(sysctl, "name")) {
        found.baseline(!SAFE_SYSCTLS.contains(&sysctl), || format!("the pod sets sysctl {sysctl}"));
    }
    found.contexts("the pod", context);
    for container in
        ["initContainers", "containers", "ephemeralContainers"].iter().flat_map(|field| list(spec, field))
    {
        found.container(container, context);
    }
    found.0
}

struct Found(Vec<Violation>);

impl Found {
    fn baseline(&mut self, found: bool, what: impl FnOnce() -> String) {
        if found {
            self.0.push(Violation { level: Level::Baseline, what: what() });
        }
    }

    fn restricted(&mut self, found: bool, what: impl FnOnce() -> String) {
        if found {
            self.0.push(Violation { level: Level::Restricted, what: what() });
        }
    }

    fn volumes(&mut self, spec: &Value) {
        for volume in list(spec, "volumes") {
            let name = text(volume, "name");
            let kinds = volume.as_object().into_iter().flatten();
            let kind = kinds.map(|(key, _)| key.as_str()).find(|key| *key != "name").unwrap_or("emptyDir");
            self.baseline(kind == "hostPath", || format!("volume {name} is a hostPath"));
            let plain = PLAIN_VOLUMES.contains(&kind) || kind == "hostPath";
            self.restricted(!plain, || format!("volume {name} is of kind {kind}"));
        }
    }

    /// What may stand in the context of a pod as well as of a container.
    fn contexts(&mut self, whose: &str, context: &Value) {
        let profile = |field: &str| text(context.get(field).unwrap_or(&Value::Null), "type").to_owned();
        let unconfined = profile("seccompProfile") == "Unconfined";
        self.baseline(unconfined, || format!("{whose} has no seccomp profile (Unconfined)"));
        let unconfined = profile("appArmorProfile") == "Unconfined";
        self.baseline(unconfined, || format!("{whose} has no AppArmor profile (Unconfined)"));
        let options = context.get("seLinuxOptions").unwrap_or(&Value::Null);
        let kinds = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];
        let special = !kinds.contains(&text(options, "type"))
            || !text(options, "user").is_empty()
            || !text(options, "role").is_empty();
        self.baseline(special, || format!("{whose} sets seLinuxOptions"));
        let windows = context.get("windowsOptions").unwrap_or(&Value::Null);
        self.baseline(is(windows, "hostProcess", true), || format!("{whose} is a Windows HostProcess"));
        let root = context.get("runAsUser").and_then(Value::as_u64) == Some(0);
        self.restricted(root, || format!("{whose} runs as user 0"));
    }

    fn container(&mut self, container: &Value, pod: &Value) {
        let name = text(container, "name");
        let who = format!("container {name}");
        let own = container.get("securityContext").unwrap_or(&Value::Null);
        self.contexts(&who, own);
        self.baseline(is(own, "privileged", true), || format!("{who} is privileged"));
        let mount = text(own, "procMount");
        self.baseline(!["", "Default"].contains(&mount), || format!("{who} sets procMount {mount}"));
        for port in list(container, "ports") {
            let number = port.get("hostPort").and_then(Value::as_u64).unwrap_or_default();
            self.baseline(number != 0, || format!("{who} uses hostPort {number}"));
        }
        let capabilities = own.get("capabilities").unwrap_or(&Value::Null);
        for added in list(capabilities, "add").iter().filter_map(Value::as_str) {
            let allowed = DEFAULT_CAPABILITIES.contains(&added);
            self.baseline(!allowed, || format!("{who} adds capability {added}"));
            let bind = added == "NET_BIND_SERVICE";
            self.restricted(allowed && !bind, || format!("{who} adds capability {added}"));
        }
        let drops_all = list(capabilities, "drop").iter().any(|dropped| dropped == "ALL");
        self.restricted(!drops_all, || format!("{who} does not drop all capabilities"));
        let escalates = !is(own, "allowPrivilegeEscalation", false);
        self.restricted(escalates, || format!("{who} does not set allowPrivilegeEscalation: false"));
        let either = |field: &str| own.get(field).or_else(|| pod.get(field));
        let non_root = either("runAsNonRoot").and_then(Value::as_bool) == Some(true);
        self.restricted(!non_root, || format!("{who} does not set runAsNonRoot: true"));
        let profile = text(either("seccompProfile").unwrap_or(&Value::Null), "type");
        let confined = ["RuntimeDefault", "Localhost", "Unconfined"].contains(&profile);
        self.restricted(!confined, || format!("{who} sets no seccompProfile"));
    }
}

fn is(value: &Value, field: &str, wanted: bool) -> bool {
    value.get(field).and_then(Value::as_bool) == Some(wanted)
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Level, satisfied, violations};

    fn level(spec: &Value) -> Level {
        satisfied(&violations(&json!({"spec": spec})))
    }

    fn restricted() -> Value {
        json!({
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "app", "securityContext": {
                "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
            }}],
        })
    }

    #[test]
    fn levels_are_those_of_the_standard() {
        assert_eq!(level(&restricted()), Level::Restricted);
        assert_eq!(level(&json!({"containers": [{"name": "app"}]})), Level::Baseline);
        for (pointer, value, expected) in [
            ("/hostNetwork", json!(true), Level::Privileged),
            ("/volumes", json!([{"name": "v", "hostPath": {"path": "/"}}]), Level::Privileged),
            ("/volumes", json!([{"name": "v", "nfs": {}}]), Level::Baseline),
            ("/volumes", json!([{"name": "v", "emptyDir": {}}]), Level::Restricted),
            ("/containers/0/securityContext/privileged", json!(true), Level::Privileged),
            ("/containers/0/securityContext/capabilities/add", json!(["NET_ADMIN"]), Level::Privileged),
            ("/containers/0/securityContext/capabilities/add", json!(["CHOWN"]), Level::Baseline),
            (
                "/containers/0/securityContext/capabilities/add",
                json!(["NET_BIND_SERVICE"]),
                Level::Restricted,
            ),
            ("/containers/0/securityContext/capabilities/drop", json!([]), Level::Baseline),
            ("/containers/0/securityContext/runAsUser", json!(0), Level::Baseline),
            ("/containers/0/securityContext/runAsNonRoot", json!(false), Level::Baseline),
            ("/containers/0/ports", json!([{"containerPort": 80, "hostPort": 80}]), Level::Privileged),
            ("/securityContext/seccompProfile", json!({"type": "Unconfined"}), Level::Privileged),
            ("/securityContext/seccompProfile", Value::Null, Level::Baseline),
            ("/securityContext/sysctls", json!([{"name": "kernel.msgmax"}]), Level::Privileged),
        ] {
            let mut spec = restricted();
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            spec.pointer_mut(parent).unwrap()[field] = value;
            assert_eq!(level(&spec), expected, "{pointer}: {:?}", violations(&json!({"spec": spec})));
        }
    }
}
