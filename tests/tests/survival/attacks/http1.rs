//! Of HTTP/1.

use super::peers::Part;
use super::{Attack, Attacker, MOST, measure};

const GET: &str = "GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: web\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
const LAST_CHUNK: &str = "0\r\n\r\n";

const ANSWERED: &str = "\"response_code\":200,\"response_flags\":\"-\"";

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
    let extension = format!("1;{}\r\na\r\n", "e".repeat(1_000));
    let attacks = [
        client("many fields", repeated(GET, "a:\r\n", 100_000, "\r\n"), "http1.head_too_long"),
        client("a few fields too many", repeated(GET, "a:\r\n", 120, "\r\n"), "http1.too_many_fields"),
        client("fields that are allowed", repeated(GET, "a:\r\n", 97, "\r\n"), ANSWERED),
        client(
            "a long field",
            repeated(GET, "x: ", 1, &format!("{}\r\n\r\n", long.repeat(16))),
            "http1.head_too_long",
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
        client("chunks with extensions", repeated(POST, &extension, 1_000, LAST_CHUNK), ANSWERED),
        client(
            "trailers",
            repeated(POST, "1\r\na\r\n0\r\n", 1, &repeated("", "a:\r\n", 97, "\r\n")),
            ANSWERED,
        ),
    ];
    measure(Attacker::Client, &attacks);
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
    let attacks = [
        server("many fields", repeated(head, "a:\r\n", 100_000, "\r\n"), "http1.head_too_long"),
        server("fields that are allowed", repeated(head, "a:\r\n", 97, "\r\n"), ANSWERED),
        slowly(server("a head byte by byte", repeated(head, "a: b\r\n", 90, "\r\n"), ANSWERED)),
        server("interim responses", repeated("", hints, 2_000, OK), "http1.interim_flood"),
        server("chunks of a byte", repeated(CHUNKED, "1\r\na\r\n", 50_000, LAST_CHUNK), ANSWERED),
        slowly(server("chunks byte by byte", repeated(CHUNKED, "1\r\na\r\n", 1_000, LAST_CHUNK), ANSWERED)),
    ];
    measure(Attacker::Server, &attacks);
}
