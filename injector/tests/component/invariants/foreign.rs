//! I13: another webhook, or a plugin of the API server, changes the pod between our two reviews. Either the second review says
//! what was broken, or the pod is right again after it.

use injector::inject::{Code, Verdict};
use serde_json::{Value, json};

use crate::common::{decision, injected_pods, patched, pod};
use crate::judge;

type Change = (&'static str, fn(&mut Value));

/// What is seen in clusters, and what a webhook of an older API does.
const CHANGES: [Change; 16] = [
    ("an init container at the end", |pod| list(pod, "initContainers").push(stranger("stranger-init"))),
    ("an init container in front", |pod| list(pod, "initContainers").insert(0, stranger("stranger-init"))),
    ("an init container between ours", |pod| {
        let at = list(pod, "initContainers").len().min(1);
        list(pod, "initContainers").insert(at, stranger("stranger-init"));
    }),
    ("a native sidecar in front", |pod| {
        let mut sidecar = stranger("fuse");
        sidecar["restartPolicy"] = json!("Always");
        list(pod, "initContainers").insert(0, sidecar);
    }),
    ("a container at the end", |pod| list(pod, "containers").push(stranger("agent"))),
    ("a container in front", |pod| list(pod, "containers").insert(0, stranger("agent"))),
    ("init containers reversed", |pod| list(pod, "initContainers").reverse()),
    ("containers reversed", |pod| list(pod, "containers").reverse()),
    ("init containers sorted", |pod| {
        list(pod, "initContainers").sort_by_key(|item| item["name"].as_str().unwrap_or_default().to_owned());
    }),
    ("restartPolicy stripped", |pod| {
        for container in list(pod, "initContainers") {
            drop(container.as_object_mut().unwrap().remove("restartPolicy"));
        }
    }),
    ("probes of init containers stripped", |pod| {
        for container in list(pod, "initContainers") {
            container.as_object_mut().unwrap().retain(|field, _| !field.ends_with("Probe"));
        }
    }),
    ("our volumes dropped", |pod| {
        list(pod, "volumes")
            .retain(|item| !api::pod::VOLUMES.contains(&item["name"].as_str().unwrap_or_default()));
    }),
    ("the redirect dropped", |pod| {
        list(pod, "initContainers").retain(|item| item["name"] != api::pod::INIT_CONTAINER);
    }),
    ("the proxy dropped", |pod| {
        for field in ["initContainers", "containers"] {
            list(pod, field).retain(|item| item["name"] != api::pod::PROXY_CONTAINER);
        }
    }),
    ("images through a mirror", |pod| {
        each(pod, |container| container["image"] = json!("mirror.example.com/x"));
    }),
    ("a variable, a mount and limits for everybody", |pod| {
        list(pod, "volumes").push(json!({"name": "ca-certificates", "emptyDir": {}}));
        each(pod, |container| {
            for (field, item) in [
                ("env", json!({"name": "HTTP_PROXY", "value": "http://proxy.example.com"})),
                ("volumeMounts", json!({"name": "ca-certificates", "mountPath": "/etc/ssl/certs"})),
            ] {
                match container[field].as_array_mut() {
                    Some(items) => items.insert(0, item),
                    None => container[field] = json!([item]),
                }
            }
            container["resources"]["limits"]["ephemeral-storage"] = json!("1Gi");
        });
    }),
];

/// Changes of which none is ours to object to: they break nothing.
const HARMLESS: [&str; 6] = [
    "an init container at the end",
    "a container at the end",
    "a container in front",
    "containers reversed",
    "images through a mirror",
    "a variable, a mount and limits for everybody",
];

fn list<'a>(pod: &'a mut Value, field: &str) -> &'a mut Vec<Value> {
    if !pod["spec"][field].is_array() {
        pod["spec"][field] = json!([]);
    }
    pod["spec"][field].as_array_mut().unwrap()
}

fn each(pod: &mut Value, change: impl Fn(&mut Value)) {
    for field in ["initContainers", "containers"] {
        list(pod, field).iter_mut().for_each(&change);
    }
}

fn stranger(name: &str) -> Value {
    json!({"name": name, "image": "example.com/stranger"})
}

/// The pod without what is ours, which is what `changed` would be if we had never been there.
fn without_ours(changed: &Value) -> Value {
    let mut pod = changed.clone();
    for field in ["initContainers", "containers"] {
        list(&mut pod, field)
            .retain(|item| !judge::OURS.contains(&item["name"].as_str().unwrap_or_default()));
    }
    pod
}

fn is_native(pod: &Value) -> bool {
    pod["spec"]["initContainers"]
        .as_array()
        .is_some_and(|inits| inits.iter().any(|item| item["name"] == api::pod::PROXY_CONTAINER))
}

#[test]
fn another_webhook_leaves_a_right_pod_or_a_clear_refusal() {
    for original in injected_pods() {
        let first = patched(&original, &decision(&original));
        for (what, change) in CHANGES {
            let mut changed = first.clone();
            change(&mut changed);
            let second = decision(&changed);
            let context = || format!("{what}: {}: {:?}", original["metadata"], second.reasons);
            match second.verdict {
                Verdict::Reject => {
                    assert_eq!(second.reasons[0].code, Code::InjectionAltered, "{}", context());
                    assert!(second.operations.is_empty(), "{}", context());
                    // In the legacy form the proxy's place is among containers, whose order anybody may change.
                    assert!(!HARMLESS.contains(&what) || !is_native(&first), "{}", context());
                }
                Verdict::Inject | Verdict::Unchanged => {
                    let result = patched(&changed, &second);
                    let mut faults = judge::misplaced(&without_ours(&changed), &result);
                    // What the other webhook breaks of the user's own is not ours to mend.
                    let theirs = judge::faults(&without_ours(&changed));
                    faults.extend(judge::faults(&result).into_iter().filter(|fault| !theirs.contains(fault)));
                    assert_eq!(faults, Vec::<String>::new(), "{}", context());
                    let third = decision(&result);
                    assert_eq!(
                        (third.verdict, third.operations.len()),
                        (Verdict::Unchanged, 0),
                        "{}",
                        context()
                    );
                }
                Verdict::Skip => panic!("{}", context()),
            }
        }
    }
}

/// What an older API strips is named, so that whoever runs the other webhook knows.
#[test]
fn a_stripped_restart_policy_is_put_back_or_named() {
    let pod = pod("bare");
    let mut changed = patched(&pod, &decision(&pod));
    CHANGES.iter().find(|(what, _)| *what == "restartPolicy stripped").unwrap().1(&mut changed);
    let second = decision(&changed);
    let named = second.reasons.iter().any(|reason| reason.text.contains("restartPolicy"));
    assert!(second.verdict == Verdict::Inject || (second.verdict == Verdict::Reject && named), "{second:?}");
}
