//! What the author of a pod should know although every value is right: values that do not go together with each other, or
//! with the rest of the pod.

use serde_json::Value;

use super::options::{Mode, Options, Setting};
use super::pod::{Pod, name_of};

/// All of them.
pub(super) fn cautions(options: &Options, pod: Pod<'_>) -> Vec<String> {
    [unheld(options), uncaptured(options), endless_job(options, pod)]
        .into_iter()
        .flatten()
        .chain(late_ends(options, pod))
        .collect()
}

fn unheld(options: &Options) -> Option<String> {
    let useless = *options.mode == Mode::Native && !*options.hold;
    useless.then(|| {
        format!(
            "{} has no effect: a native sidecar is always ready before the application starts",
            key(&options.hold)
        )
    })
}

fn uncaptured(options: &Options) -> Option<String> {
    (!options.traffic.is_redirected()).then(|| {
        format!(
            "{} is NONE: nothing of the pod's traffic passes through the proxy, which answers probes and scrapers only",
            key(&options.traffic.interception)
        )
    })
}

fn endless_job(options: &Options, pod: Pod<'_>) -> Option<String> {
    let of_job = pod
        .metadata_list("ownerReferences")
        .iter()
        .any(|owner| owner.get("kind").and_then(Value::as_str) == Some("Job"));
    let ends = pod.spec("restartPolicy").and_then(Value::as_str).is_some_and(|policy| policy != "Always");
    (*options.mode == Mode::Legacy && (of_job || ends)).then(|| {
        let app = pod.spec_list("containers").iter().map(name_of).find(|name| *name != api::pod::PROXY_CONTAINER);
        format!(
            "with the proxy as an ordinary container the pod does not complete when {} has ended; use a native sidecar",
            app.unwrap_or("the application")
        )
    })
}

/// The kubelet kills what is left when the grace period is over, and a killed proxy cannot tell a peer that what it sent is
/// not all.
fn late_ends(options: &Options, pod: Pod<'_>) -> impl Iterator<Item = String> {
    let grace = pod.grace();
    let longer = move |setting: &Setting<Option<super::options::Period>>| {
        let period = (**setting)?;
        (period.get() > grace).then(|| {
            format!(
                "{} is {period}, longer than the {}s of terminationGracePeriodSeconds after which the pod is killed; \
                 raise that",
                key(setting),
                grace.as_secs()
            )
        })
    };
    [longer(&options.drain.delay), longer(&options.drain.deadline)].into_iter().flatten()
}

/// What set a value, for a message.
fn key<T>(setting: &Setting<T>) -> &'static str {
    setting.key().unwrap_or("the default")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Pod, cautions};
    use crate::inject::{Namespace, Settings, options};

    fn told(annotations: &Value, spec: &Value, owner: &str) -> Vec<String> {
        let pod = json!({"metadata": {"annotations": annotations, "ownerReferences": [{"kind": owner}]}, "spec": spec});
        let pod = Pod::new(&pod).unwrap();
        let options = options::read(pod, Namespace::from("shop"), &Settings::default()).options.unwrap();
        cautions(&options, pod)
    }

    #[test]
    fn values_that_do_not_go_together_are_told() {
        let legacy = json!({"sidecar.istio.io/nativeSidecar": "false"});
        for (annotations, spec, owner, part) in [
            (
                json!({"config.linkerd.io/proxy-await": "disabled"}),
                json!({}),
                "ReplicaSet",
                "proxy-await has no effect",
            ),
            (
                json!({"sidecar.istio.io/interceptionMode": "NONE"}),
                json!({}),
                "ReplicaSet",
                "nothing of the pod's traffic",
            ),
            (legacy.clone(), json!({"containers": [{"name": "batch"}]}), "Job", "when batch has ended"),
            (legacy, json!({"restartPolicy": "Never"}), "Workflow", "does not complete"),
            (
                json!({"config.linkerd.io/shutdown-grace-period": "31s"}),
                json!({}),
                "ReplicaSet",
                "is 31s, longer than the 30s",
            ),
            (
                json!({"config.alpha.linkerd.io/proxy-wait-before-exit-seconds": "6"}),
                json!({"terminationGracePeriodSeconds": 5}),
                "ReplicaSet",
                "longer than the 5s",
            ),
        ] {
            let told = told(&annotations, &spec, owner);
            assert!(told.len() == 1 && told[0].contains(part), "{part}: {told:?}");
        }
    }

    #[test]
    fn an_ordinary_pod_hears_nothing() {
        let annotations = json!({"config.linkerd.io/shutdown-grace-period": "30s"});
        assert_eq!(told(&annotations, &json!({"restartPolicy": "Never"}), "Job"), Vec::<String>::new());
    }
}
