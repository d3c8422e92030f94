//! Distributed tracing: which trace a request belongs to, what the next hop is told of it, and the spans of this hop on their way
//! to a collector.
//!
//! It knows nothing of connections; who carries a request asks a [`Tracer`] and ends the span that comes of it. Invariants:
//! ids and decisions that were given are never changed; without a collector, or in a trace that somebody has decided not to
//! record, requests pass as they came; and no request waits for a collector.

mod collector;
pub mod context;
mod export;
mod metrics;
mod otlp;
mod protobuf;
mod queue;
mod sampling;
mod span;
mod zipkin;

use std::cell::RefCell;
use std::sync::Arc;

use collector::Collector;
pub use collector::{Endpoint, EndpointError, Protocol};
pub(crate) use context::Edits;
use context::{Decision, Given, Place, SpanId, TraceId};
pub use export::Exporter;
use metrics::{Counters, Loss};
use queue::Queue;
pub use sampling::Share;
pub(crate) use span::{Kind, Span, Value};

/// Whether and how requests are traced.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// Collector of spans, as http://HOST or with a port and a path; without one nothing is traced, and what requests say of traces passes as it
    /// is
    #[arg(long, env = api::env::TRACE_COLLECTOR, value_name = "URL", value_parser = Endpoint::parse)]
    pub trace_collector: Option<Endpoint>,

    /// What the collector speaks
    #[arg(
        long,
        env = api::env::TRACE_PROTOCOL,
        default_value = "otlp-http",
        value_enum,
        value_name = "PROTOCOL"
    )]
    pub trace_protocol: Protocol,

    /// How many of the traces that begin here are recorded; those that began elsewhere are if it was decided so there
    #[arg(long, env = api::env::TRACE_SAMPLING, default_value = "1", value_name = "PERCENT",
          value_parser = Share::parse)]
    pub trace_sampling: Share,

    /// Memory of spans that wait for the collector; what does not fit is dropped and counted
    #[arg(long, env = api::env::TRACE_QUEUE, default_value_t = 1024 * 1024, value_name = "BYTES",
          value_parser = clap::value_parser!(u32).range(api::env::TRACE_QUEUE_BYTES))]
    pub trace_queue: u32,
}

/// Who makes spans, in OpenTelemetry's words for it.
#[derive(Clone, Debug, Default)]
pub struct Resource(pub Vec<(String, String)>);

/// Begins spans; clones are the same one. The default one does nothing.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Recorder>>);

struct Recorder {
    share: Share,
    format: Format,
    /// As Zipkin is told it with every span.
    service: String,
    queue: Arc<Queue>,
    counters: Counters,
}

#[derive(Clone, Copy)]
enum Format {
    Otlp,
    Zipkin,
}

/// What becomes of a request: nothing changes of it, unless it is in a trace.
#[derive(Default)]
pub(crate) struct Begun {
    /// For the next hop.
    pub(crate) edits: Edits,
    /// Where the trace is recorded.
    pub(crate) open: Option<Box<Open>>,
}

/// A span that has begun.
pub(crate) struct Open {
    recorder: Arc<Recorder>,
    place: Place,
    parent: Option<SpanId>,
    /// `tracestate`.
    state: Option<Box<str>>,
}

/// No more of a `tracestate` is kept; longer ones may be dropped (W3C Trace Context, section 3.3.1.5).
const LONGEST_STATE: usize = 512;

impl Tracer {
    /// With the exporter that has to run for it, if there is a collector. `service` is its name for those who know no more.
    pub fn start(
        settings: &Settings,
        (service, resource): (String, Resource),
        metrics: &runtime::metrics::Metrics,
    ) -> Result<(Self, Option<Exporter>), EndpointError> {
        let counters = Counters::default();
        counters.register(metrics);
        let Some(endpoint) = &settings.trace_collector else { return Ok((Self(None), None)) };
        let collector = Collector::new(endpoint, settings.trace_protocol)?;
        let format = match settings.trace_protocol {
            Protocol::OtlpHttp | Protocol::OtlpGrpc => Format::Otlp,
            Protocol::Zipkin => Format::Zipkin,
        };
        let queue = Arc::new(Queue::new(usize::try_from(settings.trace_queue).unwrap_or(usize::MAX)));
        let exporter =
            Exporter { queue: Arc::clone(&queue), collector, format, resource, counters: counters.clone() };
        let recorder = Recorder { share: settings.trace_sampling, format, service, queue, counters };
        Ok((Self(Some(Arc::new(recorder))), Some(exporter)))
    }

    /// A request with these fields begins here.
    pub(crate) fn begin<'a>(&self, fields: impl Iterator<Item = (&'a str, &'a [u8])>) -> Begun {
        let Some(recorder) = &self.0 else { return Begun::default() };
        let given = Given::read(fields);
        if given.decision() == Some(Decision::Deny) {
            return Begun::default();
        }
        let decision = recorder.share.decide(given.decision(), sampling::chance());
        let parent = given.parent();
        let trace = parent.map_or_else(TraceId::random, |parent| parent.trace);
        let place = Place { trace, span: SpanId::random(), decision };
        let state = given.state().filter(|state| state.len() <= LONGEST_STATE);
        let open = (decision != Decision::Deny).then(|| Open {
            recorder: Arc::clone(recorder),
            place,
            parent: parent.map(|parent| parent.span),
            state: state.map(Into::into),
        });
        Begun { edits: given.edits(&place), open: open.map(Box::new) }
    }
}

impl Open {
    /// One that belongs to this one, in the same proxy.
    pub(crate) fn child(&self) -> Self {
        Self {
            recorder: Arc::clone(&self.recorder),
            place: Place { span: SpanId::random(), ..self.place },
            parent: Some(self.place.span),
            state: self.state.clone(),
        }
    }
}

impl Span<'_> {
    /// Writes it into the queue.
    pub(crate) fn record(&self) {
        thread_local! {
            static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        let Recorder { format, service, queue, counters, .. } = self.open.recorder.as_ref();
        let is_queued = TEXT.with_borrow_mut(|text| {
            text.clear();
            match format {
                Format::Otlp => otlp::append(self, text),
                Format::Zipkin => zipkin::append(service, self, text),
            }
            queue.push(text)
        });
        if !is_queued {
            counters.lost(Loss::QueueFull, 1);
        }
    }
}

#[cfg(test)]
mod tests;
