//! Requests in traces: what the next hop is told, and what the collector is.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;

use super::{Ends, GET, OK, address, proxy};
use crate::support::{
    INBOUND, OUTBOUND, PATIENCE, Proxy, THIS_POD, accept, eventually, patient, unused_port,
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

/// A collector that speaks HTTP/1.1, and answers all with `status`.
pub(crate) struct Collector {
    pub(crate) url: String,
    deliveries: Receiver<(String, Vec<u8>)>,
}

impl Collector {
    pub(crate) fn start(status: u16) -> Self {
        let listener = INBOUND.listener();
        let url = format!("http://{}", address(&listener));
        let (sender, deliveries) = channel();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let delivery = read(patient(stream), status);
                if sender.send(delivery).is_err() {
                    return;
                }
            }
        });
        Self { url, deliveries }
    }

    fn delivery(&self) -> (String, Vec<u8>) {
        self.deliveries.recv_timeout(PATIENCE).expect("a delivery")
    }

    /// Whether nothing else has come.
    pub(crate) fn is_done(&self) -> bool {
        self.deliveries.try_recv().is_err()
    }

    /// Of one delivery, from Zipkin's exporter.
    pub(crate) fn spans(&self) -> Vec<Value> {
        serde_json::from_slice(&self.delivery().1).expect("a list")
    }
}

/// Head and body of a request, which is answered.
fn read(mut stream: TcpStream, status: u16) -> (String, Vec<u8>) {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let length = stream.read(&mut buffer).unwrap();
        assert!(length > 0, "a whole request");
        bytes.extend_from_slice(&buffer[..length]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
        let line = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        if bytes.len() - end - 4 == line.parse::<usize>().unwrap() {
            write!(stream, "HTTP/1.1 {status} Any\r\nContent-Length: 0\r\n\r\n").unwrap();
            return (head, bytes[end + 4..].to_vec());
        }
    }
}

/// A proxy that records all traces that begin with it.
fn traced(collector: &str, options: &[&str]) -> Proxy {
    sampling("100", collector, options)
}

fn sampling(percent: &str, collector: &str, options: &[&str]) -> Proxy {
    let all = ["--trace-sampling", percent, "--trace-collector", collector];
    proxy(&[&all, options].concat())
}

/// One exchange; the request's head as the server gets it.
fn exchange(ends: &mut Ends, request: &str) -> String {
    ends.asks(request);
    let head = asked(ends);
    ends.answers(OK);
    ends.is_answered(OK);
    head
}

fn asked(ends: &mut Ends) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        ends.server.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

fn field<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    let value = |line: &'a str| line.split_once(": ").filter(|(known, _)| known.eq_ignore_ascii_case(name));
    head.lines().filter_map(|line| Some(value(line)?.1)).collect()
}

#[test]
fn a_trace_begins_at_the_first_proxy() {
    let collector = Collector::start(202);
    for (way, kind) in [(INBOUND, "SERVER"), (OUTBOUND, "CLIENT")] {
        let proxy = traced(&collector.url, &["--trace-protocol", "zipkin"]);
        let mut ends = Ends::of(&proxy, way);
        let head = exchange(&mut ends, "GET /cart?id=7 HTTP/1.1\r\nHost: web:80\r\n\r\n");
        let spans = collector.spans();
        assert_eq!(spans.len(), 1);
        let (trace, id) = (spans[0]["traceId"].as_str().unwrap(), spans[0]["id"].as_str().unwrap());
        assert_eq!(field(&head, "traceparent"), [format!("00-{trace}-{id}-01")]);
        assert_eq!((field(&head, "x-b3-traceid"), field(&head, "x-b3-spanid")), (vec![trace], vec![id]));
        assert_eq!(field(&head, "x-b3-sampled"), ["1"]);
        assert!(spans[0]["timestamp"].as_u64().unwrap() > 1_600_000_000_000_000);
        for (key, value) in [("kind", kind), ("name", "get")] {
            assert_eq!(spans[0][key], value);
        }
        let (url, workload) = match way.inbound {
            true => (("url.path", "/cart"), "istio.destination_workload"),
            false => (("url.full", "http://web:80/cart?id=7"), "istio.source_workload"),
        };
        for (key, value) in [
            url,
            (workload, "web"),
            ("http.request.method", "GET"),
            ("http.response.status_code", "200"),
            ("http.status_code", "200"),
            ("server.address", "web"),
            ("server.port", "80"),
            ("network.protocol.version", "1.1"),
            ("response_flags", "-"),
            ("response_size", "2"),
        ] {
            assert_eq!(spans[0]["tags"][key], value, "{key} of {}", spans[0]);
        }
        assert_eq!((&spans[0]["parentId"], &spans[0]["tags"]["error"]), (&Value::Null, &Value::Null));
        eventually("it is counted", || proxy.metric(&["remora_spans_exported_total"]) == 1);
        proxy.stop();
    }
}

