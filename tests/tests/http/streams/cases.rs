//! What clients of HTTP/2 say to any server, and to those that know a certain answer.

use conformance::frames::{block, literal, never_indexed};

use crate::script::noise;
use crate::shapes::requests::{METHODS, TARGETS};

/// What a client does. Streams have numbers, from 0.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Opens the next stream.
    Ask { block: Vec<u8>, is_all: bool },
    /// Sends content.
    Content { of: usize, bytes: Vec<u8>, is_all: bool },
    /// Sends trailers, and with them the end.
    Trailers { of: usize, block: Vec<u8> },
    /// Reads up to an interim response.
    Interim(usize),
    /// Reads up to the end.
    End(usize),
    /// Reads up to a reset, whether there was an end or not.
    Reset(usize),
    /// Reads up to so many bytes of content.
    Bytes { of: usize, count: usize },
    /// Resets a stream, of which so many bytes have come.
    Leave { of: usize, after: usize },
}

/// A conversation.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) settings: Vec<(u16, u32)>,
    pub(super) steps: Vec<Step>,
    /// Servers that have the answer for it.
    pub(super) of: &'static [&'static str],
    /// The difference that it is made for.
    pub(super) differs: Option<&'static str>,
}

/// Differences in cases of their own.
pub(super) const NO_URI: &str = "a path with what no URI has";
pub(super) const FRAGMENT: &str = "a fragment in a path";
pub(super) const NO_AUTHORITY: &str = "the scheme of a request without an authority";
pub(super) const PSEUDO_TRAILER: &str = "a pseudo-header field in trailers";

/// RFC 9113, section 6.5.2.
const ENABLE_PUSH: u16 = 2;
const INITIAL_WINDOW: u16 = 4;

const ALL: &[&str] = &["nginx", "haproxy", "apache", "h2o", "node", "hypercorn"];
const OF_FILES: &[&str] = &["nginx", "apache", "h2o"];
const OF_LARGE: &[&str] = &["nginx", "apache", "h2o", "node", "hypercorn"];

/// The beginning of a request.
fn line(method: &str, path: &str) -> Vec<u8> {
    block(&[(":method", method), (":scheme", "http"), (":authority", "server.example"), (":path", path)])
}

/// A request without content.
pub(super) fn ask(method: &str, path: &str, fields: &[(&str, &str)]) -> Step {
    Step::Ask { block: [line(method, path), block(fields)].concat(), is_all: true }
}

fn post(path: &str, fields: &[(&str, &str)]) -> Step {
    Step::Ask { block: [line("POST", path), block(fields)].concat(), is_all: false }
}

fn content(bytes: impl Into<Vec<u8>>, is_all: bool) -> Step {
    Step::Content { of: 0, bytes: bytes.into(), is_all }
}

impl Case {
    /// In the end the connection is asked whether it still works.
    fn new(name: &str, of: &'static [&'static str], steps: Vec<Step>) -> Self {
        let asked = steps.iter().filter(|step| matches!(step, Step::Ask { .. })).count();
        let afterwards = [ask("GET", "/index.html", &[]), Step::End(asked)];
        let steps = steps.into_iter().chain(afterwards).collect();
        Self { name: name.to_owned(), settings: vec![(ENABLE_PUSH, 0)], steps, of, differs: None }
    }

    fn differs(mut self, what: &'static str) -> Self {
        self.differs = Some(what);
        self
    }

    fn with(mut self, id: u16, value: u32) -> Self {
        self.settings = vec![(ENABLE_PUSH, 0), (id, value)];
        self
    }
}

/// Requests each of which has its answer before the next is asked.
pub(super) fn ask_in_turn(paths: &[String]) -> Case {
    of_all(paths.iter().enumerate().flat_map(|(number, path)| [ask("GET", path, &[]), Step::End(number)]))
}

/// The same at once.
pub(super) fn ask_all_at_once(paths: &[String]) -> Case {
    let asks = paths.iter().map(|path| ask("GET", path, &[]));
    of_all(asks.chain((0..paths.len()).map(Step::End)))
}

fn of_all(steps: impl Iterator<Item = Step>) -> Case {
    Case { steps: steps.collect(), ..Case::new("requests", ALL, Vec::new()) }
}

/// All of them.
pub(super) fn all() -> Vec<Case> {
    let parts = [requests(), fields(), with_content(), responses(), ends()];
    parts.into_iter().flatten().collect()
}

fn one(name: &str, step: Step) -> Case {
    Case::new(name, ALL, vec![step, Step::End(0)])
}

