//! The configuration that the other checks go by: where it is from, whether it can be used, and whether it is what pods are
//! injected with.

use super::super::meshed::Meshed;
use super::super::settings::{Origin, Unknown};
use super::Check;
use super::seen::Seen;

const CONFIGURATION: &str = "configuration";
const INSTEAD: &str = "; the other checks go by the defaults";

pub(super) fn check(seen: &Seen) -> Check {
    let from = match &seen.judging.origin {
        Origin::File(file) => format!("file {}", file.display()),
        Origin::Installation(object) => object.clone(),
        Origin::Defaults(unknown) => return unusable(unknown),
    };
    let ours = seen.judging.settings.hash();
    match running(seen) {
        Some(running) if running.config != ours && running.version == env!("CARGO_PKG_VERSION") => {
            Check::warn(
                CONFIGURATION,
                format!(
                    "{from} makes settings {ours}, but pods are injected with settings {}",
                    running.config
                ),
                "if it was changed just now wait two minutes; else look at injector_configuration_good and the log of the \
             replicas, and at options of the Deployment, which win over it",
            )
        }
        Some(running) if running.config == ours => {
            Check::ok(CONFIGURATION, format!("{from}, settings {ours}, with which pods are injected"))
        }
        Some(_) | None => Check::ok(CONFIGURATION, format!("{from}, settings {ours}")),
    }
}

/// As the pods that were created for show say.
fn running(seen: &Seen) -> Option<Meshed> {
    let runs = [&seen.by_namespace, &seen.by_object].into_iter().flatten();
    runs.filter_map(|run| Meshed::of(run.pod.as_ref().ok()?)).next()
}

fn unusable(unknown: &Unknown) -> Check {
    let found = format!("{unknown}{INSTEAD}");
    match unknown {
        Unknown::Absent(_) => Check::warn(
            CONFIGURATION,
            found,
            "injector export manifests | kubectl apply -f -, or name by --config what the injector runs with",
        ),
        Unknown::Bad { .. } => Check::fail(
            CONFIGURATION,
            found,
            "mend it: running replicas keep the last good one, and new ones do not start",
        ),
        Unknown::Unseen(_) => {
            Check::unknown(CONFIGURATION, found, "name by --config what the injector runs with")
        }
    }
}
