//! gRPC by the libraries that people use, through the mesh and past it: each kind of call, each end that a call or its server can
//! have, and what the access log tells of them. Those calls are among them that gRPC's own interoperability tests make.
//!
//! Here is what is expected of a call, and one library that speaks with itself, with servers that end; `libraries` has all of
//! them with each other, and `soak` for long.

mod libraries;
mod library;
mod soak;
mod tonic;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::{Value, json};
use tests::meshed::Meshed;

use crate::ways::{Way, Ways};
use library::Library;

/// Of grpcio's server; those that end are at the next two.
const PORT: u16 = Library::Grpcio.port();

/// What a client sees on each way.
fn expected() -> Value {
    let binary: String = (0..=255_u8).map(|byte| format!("{byte:02x}")).collect();
    let metadata = |first: Value| {
        json!([
            first,
            ["x-text", "a value, ~"],
            ["x-twice", "1"],
            ["x-twice", "2"],
            ["x-some-bin", binary],
            ["x-some-bin", ""]
        ])
    };
    json!({
        "unary": "olleh",
        "nothing": "",
        "server stream": (0..20).map(|number| number.to_string()).collect::<Vec<_>>(),
        "no messages": [],
        "client stream": "one,two,three",
        "bidirectional": ["MORE", [], "OK"],
        "4 MB": true,
        "no requests": [[], "OK"],
        "ping pong": [27_182, 8, 1_828, 45_904],
        "metadata": ["ok", metadata(json!(["x-first", "1"])), metadata(json!(["x-last", "2"]))],
        "metadata of a stream": ["OK", metadata(json!(["x-first", "1"])), metadata(json!(["x-last", "2"]))],
        "together": true,
        "fails": [[], "FAILED_PRECONDITION", "\t\n100 % of €, \u{1f608}\r\n", [["x-why-bin", binary]]],
        "forbidden": [[], "PERMISSION_DENIED", "not you"],
        "aborts": [["one", "two", "three"], "DATA_LOSS", "no more"],
        "refuses": [[], "RESOURCE_EXHAUSTED", "no more of these"],
        "no such method": [[], "UNIMPLEMENTED", "Method not found!"],
        "no such service": [[], "UNIMPLEMENTED", "Method not found!"],
        "deadline": ["DEADLINE_EXCEEDED", "1"],
        "asleep": ["DEADLINE_EXCEEDED", "1"],
        "cancel": ["begun", "CANCELLED", "1"],
        "cancel after begin": ["CANCELLED", "1"],
        "cancel after first response": ["CANCELLED", "1"],
        "stops": ["UNAVAILABLE", ["LAST"], "OK"],
        "cut short": "UNAVAILABLE",
        "killed": "UNAVAILABLE",
        "idle": ["STILL THERE", [], "OK"],
    })
}

/// Those of them that are about servers and connections that end, or could.
const OF_ENDS: [&str; 4] = ["stops", "cut short", "killed", "idle"];

/// How each method ends, as the access log tells it: `grpc-status`, and the flags. (A deadline may be over for the client, or
/// the server, first; tonic's server says that it has cancelled the call.)
const TOLD: [(&str, &[&str]); 25] = [
    ("/remora.Other/Unary", &["12 -"]),
    ("Aborts", &["15 -"]),
    ("Asleep", &["4 -", "null DC", "1 -"]),
    ("Begin", &["0 -"]),
    ("Bidirectional", &["0 -"]),
    ("Cancelled", &["0 -"]),
    ("ClientStream", &["0 -"]),
    ("Cut", &["0 -"]),
    ("Deadline", &["4 -", "null DC", "1 -"]),
    ("Endless", &["2 DC"]),
    ("Fails", &["9 -"]),
    ("Forbidden", &["7 -"]),
    ("Idle", &["0 -"]),
    ("Kill", &["0 -"]),
    // The second proxy hears what the first has made of it.
    ("Killed", &["14 UC", "14 -"]),
    ("Large", &["0 -"]),
    ("Listening", &["2 DC"]),
    ("Metadata", &["0 -"]),
    ("Missing", &["12 -"]),
    ("Refuses", &["8 -"]),
    ("Returned", &["0 -"]),
    ("ServerStream", &["0 -"]),
    ("Stop", &["0 -"]),
    ("Together", &["0 -"]),
    ("Unary", &["0 -"]),
];

/// Which method a line of the log is about, and how the call has ended by it.
fn method_and_end(line: &Value) -> (&str, String) {
    let name = line["path"].as_str().unwrap_or_default().trim_start_matches("/remora.Test/");
    let flags = line["response_flags"].as_str().expect("flags");
    (name, format!("{} {flags}", line["grpc_status"]))
}

/// So many calls of a server stand in the log of a proxy, each with its end. How often which was made.
fn check_log(proxy: &Meshed, server: SocketAddr, count: usize) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::<String, usize>::new();
    for line in proxy.log(server, count) {
        let (name, end) = method_and_end(&line);
        let told = TOLD.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("{line}"));
        assert!(told.1.contains(&end.as_str()), "{end:?}: {line}");
        assert_eq!(line["protocol"], "HTTP/2", "{line}");
        *seen.entry(name.to_owned()).or_default() += 1;
    }
    seen
}

