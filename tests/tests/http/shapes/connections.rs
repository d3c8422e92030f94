//! Several requests on a connection, and who ends it when.

use crate::message::To;
use crate::script::{Act, HOST, Shape, Step, ok, post, request, response};

const GET_OLD: &str = "GET / HTTP/1.0\r\n\r\n";
const GET_OLD_KEPT: &str = "GET / HTTP/1.0\r\nHost: server.example\r\nConnection: keep-alive\r\n\r\n";

pub(super) fn all() -> Vec<Shape> {
    [pipelines(), ends(), old()].concat()
}

/// Requests that do not wait for responses.
fn pipelines() -> Vec<Shape> {
    let chunks = request("PUT /3", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n");
    let parts = [
        request("GET /1", "", ""),
        post("", b"hello"),
        chunks,
        request("HEAD /4", "", ""),
        request("GET /5", "", ""),
    ];
    let kinds = [To::Get, To::Get, To::Get, To::Head, To::Get];
    let stream = parts.concat();
    let answered = |name: &str, steps: Vec<Step>| {
        let mut shape = Shape::new(&format!("pipeline: {name}")).steps(steps).steps(kinds.map(Step::Final));
        for number in 1..=5 {
            let head = format!("HTTP/1.1 200 OK\r\nX-Number: {number}\r\nContent-Length: 1\r\n\r\n");
            let content = if number == 4 { "" } else { "x" };
            shape = shape.acts([Act::Rest, Act::Say(format!("{head}{content}").into())]);
        }
        shape.for_all()
    };
    let (left, right) = stream.split_at(stream.len() / 2);
    let many = 50;
    let mut all = vec![
        answered("five in one piece", vec![Step::Send(stream.clone())]),
        answered("five in two pieces", vec![Step::Send(left.into()), Step::Send(right.into())]),
        answered("five, cut at random", vec![Step::Cut(stream.clone())]),
        answered("five, one after another", parts.iter().cloned().map(Step::Send).collect()),
    ];
    let mut long =
        Shape::new("pipeline: 50 in one piece").step(Step::Send(request("GET /", "", "").repeat(many)));
    for _ in 0..many {
        long = long.step(Step::Final(To::Get)).acts([Act::Rest, Act::Say(ok())]);
    }
    all.push(long);
    all
}

/// Of connections.
fn ends() -> Vec<Shape> {
    let close = "Connection: close\r\n";
    vec![
        Shape::new("end: the client says so")
            .exchange(request("GET /", close, ""), To::Get, ok())
            .ends()
            .for_all(),
        Shape::new("end: both say so")
            .exchange(
                request("GET /", "connection: Close\r\n", ""),
                To::Get,
                response("200 OK", close, b"ok"),
            )
            .ends(),
        Shape::new("end: the server says so")
            .step(Step::Send(request("GET /", "", "")))
            .step(Step::Final(To::Get))
            .acts([Act::Rest, Act::Say(response("200 OK", close, b"ok")), Act::Finish]),
        Shape::new("end: the server does it between requests, and says nothing")
            .step(Step::Send(request("GET /", "", "")))
            .step(Step::Final(To::Get))
            .acts([Act::Rest, Act::Say(ok()), Act::Finish]),
        Shape::new("end: the client has nothing more to send")
            .steps([Step::Send(request("GET /", "", "")), Step::Finish, Step::Final(To::Get)])
            .acts([Act::Rest, Act::Say(ok())])
            .ends(),
        Shape::new("end: the client has nothing more to send than content")
            .steps([Step::Send(post("", b"hello")), Step::Finish, Step::Final(To::Get)])
            .acts([Act::Rest, Act::Say(ok())])
            .ends(),
        Shape::new("end: the client has nothing more to send than a pipeline")
            .steps([Step::Send(request("GET /", "", "").repeat(2)), Step::Finish])
            .steps([Step::Final(To::Get), Step::Final(To::Get)])
            .acts([Act::Rest, Act::Say(ok())])
            .acts([Act::Rest, Act::Say(ok())])
            .ends(),
        Shape::new("end: content that the client cuts off")
            .steps([Step::Send(request("POST /", "Content-Length: 10\r\n", "hello")), Step::Interim])
            .steps([Step::Finish, Step::End])
            .acts([Act::Say(b"HTTP/1.1 100 Continue\r\n\r\n".into()), Act::Rest, Act::Finish])
            .cut_off(),
    ]
}

/// HTTP/1.0.
fn old() -> Vec<Shape> {
    let kept = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok";
    let ends = |name: &str, request: &str, response: &[u8]| {
        Shape::new(&format!("HTTP/1.0: {name}"))
            .step(Step::Send(request.into()))
            .step(Step::Final(To::Get))
            .acts([Act::Rest, Act::Say(response.into()), Act::Finish])
            .ends()
    };
    vec![
        ends("without a Host", GET_OLD, &ok()).for_all(),
        ends("with a Host", &format!("GET /a HTTP/1.0\r\n{HOST}\r\n"), &ok()).for_all(),
        ends("until the end", GET_OLD, b"HTTP/1.0 200 OK\r\n\r\nhello"),
        ends("content", &format!("POST / HTTP/1.0\r\n{HOST}Content-Length: 5\r\n\r\nhello"), &ok()).for_all(),
        ends("a length", GET_OLD, b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        Shape::new("HTTP/1.0: kept").exchange(GET_OLD_KEPT, To::Get, kept),
        Shape::new("HTTP/1.0: kept twice").exchange(GET_OLD_KEPT, To::Get, kept).exchange(
            GET_OLD_KEPT,
            To::Get,
            kept,
        ),
        Shape::new("HTTP/1.0: to be kept, and the server does not")
            .steps([Step::Send(GET_OLD_KEPT.into()), Step::Final(To::Get)])
            .acts([
                Act::Rest,
                Act::Say(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok".into()),
                Act::Finish,
            ]),
        ends("interim responses", GET_OLD, b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\nhello"),
        Shape::new("HTTP/1.0: a server of it, kept").exchange(
            request("GET /", "Connection: keep-alive\r\n", ""),
            To::Get,
            kept,
        ),
        ends("a HEAD", "HEAD / HTTP/1.0\r\n\r\n", b"HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\n"),
    ]
}
