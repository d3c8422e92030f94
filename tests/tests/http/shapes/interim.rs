//! Interim responses, and responses that do not wait for the end of the request.

use crate::message::To;
use crate::script::{Act, Shape, Step, noise, ok, request, response};

const HINTS: &[u8] = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nlink: </b.js>\r\n\r\n";
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
const EXPECT: &str = "Expect: 100-continue\r\n";

pub(super) fn all() -> Vec<Shape> {
    [expectations(), hints(), early()].concat()
}

/// A client that sends its content when it is told to.
fn expectations() -> Vec<Shape> {
    let with_length = || Step::Send(request("POST /", &format!("{EXPECT}Content-Length: 5\r\n"), ""));
    let chunked = request("POST /", &format!("{EXPECT}Transfer-Encoding: chunked\r\n"), "");
    let continues = |name: &str, head: Step, content: &str| {
        Shape::new(&format!("expectation: {name}"))
            .steps([head, Step::Interim, Step::Send(content.into()), Step::Final(To::Get)])
            .acts([Act::Quiet, Act::Say(CONTINUE.into()), Act::Rest, Act::Say(ok())])
    };
    let refused = |status: &str| {
        Shape::new(&format!("expectation: {status}"))
            .steps([with_length(), Step::Final(To::Get)])
            .acts([Act::Say(response(status, "Connection: close\r\n", b"no")), Act::Finish])
    };
    let at_once = request("POST /", &format!("{EXPECT}Content-Length: 5\r\n"), "hello");
    vec![
        continues("met", with_length(), "hello"),
        continues("met for chunks", Step::Send(chunked), "5\r\nhello\r\n0\r\n\r\n"),
        continues(
            "of another case",
            Step::Send(request("POST /", "expect: 100-Continue\r\nContent-Length: 5\r\n", "")),
            "hello",
        ),
        refused("417 Expectation Failed"),
        refused("401 Unauthorized"),
        refused("302 Found"),
        Shape::new("expectation: not waited for").exchange(at_once.clone(), To::Get, ok()).for_all(),
        Shape::new("expectation: met though not waited for")
            .steps([Step::Send(at_once), Step::Final(To::Get)])
            .acts([Act::Say(CONTINUE.into()), Act::Rest, Act::Say(ok())]),
        Shape::new("expectation: of no content").exchange(request("GET /", EXPECT, ""), To::Get, ok()),
    ]
}

fn hints() -> Vec<Shape> {
    let get =
        |name: &str, interim: &[u8]| Shape::new(&format!("interim: {name}")).get([interim, &ok()].concat());
    vec![
        get("103", HINTS),
        get("100 that nobody asked for", CONTINUE),
        get("102", b"HTTP/1.1 102 Processing\r\n\r\n"),
        get("199", b"HTTP/1.1 199 Odd\r\nX-A: 1\r\n\r\n"),
        get("several", &[CONTINUE, HINTS, HINTS, b"HTTP/1.1 102 Processing\r\nX-A: 1\r\n\r\n"].concat()),
        Shape::new("interim: before all others have come")
            .steps([Step::Send(request("GET /", "", "")), Step::Interim, Step::Signal, Step::Interim])
            .steps([Step::Signal, Step::Final(To::Get)])
            .acts([Act::Say(HINTS.into()), Act::Await, Act::Say(HINTS.into()), Act::Await, Act::Say(ok())]),
        Shape::new("interim: to a HEAD").exchange(
            request("HEAD /", "", ""),
            To::Head,
            [HINTS, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"].concat(),
        ),
    ]
}

/// The response comes while the request's content is on its way.
fn early() -> Vec<Shape> {
    let begin = || Step::Send(request("POST /", "Content-Length: 10\r\n", "hello"));
    let chunk = || Step::Send(request("POST /", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"));
    vec![
        Shape::new("early: and the rest comes")
            .steps([begin(), Step::Final(To::Get), Step::Send(b"hello".into())])
            .acts([Act::Say(ok()), Act::Rest]),
        Shape::new("early: and the rest of the chunks comes")
            .steps([chunk(), Step::Final(To::Get), Step::Send(b"5\r\nhello\r\n0\r\n\r\n".into())])
            .acts([Act::Say(ok()), Act::Rest]),
        Shape::new("early: and it is enough")
            .steps([begin(), Step::Final(To::Get)])
            .acts([Act::Say(response("413 Content Too Large", "Connection: close\r\n", b"no")), Act::Finish]),
        Shape::new("early: to one that goes on sending")
            .steps([
                Step::Send(request("POST /", "Content-Length: 1000000\r\n", "hello")),
                Step::Interim,
                Step::Signal,
                Step::Send(noise(10, 999_995)),
                Step::Final(To::Get),
            ])
            .acts([
                Act::Say(CONTINUE.into()),
                Act::Await,
                Act::Say(response("413 Content Too Large", "Connection: close\r\n", b"no")),
                Act::Finish,
            ]),
        Shape::new("early: both at the same time")
            .steps([chunk(), Step::Interim, Step::Send(b"5\r\nhello\r\n".into()), Step::Signal])
            .steps([Step::Send(b"0\r\n\r\n".into()), Step::Final(To::Get)])
            .acts([
                Act::Say(
                    [HINTS, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"].concat(),
                ),
                Act::Await,
                Act::Rest,
                Act::Say(b"2\r\nok\r\n0\r\n\r\n".into()),
            ]),
    ]
}
