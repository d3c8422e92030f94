//! The shapes, and some that only an application gives an answer to, between a client and servers that people use.

use std::sync::mpsc;

use crate::client::{self, Got};
use crate::differences::{self, Body};
use crate::message::{End, To};
use crate::origins::{self, Origin};
use crate::script::{HOST, Shape, Step, post, request};
use crate::shapes;
use crate::ways::{Way, Ways};

/// What cuts at random places are made of.
const SEED: u64 = 88;

/// Targets whose responses are of a special kind, with most servers.
const TARGETS: [&str; 8] =
    ["/large", "/empty", "/unmodified", "/refused", "/stream", "/index.html", "/missing", "/hints"];

fn of_all() -> Vec<Shape> {
    let mut all: Vec<_> = shapes::all().into_iter().filter(|shape| shape.is_for_all).collect();
    for target in TARGETS {
        for (method, to) in [("GET", To::Get), ("HEAD", To::Head)] {
            let line = format!("{method} {target}");
            all.push(ask(&line, request(&line, "", ""), to));
            let old = format!("{method} {target} HTTP/1.0\r\n{HOST}\r\n");
            all.push(ask(&format!("{line} by HTTP/1.0"), old.into(), to).ends());
            let kept = format!("{method} {target} HTTP/1.0\r\n{HOST}Connection: keep-alive\r\n\r\n");
            all.push(ask(&format!("{line} by HTTP/1.0, to be kept"), kept.into(), to));
        }
    }
    let expects = request("POST /refused", "Expect: 100-continue\r\nContent-Length: 2\r\n", "");
    all.push(ask("an expectation that is refused", [expects, b"ok".into()].concat(), To::Get));
    all.push(
        Shape::new("half closed by the client")
            .steps([Step::Send(post("Connection: close\r\n", b"hello")), Step::Finish, Step::Final(To::Get)])
            .ends(),
    );
    all
}

fn ask(name: &str, request: Vec<u8>, to: To) -> Shape {
    Shape::new(name).steps([Step::Send(request), Step::Final(to)])
}

/// What only Node's application knows.
fn of_node() -> Vec<Shape> {
    let upgrade = request("GET /", "Connection: Upgrade\r\nUpgrade: echo\r\n", "");
    let connect = b"CONNECT other.example:443 HTTP/1.1\r\nHost: other.example:443\r\n\r\n".to_vec();
    let tunnel = |name: &str, request, to| {
        ask(name, request, to)
            .steps([Step::Send(b"hello".into()), Step::Bytes(5), Step::Finish, Step::End])
            .ends()
    };
    let trailers = request("POST /", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n");
    vec![
        tunnel("upgrade", upgrade, To::Get),
        tunnel("CONNECT", connect, To::Connect),
        ask("trailers", trailers, To::Get),
        ask("refused early", request("POST /early", "Content-Length: 100\r\n", "hello"), To::Get),
    ]
}

/// Whether what the server does about the shape is the same each time.
fn is_for(shape: &Shape, origin: &Origin) -> bool {
    match origin.name {
        // It answers content that is longer than its buffer before all of it has come.
        "haproxy" => !shape.name.starts_with("5 MB") && shape.name != "content: 100 kB",
        // It ends chunks that the response to a HEAD does not have, and the proxy does not.
        "waitress" => !shape.name.starts_with("HEAD /stream"),
        // It takes the end of what a client sends for the end of the client.
        "aiohttp" => !shape.steps.iter().any(|step| matches!(step, Step::Finish)),
        _ => true,
    }
}

fn converse(ways: &Ways, way: Way, origin: &Origin, shape: &Shape) -> Got {
    let (signal, _signals) = mpsc::channel();
    let target = ways.address(origin.port);
    ways.on(way, || client::converse(target, shape, SEED, &signal))
}

fn compare(ways: &Ways, origin: &Origin, shape: &Shape) -> Vec<String> {
    let direct = converse(ways, Way::Direct, origin, shape);
    let name = origin.name;
    // Or nothing would be compared.
    assert!(!direct.messages.is_empty() && direct.end != End::Silent, "{name}, {}: {direct:?}", shape.name);
    let differences = |way| {
        let got = converse(ways, way, origin, shape);
        let found = differences::of_clients(shape, Body::Content, &direct, &got);
        let found = (!found.is_empty()).then(|| found.join("\n  "));
        found.map(|found| format!("{name}, {} ({way:?}):\n  {found}", shape.name))
    };
    Way::MESHED.into_iter().filter_map(differences).collect()
}

#[test]
fn clients_of_servers_that_people_use_get_the_same_through_the_mesh() {
    println!("seed {SEED}");
    let ways = Ways::new();
    let origins = origins::start(&ways);
    let of_all = of_all();
    let mut failures = Vec::new();
    for origin in &origins {
        let began = std::time::Instant::now();
        let own = if origin.name == "node" { of_node() } else { Vec::new() };
        let can = |shape: &&Shape| is_for(shape, origin);
        for shape in of_all.iter().chain(&own).filter(can) {
            failures.extend(compare(&ways, origin, shape));
        }
        println!("{}: {} shapes, {:?}", origin.name, of_all.len() + own.len(), began.elapsed());
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}
