//! Linkerd's annotations that have no twin of the same form in Istio's.

use super::super::draft::{Class, Draft, Key};
use super::super::forms;
use super::super::modes::{AccessLog, LogFormat, PullPolicy, switch};
use super::super::{Id, Image, Parsed, Period, Ports, Quantity, Tag, env, log, malformed, not_offered};
use super::istio::NONE;

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "config.linkerd.io/proxy-ephemeral-storage-request",
        also: &[],
        class: Class::Workload,
        form: forms::QUANTITY,
        effect: "the proxy's request of ephemeral storage; none by default",
        set: |draft, text| draft.give(|o| &mut o.resources.ephemeral_storage.request, Quantity::parse(text)?),
    },
    Key {
        name: "config.linkerd.io/proxy-ephemeral-storage-limit",
        also: &[],
        class: Class::Workload,
        form: forms::QUANTITY,
        effect: "the proxy's limit of ephemeral storage; none by default",
        set: |draft, text| draft.give(|o| &mut o.resources.ephemeral_storage.limit, Quantity::parse(text)?),
    },
    Key {
        name: "config.linkerd.io/proxy-log-level",
        also: &[],
        class: Class::Workload,
        form: forms::FILTER,
        effect: "the proxy's log filter; linkerd there is the whole proxy, other names have no effect",
        set: log::filter,
    },
    Key {
        name: "config.linkerd.io/proxy-log-format",
        also: &[],
        class: Class::Workload,
        form: "plain or json",
        effect: "how the proxy writes its log; plain by default",
        set: |draft, text| draft.give(|o| &mut o.log.format, LogFormat::parse(text)?),
    },
    Key {
        name: "config.linkerd.io/access-log",
        also: &[],
        class: Class::Workload,
        form: "one of json, apache, off",
        effect: "how requests and connections are logged; json by default, and apache is text in Istio's format",
        set: access_log,
    },
    Key {
        name: "config.linkerd.io/proxy-await",
        also: &[],
        class: Class::Workload,
        form: "enabled or disabled",
        effect: "disabled: in the legacy form the application does not wait for the proxy",
        set: proxy_await,
    },
    Key {
        name: "config.alpha.linkerd.io/proxy-wait-before-exit-seconds",
        also: &[],
        class: Class::Workload,
        form: forms::SECONDS,
        effect: "how long the proxy still accepts when the pod ends; 20s by default",
        set: |draft, text| draft.give(|o| &mut o.drain.delay, Period::seconds(text)?),
    },
    Key {
        name: "config.linkerd.io/shutdown-grace-period",
        also: &[],
        class: Class::Workload,
        form: forms::DURATION,
        effect: "how long connections may last after SIGTERM; by default 5s less than the pod's grace period",
        set: |draft, text| draft.give(|o| &mut o.drain.deadline, Period::parse(text)?),
    },
    Key {
        name: "config.linkerd.io/proxy-inbound-connect-timeout",
        also: &[],
        class: Class::Workload,
        form: forms::DURATION,
        effect: "how long a connection to the application may take; 10s by default",
        set: |draft, text| draft.give(|o| &mut o.connect.inbound, Period::positive(text)?),
    },
    Key {
        name: "config.linkerd.io/proxy-outbound-connect-timeout",
        also: &[],
        class: Class::Workload,
        form: forms::DURATION,
        effect: "how long a connection to another pod or host may take; 10s by default",
        set: |draft, text| draft.give(|o| &mut o.connect.outbound, Period::positive(text)?),
    },
    Key {
        name: "config.linkerd.io/opaque-ports",
        also: &[],
        class: Class::Workload,
        form: forms::PORTS,
        effect: "inbound ports on which the proxy looks for no protocol",
        set: |draft, text| draft.put(|o| &mut o.opaque_ports, Ports::parse(text)?),
    },
    Key {
        name: "config.linkerd.io/default-inbound-policy",
        also: &[],
        class: Class::Workload,
        form: "all-unauthenticated",
        effect: "all-unauthenticated is what the proxy does; the stricter ones are refused, since nothing would enforce them",
        set: inbound_policy,
    },
    Key {
        name: "config.linkerd.io/proxy-require-identity-inbound-ports",
        also: &[],
        class: Class::Workload,
        form: "nothing, or a list of ports",
        effect: "refused unless it is empty, since nothing would enforce it",
        set: required_identity,
    },
    Key {
        name: "config.linkerd.io/proxy-image",
        also: &[],
        class: Class::Admin,
        form: forms::IMAGE,
        effect: "the proxy's image",
        set: |draft, text| draft.give(|o| &mut o.images.proxy, Image::parse(text)?),
    },
    Key {
        name: "config.linkerd.io/proxy-version",
        also: &[],
        class: Class::Admin,
        form: forms::TAG,
        effect: "the tag of the proxy's image",
        set: |draft, text| draft.give(|o| &mut o.images.version, Tag::parse(text)?),
    },
    Key {
        name: "config.linkerd.io/image-pull-policy",
        also: &[],
        class: Class::Admin,
        form: forms::PULL_POLICY,
        effect: "when the images of both containers are pulled; IfNotPresent by default",
        set: |draft, text| draft.put(|o| &mut o.images.pull_policy, PullPolicy::parse(text)?),
    },
    Key {
        name: "config.linkerd.io/proxy-additional-env",
        also: &[],
        class: Class::Admin,
        form: forms::ENV,
        effect: "further variables of the proxy; a later layer replaces those of the same name",
        set: env::set,
    },
    Key {
        name: "config.linkerd.io/proxy-uid",
        also: &[],
        class: Class::Operator,
        form: forms::ID,
        effect: "the proxy's user; 1337 by default",
        set: |draft, text| draft.put(|o| &mut o.identity.uid, Id::parse(text)?),
    },
    Key {
        name: "config.linkerd.io/proxy-gid",
        also: &[],
        class: Class::Operator,
        form: forms::ID,
        effect: "the proxy's group; 1337 by default",
        set: |draft, text| draft.put(|o| &mut o.identity.gid, Id::parse(text)?),
    },
    Key { name: "config.linkerd.io/proxy-log-http-headers", effect: "headers are never logged", ..NONE },
    Key { name: "config.linkerd.io/proxy-cpu-ratio-limit", effect: WORKERS, ..NONE },
    Key { name: "config.linkerd.io/proxy-inbound-discovery-cache-unused-timeout", effect: DISCOVERY, ..NONE },
    Key {
        name: "config.linkerd.io/proxy-outbound-discovery-cache-unused-timeout",
        effect: DISCOVERY,
        ..NONE
    },
    Key {
        name: "config.linkerd.io/proxy-disable-inbound-protocol-detect-timeout",
        effect: DETECTION,
        ..NONE
    },
    Key {
        name: "config.linkerd.io/proxy-disable-outbound-protocol-detect-timeout",
        effect: DETECTION,
        ..NONE
    },
    Key { name: "config.linkerd.io/inbound-port", effect: FIXED_PORTS, ..NONE },
    Key { name: "config.linkerd.io/outbound-port", effect: FIXED_PORTS, ..NONE },
    Key { name: "config.linkerd.io/admin-port", effect: FIXED_PORTS, ..NONE },
    Key { name: "config.linkerd.io/control-port", effect: FIXED_PORTS, ..NONE },
    Key { name: "config.linkerd.io/pod-inbound-ports", effect: "the proxy carries every port", ..NONE },
    Key {
        name: "config.linkerd.io/proxy-admin-shutdown",
        effect: "the administration is read-only; a native sidecar ends with the pod's containers",
        ..NONE
    },
    Key { name: "config.linkerd.io/close-wait-timeout", effect: "the kernel's own limit stays", ..NONE },
    Key { name: "config.linkerd.io/debug-image", effect: DEBUG, ..NONE },
    Key { name: "config.linkerd.io/debug-image-version", effect: DEBUG, ..NONE },
    Key { name: "config.linkerd.io/debug-image-pull-policy", effect: DEBUG, ..NONE },
    Key { name: "config.linkerd.io/enable-debug-sidecar", effect: DEBUG, ..NONE },
    Key { name: "config.linkerd.io/enable-gateway", effect: "there is no gateway", ..NONE },
    Key { name: "config.linkerd.io/enable-external-profiles", effect: "there are no profiles", ..NONE },
    Key {
        name: "config.linkerd.io/proxy-metrics-hostname-labels",
        effect: "metrics have no host names",
        ..NONE
    },
    Key {
        name: "config.linkerd.io/admission-webhooks",
        effect: "the label istio-injection decides about a namespace",
        ..NONE
    },
    Key { name: "config.linkerd.io/init-image", effect: INIT, ..NONE },
    Key { name: "config.linkerd.io/init-image-version", effect: INIT, ..NONE },
];

