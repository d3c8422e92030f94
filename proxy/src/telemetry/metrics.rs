//! Every metric family of the proxy, in one place.
//!
//! Names and meanings are Istio's where Istio has them (`series`): `sent` is what went to the client, `received` what came
//! from it, counted while it flows. Ours begin with `remora_`.

use std::sync::atomic::AtomicU64;

use runtime::metrics::encoding::EncodeLabelSet;
use runtime::metrics::registry::Registry;
use runtime::metrics::types::{counter::Counter, family::Family, gauge::Gauge};

use super::connections::Side;
use super::detections::{Detected, Detections};
use super::exposition::Shown;
use super::http::{Http, Pooled};
use super::process::ProcessCollector;
use super::scrape::ScrapeResult;
use super::series::Edges;
use super::sockets::Sockets;
use crate::direction::Direction;

type StaticLabels = Vec<(&'static str, &'static str)>;

/// The value of the label `reason` of a refusal beyond the capacity.
pub(crate) const REFUSED_BY_LIMIT: &str = "limit";
/// The same while memory is short.
pub(crate) const REFUSED_BY_MEMORY: &str = "memory";
/// The same without a descriptor.
pub(crate) const REFUSED_BY_DESCRIPTORS: &str = "descriptors";

/// Reasons of refusals that limits are.
const SHORTAGES: [&str; 3] = [REFUSED_BY_LIMIT, REFUSED_BY_MEMORY, REFUSED_BY_DESCRIPTORS];

fn refusal(direction: Direction, reason: &'static str) -> StaticLabels {
    vec![("direction", direction.name()), ("reason", reason)]
}

/// All families; clones count into the same ones.
#[derive(Clone, Default)]
pub struct Metrics {
    /// Istio's.
    pub(super) edges: Edges,
    open: Family<StaticLabels, Gauge>,
    pub(crate) self_calls: Gauge,
    limit: Family<StaticLabels, Gauge>,
    limits: Family<StaticLabels, Gauge<f64, AtomicU64>>,
    refused: Family<StaticLabels, Counter>,
    accept_errors: Family<StaticLabels, Counter>,
    draining: Family<StaticLabels, Gauge>,
    application_scrapes: Family<StaticLabels, Counter>,
    unnamed_edges: Family<StaticLabels, Counter>,
    detected: Detected,
    dead_peers: Family<StaticLabels, Counter>,
    sweeps: Family<StaticLabels, Counter>,
    relay_bytes: Family<StaticLabels, Counter>,
    relay_buffered: Family<StaticLabels, Gauge>,
    relay_no_pipe: Family<StaticLabels, Counter>,
    pub(super) relay_switches: Counter,
    pub(super) relay_pipes: Gauge,
    pub(super) relay_half_closed_reset: Counter,
    pub(super) access_log_dropped: Counter,
    pub(super) connect_retries: Counter,
    pub(super) http: Http,
    connect_timeouts: Family<StaticLabels, Counter>,
    sources_exhausted: Counter,
    probes_refused: Counter,
}

/// Labels of `istio_build`.
#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Build {
    component: &'static str,
    tag: &'static str,
}

impl Metrics {
    /// Adds the families to the program's registry, but for Istio's.
    pub fn register(&self, registry: &runtime::metrics::Metrics) {
        let build = Family::<Build, Gauge>::default();
        build.get_or_create(&Build { component: "proxy", tag: env!("CARGO_PKG_VERSION") }).set(1);
        self.begin();
        registry.register(|to| {
            self.detected.register(to);
            to.register_collector(Box::new(ProcessCollector));
            to.register("istio_build", "Version of this program", build);
            to.register("remora_open_connections", "Connections being carried", self.open.clone());
            to.register(
                "remora_open_self_calls",
                "Connections of the pod to itself, which are counted as open in both directions",
                self.self_calls.clone(),
            );
            to.register(
                "remora_access_log_dropped",
                "Access-log lines lost since the queue was full or stdout failed",
                self.access_log_dropped.clone(),
            );
            to.register(
                "remora_application_scrapes",
                "Scrapes of the application's own metrics, by how they ended",
                self.application_scrapes.clone(),
            );
            self.register_troubles(to);
            self.register_relay(to);
            self.http.register(to);
        });
    }

