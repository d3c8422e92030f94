//! Requests in traces: what the next hop is told, and what the collector is.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
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
        let spans: Vec<Value> = serde_json::from_slice(&self.delivery().1).expect("a list");
        spans.iter().for_each(is_zipkin);
        spans
    }
}

/// What version 2 of Zipkin's API allows in a span, and no field that it does not know.
#[track_caller]
fn is_zipkin(span: &Value) {
    let is_id = |value: &Value, lengths: &[usize]| {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        value.as_str().is_some_and(|id| lengths.contains(&id.len()) && id.bytes().all(is_digit))
    };
    let is_endpoint = |value: &Value| {
        value.as_object().expect("an endpoint").iter().all(|(key, value)| match &**key {
            "serviceName" => value.is_string(),
            "ipv4" => value.as_str().is_some_and(|text| text.parse::<Ipv4Addr>().is_ok()),
            "ipv6" => value.as_str().is_some_and(|text| text.parse::<Ipv6Addr>().is_ok()),
            "port" => value.as_u64().is_some_and(|port| u16::try_from(port).is_ok()),
            _ => false,
        })
    };
    for (key, value) in span.as_object().expect("a span") {
        let is_allowed = match &**key {
            "traceId" => is_id(value, &[16, 32]),
            "id" | "parentId" => is_id(value, &[16]),
            "kind" => value == "CLIENT" || value == "SERVER",
            "name" => value.as_str().is_some_and(|name| name == name.to_lowercase()),
            "timestamp" | "duration" => value.as_u64().is_some_and(|number| number > 0),
            "localEndpoint" | "remoteEndpoint" => is_endpoint(value),
            "tags" => value.as_object().is_some_and(|tags| tags.values().all(Value::is_string)),
            _ => false,
        };
        assert!(is_allowed, "{key}: {value}");
    }
    assert!(["traceId", "id"].iter().all(|key| span[key].is_string()), "{span}");
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
    let request = ExportTraceServiceRequest::decode(&*body).expect("a request");
    is_otlp(&request, SpanKind::Client, Some(SPAN));
    let span = &request.resource_spans[0].scope_spans[0].spans[0];
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!((&*hex(&span.trace_id), &*hex(&span.span_id)), (TRACE, id));
    assert_eq!(span.trace_state, "a=1");
    proxy.stop();
}

#[test]
fn a_trace_that_is_for_one_hop_is_none() {
    let collector = Collector::start(200);
    let proxy = traced(&collector.url, &[]);
    let mut ends = Ends::inbound(&proxy);
    let request = format!(
        "GET / HTTP/1.1\r\nHost: web\r\nConnection: traceparent\r\ntraceparent: 00-{TRACE}-{SPAN}-00\r\n\r\n"
    );
    let head = exchange(&mut ends, &request);
    let [told] = field(&head, "traceparent")[..] else { panic!("one traceparent: {head}") };
    assert!(!told.contains(TRACE) && told.ends_with("-01"), "{told}");
    assert_eq!(field(&head, "x-b3-traceid").len(), 1);
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

/// A collector by OpenTelemetry's own definitions, which answers with a status.
struct Sink {
    requests: Sender<ExportTraceServiceRequest>,
    refuses: bool,
}

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        self.requests.send(request.into_inner()).unwrap();
        if self.refuses {
            return Err(tonic::Status::invalid_argument("no"));
        }
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

/// The spans of one call.
fn grpc_delivery(listener: &TcpListener, refuses: bool) -> ExportTraceServiceRequest {
    let stream = accept(listener);
    stream.set_nonblocking(true).unwrap();
    let (requests, called) = channel();
    let service = TowerToHyperService::new(TraceServiceServer::new(Sink { requests, refuses }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let io = TokioIo::new(tokio::net::TcpStream::from_std(stream).unwrap());
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        // The client ends the connection, in one way or another, when it has its answer.
        let _ = server.serve_connection(io, service).await;
    });
    called.try_recv().expect("a call")
}

#[test]
fn a_collector_may_speak_grpc() {
    let listener = INBOUND.listener();
    let url = format!("http://{}", address(&listener));
    for (refuses, metric) in [(false, "remora_spans_exported_total"), (true, "reason=\"collector_refused\"")]
    {
        let proxy = traced(&url, &["--trace-protocol", "otlp-grpc"]);
        Ends::inbound(&proxy).exchange_any();
        is_otlp(&grpc_delivery(&listener, refuses), SpanKind::Server, None);
        eventually("it is counted", || proxy.metric(&[metric]) == 1);
        proxy.stop();
    }
}

/// One span of a GET, as OpenTelemetry's definitions have it.
#[track_caller]
fn is_otlp(request: &ExportTraceServiceRequest, kind: SpanKind, parent: Option<&str>) {
    let [of_proxy] = &request.resource_spans[..] else { panic!("one resource: {request:?}") };
    let resource = &of_proxy.resource.as_ref().expect("a resource").attributes;
    let text = |text: &str| any_value::Value::StringValue(text.to_owned());
    assert_eq!(value(resource, "service.name"), Some(&text("web")));
    let [of_scope] = &of_proxy.scope_spans[..] else { panic!("one scope: {request:?}") };
    assert_eq!(of_scope.scope.as_ref().expect("a scope").name, "remora");
    let [span] = &of_scope.spans[..] else { panic!("one span: {request:?}") };
    assert_eq!((span.trace_id.len(), span.span_id.len(), span.kind()), (16, 8, kind), "{span:?}");
    let given = parent.map(|parent| u64::from_str_radix(parent, 16).unwrap().to_be_bytes().to_vec());
    assert_eq!(span.parent_span_id, given.unwrap_or_default(), "{span:?}");
    assert!(span.start_time_unix_nano > 0 && span.start_time_unix_nano < span.end_time_unix_nano, "{span:?}");
    assert_eq!((&*span.name, span.flags & 1, &span.status), ("GET", 1, &None), "{span:?}");
    assert_eq!(value(&span.attributes, "http.request.method"), Some(&text("GET")));
    let code = value(&span.attributes, "http.response.status_code");
    assert_eq!(code, Some(&any_value::Value::IntValue(200)));
}

fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a any_value::Value> {
    attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()
}
