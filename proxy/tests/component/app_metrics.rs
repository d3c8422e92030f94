//! The application's metrics with the proxy's, from applications of every kind.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use serde_json::json;

use crate::app::{Answer, App, ask};
use crate::support::{PATIENCE, Proxy, unused_port};

const MERGED: &str = "/stats/prometheus";
const TEXT: &str = "text/plain; version=0.0.4";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn with(port: u16) -> Proxy {
    with_options(port, &[])
}

fn with_options(port: u16, options: &[&str]) -> Proxy {
    let target = json!({"scrape": "true", "path": "/metrics", "port": port.to_string()}).to_string();
    let ours = ["--pod-ip", "127.0.0.1", "--application-metrics", &target];
    Proxy::start(&[&ours, options].concat())
}

/// An application with these metrics.
fn exporter(content_type: &'static str, body: impl Into<Vec<u8>>) -> App {
    let body = body.into();
    App::start(move |stream, _| {
        let length = body.len();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n");
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
    })
}

/// A merged answer, checked for what holds of every one: the proxy's metrics are in it, no family has two heads, and the
/// end of OpenMetrics is at the end and nowhere else.
fn scrape(proxy: &Proxy, headers: &[&str]) -> Answer {
    let answer = ask(proxy, MERGED, headers).expect("an answer");
    assert_eq!(answer.status, 200);
    let open = answer.head.contains("content-type: application/openmetrics-text");
    assert!(open || answer.head.contains("content-type: text/plain"), "{}", answer.head);
    assert!(answer.body.contains("istio_build") && answer.body.ends_with('\n'), "{}", tail(&answer.body));
    let ends = answer.body.lines().filter(|line| *line == "# EOF").count();
    assert_eq!((ends, answer.body.ends_with("# EOF\n")), (usize::from(open), open), "{}", tail(&answer.body));
    let mut types = BTreeSet::new();
    for head in answer.body.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = head.split_once(' ').unwrap();
        assert!(types.insert(name.to_owned()), "{name} has two heads");
        assert!(open || !["info", "unknown", "stateset"].contains(&kind), "{head}");
        assert!(
            open || kind != "counter" || !name.starts_with("istio_") || name.ends_with("_total"),
            "{head}"
        );
    }
    answer
}

fn tail(body: &str) -> &str {
    &body[body.len().saturating_sub(300)..]
}

fn counted(proxy: &Proxy, result: &str) -> u64 {
    proxy.metric(&["remora_application_scrapes_total{", &format!("result=\"{result}\"")])
}

#[test]
fn both_are_in_one_answer_in_the_applications_format() {
    let own = "# HELP up Whether.\n# TYPE up gauge\nup 1\n# TYPE hits_total counter\nhits_total{a=\"b\"} 7 1395066363000\n";
    let app = exporter(TEXT, own);
    let proxy = with(app.port);
    let answer = scrape(&proxy, &[]);
    assert!(answer.body.starts_with(own) && answer.head.contains(TEXT), "{answer:?}");
    assert!(answer.body.contains("# TYPE istio_tcp_connections_opened_total counter\n"), "{}", answer.body);
    assert!(
        answer.body.contains("remora_application_scrapes_total{result=\"complete\"} 1\n"),
        "this one is counted"
    );

    let own = "# TYPE up gauge\nup 1\n# TYPE hits counter\nhits_total 7 1.5 # {trace_id=\"x\"} 1\n";
    let app = exporter(OPEN_METRICS, format!("{own}# EOF\n"));
    let answer = scrape(&with(app.port), &[]);
    assert!(answer.body.starts_with(own) && answer.head.contains(OPEN_METRICS), "{answer:?}");
    assert!(answer.body.contains("# TYPE istio_tcp_connections_opened counter\n"), "{}", answer.body);
}

#[test]
fn whoever_waits_in_vain_for_other_scrapes_gets_the_proxys_metrics() {
    let (asked, (release, released)) = (channel(), channel::<()>());
    let released = Mutex::new(released);
    let app = App::start(move |stream, _| {
        asked.0.send(()).unwrap();
        let _ = released.lock().unwrap().recv();
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nup 1\n");
    });
    let proxy = with_options(app.port, &["--max-application-scrapes", "1"]);
    std::thread::scope(|scope| {
        let first = scope.spawn(|| scrape(&proxy, &[]));
        asked.1.recv_timeout(PATIENCE).expect("the application is asked");
        let second = scrape(&proxy, &["X-Prometheus-Scrape-Timeout-Seconds: 0.05"]);
        assert!(!second.body.contains("up 1\n"), "{}", tail(&second.body));
        assert_eq!(counted(&proxy, "busy"), 1);
        drop(release);
        assert!(first.join().unwrap().body.starts_with("up 1\n"));
    });
}