    /// These, with all that the program's registry has.
    pub(crate) fn shown(&self, registry: runtime::metrics::Metrics) -> Shown {
        Shown { few: registry, edges: self.edges.clone() }
    }

    /// What limits keep out or end has its series before the first one, so that a rate sees that one.
    fn begin(&self) {
        for direction in Direction::BOTH {
            let labels = vec![("direction", direction.name())];
            self.connect_timeouts.get_or_create(&labels).inc_by(0);
            self.unnamed_edges.get_or_create(&labels).inc_by(0);
            for reason in SHORTAGES {
                self.refused.get_or_create(&refusal(direction, reason)).inc_by(0);
            }
            for side in Side::BOTH {
                self.dead_peers
                    .get_or_create(&vec![("direction", direction.name()), ("side", side.name())])
                    .inc_by(0);
            }
        }
        for result in ScrapeResult::ALL {
            self.application_scrapes.get_or_create(&vec![("result", result.name())]).inc_by(0);
        }
    }

    /// Limits, and what ends connections or keeps them out.
    fn register_troubles(&self, to: &mut Registry) {
        to.register(
            "remora_connection_limit",
            "Connections that are carried at once at most",
            self.limit.clone(),
        );
        to.register(
            "remora_limit",
            "Limits in use, in bytes, seconds or numbers; those that do not limit are absent",
            self.limits.clone(),
        );
        to.register(
            "remora_refused_connections",
            "Connections reset instead of carried",
            self.refused.clone(),
        );
        to.register(
            "remora_draining",
            "Whether new connections are no longer accepted, since the proxy drains",
            self.draining.clone(),
        );
        to.register("remora_accept_errors", "Failures of accept(2)", self.accept_errors.clone());
        to.register(
            "remora_connect_retries",
            "Attempts to reach another endpoint of a Service after one that could not be connected",
            self.connect_retries.clone(),
        );
        to.register(
            "remora_connect_timeouts",
            "Upstream connections that were not made within the time limit",
            self.connect_timeouts.clone(),
        );
        to.register(
            "remora_captured_probes_refused",
            "Readiness probes that were reset, since too many were waiting or the stream could not be handed over",
            self.probes_refused.clone(),
        );
        to.register(
            "remora_inbound_sources_exhausted",
            "Source addresses that had no port left for a connection to the application",
            self.sources_exhausted.clone(),
        );
        to.register(
            "remora_unnamed_edges",
            "Pairs of workloads that are counted as unknown, since there were too many before them",
            self.unnamed_edges.clone(),
        );
        to.register(
            "remora_dead_peers",
            "Connections that were reset since a peer was silent with data on the way to it",
            self.dead_peers.clone(),
        );
        to.register(
            "remora_dead_peer_sweeps",
            "Searches for dead peers, by whether the kernel listed all sockets",
            self.sweeps.clone(),
        );
    }

    /// What the relay does with bytes.
    fn register_relay(&self, to: &mut Registry) {
        to.register("remora_relay_bytes", "Bytes passed on, by how", self.relay_bytes.clone());
        to.register(
            "remora_relay_buffered_bytes",
            "Bytes held for readers that do not take them, by how they are carried",
            self.relay_buffered.clone(),
        );
        to.register(
            "remora_relay_splices",
            "Directions of connections that went from copying to splicing",
            self.relay_switches.clone(),
        );
        to.register(
            "remora_relay_splices_refused",
            "Long transfers that were copied since no pipe was to be had",
            self.relay_no_pipe.clone(),
        );
        to.register("remora_relay_pipes", "Pipes that there are for splicing", self.relay_pipes.clone());
        to.register(
            "remora_relay_half_closed_resets",
            "Half-closed connections reset since they carried nothing for the time limit",
            self.relay_half_closed_reset.clone(),
        );
    }

