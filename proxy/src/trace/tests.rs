//! The tracer without sockets, and what exporters are sent.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value as Json, json};

use super::{Begun, Kind, Resource, Settings, Span, Tracer, Value, otlp, protobuf, zipkin};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

#[derive(clap::Parser)]
struct Command {
    #[command(flatten)]
    settings: Settings,
}

fn settings(options: &[&str]) -> Settings {
    let command: Command = clap::Parser::try_parse_from([&["proxy"], options].concat()).unwrap();
    command.settings
}

struct Desk {
    tracer: Tracer,
    metrics: runtime::metrics::Metrics,
}

impl Desk {
    fn new(options: &[&str]) -> Self {
        let metrics = runtime::metrics::Metrics::default();
        let service = ("cart.shop".to_owned(), Resource::default());
        let (tracer, _exporter) = Tracer::start(&settings(options), service, &metrics).unwrap();
        Self { tracer, metrics }
    }

    fn begin(&self, fields: &[(&str, &str)]) -> Begun {
        self.tracer.begin(fields.iter().map(|(name, value)| (*name, value.as_bytes())))
    }
}

const ON: [&str; 2] = ["--trace-collector=http://127.0.0.1:1", "--trace-sampling=100"];

/// A span with all that there may be.
fn span(begun: &Begun) -> Span<'_> {
    Span {
        open: begun.open.as_deref().unwrap(),
        kind: Kind::Server,
        name: "GET",
        started: UNIX_EPOCH + Duration::from_micros(1_700_000_000_000_001),
        duration: Duration::from_nanos(1500),
        peer: Some(([192, 0, 2, 7], 4711).into()),
        attributes: &[("url.path", Value::Text("/\"é")), ("http.status_code", Value::Number(503))],
        has_failed: true,
    }
}

fn parent(sampled: &str) -> String {
    format!("00-{TRACE}-{SPAN}-{sampled}")
}

#[test]
fn without_a_collector_nothing_is_touched() {
    let desk = Desk::new(&["--trace-sampling=100"]);
    let begun = desk.begin(&[("traceparent", &parent("01"))]);
    assert!(begun.open.is_none() && begun.edits.added.is_empty() && begun.edits.replaced.is_empty());
    assert!(desk.metrics.text().contains("remora_spans_exported_total 0"));
}

#[test]
fn a_trace_is_followed_as_it_was_decided_and_begun_where_there_is_none() {
    let (all, none) = (Desk::new(&ON), Desk::new(&[ON[0], "--trace-sampling=0"]));
    for desk in [&all, &none] {
        let denied = desk.begin(&[("traceparent", &parent("00"))]);
        assert!(denied.open.is_none() && denied.edits.added.is_empty());
        let open = desk.begin(&[("traceparent", &parent("01")), ("tracestate", "a=1")]).open.unwrap();
        assert_eq!(
            (open.place.trace.to_string(), open.parent.unwrap().to_string()),
            (TRACE.into(), SPAN.into())
        );
        assert_eq!(open.state.as_deref(), Some("a=1"));
        let child = open.child();
        assert_eq!((child.place.trace, child.parent), (open.place.trace, Some(open.place.span)));
        assert_ne!(child.place.span, open.place.span);
    }
    let begun = all.begin(&[("host", "cart")]);
    let open = begun.open.unwrap();
    let told = format!("00-{}-{}-01", open.place.trace, open.place.span);
    assert!(begun.edits.added.contains(&("traceparent", told)) && open.parent.is_none());
    // What was decided against here, others have to hear.
    let begun = none.begin(&[]);
    let told = begun.edits.added.iter().find(|(name, _)| *name == "traceparent").unwrap();
    assert!(begun.open.is_none() && told.1.ends_with("-00"));
    let mut lines = Vec::new();
    begun.edits.append_lines(&mut lines);
    assert!(String::from_utf8(lines).unwrap().contains("\r\nx-b3-sampled: 0\r\n"));
    let long = "a=".to_owned() + &"1".repeat(600);
    let open = all.begin(&[("traceparent", &parent("01")), ("tracestate", &long)]).open.unwrap();
    assert_eq!(open.state, None);
}