fn of_target(name: &str, target: &str) -> Case {
    let case = one(&format!("target: {name}"), ask("GET", target, &[]));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if target.contains('#') {
        // They tell the whole of it.
        Case { of: &["nginx", "node"], ..case.differs(FRAGMENT) }
    } else if path.contains(['<', '>', '`']) || query.contains(['<', '>', '"']) {
        case.differs(NO_URI)
    } else if !target.is_ascii() {
        // hypercorn ends the connection.
        Case { of: &["nginx", "haproxy", "apache", "h2o", "node"], ..case }
    } else {
        case
    }
}

fn requests() -> Vec<Case> {
    let mut all = Vec::new();
    all.extend(TARGETS.map(|(name, target)| of_target(name, target)));
    for c in "\"<>{}^`\\|#".chars() {
        all.push(of_target(&format!("{c} in a path"), &format!("/{c}")));
        all.push(of_target(&format!("{c} in a query"), &format!("/?{c}")));
    }
    for method in METHODS {
        all.push(one(&format!("method {method}"), ask(method, "/", &[("x-request-id", "own")])));
    }
    all.push(one("OPTIONS of everything", ask("OPTIONS", "*", &[])));
    all.push(one("HEAD", ask("HEAD", "/", &[])));
    let of = |fields: &[(&str, &str)]| Step::Ask { block: block(fields), is_all: true };
    let [method, scheme, path] = [(":method", "GET"), (":scheme", "http"), (":path", "/")];
    let host = ("host", "server.example");
    all.push(one("Host instead of an authority", of(&[method, scheme, path, host])));
    all.push(one(
        "Host and an authority",
        of(&[method, scheme, (":authority", "server.example"), path, host]),
    ));
    all.push(one(
        "an authority with a port",
        of(&[path, (":authority", "server.example:8080"), scheme, method]),
    ));
    all.push(one(
        "a scheme of TLS",
        of(&[method, (":scheme", "https"), (":authority", "server.example"), path]),
    ));
    let of_tls = of(&[method, (":scheme", "https"), path, host]);
    all.push(Case::new(NO_AUTHORITY, &["node"], vec![of_tls, Step::End(0)]).differs(NO_AUTHORITY));
    let paths: Vec<_> = (0..100).map(|number| format!("/?{number}")).collect();
    all.push(Case::new("100 streams at once", ALL, ask_all_at_once(&paths).steps));
    all
}

fn fields() -> Vec<Case> {
    let long = "a".repeat(8_000);
    let many: Vec<_> = (0..80).map(|number| (format!("x-field-{number}"), number.to_string())).collect();
    let many: Vec<_> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let sets: [(&str, &[(&str, &str)]); 12] = [
        ("names in no order", &[("x-z", "1"), ("x-a", "2"), ("x-m", "3")]),
        ("a repeated field", &[("x-a", "1"), ("x-b", "2"), ("x-a", "3"), ("x-a", "1"), ("x-b", "2, 4")]),
        ("cookies in crumbs", &[("cookie", "a=1"), ("x-a", "1"), ("cookie", "b=2; c=3"), ("cookie", "a=4")]),
        ("upper case in values", &[("x-a", "ABC xYz"), ("accept", "TEXT/Html")]),
        ("an empty value", &[("x-a", ""), ("x-b", "")]),
        ("spaces and tabs within", &[("x-a", "a  b\tc")]),
        ("a long value", &[("x-a", &long)]),
        ("many fields", &many),
        ("TE for trailers", &[("te", "trailers")]),
        ("credentials", &[("authorization", "Basic YTpi"), ("proxy-authorization", "Basic YTpi")]),
        ("an id of its own", &[("x-request-id", "A, b")]),
        (
            "what other proxies add",
            &[("via", "1.1 a"), ("forwarded", "for=192.0.2.1"), ("x-forwarded-for", "::1")],
        ),
    ];
    let mut all: Vec<_> =
        sets.iter().map(|(name, fields)| one(&format!("fields: {name}"), ask("GET", "/", fields))).collect();
    let with = |bytes: &[u8]| Step::Ask { block: [&line("GET", "/"), bytes].concat(), is_all: true };
    all.push(one("fields: bytes over 127", with(&literal(b"x-a", b"\xe4\xff"))));
    all.push(one("fields: never indexed", with(&never_indexed(b"x-a", b"secret"))));
    let four = [("x-a", &*long), ("x-b", &long), ("x-c", &long), ("x-d", &long)];
    // The others take less.
    all.push(Case::new(
        "fields in three frames",
        &["haproxy", "hypercorn"],
        vec![ask("GET", "/", &four), Step::End(0)],
    ));
    all
}