    pub(super) fn relay_bytes(&self, mode: &'static str) -> Counter {
        self.relay_bytes.get_or_create_owned(&vec![("mode", mode)])
    }

    pub(super) fn relay_buffered(&self, mode: &'static str) -> Gauge {
        self.relay_buffered.get_or_create_owned(&vec![("mode", mode)])
    }

    pub(super) fn relay_no_pipe(&self, reason: &'static str) -> Counter {
        self.relay_no_pipe.get_or_create_owned(&vec![("reason", reason)])
    }

    /// The number of connections being carried.
    pub fn open(&self, direction: Direction) -> i64 {
        self.open.get_or_create(&vec![("direction", direction.name())]).get()
    }

    pub(super) fn open_gauge(&self, direction: Direction) -> Gauge {
        self.open.get_or_create_owned(&vec![("direction", direction.name())])
    }

    /// The number of connections of HTTP/2 to servers.
    pub fn links(&self, direction: Direction) -> i64 {
        self.http.links(direction).get()
    }

    /// What is told of kept connections to servers.
    pub(crate) fn pooled(&self) -> Pooled {
        self.http.pooled()
    }

    /// The sockets that traffic has.
    pub(crate) fn sockets(&self) -> Sockets {
        Sockets::new(Direction::BOTH.map(|direction| self.open_gauge(direction)), self.http.further())
    }

    pub(super) fn detections(&self, direction: Direction) -> Detections {
        self.detected.of(direction)
    }

    /// The limit of connections carried at once.
    pub fn limited_to(&self, direction: Direction, connections: u64) {
        let gauge = self.limit.get_or_create_owned(&vec![("direction", direction.name())]);
        gauge.set(i64::try_from(connections).unwrap_or(i64::MAX));
    }

    /// The limit of this name.
    pub fn limited(&self, name: &'static str, value: f64) {
        self.limits.get_or_create(&vec![("name", name)]).set(value);
    }

    pub(super) fn refused(&self, direction: Direction, reason: &'static str) {
        self.refused.get_or_create(&refusal(direction, reason)).inc();
    }

    /// Whether the listeners of a direction are closed.
    pub(crate) fn draining(&self, direction: Direction, closed: bool) {
        let gauge = self.draining.get_or_create_owned(&vec![("direction", direction.name())]);
        gauge.set(closed.into());
    }

    pub(super) fn accept_failed(&self, direction: Direction) {
        self.accept_errors.get_or_create(&vec![("direction", direction.name())]).inc();
    }

    pub(crate) fn scraped_application(&self, result: ScrapeResult) {
        self.application_scrapes.get_or_create(&vec![("result", result.name())]).inc();
    }

    /// An upstream connection was not made in time.
    pub(crate) fn connect_timed_out(&self, direction: Direction) {
        self.connect_timeouts.get_or_create(&vec![("direction", direction.name())]).inc();
    }

    /// A readiness probe was reset.
    pub(crate) fn probe_refused(&self) {
        self.probes_refused.inc();
    }

    /// A source address had no port left.
    pub(crate) fn source_exhausted(&self) {
        self.sources_exhausted.inc();
    }

    pub(super) fn edge_unnamed(&self, direction: Direction) {
        self.unnamed_edges.get_or_create(&vec![("direction", direction.name())]).inc();
    }

    pub(crate) fn peer_died(&self, direction: Direction, side: Side) {
        self.dead_peers.get_or_create(&vec![("direction", direction.name()), ("side", side.name())]).inc();
    }

    pub(crate) fn swept(&self, whole: bool) {
        let result = if whole { "complete" } else { "failed" };
        self.sweeps.get_or_create(&vec![("result", result)]).inc();
    }

    pub(super) fn access_log_dropped(&self, lines: u64) {
        self.access_log_dropped.inc_by(lines);
    }
}
