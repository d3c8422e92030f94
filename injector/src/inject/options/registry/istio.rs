//! Istio's annotations, with Linkerd's names for the same things.

use api::annotations as keys;

use super::super::draft::{Class, Key};
use super::super::modes::{MergeMetrics, Mode, ProbeMode, number, port, switch};
use super::super::shared::interception;
use super::super::{CidrSelection, Cidrs, Image, Interfaces, PortSelection, Ports, Quantity, proxy_config};
use super::super::{forms, log, volumes};

pub(super) const KEYS: &[Key] = &[
    Key {
        name: keys::INCLUDE_INBOUND_PORTS,
        also: &[],
        class: Class::Workload,
        form: forms::PORT_SELECTION,
        effect: "inbound ports that are captured; all by default",
        set: |draft, text| draft.give(|o| &mut o.traffic.include_inbound_ports, PortSelection::parse(text)?),
    },
    Key {
        name: keys::EXCLUDE_INBOUND_PORTS,
        also: &["config.linkerd.io/skip-inbound-ports"],
        class: Class::Workload,
        form: forms::PORTS,
        effect: "inbound ports that are left alone, besides the proxy's own",
        set: |draft, text| draft.give(|o| &mut o.traffic.exclude_inbound_ports, Ports::parse(text)?),
    },
    Key {
        name: keys::INCLUDE_OUTBOUND_PORTS,
        also: &[],
        class: Class::Workload,
        form: forms::PORTS,
        effect: "outbound ports that are captured whatever the address",
        set: |draft, text| draft.give(|o| &mut o.traffic.include_outbound_ports, Ports::parse(text)?),
    },
    Key {
        name: keys::EXCLUDE_OUTBOUND_PORTS,
        also: &["config.linkerd.io/skip-outbound-ports"],
        class: Class::Workload,
        form: forms::PORTS,
        effect: "outbound ports that are left alone",
        set: |draft, text| draft.give(|o| &mut o.traffic.exclude_outbound_ports, Ports::parse(text)?),
    },
    Key {
        name: keys::INCLUDE_OUTBOUND_IP_RANGES,
        also: &[],
        class: Class::Workload,
        form: forms::CIDR_SELECTION,
        effect: "outbound addresses that are captured; all by default, none where it is empty",
        set: |draft, text| draft.give(|o| &mut o.traffic.include_outbound_cidrs, CidrSelection::parse(text)?),
    },
    Key {
        name: keys::EXCLUDE_OUTBOUND_IP_RANGES,
        also: &[],
        class: Class::Workload,
        form: forms::CIDRS,
        effect: "outbound addresses that are left alone",
        set: |draft, text| draft.give(|o| &mut o.traffic.exclude_outbound_cidrs, Cidrs::parse(text)?),
    },
    Key {
        name: "traffic.sidecar.istio.io/excludeInterfaces",
        also: &[],
        class: Class::Workload,
        form: forms::INTERFACES,
        effect: "interfaces on which nothing is captured, both ways",
        set: |draft, text| draft.give(|o| &mut o.traffic.exclude_interfaces, Interfaces::parse(text)?),
    },
    Key {
        name: "istio.io/reroute-virtual-interfaces",
        also: &["traffic.sidecar.istio.io/kubevirtInterfaces"],
        class: Class::Workload,
        form: forms::INTERFACES,
        effect: "interfaces of virtual machines in the pod: what arrives there counts as sent by the pod",
        set: |draft, text| draft.give(|o| &mut o.traffic.virtual_interfaces, Interfaces::parse(text)?),
    },
    Key {
        name: "sidecar.istio.io/interceptionMode",
        also: &[],
        class: Class::Workload,
        form: "REDIRECT or NONE",
        effect: "NONE: no redirect rules and no init container; the proxy still answers probes and scrapers",
        set: interception,
    },
    Key {
        name: keys::PROXY_CPU,
        also: &["config.linkerd.io/proxy-cpu-request"],
        class: Class::Workload,
        form: forms::QUANTITY,
        effect: "the proxy's CPU request; 100m by default",
        set: |draft, text| draft.give(|o| &mut o.resources.cpu.request, Quantity::parse(text)?),
    },
    Key {
        name: keys::PROXY_CPU_LIMIT,
        also: &["config.linkerd.io/proxy-cpu-limit"],
        class: Class::Workload,
        form: forms::QUANTITY,
        effect: "the proxy's CPU limit; none by default",
        set: |draft, text| draft.give(|o| &mut o.resources.cpu.limit, Quantity::parse(text)?),
    },
    Key {
        name: keys::PROXY_MEMORY,
        also: &["config.linkerd.io/proxy-memory-request"],
        class: Class::Workload,
        form: forms::QUANTITY,
        effect: "the proxy's memory request; 64Mi by default",
        set: |draft, text| draft.give(|o| &mut o.resources.memory.request, Quantity::parse(text)?),
    },
    Key {
        name: keys::PROXY_MEMORY_LIMIT,
        also: &["config.linkerd.io/proxy-memory-limit"],
        class: Class::Workload,
        form: forms::QUANTITY,
        effect: "the proxy's memory limit; none by default",
        set: |draft, text| draft.give(|o| &mut o.resources.memory.limit, Quantity::parse(text)?),
    },
    Key {
        name: keys::LOG_LEVEL,
        also: &[],
        class: Class::Workload,
        form: forms::LEVEL,
        effect: "the proxy's log level; info by default, critical is error",
        set: |draft, text| draft.give(|o| &mut o.log.level, log::Level::parse(text)?),
    },
    Key {
        name: "sidecar.istio.io/componentLogLevel",
        also: &[],
        class: Class::Workload,
        form: forms::COMPONENTS,
        effect: "log levels of single parts of the proxy",
        set: log::components,
    },
    Key {
        name: keys::NATIVE_SIDECAR,
        also: &[
            "config.linkerd.io/proxy-enable-native-sidecar",
            "config.beta.linkerd.io/proxy-enable-native-sidecar",
            "config.alpha.linkerd.io/proxy-enable-native-sidecar",
        ],
        class: Class::Workload,
        form: forms::SWITCH,
        effect: "false: the proxy is an ordinary container, for clusters without native sidecars",
        set: |draft, text| {
            let mode = if switch(text)? { Mode::Native } else { Mode::Legacy };
            draft.put(|o| &mut o.mode, mode)
        },
    },
    Key {
        name: keys::REWRITE_PROBERS,
        also: &[],
        class: Class::Workload,
        form: forms::SWITCH,
        effect: "true is rewrite and false is passthrough of remora.dev/probes",
        set: |draft, text| {
            let mode = if switch(text)? { ProbeMode::Rewrite } else { ProbeMode::Passthrough };
            draft.put(|o| &mut o.probes, mode)
        },
    },
    Key {
        name: keys::MERGE_METRICS,
        also: &[],
        class: Class::Workload,
        form: forms::SWITCH,
        effect: "false: the pod's prometheus.io annotations stay, and the proxy serves its own metrics alone",
        set: |draft, text| {
            let merge = if switch(text)? { MergeMetrics::On } else { MergeMetrics::Off };
            draft.put(|o| &mut o.merge_metrics, merge)
        },
    },
    Key {
        name: "status.sidecar.istio.io/port",
        also: &[],
        class: Class::Workload,
        form: forms::READINESS_PORT,
        effect: "where the proxy answers whether it is ready; 15021 by default, 0 for no readiness probe",
        set: |draft, text| draft.give(|o| &mut o.readiness.port, port(text)?),
    },
    Key {
        name: "readiness.status.sidecar.istio.io/initialDelaySeconds",
        also: &[],
        class: Class::Workload,
        form: forms::DELAY,
        effect: "seconds before the proxy is first asked whether it is ready; 0 by default",
        set: |draft, text| draft.give(|o| &mut o.readiness.initial_delay, number(text, 0)?),
    },
    Key {
        name: "readiness.status.sidecar.istio.io/periodSeconds",
        also: &[],
        class: Class::Workload,
        form: forms::COUNT,
        effect: "seconds between two such questions; 5 by default",
        set: |draft, text| draft.give(|o| &mut o.readiness.period, number(text, 1)?),
    },
    Key {
        name: "readiness.status.sidecar.istio.io/failureThreshold",
        also: &[],
        class: Class::Workload,
        form: forms::COUNT,
        effect: "failures after which the proxy is not ready; 3 by default",
        set: |draft, text| draft.give(|o| &mut o.readiness.failures, number(text, 1)?),
    },
    Key {
        name: proxy_config::NAME,
        also: &[],
        class: Class::Workload,
        form: proxy_config::FORM,
        effect: "several values at once, see below; every other annotation wins over it",
        set: proxy_config::set,
    },
    Key {
        name: "sidecar.istio.io/proxyImage",
        also: &[],
        class: Class::Admin,
        form: forms::IMAGE,
        effect: "the proxy's image",
        set: |draft, text| draft.give(|o| &mut o.images.proxy, Image::parse(text)?),
    },
    Key {
        name: "sidecar.istio.io/userVolume",
        also: &[],
        class: Class::Admin,
        form: forms::VOLUMES,
        effect: "further volumes of the pod, besides those of earlier layers",
        set: volumes::volumes,
    },
    Key {
        name: "sidecar.istio.io/userVolumeMount",
        also: &[],
        class: Class::Admin,
        form: forms::MOUNTS,
        effect: "further mounts of the proxy's container, besides those of earlier layers",
        set: volumes::mounts,
    },
    Key { name: keys::STATUS, class: Class::Written, effect: "what was added, and why", ..NONE },
    Key {
        name: "sidecar.istio.io/inject",
        class: Class::Selection,
        effect: "false leaves the pod alone; true has no effect, since selectors cannot see annotations: use the label",
        ..NONE
    },
    Key {
        name: "sidecar.istio.io/agentLogLevel",
        effect: "there is no agent; use sidecar.istio.io/logLevel",
        ..NONE
    },
    Key {
        name: "sidecar.istio.io/proxyImageType",
        effect: "the image has one type, which is distroless",
        ..NONE
    },
    Key {
        name: "readiness.status.sidecar.istio.io/applicationPorts",
        effect: "the proxy carries every port as soon as it is ready",
        ..NONE
    },
    Key { name: "inject.istio.io/templates", effect: "injection has no templates", ..NONE },
    Key { name: "inject.istio.io/inject-templates", effect: "injection has no templates", ..NONE },
    Key {
        name: "proxy.istio.io/overrides",
        effect: "fields of the mesh's containers are set by single annotations",
        ..NONE
    },
    Key { name: "prometheus.istio.io/scrape-targets", effect: SCRAPE, ..NONE },
    Key { name: "prometheus.istio.io/secure-port", effect: SCRAPE, ..NONE },
    Key { name: "sidecar.istio.io/bootstrapOverride", effect: BOOTSTRAP, ..NONE },
    Key { name: "sidecar.istio.io/discoveryAddress", effect: BOOTSTRAP, ..NONE },
    Key { name: "sidecar.istio.io/controlPlaneAuthPolicy", effect: BOOTSTRAP, ..NONE },
    Key {
        name: "sidecar.istio.io/enableCoreDump",
        effect: "the proxy's root file system is read-only",
        ..NONE
    },
    Key { name: "sidecar.istio.io/extraStatTags", effect: STATS, ..NONE },
    Key { name: "sidecar.istio.io/statsCompression", effect: STATS, ..NONE },
    Key { name: "sidecar.istio.io/statsEvictionInterval", effect: STATS, ..NONE },
    Key { name: "sidecar.istio.io/statsFlushInterval", effect: STATS, ..NONE },
    Key { name: "sidecar.istio.io/statsHistogramBins", effect: STATS, ..NONE },
    Key { name: "sidecar.istio.io/statsHistogramBuckets", effect: STATS, ..NONE },
    Key { name: "sidecar.istio.io/statsInclusionPrefixes", effect: STATS, ..NONE },
    Key { name: "sidecar.istio.io/statsInclusionRegexps", effect: STATS, ..NONE },
    Key { name: "sidecar.istio.io/statsInclusionSuffixes", effect: STATS, ..NONE },
];

/// A key that does nothing.
pub(super) const NONE: Key =
    Key { name: "", also: &[], class: Class::WithoutEffect, form: "", effect: "", set: |_, _| Ok(()) };

const SCRAPE: &str = "one port of the application is scraped, the one of prometheus.io/port";
const BOOTSTRAP: &str = "the proxy has no bootstrap file";
const STATS: &str = "the proxy's metrics are always the same set";