#[test]
fn otlp_is_what_the_protocol_says() {
    let desk = Desk::new(&ON);
    let begun = desk.begin(&[("traceparent", &parent("01")), ("tracestate", "a=1")]);
    let id = begun.open.as_ref().unwrap().place.span.bits().to_be_bytes();
    let mut spans = Vec::new();
    otlp::append(&span(&begun), &mut spans);
    let begin = 1_700_000_000_000_001_000_u64;
    let expected = [
        b"\x0a\x10\x4b\xf9\x2f\x35\x77\xb3\x4d\xa6\xa3\xce\x92\x9d\x0e\x0e\x47\x36",
        &[b"\x12\x08", &id[..]].concat()[..],
        b"\x1a\x03a=1",
        b"\x22\x08\x00\xf0\x67\xaa\x0b\xa9\x02\xb7",
        b"\x2a\x03GET\x30\x02",
        &[&[0x39], &begin.to_le_bytes()[..]].concat(),
        &[&[0x41], &(begin + 1500).to_le_bytes()[..]].concat(),
        "\x4a\x12\x0a\x08url.path\x12\x06\x0a\x04/\"é".as_bytes(),
        b"\x4a\x17\x0a\x10http.status_code\x12\x03\x18\xf7\x03",
        b"\x7a\x02\x18\x02",
        b"\x85\x01\x01\x03\x00\x00",
    ]
    .concat();
    let sized = |field: u64, parts: &[&[u8]]| {
        let mut message = Vec::new();
        protobuf::bytes(&mut message, field, &parts.concat());
        message
    };
    assert_eq!(spans, sized(2, &[&expected]));
    let resource = [("service.name".to_owned(), "cart".to_owned())];
    let request = otlp::request(&resource, &spans);
    let resource = b"\x0a\x18\x0a\x16\x0a\x0cservice.name\x12\x06\x0a\x04cart";
    let scope = [sized(1, &[b"remora"]), sized(2, &[env!("CARGO_PKG_VERSION").as_bytes()])].concat();
    let scoped = sized(2, &[&sized(1, &[&scope]), &spans]);
    assert_eq!(request, sized(1, &[resource, &scoped]));
}

#[test]
fn zipkin_is_what_its_api_says() {
    let desk = Desk::new(&ON);
    let begun = desk.begin(&[("b3", &format!("{}-{SPAN}-d", &TRACE[16..]))]);
    let mut spans = Vec::new();
    zipkin::append("cart.shop", &span(&begun), &mut spans);
    zipkin::append(
        "cart.shop",
        &Span { peer: None, has_failed: false, attributes: &[], ..span(&begun) },
        &mut spans,
    );
    let list: Vec<Json> = serde_json::from_slice(&zipkin::request(&spans)).unwrap();
    let expected = json!({
        "traceId": &TRACE[16..],
        "id": begun.open.as_ref().unwrap().place.span.to_string(),
        "parentId": SPAN,
        "debug": true,
        "kind": "SERVER",
        "name": "get",
        "timestamp": 1_700_000_000_000_001_u64,
        "duration": 1,
        "localEndpoint": { "serviceName": "cart.shop" },
        "remoteEndpoint": { "ipv4": "192.0.2.7", "port": 4711 },
        "tags": { "url.path": "/\"é", "http.status_code": "503", "error": "true" },
    });
    assert_eq!(list[0], expected);
    assert_eq!((list.len(), &list[1]["tags"], &list[1]["remoteEndpoint"]), (2, &json!({}), &Json::Null));
}

#[test]
fn what_the_queue_has_no_room_for_is_counted() {
    let desk = Desk::new(&[ON[0], ON[1], "--trace-queue=16384"]);
    let begun = desk.begin(&[]);
    let mut written = Vec::new();
    otlp::append(&span(&begun), &mut written);
    let fit = 16384 / written.len();
    (0..fit + 3).for_each(|_| span(&begun).record());
    let text = desk.metrics.text();
    assert!(text.contains("remora_spans_dropped_total{reason=\"queue_full\"} 3\n"), "{text}");
    assert!(text.contains("remora_spans_dropped_total{reason=\"collector_unreachable\"} 0\n"), "{text}");
}

#[test]
fn bad_settings_are_refused() {
    for bad in [
        "--trace-collector=https://otel",
        "--trace-protocol=jaeger",
        "--trace-sampling=101",
        "--trace-queue=1",
    ] {
        let error = <Command as clap::Parser>::try_parse_from(["proxy", bad]).err().unwrap().to_string();
        assert!(error.contains(bad.split_once('=').unwrap().0), "{error}");
    }
}
