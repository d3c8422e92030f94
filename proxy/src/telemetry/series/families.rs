//! How edges become Istio's ten metrics in the text that a scrape gets, as much of it at a time as there is room for.
//!
//! Invariant: between two times nothing is held but a place, and at no time anything that a connection could wait for. All
//! families are of the edges that there were in the beginning. A series is shown as it is when its turn comes, and adds up in
//! itself; one that an edge gets meanwhile may be shown or not.

use std::fmt::Display;
use std::io::Write;
use std::sync::atomic::Ordering;

use super::{Edges, Exchanges, Histogram, Kind, NO_FLAGS, Outcome, Series};
use crate::telemetry::workload::UNKNOWN;

/// A metric.
pub(in crate::telemetry) struct Family {
    pub(in crate::telemetry) name: &'static str,
    pub(in crate::telemetry) help: &'static str,
    shows: Shows,
}

/// What a family shows of an edge.
enum Shows {
    /// Something of its connections.
    Connections(fn(&Series) -> u64),
    /// How they ended.
    Closed,
    /// How many exchanges of each kind there were.
    Exchanges,
    /// Something of each kind that is gRPC.
    Messages(fn(&Exchanges) -> u64),
    /// How much each kind was.
    Extents(fn(&Exchanges) -> &Histogram),
}

enum Value<'a> {
    Count(u64),
    Histogram(&'a Histogram),
}

/// All of them, in order.
pub(in crate::telemetry) static FAMILIES: [Family; 10] = [
    Family {
        name: "istio_tcp_connections_opened",
        help: "Connections opened, of those that are not HTTP.",
        shows: Shows::Connections(|edge| edge.opened.load(Ordering::Relaxed)),
    },
    Family {
        name: "istio_tcp_sent_bytes",
        help: "Bytes sent to clients, as responses.",
        shows: Shows::Connections(|edge| edge.sent.load(Ordering::Relaxed)),
    },
    Family {
        name: "istio_tcp_received_bytes",
        help: "Bytes received from clients.",
        shows: Shows::Connections(|edge| edge.received.load(Ordering::Relaxed)),
    },
    Family {
        name: "istio_tcp_connections_closed",
        help: "Connections closed, of those that are not HTTP.",
        shows: Shows::Closed,
    },
    Family {
        name: "istio_requests",
        help: "Requests, when all of the response is through.",
        shows: Shows::Exchanges,
    },
    Family {
        name: "istio_request_messages",
        help: "Messages of gRPC clients.",
        shows: Shows::Messages(|of| of.request_messages.load(Ordering::Relaxed)),
    },
    Family {
        name: "istio_response_messages",
        help: "Messages of gRPC servers.",
        shows: Shows::Messages(|of| of.response_messages.load(Ordering::Relaxed)),
    },
    Family {
        name: "istio_request_duration_milliseconds",
        help: "Time from a request's begin to the end of its response.",
        shows: Shows::Extents(|of| &of.durations),
    },
    Family {
        name: "istio_request_bytes",
        help: "Content of requests.",
        shows: Shows::Extents(|of| &of.request_bytes),
    },
    Family {
        name: "istio_response_bytes",
        help: "Content of responses.",
        shows: Shows::Extents(|of| &of.response_bytes),
    },
];

impl Family {
    /// In OpenMetrics' words.
    pub(in crate::telemetry) fn kind(&self) -> &'static str {
        if matches!(self.shows, Shows::Extents(_)) { "histogram" } else { "counter" }
    }

    /// The series at `place` of those that an edge has in this family.
    fn series<'a>(&self, edge: &'a Series, place: usize) -> Option<(Labels, Value<'a>)> {
        let mut closed = edge.closed.iter().filter(|_| edge.opened.load(Ordering::Relaxed) > 0);
        let mut exchanges = edge.exchanges.iter();
        match self.shows {
            // Where one was opened, the usual end has its series.
            Shows::Connections(value) => closed
                .next()
                .filter(|_| place == 0)
                .map(|_| (Labels::of_connections(NO_FLAGS), Value::Count(value(edge)))),
            Shows::Closed => closed.nth(place).map(|(flags, count)| {
                (Labels::of_connections(flags), Value::Count(count.load(Ordering::Relaxed)))
            }),
            Shows::Exchanges => exchanges
                .nth(place)
                .map(|of| (Labels::of_exchanges(of.kind), Value::Count(of.durations.count()))),
            Shows::Messages(value) => exchanges
                .filter(|of| of.kind.is_grpc())
                .nth(place)
                .map(|of| (Labels::of_exchanges(of.kind), Value::Count(value(of)))),
            Shows::Extents(value) => {
                exchanges.nth(place).map(|of| (Labels::of_exchanges(of.kind), Value::Histogram(value(of))))
            }
        }
    }
}

/// The samples of a family that have not been written.
pub(in crate::telemetry) struct Samples {
    family: &'static Family,
    edges: Edges,
    /// How many edges are shown.
    count: usize,
    /// The place of the edge whose turn it is.
    edge: usize,
    /// The place of its series whose turn it is.
    series: usize,
}

impl Samples {
    /// Of those edges that there are.
    pub(in crate::telemetry) fn new(family: &'static Family, edges: Edges) -> Self {
        Self { family, count: edges.count(), edges, edge: 0, series: 0 }
    }

