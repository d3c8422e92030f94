//! Our own annotations, for what neither Istio nor Linkerd has, or has under a name that says something else.

use api::annotations as keys;

use super::super::draft::{Class, Key};
use super::super::forms;
use super::super::modes::ProbeMode;
use super::super::shared::{dns_capture, sampling};
use super::super::spans::{Collector, Protocol, Queue};
use super::super::{CidrSelection, Cidrs, Ids};

pub(super) const KEYS: &[Key] = &[
    Key {
        name: keys::PROBES,
        also: &[],
        class: Class::Workload,
        form: "one of auto, rewrite, passthrough, off",
        effect: "auto: the proxy answers for the probes and handlers that would lie behind it; rewrite: for all of them; \
                 passthrough and off: for none",
        set: |draft, text| draft.put(|o| &mut o.probes, ProbeMode::parse(text)?),
    },
    Key {
        name: "remora.dev/include-inbound-ip-ranges",
        also: &[],
        class: Class::Workload,
        form: forms::CIDR_SELECTION,
        effect: "senders whose connections are captured; all by default",
        set: |draft, text| draft.give(|o| &mut o.traffic.include_inbound_cidrs, CidrSelection::parse(text)?),
    },
    Key {
        name: "remora.dev/exclude-inbound-ip-ranges",
        also: &["config.linkerd.io/skip-subnets"],
        class: Class::Workload,
        form: forms::CIDRS,
        effect: "senders whose connections are left alone",
        set: |draft, text| draft.give(|o| &mut o.traffic.exclude_inbound_cidrs, Cidrs::parse(text)?),
    },
    Key {
        name: "remora.dev/exclude-outbound-uids",
        also: &[],
        class: Class::Workload,
        form: forms::IDS,
        effect: "users of the pod's containers whose connections are left alone",
        set: |draft, text| draft.give(|o| &mut o.traffic.exclude_uids, Ids::parse(text)?),
    },
    Key {
        name: "remora.dev/exclude-outbound-gids",
        also: &[],
        class: Class::Workload,
        form: forms::IDS,
        effect: "groups of the pod's containers whose connections are left alone",
        set: |draft, text| draft.give(|o| &mut o.traffic.exclude_gids, Ids::parse(text)?),
    },
    Key {
        name: "remora.dev/trace-collector",
        also: &[],
        class: Class::Workload,
        form: forms::COLLECTOR,
        effect: "where the proxy sends spans; nowhere by default",
        set: |draft, text| draft.give(|o| &mut o.spans.collector, Collector::parse(text)?),
    },
    Key {
        name: "remora.dev/trace-protocol",
        also: &[],
        class: Class::Workload,
        form: forms::PROTOCOL,
        effect: "what is spoken to that collector; otlp-http by default",
        set: |draft, text| draft.give(|o| &mut o.spans.protocol, Protocol::parse(text)?),
    },
    Key {
        name: "remora.dev/trace-sampling",
        also: &[],
        class: Class::Workload,
        form: forms::PERCENTAGE,
        effect: "how many percent of the traces that begin at the proxy are recorded; 1 by default",
        set: sampling,
    },
    Key {
        name: "remora.dev/trace-queue",
        also: &[],
        class: Class::Workload,
        form: forms::QUEUE,
        effect: "memory of spans that wait for that collector; 1Mi by default",
        set: |draft, text| draft.give(|o| &mut o.spans.queue, Queue::parse(text)?),
    },
    Key {
        name: keys::DNS_CAPTURE,
        also: &[],
        class: Class::Workload,
        form: forms::SWITCH,
        effect: "true is refused until the proxy answers DNS",
        set: dns_capture,
    },
];
