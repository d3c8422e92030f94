//! Of HTTP/1.

use super::peers::Part;
use super::{Attack, Attacker, CARRIED, MOST, measure, measure_outbound};

const GET: &str = "GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: web\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
const SIZED: &str = "POST / HTTP/1.1\r\nHost: web\r\nConnection: close\r\nContent-Length: 2000\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
const LAST_CHUNK: &str = "0\r\n\r\n";

const ANSWERED: &str = "\"response_code\":200,\"response_flags\":\"-\"";
/// A message, for a rule that it breaks.
const REFUSED: &str = "\"response_code_details\":\"http1.";
/// A client that has gone.
const LEFT: &str = "\"response_flags\":\"DC\"";

fn repeated(begin: &str, repeated: &str, times: usize, end: &str) -> String {
    [begin, &repeated.repeat(times), end].concat()
}

/// The server is asked for nothing, or answers.
fn client(name: &'static str, says: String, told: &'static str) -> Attack {
    let end: &[u8] = if says.ends_with(LAST_CHUNK) { b"\r\n0\r\n\r\n" } else { b"\r\n\r\n" };
    let server = Part::answers(end, OK);
    Attack { name, client: Part::says(says), server, told, most: MOST }
}

fn slowly(attack: Attack) -> Attack {
    Attack { client: attack.client.in_pieces(1), server: attack.server.in_pieces(1), ..attack }
}

#[test]
fn clients_pay_for_what_they_cost() {
    let long = "v".repeat(60_000);
    let attacks = [
        client("many fields", repeated(GET, "a:\r\n", 100_000, "\r\n"), "head_too_long"),
        client("a few fields too many", repeated(GET, "a:\r\n", 120, "\r\n"), "too_many_fields"),
        client("fields that are allowed", repeated(GET, "a:\r\n", 97, "\r\n"), ANSWERED),
        client(
            "a long field",
            repeated(GET, "x: ", 1, &format!("{}\r\n\r\n", long.repeat(16))),
            "head_too_long",
        ),
        client("a long field that is allowed", repeated(GET, "x: ", 1, &format!("{long}\r\n\r\n")), ANSWERED),
        slowly(client("a head byte by byte", repeated(GET, "a: b\r\n", 90, "\r\n"), ANSWERED)),
        slowly(client(
            "a long head byte by byte",
            repeated(GET, "x: ", 1, &format!("{}\r\n\r\n", "v".repeat(20_000))),
            ANSWERED,
        )),
        client("chunks of a byte", repeated(POST, "1\r\na\r\n", 200_000, LAST_CHUNK), ANSWERED),
        slowly(client("chunks byte by byte", repeated(POST, "1\r\na\r\n", 1_000, LAST_CHUNK), ANSWERED)),
        slowly(client("content byte by byte", repeated(SIZED, "a", 1_996, "\r\n\r\n"), ANSWERED)),
        client(
            "trailers",
            repeated(POST, "1\r\na\r\n0\r\n", 1, &repeated("", "a:\r\n", 97, "\r\n")),
            ANSWERED,
        ),
    ];
    measure(Attacker::Client, &attacks);
}

/// A client that does this.
fn part(name: &'static str, part: Part, told: &'static str) -> Attack {
    Attack { client: part, ..client(name, String::new(), told) }
}

#[test]
fn clients_that_break_rules_pay_for_it() {
    let kept = |more: &str| ["GET / HTTP/1.1\r\nHost: web\r\n\r\n", more].concat();
    let posts = |content: &str| Part::says([POST, content].concat());
    let long = "v".repeat(60_000);
    let sizes = "0a".repeat(100_000);
    let twice = long.repeat(2);
    let target = |target: &str| format!("GET /{target} HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n");
    let attacks = [
        client("an unknown version", "GET / HTTP/9.9\r\n\r\n".into(), REFUSED),
        client("two lengths", repeated(GET, "Content-Length: 1\r\n", 2, "\r\n"), REFUSED),
        client("no host", "GET / HTTP/1.1\r\n\r\n".into(), REFUSED),
        client("a long target", target(&twice), "head_too_long"),
        client("a long target that is allowed", target(&long), ANSWERED),
        client("nonsense behind a request", kept(&"\0\r\n\r\n".repeat(10_000)), REFUSED),
        client("empty lines behind a request", kept(&"\r\n".repeat(100_000)), REFUSED),
        part("a chunk that is none", posts("x\r\n"), REFUSED),
        part("a long extension", posts(&format!("1;{long}")), REFUSED),
        part("a long trailer", posts(&format!("0\r\nx: {long}")), REFUSED),
        part("a long trailer that could be sizes", posts(&format!("0\r\nx: {sizes}")), REFUSED),
        part("a long name that could be sizes", posts(&format!("0\r\n{sizes}")), REFUSED),
        part("many trailers", posts(&repeated("0\r\n", "a:\r\n", 10_000, "\r\n")), REFUSED),
        part("a head that ends early", Part::says(GET).ending(), REFUSED),
        part("content that ends early", posts("5\r\nab").ending(), LEFT),
        part("content that breaks off", posts("5\r\nab").resetting(), LEFT),
        part("a request that is taken back", Part::says([GET, "\r\n"].concat()).resetting(), CARRIED),
    ];
    measure(Attacker::Client, &attacks);
}

