//! How a pod wants to be injected: what the mesh, its namespace and its own annotations say, parsed into types. A wrong value
//! refuses the pod and names the annotation, the value and the allowed form; an unknown key of the families that are read
//! here is a warning.
//!
//! Invariant: nothing of a value reaches the patch but what its type can hold, so no value can say more than its own field.
//!
//! Reading order: `registry` lists the keys, `layers` says whose word counts, `draft` takes it down, the other modules are the types of values.

mod cidrs;
mod draft;
mod duration;
mod env;
mod forms;
mod ids;
mod image;
mod interfaces;
mod layers;
mod log;
mod modes;
mod ports;
mod proxy_config;
mod quantity;
mod registry;
mod setting;
mod shared;
mod spans;
mod suggestion;
#[cfg(test)]
mod tests;
mod trace;
mod version;
mod volumes;

use std::time::Duration;

use k8s_openapi::api::core::v1::{Volume, VolumeMount};

use super::Settings;
use super::reason::{Code, quoted};

pub(super) use cidrs::{CidrSelection, Cidrs};
pub(super) use duration::Period;
pub(super) use env::Variable;
pub(super) use ids::{Id, Ids};
pub(super) use image::{Image, Tag};
pub(super) use interfaces::Interfaces;
pub use layers::Defaults;
pub(super) use layers::{problems, read};
pub(super) use log::Log;
pub(super) use modes::{Interception, MergeMetrics, Mode, ProbeMode, PullPolicy};
pub(super) use ports::{PortSelection, Ports};
pub(super) use quantity::Quantity;
use setting::Origin;
pub(super) use setting::Setting;
pub(super) use spans::Spans;
pub(super) use trace::trace;
pub use version::KubernetesVersion;

/// Everything that can be said about an injection.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) traffic: Traffic,
    pub(super) resources: Resources,
    pub(super) log: Log,
    pub(super) spans: Spans,
    pub(super) readiness: Readiness,
    pub(super) drain: DrainTimes,
    pub(super) connect: ConnectTimeouts,
    pub(super) mode: Setting<Mode>,
    /// Whether the application waits for the proxy, also in the legacy form: the proxy is then the first container.
    pub(super) hold: Setting<bool>,
    pub(super) probes: Setting<ProbeMode>,
    pub(super) merge_metrics: Setting<MergeMetrics>,
    /// Threads of the proxy; by default as many as its CPU limit, or one.
    pub(super) workers: Setting<Option<u16>>,
    /// Ports of which the proxy is told that nothing but TCP is spoken there.
    pub(super) opaque_ports: Setting<Ports>,
    pub(super) identity: Identity,
    pub(super) images: Images,
    pub(super) env: Setting<Vec<Variable>>,
    /// Further volumes of the pod.
    pub(super) volumes: Setting<Vec<Volume>>,
    /// Further mounts of the proxy.
    pub(super) mounts: Setting<Vec<VolumeMount>>,
}

/// What is captured. `None` leaves it to the defaults of `init-redirect`: everything in, everything out.
#[derive(Clone, Debug, Default)]
pub(super) struct Traffic {
    pub(super) interception: Setting<Interception>,
    pub(super) include_inbound_ports: Setting<Option<PortSelection>>,
    pub(super) exclude_inbound_ports: Setting<Option<Ports>>,
    pub(super) include_outbound_ports: Setting<Option<Ports>>,
    pub(super) exclude_outbound_ports: Setting<Option<Ports>>,
    pub(super) include_inbound_cidrs: Setting<Option<CidrSelection>>,
    pub(super) exclude_inbound_cidrs: Setting<Option<Cidrs>>,
    pub(super) include_outbound_cidrs: Setting<Option<CidrSelection>>,
    pub(super) exclude_outbound_cidrs: Setting<Option<Cidrs>>,
    pub(super) exclude_interfaces: Setting<Option<Interfaces>>,
    pub(super) virtual_interfaces: Setting<Option<Interfaces>>,
    pub(super) exclude_uids: Setting<Option<Ids>>,
    pub(super) exclude_gids: Setting<Option<Ids>>,
}

/// The proxy's resources; each overrides its own field only.
#[derive(Clone, Debug, Default)]
pub(super) struct Resources {
    pub(super) cpu: Resource,
    pub(super) memory: Resource,
    pub(super) ephemeral_storage: Resource,
}

/// Request and limit of one resource.
#[derive(Clone, Debug, Default)]
pub(super) struct Resource {
    pub(super) request: Setting<Option<Quantity>>,
    pub(super) limit: Setting<Option<Quantity>>,
}

/// The kubelet's questions whether the proxy is ready.
#[derive(Clone, Debug, Default)]
pub(super) struct Readiness {
    /// Where direct callers are answered; 0 keeps the readiness probe out of the pod.
    pub(super) port: Setting<Option<u16>>,
    pub(super) initial_delay: Setting<Option<i32>>,
    pub(super) period: Setting<Option<i32>>,
    pub(super) timeout: Setting<Option<i32>>,
    pub(super) failures: Setting<Option<i32>>,
}