fn with_content() -> Vec<Case> {
    let length = ("content-length", "5");
    let of = |name, steps: Vec<Step>| Case::new(name, ALL, [steps, vec![Step::End(0)]].concat());
    let continues = ("expect", "100-continue");
    let trailers = block(&[("x-sum", "1"), ("x-other", "2"), ("x-sum", "3")]);
    vec![
        of("POST with a length", vec![post("/", &[length]), content("hello", true)]),
        of("POST without a length", vec![post("/", &[]), content("hel", false), content("lo", true)]),
        of("POST of nothing", vec![post("/", &[]), content("", true)]),
        of(
            "POST whose end is a frame of its own",
            vec![post("/", &[length]), content("hello", false), content("", true)],
        ),
        of("POST without any frame of content", vec![ask("POST", "/", &[])]),
        Case::new(
            "POST of 300 kB",
            TAKE_ALL,
            vec![post("/", &[]), content(noise(3, 300_000), true), Step::End(0)],
        ),
        Case::new(
            "trailers",
            TAKE_TRAILERS,
            vec![
                post("/", &[]),
                content("hello", false),
                Step::Trailers { of: 0, block: trailers },
                Step::End(0),
            ],
        ),
        Case::new(
            PSEUDO_TRAILER,
            &["node"],
            vec![
                post("/", &[]),
                content("hello", false),
                Step::Trailers { of: 0, block: block(&[(":path", "/a"), ("x-sum", "1")]) },
                Step::End(0),
            ],
        )
        .differs(PSEUDO_TRAILER),
        Case::new(
            "an expectation that is met",
            CONTINUE,
            vec![post("/", &[continues, length]), Step::Interim(0), content("hello", true), Step::End(0)],
        ),
        Case::new(
            "an expectation that is refused",
            &["nginx", "node"],
            vec![post("/refused", &[continues, length]), Step::End(0)],
        ),
    ]
}

/// HAProxy answers content that is longer than its buffer before all of it has come, nginx and Apache answer any content so.
const TAKE_ALL: &[&str] = &["h2o", "node", "hypercorn"];
/// nginx takes them for a broken rule, and Apache, where it has answered before they came.
const TAKE_TRAILERS: &[&str] = &["haproxy", "h2o", "node", "hypercorn"];
/// The others wait for content in silence, as they may.
const CONTINUE: &[&str] = &["haproxy", "apache", "node"];

fn responses() -> Vec<Case> {
    let of = |name, of, step| Case::new(name, of, vec![step, Step::End(0)]);
    let since = ("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT");
    let node = &["node"];
    let mut all = vec![
        of("204", &["nginx", "haproxy", "node", "hypercorn"], ask("GET", "/empty", &[])),
        of("304", &["node", "hypercorn"], ask("GET", "/unmodified", &[])),
        of("304 of a file", OF_FILES, ask("GET", "/index.html", &[since])),
        of("a part of a file", OF_FILES, ask("GET", "/large", &[("range", "bytes=10-19")])),
        of("HEAD of a file", OF_LARGE, ask("HEAD", "/large", &[])),
        of("in pieces", ALL, ask("GET", "/stream", &[])),
        of("nothing there", ALL, ask("GET", "/missing/at/all", &[])),
        of("5 MB", OF_LARGE, ask("GET", "/large", &[])),
        of("5 MB through small windows", OF_LARGE, ask("GET", "/large", &[])).with(INITIAL_WINDOW, 8_000),
        of("interim responses", node, ask("GET", "/hints", &[])),
        of("trailers of the response", node, ask("GET", "/trailers", &[])),
        of("trailers alone", node, ask("GET", "/trailers-only", &[])),
        of("never indexed", node, ask("GET", "/secret", &[])),
    ];
    all.push(Case { settings: Vec::new(), ..of("a push", node, ask("GET", "/push", &[])) });
    all
}

/// Streams that do not end as they might.
fn ends() -> Vec<Case> {
    let leave = Step::Leave { of: 0, after: 20_000 };
    let length = ("content-length", "100000");
    vec![
        Case::new("left in the middle", OF_LARGE, vec![ask("GET", "/large", &[]), leave]),
        Case::new("reset by the server", &["node"], vec![ask("GET", "/reset", &[]), Step::End(0)]),
        Case::new(
            "reset in the middle",
            &["node"],
            vec![post("/cut", &[]), Step::Bytes { of: 0, count: 4 }, content("cut", true), Step::Reset(0)],
        ),
        Case::new(
            "answered early",
            &["node", "nginx"],
            vec![post("/early", &[length]), content(noise(4, 1_000), false), Step::End(0), Step::Reset(0)],
        ),
    ]
}
