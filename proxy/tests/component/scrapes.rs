//! Scrapes of many series: whole, valid, and in nobody's way.

use std::collections::BTreeSet;
use std::io::Read;
use std::net::TcpStream;

use serde_json::json;

use crate::app::{App, ask};
use crate::support::{OUTCOMES, Proxy, Seen, next, patient, slow_scraper};

/// Their text is more than a socket takes.
const EDGES: u8 = 4;

/// An answer's text, checked: no family in two parts, no series twice.
fn families(text: &str) -> Vec<&str> {
    let (mut families, mut samples) = (Vec::new(), BTreeSet::new());
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            families.push(head.split(' ').next().unwrap());
        } else if !line.starts_with('#') {
            let sample = line.rsplit_once(' ').expect("a value").0;
            assert!(sample.starts_with(families.last().unwrap()), "not behind its head: {line}");
            // Other tests' proxies are in the same process, and their workers have the same names.
            assert!(samples.insert(sample) || line.starts_with("remora_worker_"), "twice: {line}");
        }
    }
    let once: BTreeSet<_> = families.iter().collect();
    assert_eq!(once.len(), families.len(), "{families:?}");
    families
}

fn count(text: &str, sample: &str) -> usize {
    text.lines().filter(|line| line.starts_with(sample)).count()
}

#[test]
fn a_scraper_that_reads_slowly_is_in_nobodys_way() {
    let discovery = tempfile::tempdir().unwrap();
    let proxy = Proxy::with_series(EDGES, &discovery, &[]);
    let mut slow = ["/metrics", "/stats/prometheus"].map(|path| slow_scraper(&proxy, path));
    // What has to be told for the first time: another edge, and a refusal of another kind.
    proxy.make_series(EDGES);
    proxy.redirect.set(Some("0.0.0.0:80".parse().unwrap()));
    let refused = TcpStream::connect(proxy.port(crate::support::OUTBOUND)).unwrap();
    assert_eq!(next(&patient(refused)), Seen::Reset);
    assert_eq!(proxy.metric(&["remora_refused_connections_total{", "unspecified"]), 1);
    assert!(proxy.get(&proxy.addresses.readiness, "/healthz/ready").starts_with("HTTP/1.1 200"));
    for scraper in &mut slow {
        let mut answer = String::from("H");
        scraper.read_to_string(&mut answer).unwrap();
        let (_, text) = answer.split_once("\r\n\r\n").unwrap();
        assert!(families(text).contains(&"istio_response_bytes") && text.ends_with("# EOF\n"));
        let series = usize::from(EDGES) * usize::from(OUTCOMES);
        assert_eq!(count(text, "istio_requests_total{"), series);
        assert_eq!(count(text, "istio_response_bytes_bucket{"), 20 * series);
        let late = format!("destination_workload=\"web-{EDGES}\"");
        assert!(!text.contains(&late), "what came later is in the next answer");
    }
}

#[test]
fn a_family_of_several_pieces_that_the_application_has_too_is_one_family() {
    let open_metrics = "application/openmetrics-text; version=1.0.0";
    for (content_type, head, end) in [
        ("text/plain; version=0.0.4", "# TYPE istio_request_bytes histogram\n", ""),
        (open_metrics, "# TYPE istio_request_bytes histogram\n", "# EOF\n"),
        ("text/plain; version=0.0.4", "", ""),
    ] {
        let body = format!(
            "# TYPE before gauge\nbefore 1\n{head}istio_request_bytes_sum{{app=\"a\"}} 1\n# TYPE after gauge\nafter 1\n{end}"
        );
        let app = App::start(move |stream, _| {
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\r\n{body}");
        });
        let target = json!({"scrape": "true", "port": app.port.to_string()}).to_string();
        let options = ["--pod-ip", "127.0.0.1", "--application-metrics", &target];
        let discovery = tempfile::tempdir().unwrap();
        let proxy = Proxy::with_series(1, &discovery, &options);
        let text = ask(&proxy, "/stats/prometheus", &[]).unwrap().body;
        let families = families(&text);
        assert_eq!(families[..3], ["before", "istio_request_bytes", "after"], "{content_type} {head}");
        let series = usize::from(OUTCOMES);
        assert_eq!(count(&text, "istio_request_bytes_sum{"), series + 1, "{content_type} {head}");
        assert_eq!(count(&text, "istio_request_bytes_bucket{"), 20 * series, "{content_type} {head}");
    }
}
