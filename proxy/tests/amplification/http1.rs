//! Peers of HTTP/1.

use crate::peers::Part;
use crate::{Alone, Case};

const GET: &str = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
const UPGRADE: &str = "GET / HTTP/1.1\r\nHost: web\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";

/// More than two sockets and their buffers hold.
const MUCH: usize = 12 << 20;

fn says(begin: &str, repeated: &str, bytes: usize) -> Part {
    Part::new((begin.to_owned() + &repeated.repeat(bytes / repeated.len())).into_bytes())
}

fn silent() -> Part {
    Part::new(vec![])
}

fn answering(answers: &'static str) -> Part {
    Part { answers: answers.as_bytes(), ..silent() }
}

/// A client that does this, to a server that does what `server` says.
fn client(name: &'static str, client: Part, server: Part) -> Case {
    Case { name, client, server, fields: 0 }
}

/// A server that does this, to a client that asks for it.
fn server(name: &'static str, server: Part) -> Case {
    client(name, says(GET, "-", 0), server)
}

/// What is held however much is sent: heads are bounded, and what is read at once.
const MOST: usize = 1 << 20;

fn measure(alone: &Alone, cases: &[Case]) {
    crate::measure(alone, (&ordinary(), cases), |_, sent| MOST.min(4 * sent + 64 * 1024));
}

fn ordinary() -> Case {
    client("an exchange", says(GET, "-", 0), answering(OK))
}

#[test]
fn clients() {
    let alone = crate::alone();
    let head = "GET / HTTP/1.1\r\nHost: web\r\n";
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: web\r\n\r\n", "t".repeat(60_000));
    let long_field = format!("{head}x: {}\r\n\r\n", "v".repeat(60_000));
    let many_fields = format!("{head}{}\r\n", "a:\r\n".repeat(98));
    let many_chunks = "1\r\na\r\n";
    let extended = format!("1;{}\r\na\r\n", "e".repeat(1000));
    let cases = [
        client("many fields", says(head, "a:\r\n", 400_000), silent()),
        client("many fields that are allowed", says(&many_fields, "-", 0), silent()),
        client("the same, pipelined", says("", &many_fields, MUCH), silent().deaf()),
        client("one long field", says(&format!("{head}x: "), "v", 1_000_000), silent()),
        client("one long name", says(head, "n", 1_000_000), silent()),
        client("a long field that is allowed", says(&long_field, "-", 0), silent()),
        client("the same, pipelined", says("", &long_field, MUCH), answering(OK)),
        client("a long target", says("GET /", "t", 1_000_000), silent()),
        client("long targets, pipelined", says("", &long_target, MUCH), answering(OK)),
        client("long targets to a deaf server", says("", &long_target, MUCH), silent().deaf()),
        client("empty lines", says("", "\r\n", 400_000), silent()),
        client("a head byte by byte", says(&format!("{head}x: "), "v", 10_000).in_pieces(1), silent()),
        client("content byte by byte", says(POST, many_chunks, 10_000).in_pieces(1), silent()),
        client("many chunks", says(POST, many_chunks, MUCH), silent()),
        client("many chunks to a deaf server", says(POST, many_chunks, MUCH), silent().deaf()),
        client("chunk extensions", says(POST, &extended, MUCH), silent()),
        client("chunk extensions to a deaf server", says(POST, &extended, MUCH), silent().deaf()),
        client("a chunk extension", says(&format!("{POST}1;"), "e", 1_000_000), silent()),
        client("many trailers", says(&format!("{POST}0\r\n"), "a:\r\n", 400_000), silent()),
        client("one long trailer", says(&format!("{POST}0\r\nx: "), "v", 1_000_000), silent()),
        client("pipelined", says("", GET, MUCH), silent()),
        client("pipelined to a deaf server", says("", GET, MUCH), silent().deaf()),
        client("pipelined by a deaf client", says("", GET, MUCH).deaf(), answering(OK)),
        client("an upgraded client that floods", says(UPGRADE, "x", MUCH), says(SWITCHED, "-", 0).deaf()),
        client("content in small pieces", says(POST, many_chunks, 300_000).in_pieces(7), silent().deaf()),
    ];
    measure(&alone, &cases);
}

#[test]
fn servers() {
    let alone = crate::alone();
    let head = "HTTP/1.1 200 OK\r\n";
    let extended = format!("1;{}\r\na\r\n", "e".repeat(1000));
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    let long_interim = format!("HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n", "l".repeat(60_000));
    let deaf = |name, server| client(name, says(GET, "-", 0).deaf(), server);
    let cases = [
        server("many fields", says(head, "a:\r\n", 400_000)),
        server("one long field", says(&format!("{head}x: "), "v", 1_000_000)),
        server("a long reason", says("HTTP/1.1 200 ", "r", 1_000_000)),
        server("a head byte by byte", says(&format!("{head}x: "), "v", 10_000).in_pieces(1)),
        server("many interim responses", says("", interim, MUCH)),
        server("long interim responses", says("", &long_interim, MUCH)),
        deaf("interim responses to a deaf client", says("", interim, MUCH)),
        deaf("long interim responses to a deaf client", says("", &long_interim, MUCH)),
        server("chunk extensions", says(CHUNKED, &extended, MUCH)),
        deaf("chunk extensions to a deaf client", says(CHUNKED, &extended, MUCH)),
        deaf("many chunks to a deaf client", says(CHUNKED, "1\r\na\r\n", MUCH)),
        deaf("content to a deaf client", says("HTTP/1.0 200 OK\r\n\r\n", "x", MUCH)),
        server("content byte by byte", says(CHUNKED, "1\r\na\r\n", 10_000).in_pieces(1)),
        server("many trailers", says(&format!("{CHUNKED}0\r\n"), "a:\r\n", 400_000)),
        server("one long trailer", says(&format!("{CHUNKED}0\r\nx: "), "v", 1_000_000)),
        server("more than was asked for", says("", OK, MUCH)),
        client("a tunnel to a deaf client", says(UPGRADE, "-", 0).deaf(), says(SWITCHED, "x", MUCH)),
    ];
    measure(&alone, &cases);
}