    /// Writes, until there are `enough` bytes or one series more; tells whether that was not all.
    pub(in crate::telemetry) fn write(&mut self, text: &mut Vec<u8>, enough: usize) -> bool {
        let mut labels = Vec::new();
        for edge in self.edges.from(self.edge).take(self.count - self.edge) {
            labels.clear();
            while let Some((further, value)) = edge.and_then(|edge| self.family.series(edge, self.series)) {
                if text.len() >= enough {
                    return true;
                }
                if labels.is_empty() {
                    edge.into_iter()
                        .flat_map(|edge| edge.names.labels())
                        .for_each(|label| push(&mut labels, label));
                }
                let common = labels.len();
                further.write(&mut labels);
                value.write(text, self.family.name, &labels);
                labels.truncate(common);
                self.series += 1;
            }
            (self.edge, self.series) = (self.edge + 1, 0);
        }
        false
    }
}

impl Value<'_> {
    fn write(&self, text: &mut Vec<u8>, name: &str, labels: &[u8]) {
        match self {
            Self::Count(count) => line(text, [name, "_total"], &[b"{", labels], count),
            Self::Histogram(histogram) => {
                let (sum, buckets) = histogram.read();
                line(text, [name, "_sum"], &[b"{", labels], format_args!("{sum:?}"));
                let count: u64 = buckets.iter().map(|(_, count)| count).sum();
                line(text, [name, "_count"], &[b"{", labels], count);
                let mut below = 0;
                for (bound, count) in buckets {
                    below += count;
                    line(text, [name, "_bucket"], &[b"{le=\"", bound.as_bytes(), b"\",", labels], below);
                }
            }
        }
    }
}

fn line(text: &mut Vec<u8>, name: [&str; 2], labels: &[&[u8]], value: impl Display) {
    name.into_iter().for_each(|part| text.extend_from_slice(part.as_bytes()));
    labels.iter().for_each(|part| text.extend_from_slice(part));
    // To a vector nothing fails.
    let _ = writeln!(text, "}} {value}");
}

/// What tells the series of an edge apart.
struct Labels {
    protocol: &'static str,
    flags: &'static str,
    answer: Option<Answer>,
}

/// Those that connections do not have. The code is not known of those that were too many kinds.
struct Answer {
    code: Option<u16>,
    grpc_status: Option<u8>,
}

impl Labels {
    fn of_connections(flags: &'static str) -> Self {
        Self { protocol: "tcp", flags, answer: None }
    }

    fn of_exchanges(kind: Kind) -> Self {
        let protocol = if kind.is_grpc() { "grpc" } else { "http" };
        let (flags, answer) = match kind {
            Kind::Known(Outcome { code, flags, grpc_status, .. }) => {
                (flags, Answer { code: Some(code), grpc_status })
            }
            Kind::Rest { .. } => (UNKNOWN, Answer { code: None, grpc_status: None }),
        };
        Self { protocol, flags, answer: Some(answer) }
    }

    fn write(&self, labels: &mut Vec<u8>) {
        push(labels, ("request_protocol", self.protocol));
        push(labels, ("response_flags", self.flags));
        let Some(Answer { code, grpc_status }) = self.answer else { return };
        push(labels, ("response_code", &code.map_or_else(|| UNKNOWN.to_owned(), |code| code.to_string())));
        let status = grpc_status.map(|status| status.to_string()).unwrap_or_default();
        push(labels, ("grpc_response_status", &status));
    }
}

/// One more label, its value escaped as both formats have it.
fn push(labels: &mut Vec<u8>, (name, value): (&str, &str)) {
    if !labels.is_empty() {
        labels.push(b',');
    }
    labels.extend_from_slice(name.as_bytes());
    labels.extend_from_slice(b"=\"");
    for byte in value.bytes() {
        match byte {
            b'\\' => labels.extend_from_slice(b"\\\\"),
            b'"' => labels.extend_from_slice(b"\\\""),
            b'\n' => labels.extend_from_slice(b"\\n"),
            _ => labels.push(byte),
        }
    }
    labels.push(b'"');
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier, mpsc};
    use std::time::Duration;

    use super::super::Extent;
    use super::{Edges, Family, NO_FLAGS, Outcome, Samples, Shows};
    use crate::direction::Direction;
    use crate::telemetry::edge::Edge;
    use crate::telemetry::names::Names;
    use crate::telemetry::workload::Workload;

    static BEGUN: Barrier = Barrier::new(2);
    static ENDS: Barrier = Barrier::new(2);

    /// Whoever writes it stands still within a series, and with it whatever is held meanwhile.
    static STANDS: Family = Family {
        name: "stands",
        help: "Nothing.",
        shows: Shows::Connections(|_| {
            BEGUN.wait();
            ENDS.wait();
            0
        }),
    };

    /// No event is waited for longer.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn names(name: &str) -> Names {
        let workload = Workload::known(name, "shop", None, None);
        Edge::from(Some(Arc::new(workload))).names(Direction::Inbound, &Arc::new(Workload::unknown()))
    }

    #[test]
    fn nobody_who_counts_or_adds_waits_for_a_scrape() {
        let edges = &Edges::default();
        let edge = edges.add(names("known"));
        edge.opened();
        std::thread::scope(|scope| {
            let mut samples = Samples::new(&STANDS, edges.clone());
            scope.spawn(move || samples.write(&mut Vec::new(), usize::MAX));
            BEGUN.wait();
            let (done, is_done) = mpsc::channel();
            scope.spawn(move || {
                let all = Extent {
                    duration: Duration::ZERO,
                    request_bytes: 1,
                    response_bytes: 1,
                    request_messages: 0,
                    response_messages: 0,
                };
                let outcome = Outcome { is_grpc: false, code: 200, flags: NO_FLAGS, grpc_status: None };
                for edge in [edge, edges.add(names("new"))] {
                    edge.opened();
                    edge.sent(1);
                    edge.received(1);
                    edge.exchanged(outcome, &all);
                    edge.closed("UC");
                }
                done.send(())
            });
            let in_time = is_done.recv_timeout(PATIENCE);
            ENDS.wait();
            in_time.expect("a worker waits for no scrape");
        });
    }
}
