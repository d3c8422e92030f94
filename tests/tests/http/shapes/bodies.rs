//! Content, both ways: announced, in chunks, until the end; short, long, cut off.

use crate::message::To;
use crate::script::{Act, HOST, Shape, Step, noise, ok, post, request, response};

/// Long enough for every buffer on the way to be filled.
const LARGE: usize = 5_000_000;

/// What is said in chunks; both ways, with what `for_all` servers understand.
const CHUNKS: [(&str, &str, bool); 9] = [
    ("one", "5\r\nhello\r\n0\r\n\r\n", true),
    ("none", "0\r\n\r\n", true),
    ("several", "1\r\na\r\n10\r\n0123456789abcdef\r\n00a\r\n0123456789\r\n0\r\n\r\n", true),
    ("upper and lower case sizes", "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", true),
    ("zeros before a size", "0000000005\r\nhello\r\n000\r\n\r\n", false),
    ("extensions", "5;a=b;c\r\nhello\r\n5; q=\"x;y\\\"\"\r\nhello\r\n0;last\r\n\r\n", false),
    ("trailers", "5\r\nhello\r\n0\r\nX-Sum: 1\r\nx-sum:2\r\nX-Other:\t3 \r\n\r\n", false),
    ("extensions and trailers", "5;a\r\nhello\r\n0;b=\"c\"\r\nServer-Timing: a;dur=1\r\n\r\n", false),
    ("what looks like an end", "8\r\n0\r\n\r\n0\r\n\r\n0\r\n\r\n", true),
];

pub(super) fn all() -> Vec<Shape> {
    [announced(), chunked(), until_the_end(), cut_off(), large(), pieces()].concat()
}

fn announced() -> Vec<Shape> {
    let to = |name: &str, request: Vec<u8>| {
        Shape::new(&format!("content: {name}")).exchange(request, To::Get, ok())
    };
    vec![
        to("5 bytes", post("", b"hello")).for_all(),
        to("nothing", post("", b"")).for_all(),
        to("what looks like a request", post("", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).for_all(),
        to("all bytes", post("", &(0..=255).collect::<Vec<u8>>())).for_all(),
        to("100 kB", post("Content-Type: application/octet-stream\r\n", &noise(2, 100_000))).for_all(),
        to("of a PUT", request("PUT /", "content-length: 2\r\n", "ok")).for_all(),
        to("of a GET", request("GET /", "Content-Length: 2\r\n", "ok")).for_all(),
        to("of a DELETE", request("DELETE /", "Content-Length: 2\r\n", "ok")).for_all(),
        to("of a POST that announces none", request("POST /", "", "")).for_all(),
    ]
}

fn chunked() -> Vec<Shape> {
    let mut all = Vec::new();
    for (name, chunks, is_for_all) in CHUNKS {
        let request = request("POST /", "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n", chunks);
        let mut shape = Shape::new(&format!("chunks: {name}")).exchange(request, To::Get, ok());
        shape.is_for_all = is_for_all;
        all.push(shape);
        let head = "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\ntransfer-encoding: chunked\r\n\r\n";
        all.push(Shape::new(&format!("chunks of a response: {name}")).get(format!("{head}{chunks}")));
    }
    let upper = request("POST /", "Transfer-Encoding: Chunked\r\n", "2\r\nok\r\n0\r\n\r\n");
    all.push(Shape::new("chunks: another spelling").exchange(upper, To::Get, ok()));
    let expects = Shape::new("chunks of a response: after a request that has trailers");
    let request = request("POST /", "TE: trailers\r\nTransfer-Encoding: chunked\r\n", "0\r\nX-A: 1\r\n\r\n");
    let response = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\ngrpc-status: 0\r\n\r\n";
    all.push(expects.exchange(request, To::Get, response));
    all
}

fn until_the_end() -> Vec<Shape> {
    let get = |name: &str, head: &str, content: &[u8]| {
        let response = [format!("{head}\r\n\r\n").as_bytes(), content].concat();
        Shape::new(&format!("until the end: {name}"))
            .step(Step::Send(request("GET /", "", "")))
            .step(Step::Final(To::Get))
            .acts([Act::Rest, Act::Say(response), Act::Finish])
            .ends()
    };
    vec![
        get("HTTP/1.1", "HTTP/1.1 200 OK\r\nX-A: 1", b"hello"),
        get("HTTP/1.1 that says so", "HTTP/1.1 200 OK\r\nConnection: close", b"hello"),
        get("HTTP/1.0", "HTTP/1.0 200 OK\r\nX-A: 1", b"hello"),
        get("nothing", "HTTP/1.1 200 OK\r\nX-A: 1", b""),
        get("1 MB", "HTTP/1.1 200 OK\r\nX-A: 1", &noise(3, 1_000_000)),
    ]
}

fn cut_off() -> Vec<Shape> {
    let get = |name: &str, response: &str, end: Act| {
        Shape::new(&format!("cut off: {name}"))
            .step(Step::Send(request("GET /", "", "")))
            .step(Step::Final(To::Get))
            .acts([Act::Rest, Act::Say(response.into()), end])
            .cut_off()
    };
    const EXACT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    vec![
        get("content", EXACT, Act::Finish),
        get("content, by a reset", EXACT, Act::Reset),
        get("chunks between two", CHUNKED, Act::Finish),
        get("chunks between two, by a reset", CHUNKED, Act::Reset),
        get("the last chunk", &format!("{CHUNKED}0\r\n"), Act::Finish),
    ]
}

fn large() -> Vec<Shape> {
    let chunks = |seed| {
        let content = noise(seed, LARGE);
        let chunk = |chunk: &[u8]| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
        [content.chunks(30_011).map(chunk).collect::<Vec<_>>().concat(), b"0\r\n\r\n".to_vec()].concat()
    };
    let head = |fields: &str| format!("POST / HTTP/1.1\r\n{HOST}{fields}\r\n").into_bytes();
    let both = response("200 OK", "", &noise(5, LARGE));
    let both_chunked =
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(), chunks(6)].concat();
    let chunked = [head("Transfer-Encoding: chunked\r\n"), chunks(7)].concat();
    vec![
        Shape::new("5 MB: both ways").exchange(post("", &noise(4, LARGE)), To::Get, both),
        Shape::new("5 MB: both ways in chunks").exchange(chunked.clone(), To::Get, both_chunked),
        Shape::new("5 MB: to the server").exchange(post("", &noise(8, LARGE)), To::Get, ok()).for_all(),
        Shape::new("5 MB: to the server in chunks").exchange(chunked, To::Get, ok()).for_all(),
    ]
}

fn pieces() -> Vec<Shape> {
    let cut = |name: &str, bytes: Vec<u8>| {
        Shape::new(&format!("cut at random: {name}"))
            .step(Step::Cut(bytes))
            .step(Step::Final(To::Get))
            .acts([Act::Rest, Act::Say(ok())])
    };
    let fields = "X-A: 1\r\nx-a: 2\r\nTransfer-Encoding: chunked\r\n";
    let chunks = "5;a=\"b\"\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nX-Sum: 1\r\n\r\n";
    vec![
        cut("a head", request("GET /a/b/c", "X-A: 1\r\nX-B: 2\r\n", "")).for_all(),
        cut("chunks", request("POST /", fields, chunks)),
        cut("content", post("X-A: 1\r\n", &noise(9, 2_000))).for_all(),
    ]
}