/// How the proxy ends.
#[derive(Clone, Debug, Default)]
pub(super) struct DrainTimes {
    /// How long it still accepts.
    pub(super) delay: Setting<Option<Period>>,
    /// How long connections may last after SIGTERM.
    pub(super) deadline: Setting<Option<Period>>,
}

/// How long the proxy waits for the other side of a connection.
#[derive(Clone, Debug, Default)]
pub(super) struct ConnectTimeouts {
    pub(super) inbound: Setting<Option<Period>>,
    pub(super) outbound: Setting<Option<Period>>,
}

/// As whom the proxy runs; what it sends is not captured.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) uid: Setting<Id>,
    pub(super) gid: Setting<Id>,
}

/// Images that differ from those of the settings.
#[derive(Clone, Debug, Default)]
pub(super) struct Images {
    pub(super) proxy: Setting<Option<Image>>,
    /// Takes the place of the image's own tag.
    pub(super) version: Setting<Option<Tag>>,
    pub(super) pull_policy: Setting<PullPolicy>,
}

/// Why a value is not taken.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    /// It is not of the allowed form; says what is wrong.
    Malformed(String),
    /// It is, and this version does not do it; says why, and what to do instead.
    NotOffered(Code, String),
}

/// Lists are not longer: each item becomes a rule of every pod's network.
const MOST_ITEMS: usize = 256;

pub(super) type Parsed<T> = Result<T, Refusal>;

fn malformed<T>(problem: impl Into<String>) -> Parsed<T> {
    Err(Refusal::Malformed(problem.into()))
}

fn not_offered<T>(why: impl Into<String>) -> Parsed<T> {
    Err(Refusal::NotOffered(Code::NotOffered, why.into()))
}

impl Options {
    /// The oldest Kubernetes of the nodes decides about the mode, where no annotation does.
    fn runs_on(&mut self, version: &KubernetesVersion) {
        if !version.has_native_sidecars() {
            let _ = self.mode.offer(Mode::Legacy, Origin::field("minimumKubernetesVersion"));
        }
    }

    /// The port on which the proxy answers direct callers who ask whether it is ready.
    pub(super) fn readiness_port(&self) -> u16 {
        self.readiness.port.filter(|port| *port != 0).unwrap_or(api::ports::READINESS)
    }

    /// The proxy's image and that of the init container, in this order, are pulled as this says.
    pub(super) fn proxy_image(&self, settings: &Settings) -> String {
        let base = self.images.proxy.as_ref().map_or(settings.images.proxy.as_str(), Image::as_str);
        self.images.version.as_ref().map_or_else(|| base.to_owned(), |version| version.applied_to(base))
    }

    /// How long connections may last after SIGTERM: a little less than the pod's own grace period, unless said.
    pub(super) fn drain_deadline(&self, grace: Duration) -> Period {
        let default = grace.saturating_sub(RESERVED_OF_GRACE).max(Duration::from_secs(1));
        self.drain.deadline.unwrap_or_else(|| Period::at_most_a_day(default))
    }
}

/// What is left of a grace period for the proxy's own end, before the kubelet kills.
const RESERVED_OF_GRACE: Duration = Duration::from_secs(5);

impl Default for Options {
    /// What is built in.
    fn default() -> Self {
        Self {
            traffic: Traffic::default(),
            resources: Resources::default(),
            log: Log::default(),
            spans: Spans::default(),
            readiness: Readiness::default(),
            drain: DrainTimes::default(),
            connect: ConnectTimeouts::default(),
            mode: Setting::default(),
            hold: Setting::built_in(true),
            probes: Setting::default(),
            merge_metrics: Setting::default(),
            workers: Setting::default(),
            opaque_ports: Setting::default(),
            identity: Identity::default(),
            images: Images::default(),
            env: Setting::default(),
            volumes: Setting::default(),
            mounts: Setting::default(),
        }
    }
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            uid: Setting::built_in(Id::contract(api::pod::PROXY_UID)),
            gid: Setting::built_in(Id::contract(api::pod::PROXY_GID)),
        }
    }
}

impl Traffic {
    /// Whether there are redirect rules at all.
    pub(super) fn is_redirected(&self) -> bool {
        *self.interception == Interception::Redirect
    }

    /// Whether every connection from outside to this port of the pod reaches the proxy.
    pub(super) fn captures_inbound(&self, port: u16) -> bool {
        let none_included = self
            .include_inbound_ports
            .as_ref()
            .is_some_and(|included| included.ports().is_some_and(Ports::is_empty));
        let excluded = self.exclude_inbound_ports.as_ref().is_some_and(|excluded| excluded.contain(port));
        // The kubelet may be behind any of these.
        let senders_chosen =
            self.include_inbound_cidrs.as_ref().is_some_and(|senders| *senders != CidrSelection::All)
                || self.exclude_inbound_cidrs.as_ref().is_some_and(|senders| !senders.is_empty())
                || self.exclude_interfaces.as_ref().is_some_and(|interfaces| !interfaces.is_empty());
        self.is_redirected() && !none_included && !excluded && !senders_chosen
    }
}