/// Framing of which each byte has to be looked at, and a byte of content at a time.
fn odd_chunks(begin: &str) -> [(&'static str, String); 7] {
    let extension = format!("1;{}\r\na\r\n", "e".repeat(1_000));
    let quoted = format!("1;a=\"{}\"\r\na\r\n", "q".repeat(980));
    let escapes = format!("1;a=\"{}\"\r\na\r\n", "\\q".repeat(490));
    [
        ("chunks with extensions", &extension[..], 1_000),
        ("chunks with empty extensions", "1;\r\na\r\n", 150_000),
        ("chunks with short extensions", "1;a\r\na\r\n", 150_000),
        ("chunks with quotations", &quoted, 1_000),
        ("chunks with short quotations", "1;a=\"b\"\r\na\r\n", 100_000),
        ("chunks with escapes", &escapes, 1_000),
        ("chunks whose sizes are long", "0000000000000001\r\na\r\n", 50_000),
    ]
    .map(|(name, chunk, times)| (name, repeated(begin, chunk, times, LAST_CHUNK)))
}

#[test]
fn clients_that_chunk_oddly_pay_for_it() {
    measure(Attacker::Client, &odd_chunks(POST).map(|(name, says)| client(name, says, ANSWERED)));
}

/// What odd framing of a server may take. It says a megabyte within a tenth of a millisecond, since nothing of it leaves the pod,
/// and to carry that takes five times as long; each line of a chunk takes some 10 ns more (up to 14 times the server's time, where
/// chunks of a byte have extensions of a byte).
const MOST_OF_FRAMING: f64 = 30.0;

#[test]
fn servers_that_chunk_oddly_pay_for_it() {
    let odd = |(name, says)| Attack { most: MOST_OF_FRAMING, ..server(name, says, ANSWERED) };
    measure(Attacker::Server, &odd_chunks(CHUNKED).map(odd));
}

/// To a client that asks for it.
fn server(name: &'static str, says: String, told: &'static str) -> Attack {
    Attack {
        name,
        client: Part::says([GET, "\r\n"].concat()),
        server: Part::answers(b"\r\n\r\n", says),
        told,
        most: MOST,
    }
}

#[test]
fn servers_pay_for_what_they_cost() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n";
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    let long = "v".repeat(60_000);
    let twice = long.repeat(2);
    let long_hint = format!("HTTP/1.1 103 Early Hints\r\nLink: {long}\r\n\r\n");
    let chunked = |more: &str| [CHUNKED, more].concat();
    let attacks = [
        server("many fields", repeated(head, "a:\r\n", 100_000, "\r\n"), "head_too_long"),
        server("fields that are allowed", repeated(head, "a:\r\n", 97, "\r\n"), ANSWERED),
        server("a long field", format!("{head}x: {twice}\r\n\r\n"), REFUSED),
        server("a long field that is allowed", format!("{head}x: {long}\r\n\r\n"), ANSWERED),
        server("a long reason", format!("HTTP/1.1 200 {twice}\r\n\r\n"), REFUSED),
        slowly(server("a head byte by byte", repeated(head, "a: b\r\n", 90, "\r\n"), ANSWERED)),
        server("interim responses", repeated("", hints, 2_000, OK), "interim_flood"),
        server("long interim responses", repeated("", &long_hint, 20, OK), "interim_flood"),
        server("nonsense", "\0\0\r\n\r\n".into(), REFUSED),
        server("more than was asked for", OK.repeat(10_000), ANSWERED),
        server("chunks of a byte", repeated(CHUNKED, "1\r\na\r\n", 50_000, LAST_CHUNK), ANSWERED),
        slowly(server("chunks byte by byte", repeated(CHUNKED, "1\r\na\r\n", 1_000, LAST_CHUNK), ANSWERED)),
        server("a chunk that is none", chunked("x\r\n"), REFUSED),
        server("trailers", chunked(&repeated("0\r\n", "a:\r\n", 97, "\r\n")), ANSWERED),
        server(
            "a long trailer that could be sizes",
            chunked(&format!("0\r\nx: {}", "0a".repeat(100_000))),
            REFUSED,
        ),
        server("many trailers", chunked(&repeated("0\r\n", "a:\r\n", 10_000, "\r\n")), REFUSED),
        Attack {
            server: Part::answers(b"\r\n\r\n", &OK[..OK.len() - 1]).closing(),
            ..server("content that ends early", String::new(), "\"response_flags\":\"UC\"")
        },
    ];
    measure(Attacker::Server, &attacks);
    measure_outbound(Attacker::Server, &attacks);
}