/// Every call stands in the log of a proxy that has carried so many rounds of them.
fn check_logs(proxy: &Meshed, ways: &Ways, rounds: usize) {
    // Not of the port whose server stops: how often its client tries again is the client's.
    let mut seen = check_log(proxy, ways.address(PORT), rounds * 134);
    seen.extend(check_log(proxy, ways.address(PORT + 2), rounds));
    for (name, _) in TOLD {
        assert!(seen.get(name).is_some_and(|count| *count >= rounds), "{name} is not among {seen:?}");
    }
    assert_eq!(seen.get("Together"), Some(&(100 * rounds)));
}

#[test]
fn a_library_for_grpc_sees_the_same_through_the_mesh() {
    let ways = Ways::new();
    let _server = Library::Grpcio.serve(&ways);
    for way in [Way::Direct, Way::Inbound, Way::Both] {
        let (seen, expected) = (Library::Grpcio.ask(&ways, way, PORT, &["all"]), expected());
        let names = expected.as_object().expect("calls by their names").keys();
        let different = names.filter(|name| seen[*name] != expected[*name]);
        let different: Vec<_> = different.map(|name| format!("{name}: {}", seen[name])).collect();
        assert!(different.is_empty(), "{way:?}:\n{}", different.join("\n"));
    }
    check_logs(&ways.server, &ways, 2);
    check_logs(&ways.client, &ways, 1);
}

/// Calls that a server has when it is asked to end, besides a stream; as in rpc.py.
const HELD: usize = 10;

/// Rounds of the calls of such a server through a proxy.
#[derive(Default)]
struct Rounds {
    count: usize,
    /// Calls that came before it was known that the server ends.
    cancelled: usize,
}

impl Rounds {
    fn add(&mut self, seen: &Value) {
        self.count += 1;
        self.cancelled += seen["cancelled"].as_u64().expect("a number") as usize;
    }

    /// The proxy tells of each call: those that the server had have ended well, and the one that came afterwards found nobody,
    /// which the proxy next to the server sees (`flags`).
    fn check(&self, proxy: &Meshed, ways: &Ways, flags: &str) {
        let Self { count, cancelled } = *self;
        let mut seen = BTreeMap::<_, usize>::new();
        let (asked, terminated) = (ways.address(PORT), ways.address(PORT + 2));
        for (server, lines) in [(asked, 3 * count), (terminated, (HELD + 2) * count + cancelled)] {
            for (name, end) in proxy.log(server, lines).iter().map(method_and_end) {
                *seen.entry(format!("{name} {end}")).or_default() += 1;
            }
        }
        let well = ["Begin", "Ended", "Terminate", "Terminated"].map(|name| (format!("{name} 0 -"), count));
        let others = [
            ("Held 0 -".to_owned(), HELD * count),
            (format!("Unary 14 {flags}"), count),
            ("Unary 1 -".to_owned(), cancelled),
        ];
        let expected = well.into_iter().chain(others).filter(|(_, times)| *times > 0);
        assert_eq!(seen, expected.collect());
        let metric = |name: &str, status: &str, flags: &str| {
            let labels =
                [("request_protocol", "grpc"), ("grpc_response_status", status), ("response_flags", flags)];
            let [protocol, status, flags] = labels.map(|(name, value)| format!("{name}=\"{value}\""));
            proxy.metric(&[&format!("{name}{{"), &protocol, &status, &flags]) as usize
        };
        assert_eq!(metric("istio_requests_total", "0", "-"), (HELD + 4) * count);
        assert_eq!(metric("istio_requests_total", "14", flags), count);
        // Each call has one each way, and the stream two.
        for name in ["istio_request_messages_total", "istio_response_messages_total"] {
            assert_eq!(metric(name, "0", "-"), (HELD + 5) * count, "{name}");
        }
    }
}

/// GOAWAY, and an end when the last call has ended.
#[test]
fn a_server_that_is_asked_to_end_ends_its_calls_well_and_that_is_told() {
    let ways = Ways::new();
    let _server = Library::Grpcio.serve(&ways);
    let [mut through_server, mut through_client] = [Rounds::default(), Rounds::default()];
    for way in [Way::Direct, Way::Inbound, Way::Both] {
        let seen = Library::Grpcio.ask(&ways, way, PORT, &["terminated"]);
        let expected = json!(["stopping", "UNAVAILABLE", ["LAST"], "OK", true, "0"]);
        assert_eq!(seen["terminated"], expected, "{way:?}");
        if way != Way::Direct {
            through_server.add(&seen);
        }
        if way == Way::Both {
            through_client.add(&seen);
        }
    }
    through_server.check(&ways.server, &ways, "UF,URX");
    through_client.check(&ways.client, &ways, "-");
}