#[test]
fn a_trace_that_came_is_followed() {
    let collector = Collector::start(200);
    let proxy = sampling("0", &collector.url, &[]);
    let mut ends = Ends::of(&proxy, OUTBOUND);
    let request = format!(
        "GET / HTTP/1.1\r\nHost: web\r\nTraceParent: 00-{TRACE}-{SPAN}-01\r\ntracestate: a=1\r\n\r\n"
    );
    let head = exchange(&mut ends, &request);
    let (kind, body) = collector.delivery();
    assert!(
        kind.starts_with("post /v1/traces http/1.1") && kind.contains("content-type: application/x-protobuf")
    );
    let [told] = field(&head, "traceparent")[..] else { panic!("one traceparent: {head}") };
    let id =
        told.strip_prefix(&format!("00-{TRACE}-")).and_then(|rest| rest.strip_suffix("-01")).expect(told);
    assert_eq!((field(&head, "tracestate"), field(&head, "x-b3-traceid")), (vec!["a=1"], vec![]));
    for (field, id) in [(b"\x0a\x10", TRACE), (b"\x12\x08", id), (b"\x22\x08", SPAN)] {
        let bytes = (0..id.len()).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap());
        let wanted: Vec<u8> = field.iter().copied().chain(bytes).collect();
        assert!(body.windows(wanted.len()).any(|bytes| bytes == wanted), "{id} in {body:?}");
    }
    proxy.stop();
}

#[test]
fn what_is_not_recorded_passes_as_it_is() {
    let collector = Collector::start(200);
    let (off, on) = (proxy(&[]), traced(&collector.url, &[]));
    let context = |sampled| {
        format!("GET / HTTP/1.1\r\nHost: web\r\nTraceparent: 00-{TRACE}-{SPAN}-{sampled}\r\nB3: 0\r\n\r\n")
    };
    Ends::inbound(&off).exchange(context("01"), OK);
    Ends::inbound(&on).exchange(context("00"), OK);
    assert_eq!(off.stop().len() + on.stop().len(), 2);
    assert!(collector.is_done());
}

#[test]
fn a_pod_that_calls_itself_has_both_spans() {
    let collector = Collector::start(200);
    let proxy = traced(&collector.url, &["--trace-protocol", "zipkin"]);
    let listener = TcpListener::bind((THIS_POD, 0)).unwrap();
    let client = proxy.connect(OUTBOUND, address(&listener));
    let mut ends = Ends { client, server: accept(&listener), listener };
    let head = exchange(&mut ends, GET);
    let spans = collector.spans();
    let of = |kind: &str| spans.iter().find(|span| span["kind"] == kind).expect(kind);
    let (client, server) = (of("CLIENT"), of("SERVER"));
    assert_eq!((&server["parentId"], &server["traceId"]), (&client["id"], &client["traceId"]));
    assert_eq!((spans.len(), field(&head, "x-b3-spanid")), (2, vec![client["id"].as_str().unwrap()]));
    proxy.stop();
}

#[test]
fn a_failure_is_told() {
    let collector = Collector::start(200);
    let proxy = traced(&collector.url, &["--trace-protocol", "zipkin"]);
    let mut ends = Ends::of(&proxy, INBOUND);
    ends.asks("BREW / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n");
    asked(&mut ends);
    drop(ends.server);
    let mut answer = String::new();
    ends.client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    let spans = collector.spans();
    let tags = &spans[0]["tags"];
    assert_eq!((&spans[0]["name"], &tags["http.request.method"]), (&"http".into(), &"_OTHER".into()));
    assert_eq!((&tags["http.request.method_original"], &tags["error"]), (&"BREW".into(), &"true".into()));
    assert_eq!((&tags["error.type"], &tags["response_flags"]), (&"503".into(), &"UC".into()));
    proxy.stop();
}

