//! All edges, and how they become Istio's ten metrics in the text that a scrape gets.
//!
//! Invariant: nothing that a connection could wait for is held while text is made.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use runtime::metrics::collector::Collector;
use runtime::metrics::encoding::{
    DescriptorEncoder, EncodeLabel, EncodeLabelSet, EncodeMetric, LabelSetEncoder, MetricEncoder,
};
use runtime::metrics::types::MetricType;
use runtime::metrics::types::counter::ConstCounter;

use super::{Exchanges, Histogram, Kind, NO_FLAGS, Outcome, Series};
use crate::telemetry::names::Names;
use crate::telemetry::workload::UNKNOWN;

/// The edges; clones are the same ones.
#[derive(Clone, Debug, Default)]
pub(in crate::telemetry) struct Edges(Arc<Mutex<Vec<Arc<Series>>>>);

/// Name, help, and what is shown of `T`.
type Counters<T> = (&'static str, &'static str, fn(&T) -> u64);

type Histograms = (&'static str, &'static str, fn(&Exchanges) -> &Histogram);

const FLOWS: [Counters<Series>; 3] = [
    ("istio_tcp_connections_opened", "Connections opened, of those that are not HTTP", |edge| {
        edge.opened.load(Ordering::Relaxed)
    }),
    ("istio_tcp_sent_bytes", "Bytes sent to clients, as responses", |edge| edge.sent.load(Ordering::Relaxed)),
    ("istio_tcp_received_bytes", "Bytes received from clients", |edge| edge.received.load(Ordering::Relaxed)),
];

const CLOSED: (&str, &str) =
    ("istio_tcp_connections_closed", "Connections closed, of those that are not HTTP");

const REQUESTS: (&str, &str) = ("istio_requests", "Requests, when all of the response is through");

const MESSAGES: [Counters<Exchanges>; 2] = [
    ("istio_request_messages", "Messages of gRPC clients", |of| of.request_messages.load(Ordering::Relaxed)),
    ("istio_response_messages", "Messages of gRPC servers", |of| {
        of.response_messages.load(Ordering::Relaxed)
    }),
];

const SIZES: [Histograms; 3] = [
    ("istio_request_duration_milliseconds", "Time from a request's begin to the end of its response", |of| {
        &of.durations
    }),
    ("istio_request_bytes", "Content of requests", |of| &of.request_bytes),
    ("istio_response_bytes", "Content of responses", |of| &of.response_bytes),
];

impl Edges {
    /// One more edge.
    pub(in crate::telemetry) fn add(&self, names: Names) -> Arc<Series> {
        let series = Arc::new(Series::new(names));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&series));
        series
    }

    fn all(&self) -> Vec<Arc<Series>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Collector for Edges {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let edges = self.all();
        for (name, help, value) in FLOWS {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for edge in with_connections(&edges) {
                counter(&mut family, &Labels::of_connections(edge, NO_FLAGS), value(edge))?;
            }
        }
        let mut family = encoder.encode_descriptor(CLOSED.0, CLOSED.1, None, MetricType::Counter)?;
        for edge in with_connections(&edges) {
            for (flags, count) in edge.closed.iter() {
                counter(&mut family, &Labels::of_connections(edge, flags), count.load(Ordering::Relaxed))?;
            }
        }
        let mut family = encoder.encode_descriptor(REQUESTS.0, REQUESTS.1, None, MetricType::Counter)?;
        for (labels, exchanges) in with_exchanges(&edges) {
            counter(&mut family, &labels, exchanges.durations.count())?;
        }
        for (name, help, value) in MESSAGES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (labels, exchanges) in with_exchanges(&edges).filter(|(_, of)| of.kind.is_grpc()) {
                counter(&mut family, &labels, value(exchanges))?;
            }
        }
        for (name, help, value) in SIZES {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
            for (labels, exchanges) in with_exchanges(&edges) {
                value(exchanges).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn with_connections(edges: &[Arc<Series>]) -> impl Iterator<Item = &Series> {
    edges.iter().map(AsRef::as_ref).filter(|edge| edge.opened.load(Ordering::Relaxed) > 0)
}

fn with_exchanges(edges: &[Arc<Series>]) -> impl Iterator<Item = (Labels<'_>, &Exchanges)> {
    edges.iter().flat_map(|edge| {
        edge.exchanges.iter().map(|exchanges| (Labels::of_exchanges(edge, exchanges.kind), exchanges))
    })
}

fn counter(family: &mut MetricEncoder, labels: &Labels, value: u64) -> fmt::Result {
    ConstCounter::new(value).encode(family.encode_family(labels)?)
}

/// The labels of one series.
#[derive(Debug)]
struct Labels<'a> {
    names: &'a Names,
    protocol: &'static str,
    flags: &'static str,
    answer: Option<Answer>,
}

/// Those that connections do not have. The code is not known of those that were too many kinds.
#[derive(Debug)]
struct Answer {
    code: Option<u16>,
    grpc_status: Option<u8>,
}

impl<'a> Labels<'a> {
    fn of_connections(edge: &'a Series, flags: &'static str) -> Self {
        Self { names: &edge.names, protocol: "tcp", flags, answer: None }
    }

    fn of_exchanges(edge: &'a Series, kind: Kind) -> Self {
        let protocol = if kind.is_grpc() { "grpc" } else { "http" };
        let (flags, answer) = match kind {
            Kind::Known(Outcome { code, flags, grpc_status, .. }) => {
                (flags, Answer { code: Some(code), grpc_status })
            }
            Kind::Rest { .. } => (UNKNOWN, Answer { code: None, grpc_status: None }),
        };
        Self { names: &edge.names, protocol, flags, answer: Some(answer) }
    }
}

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder) -> fmt::Result {
        self.names.labels().try_for_each(|label| label.encode(encoder.encode_label()))?;
        ("request_protocol", self.protocol).encode(encoder.encode_label())?;
        ("response_flags", self.flags).encode(encoder.encode_label())?;
        let Some(Answer { code, grpc_status }) = self.answer else { return Ok(()) };
        match code {
            Some(code) => ("response_code", code).encode(encoder.encode_label())?,
            None => ("response_code", UNKNOWN).encode(encoder.encode_label())?,
        }
        match grpc_status {
            Some(status) => ("grpc_response_status", status).encode(encoder.encode_label()),
            None => ("grpc_response_status", "").encode(encoder.encode_label()),
        }
    }
}
