//! Who a container's process is, from the pod's and the container's security context, as kubelet and containerd decide it.

use anyhow::{Result, bail};

use super::manifest::{ContainerSpec, PodSecurity};

/// What containerd grants where nothing is said.
const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// The outcome.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    pub(crate) capabilities: Vec<String>,
    pub(crate) no_new_privileges: bool,
}

impl Identity {
    /// `image_user` is the uid that the image names; the container's word counts before the pod's, and that before it.
    pub(crate) fn of(container: &ContainerSpec, pod: &PodSecurity, image_user: u32) -> Result<Self> {
        let own = &container.security_context;
        let uid = own.run_as_user.or(pod.run_as_user).unwrap_or(image_user);
        if own.run_as_non_root.or(pod.run_as_non_root) == Some(true) && uid == 0 {
            bail!(
                "container {} has runAsNonRoot and would run as root: a kubelet refuses it",
                container.name
            );
        }
        let mut groups = pod.supplemental_groups.clone();
        groups.extend(pod.fs_group);
        Ok(Self {
            uid,
            gid: own.run_as_group.or(pod.run_as_group).unwrap_or(0),
            groups,
            capabilities: capabilities(&own.capabilities.add, &own.capabilities.drop),
            no_new_privileges: own.allow_privilege_escalation == Some(false),
        })
    }
}

/// `ALL` first, names after it.
fn capabilities(add: &[String], drop: &[String]) -> Vec<String> {
    let name = |text: &str| text.trim_start_matches("CAP_").to_owned();
    let mut set: Vec<String> = if drop.iter().any(|dropped| dropped == "ALL") {
        Vec::new()
    } else {
        DEFAULT_CAPABILITIES.iter().copied().map(str::to_owned).collect()
    };
    set.retain(|kept| !drop.iter().any(|dropped| name(dropped) == *kept));
    set.extend(add.iter().map(|added| name(added)));
    set.sort();
    set.dedup();
    set.into_iter().map(|kept| format!("CAP_{kept}")).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Identity, PodSecurity};

    fn identity(own: Value, pod: Value) -> anyhow::Result<Identity> {
        let container = json!({"name": "c", "image": "i", "securityContext": own});
        let pod: PodSecurity = serde_json::from_value(pod)?;
        Identity::of(&serde_json::from_value(container)?, &pod, 0)
    }

    #[test]
    fn the_container_counts_before_the_pod() {
        let own = json!({"runAsUser": 1337, "runAsGroup": 1337, "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]},
            "allowPrivilegeEscalation": false});
        let pod = json!({"runAsUser": 4711, "fsGroup": 4711, "runAsNonRoot": true});
        let identity = identity(own, pod).unwrap();
        assert_eq!((identity.uid, identity.gid, identity.groups), (1337, 1337, vec![4711]));
        assert_eq!(identity.capabilities, ["CAP_NET_ADMIN"]);
        assert!(identity.no_new_privileges);
    }

    #[test]
    fn run_as_non_root_refuses_root() {
        assert!(identity(json!({}), json!({"runAsNonRoot": true})).is_err());
        assert!(identity(json!({"runAsNonRoot": false}), json!({"runAsNonRoot": true})).is_ok());
    }

    #[test]
    fn without_a_word_the_default_set_is_granted() {
        let all = identity(json!({}), json!({})).unwrap().capabilities;
        assert!(all.contains(&"CAP_NET_RAW".to_owned()) && !all.contains(&"CAP_NET_ADMIN".to_owned()));
        let less = identity(json!({"capabilities": {"drop": ["NET_RAW"]}}), json!({})).unwrap().capabilities;
        assert_eq!(less.len(), all.len() - 1);
    }
}