#[test]
fn a_request_that_is_sent_again_has_one_span() {
    let collector = Collector::start(200);
    let proxy = traced(&collector.url, &["--trace-protocol", "zipkin"]);
    let mut ends = Ends::of(&proxy, INBOUND);
    ends.exchange_any();
    assert_eq!(collector.spans()[0]["tags"]["http.request.resend_count"], Value::Null);
    ends.asks(GET);
    let first = asked(&mut ends);
    ends.server.shutdown(Shutdown::Both).unwrap();
    ends.serve_anew();
    assert_eq!(asked(&mut ends), first, "the attempts are in the same place of the trace");
    ends.answers(OK);
    ends.is_answered(OK);
    let spans = collector.spans();
    assert_eq!((spans.len(), &spans[0]["tags"]["http.request.resend_count"]), (1, &"1".into()));
    assert_eq!(field(&first, "x-b3-spanid"), [spans[0]["id"].as_str().unwrap()]);
    proxy.stop();
}

#[test]
fn spans_that_nobody_takes_are_dropped_and_counted() {
    let refusing = Collector::start(400);
    let proxy = traced(&refusing.url, &[]);
    Ends::inbound(&proxy).exchange_any();
    let refused = ["remora_spans_dropped_total", "collector_refused"];
    eventually("the refused span is counted", || proxy.metric(&refused) == 1);
    proxy.stop();
    let nobody = format!("http://127.0.0.1:{}", unused_port());
    let proxy = traced(&nobody, &["--trace-queue", "16384"]);
    let mut ends = Ends::inbound(&proxy);
    let full = ["remora_spans_dropped_total", "queue_full"];
    eventually("the queue is full", || {
        ends.exchange_any();
        proxy.metric(&full) > 0
    });
    proxy.stop();
}

#[test]
fn what_is_left_at_the_end_is_sent() {
    let collector = Collector::start(200);
    let proxy = traced(&collector.url, &["--trace-protocol", "zipkin"]);
    let mut ends = Ends::inbound(&proxy);
    (0..3).for_each(|_| ends.exchange_any());
    ends.client_ends();
    proxy.stop();
    let sent: usize = collector
        .deliveries
        .try_iter()
        .map(|(_, body)| serde_json::from_slice::<Vec<Value>>(&body).unwrap().len())
        .sum();
    assert_eq!(sent, 3);
}

impl Ends {
    fn exchange_any(&mut self) {
        exchange(self, GET);
    }
}

#[test]
fn a_collector_may_speak_grpc() {
    let listener = INBOUND.listener();
    let url = format!("http://{}", address(&listener));
    for (status, metric) in [("0", "remora_spans_exported_total"), ("3", "reason=\"collector_refused\"")] {
        let proxy = traced(&url, &["--trace-protocol", "otlp-grpc"]);
        Ends::inbound(&proxy).exchange_any();
        let (path, body) = grpc_delivery(&listener, status);
        assert_eq!(path, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
        let length = u32::try_from(body.len() - 5).unwrap().to_be_bytes();
        assert_eq!(body[..5], [&[0], &length[..]].concat());
        eventually("it is counted", || proxy.metric(&[metric]) == 1);
        proxy.stop();
    }
}

/// One call, answered with a status in trailers.
fn grpc_delivery(listener: &TcpListener, status: &'static str) -> (String, Vec<u8>) {
    let stream = accept(listener);
    stream.set_nonblocking(true).unwrap();
    let (sender, calls) = channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let io = TokioIo::new(tokio::net::TcpStream::from_std(stream).unwrap());
        let service = service_fn(|request: Request<Incoming>| {
            let sender = sender.clone();
            async move {
                assert_eq!(request.headers()[CONTENT_TYPE], "application/grpc");
                let path = request.uri().path().to_owned();
                let body = request.into_body().collect().await.unwrap().to_bytes().to_vec();
                sender.send((path, body)).unwrap();
                let trailers = HeaderMap::from_iter([(
                    "grpc-status".parse().unwrap(),
                    HeaderValue::from_static(status),
                )]);
                let body = Full::new(Bytes::from_static(&[0, 0, 0, 0, 0]))
                    .with_trailers(async move { Some(Ok(trailers)) });
                Ok::<_, Infallible>(
                    Response::builder().header(CONTENT_TYPE, "application/grpc").body(body).unwrap(),
                )
            }
        });
        // The client ends the connection, in one way or another, when it has its answer.
        let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(io, service)
            .await;
    });
    calls.recv().unwrap()
}
