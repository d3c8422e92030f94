//! The second review of a pod that carries our injection already: after another webhook, from a file that was injected, or
//! from a controller that copied a pod.
//!
//! The injection is taken out in thought, the pod is judged as if it were new, and what injection would add is compared with
//! what is there. So whatever others added or changed meanwhile counts as the pod's own, and only what of ours is missing,
//! moved or changed is in the patch.

#[cfg(test)]
mod tests;

use serde_json::Value;

use super::additions::Additions;
use super::facts::Facts;
use super::patch::{self, Operation};
use super::pod::{Pod, name_of};
use super::reason::{Code, Reason};
use super::record::record;
use super::status::Status;
use super::uninject::{undo, undo_stale};
use super::{Decision, Request, Settings, Verdict, rules};

/// The most operations that a reason lists.
const TOLD: usize = 8;

/// Decides about a pod of which `previous` tells what was injected.
pub(super) fn decide(
    request: &Request<'_>,
    settings: &Settings,
    previous: Status,
) -> Result<Decision, Reason> {
    let pod = Pod::new(request.pod)?;
    let current = previous.is_current(settings);
    let complete = previous.is_complete(pod);
    let undoing = undo(&previous, pod).operations;
    let bare = applied(request.pod, &undoing)?;
    let told = told_workload(pod);
    let workload = request.workload.or(told.as_deref());
    let request_bare = Request { pod: &bare, workload, ..*request };
    let facts = Facts::new(&request_bare, settings, current.then(|| previous.clone()))?;
    let rules::Judgement { verdict, reasons, mut warnings } = rules::judge(&facts);
    let (Verdict::Inject, Ok(options)) = (verdict, &facts.options) else {
        return Ok(not_injected(verdict, reasons, warnings));
    };
    if !current && complete {
        let reason = Reason::already_injected(false);
        return Ok(Decision::without_patch(Verdict::Unchanged, vec![reason], warnings));
    }
    let mut additions = Additions::new(&facts, options, &mut warnings);
    let status = record(&mut additions, &facts, &reasons);
    let operations = if current {
        repaired(request.pod, additions, &previous.without(&status))?
    } else {
        // What another version injected cannot be compared field by field.
        let anew = patch::operations(additions, facts.pod)?;
        undoing.into_iter().chain(anew).collect()
    };
    if operations.is_empty() {
        let reason = Reason::already_injected(true);
        return Ok(Decision::without_patch(Verdict::Unchanged, vec![reason], warnings));
    }
    Ok(Decision { verdict: Verdict::Inject, reasons: vec![restored(&operations)], operations, warnings })
}

/// What is not ours any more goes, then what is ours is put right.
fn repaired(pod: &Value, additions: Additions, stale: &Status) -> Result<Vec<Operation>, Reason> {
    let mut operations = undo_stale(stale, Pod::new(pod)?);
    let rest = if operations.is_empty() {
        patch::operations(additions, Pod::new(pod)?)?
    } else {
        patch::operations(additions, Pod::new(&applied(pod, &operations)?)?)?
    };
    operations.extend(rest);
    Ok(operations)
}

/// A skip leaves the pod as it is, and with it our containers. On a node's network these would capture the node's traffic.
fn not_injected(verdict: Verdict, reasons: Vec<Reason>, warnings: Vec<String>) -> Decision {
    if verdict == Verdict::Skip && reasons.iter().any(|reason| reason.code == Code::HostNetwork) {
        let what = "it uses its node's network now, whose traffic our containers would capture";
        return Decision::without_patch(Verdict::Reject, vec![Reason::altered(what)], warnings);
    }
    Decision::without_patch(verdict, reasons, warnings)
}

/// What the proxy was told that the workload is called: a template that was injected as a file says its own name, and the
/// owner of its pods may have another (a CronJob's Job, a generated name).
fn told_workload(pod: Pod<'_>) -> Option<String> {
    let proxy = pod.container(api::pod::PROXY_CONTAINER)?;
    let variables = proxy.get("env")?.as_array()?;
    let told = variables.iter().find(|variable| name_of(variable) == api::env::WORKLOAD_NAME)?;
    let name = told.get("value")?.as_str().filter(|name| !name.is_empty())?;
    // The kubelet's escape.
    Some(name.replace("$$", "$"))
}

fn applied(pod: &Value, operations: &[Operation]) -> Result<Value, Reason> {
    patch::applied(pod, operations).map_err(|error| {
        let status = api::annotations::STATUS;
        Reason::new(
            Code::InjectionAltered,
            format!("annotation {status} does not describe the pod that carries it ({error}); remove it"),
        )
    })
}

fn restored(operations: &[Operation]) -> Reason {
    let told: Vec<_> = operations.iter().take(TOLD).map(Operation::described).collect();
    let more = if operations.len() > TOLD { ", …" } else { "" };
    Reason::restored(&format!("{}{more}", told.join(", ")))
}
