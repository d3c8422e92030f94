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