#[test]
fn the_scrapers_wishes_are_the_applications() {
    let app = exporter(TEXT, "up 1\n");
    let proxy = with(app.port);
    let headers = [
        "Accept: application/vnd.google.protobuf;q=0.9,text/plain;version=0.0.4;q=0.3",
        "Accept-Encoding: gzip",
        "User-Agent: Prometheus/3.5.0",
        "Authorization: Bearer t",
        "Cookie: a=b",
    ];
    ask(&proxy, &format!("{MERGED}?collect=cpu"), &headers).unwrap();
    let request = app.request();
    for line in [
        "get /metrics?collect=cpu http/1.1",
        "accept: text/plain;version=0.0.4;q=0.3",
        "accept-encoding: identity",
        "user-agent: prometheus/3.5.0",
        "authorization: bearer t",
    ] {
        assert!(request.lines().any(|found| found == line), "{line} in {request}");
    }
    assert!(!request.contains("cookie"), "{request}");
}

#[test]
fn a_family_that_both_have_is_one_family() {
    for (content_type, head, sample) in [
        (TEXT, "# TYPE istio_build gauge\n", "istio_build{component=\"app\"} 1\n"),
        (OPEN_METRICS, "# TYPE istio_build gauge\n", "istio_build{component=\"app\"} 1\n"),
        (TEXT, "", "istio_build{component=\"app\"} 1\n"),
        (TEXT, "# TYPE istio_build gauge\n", ""),
    ] {
        let end = if content_type == TEXT { "" } else { "# EOF\n" };
        let app = exporter(content_type, format!("before 1\n{head}{sample}after 1\n{end}"));
        let body = scrape(&with(app.port), &[]).body;
        let lines: Vec<_> = body.lines().collect();
        let place = |wanted: &str| lines.iter().position(|line| line.starts_with(wanted)).expect("a line");
        let ours = place("istio_build{component=\"proxy\"");
        assert!(place("# TYPE istio_build gauge") < ours && ours < place("after 1"), "{body}");
        assert!(sample.is_empty() || place("istio_build{component=\"app\"") == ours + 1, "{body}");
        assert_eq!(body.matches("istio_build{").count(), 1 + usize::from(!sample.is_empty()), "{body}");
    }
}

#[test]
fn without_an_application_the_scraper_gets_the_format_that_it_takes() {
    let proxy = Proxy::start(&[]);
    assert!(scrape(&proxy, &[]).head.contains(OPEN_METRICS));
    assert!(scrape(&proxy, &["Accept: text/plain;version=0.0.4"]).head.contains(TEXT));
    let own = ask(&proxy, "/metrics", &["Accept: text/plain"]).unwrap();
    assert!(own.body.ends_with("# EOF\n") && own.head.contains(OPEN_METRICS), "{own:?}");
}

#[test]
fn metrics_are_found_on_loopback_where_the_pods_address_has_none() {
    let app = exporter(TEXT, "up 1\n");
    let target = json!({"scrape": "true", "port": app.port.to_string()}).to_string();
    let proxy = Proxy::start(&["--pod-ip", "127.0.0.2", "--application-metrics", &target]);
    assert!(scrape(&proxy, &[]).body.starts_with("up 1\n"));
}

#[test]
fn https_metrics_are_merged_too() {
    let app = App::start_tls(&["http/1.1"], |stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nup 1\n");
    });
    let target = json!({"scrape": "true", "port": app.port.to_string(), "scheme": "https"}).to_string();
    let proxy = Proxy::start(&["--pod-ip", "127.0.0.1", "--application-metrics", &target]);
    assert!(scrape(&proxy, &[]).body.starts_with("up 1\n"));
}