const WORKERS: &str =
    "the proxy has as many threads as its CPU limit, or concurrency of proxy.istio.io/config";
const DISCOVERY: &str = "the proxy keeps all that it discovers";
const DETECTION: &str = "detection waits for an incomplete first record or head alone, and that limit stays";
const FIXED_PORTS: &str = "the proxy's ports are fixed";
const DEBUG: &str = "use kubectl debug, which needs nothing from the pod";
const INIT: &str = "the configuration's images.initRedirect names that image";

fn access_log(draft: &mut Draft<'_>, text: &str) -> Parsed<()> {
    let log = match text {
        "json" => AccessLog::Json,
        "apache" => {
            draft.note("the access log is text in Istio's format, and not in Apache's");
            AccessLog::Text
        }
        "off" | "" => AccessLog::Off,
        _ => return malformed("not a format"),
    };
    draft.give(|o| &mut o.log.access, log)
}

fn proxy_await(draft: &mut Draft<'_>, text: &str) -> Parsed<()> {
    let hold = match text {
        "enabled" => true,
        "disabled" => false,
        // The words of the other switches are understood too.
        other => match switch(other) {
            Ok(hold) => hold,
            Err(_) => return malformed("not one of the two"),
        },
    };
    draft.put(|o| &mut o.hold, hold)
}

fn inbound_policy(_: &mut Draft<'_>, text: &str) -> Parsed<()> {
    match text {
        "all-unauthenticated" => Ok(()),
        "all-authenticated" | "cluster-authenticated" | "cluster-unauthenticated" | "deny" | "audit" => {
            not_offered(
                "the proxy lets everybody in, so nothing would enforce it; take it off, and use a NetworkPolicy meanwhile",
            )
        }
        _ => malformed("not a policy"),
    }
}

fn required_identity(_: &mut Draft<'_>, text: &str) -> Parsed<()> {
    if Ports::parse(text)?.is_empty() {
        return Ok(());
    }
    not_offered("the proxy asks nobody for an identity, so nothing would enforce it; take it off")
}