#[test]
fn whatever_becomes_of_the_application_the_proxys_metrics_are_there() {
    for (hostile, result) in [
        (&b""[..], "unreachable"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "unreachable"),
        (b"HTTP/1.1 500 X\r\nContent-Length: 5\r\n\r\nup 1\n", "status"),
        (b"HTTP/1.1 204 X\r\n\r\n", "status"),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b", "unsupported"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.google.protobuf\r\n\r\nabc", "unsupported"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>\n<body>1</body>\n</html>\n", "malformed"),
        (b"HTTP/1.1 200 OK\r\n\r\n\x00\xff\xfe\n\x01", "malformed"),
        (b"HTTP/1.1 200 OK\r\n\r\n# TYPE up thermometer\n", "malformed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncutshort 1", "truncated"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text\r\n\r\n", "truncated"),
    ] {
        let app = App::start(move |stream, _| drop(stream.write_all(hostile)));
        let proxy = with(app.port);
        let answer = scrape(&proxy, &[]);
        let counted = format!("remora_application_scrapes_total{{result=\"{result}\"}} 1\n");
        assert!(answer.body.contains(&counted), "{} {}", String::from_utf8_lossy(hostile), answer.body);
        assert!(!answer.body.contains("html") && !answer.body.contains("cutshort"), "{}", answer.body);
    }
    let proxy = with(unused_port());
    scrape(&proxy, &[]);
    assert_eq!(counted(&proxy, "unreachable"), 1);
}

#[test]
fn what_is_good_is_kept_of_what_is_not() {
    let body = "a 1\r\n<b>\nc 2\n# EOF\nd{x=\"\\n\"} 3\nhalf 12";
    let app = App::start(move |stream, _| {
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{body}");
    });
    let body = scrape(&with(app.port), &[]).body;
    assert!(body.starts_with("a 1\nc 2\nd{x=\"\\n\"} 3\n#"), "half a number is another number: {body}");
    let unended = exporter(TEXT, "a 1\nb 12");
    assert!(scrape(&with(unended.port), &[]).body.starts_with("a 1\nb 12\n#"), "a complete answer is");
    let overlong = exporter(TEXT, format!("a 1\nb{{x=\"{}\"}} 1\nc 1\n", "y".repeat(3 << 20)));
    assert!(scrape(&with(overlong.port), &[]).body.starts_with("a 1\nc 1\n#"));
}

#[test]
fn the_scrapers_patience_bounds_every_application() {
    let limit = ["X-Prometheus-Scrape-Timeout-Seconds: 0.5"];
    let silent = App::start(|_, _| std::thread::park());
    let stalled = App::start(|stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nbefore 1\npart");
        std::thread::park();
    });
    let endless = App::start(|stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(b"endless 1\n").is_ok() {}
    });
    let endless_line = App::start(|stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    for (app, begin) in
        [(silent, "# "), (stalled, "before 1\n# "), (endless, "endless 1\n"), (endless_line, "# ")]
    {
        let proxy = with(app.port);
        let body = scrape(&proxy, &limit).body;
        assert!(body.starts_with(begin), "{begin}: {}", tail(&body));
        assert_eq!(counted(&proxy, "timeout") + counted(&proxy, "too_large"), 1, "{begin}");
    }
}

#[test]
fn a_hundred_thousand_lines_arrive() {
    let lines: String =
        (0..100_000).map(|n| format!("requests_total{{path=\"/{n}\",code=\"200\"}} {n}\n")).collect();
    let app = exporter(TEXT, lines.clone());
    let proxy = with(app.port);
    // As long as it takes on a busy machine.
    let limit = ["X-Prometheus-Scrape-Timeout-Seconds: 60"];
    assert!(scrape(&proxy, &limit).body.starts_with(&lines));
    assert_eq!(counted(&proxy, "complete"), 1);
}

#[test]
fn a_scraper_that_goes_away_leaves_nothing_behind() {
    let (told, ended) = channel();
    let app = App::start(move |stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(b"endless 1\n").is_ok() {}
        told.send(()).unwrap();
    });
    let proxy = with(app.port);
    // More than there may be at once.
    for _ in 0..8 {
        let port = proxy.addresses.metrics[0].port();
        let mut scraper = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let limit = "X-Prometheus-Scrape-Timeout-Seconds: 60";
        write!(scraper, "GET {MERGED} HTTP/1.1\r\nHost: a\r\n{limit}\r\n\r\n").unwrap();
        app.request();
        crate::support::reset(scraper);
    }
    for _ in 0..8 {
        ended.recv_timeout(PATIENCE).expect("the application is left alone");
    }
}
