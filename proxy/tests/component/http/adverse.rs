//! Both ends in states in which bytes could be lost, mixed or kept: each of these went wrong once.

use std::io::{Read, Write};
use std::net::Shutdown;

use serde_json::json;

use super::{Ends, GET, OK, address, expect, proxy, told};
use crate::support::{INBOUND, Proxy, Seen, accept, eventually, next, reset};

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";

#[test]
fn a_switch_before_the_request_is_whole_is_refused() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    let begun =
        "POST / HTTP/1.1\r\nHost: web\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 5\r\n\r\nhalf";
    ends.asks(begun);
    ends.is_asked(begun);
    ends.answers(SWITCH);
    expect(&ends.client, b"HTTP/1.1 502 Bad Gateway\r\n");
    assert_eq!(next(&ends.server), Seen::Reset);
    let reason =
        ["remora_http_refused_messages_total{", "side=\"server\"", "reason=\"http1.unasked_switch\""];
    assert_eq!(proxy.metric(&reason), 1);
}

#[test]
fn early_bytes_of_a_tunnel_do_not_hold_the_other_direction_up() {
    const LENGTH: usize = 8_000_000;
    let proxy = proxy(&[]);
    let ends = Ends::inbound(&proxy);
    let connect = "CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n";
    let mut client = ends.client.try_clone().unwrap();
    let sends = std::thread::spawn(move || {
        client.write_all(connect.as_bytes()).unwrap();
        client.write_all(&vec![7; LENGTH]).unwrap();
    });
    ends.is_asked(connect);
    // The server says as much before it listens to anything.
    let mut server = ends.server.try_clone().unwrap();
    let answers = std::thread::spawn(move || {
        server.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        server.write_all(&vec![9; LENGTH]).unwrap();
    });
    ends.is_answered("HTTP/1.1 200 OK\r\n\r\n");
    ends.is_answered(vec![9; LENGTH]);
    answers.join().unwrap();
    ends.is_asked(vec![7; LENGTH]);
    sends.join().unwrap();
}

#[test]
fn interim_responses_without_end_are_refused() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    ends.asks(GET);
    ends.is_asked(GET);
    let hint = "HTTP/1.1 103 Early Hints\r\n\r\n";
    ends.answers(hint.repeat(100));
    let (mut got, mut buffer) = (Vec::new(), [0; 4096]);
    let refused = b"HTTP/1.1 502 Bad Gateway\r\n";
    while !got.windows(refused.len()).any(|window| window == refused) {
        let length = ends.client.read(&mut buffer).unwrap();
        got.extend_from_slice(&buffer[..length]);
    }
    let whole = got.chunks(hint.len()).take_while(|head| *head == hint.as_bytes()).count();
    assert!((16..100).contains(&whole), "{whole}");
    assert!(got[whole * hint.len()..].starts_with(refused));
    let reason = [
        "remora_http_refused_messages_total{direction=\"inbound\"",
        "side=\"server\"",
        "reason=\"http1.interim_flood\"",
    ];
    assert_eq!(proxy.metric(&reason), 1);
}

#[test]
fn an_interim_head_that_breaks_off_is_followed_by_nothing() {
    let proxy = proxy(&["--http-max-head", "262144"]);
    let mut ends = Ends::inbound(&proxy);
    // Fewer of these fill the way than would be a flood, however long the kernel would let it become.
    socket2::SockRef::from(&ends.client).set_recv_buffer_size(64 * 1024).unwrap();
    ends.asks(GET);
    ends.is_asked(GET);
    let hint = format!("HTTP/1.1 103 Early Hints\r\nLink: {}\r\n\r\n", "x".repeat(250_000));
    // Until nobody takes more: the client does not read.
    ends.server.set_nonblocking(true).unwrap();
    let mut sent = 0;
    eventually("a full way to the client", || {
        // Whole heads, but for the last one.
        while let Ok(written) = ends.server.write(&hint.as_bytes()[sent..]) {
            sent = (sent + written) % hint.len();
        }
        is_held(&proxy)
    });
    reset(ends.server.try_clone().unwrap());
    ends.server.shutdown(Shutdown::Both).unwrap();
    let Ends { mut client, server, .. } = ends;
    drop(server);
    // It may be over already.
    let _ = client.shutdown(Shutdown::Write);
    let mut got = Vec::new();
    let ended = client.read_to_end(&mut got);
    let got = String::from_utf8_lossy(&got);
    // The last one may have been whole, and the proxy's own answer is in its place then; the first one may be the last.
    let (whole, cut) = got.rsplit_once("\r\n\r\n").unwrap_or(("", &got));
    let mut heads = whole.split("\r\n\r\n").filter(|head| !head.is_empty());
    assert!(heads.all(|head| head.starts_with("HTTP/1.1 ")));
    assert!(!cut[1.min(cut.len())..].contains("HTTP"), "{}", &cut[cut.len().saturating_sub(200)..]);
    assert_eq!(ended.is_err(), !whole.contains("503"), "a reset, if the answer is not whole");
}

/// Whether something waits for its reader.
fn is_held(proxy: &Proxy) -> bool {
    ["mode=\"copy\"", "mode=\"splice\""]
        .iter()
        .any(|mode| proxy.metric(&["remora_relay_buffered_bytes{", mode]) > 0)
}

#[test]
fn what_waits_for_an_answer_holds_nothing_that_was_sent() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    let buffered = || proxy.metric(&["remora_relay_buffered_bytes{", "mode=\"copy\""]);
    let post = format!("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 60000\r\n\r\n{}", "p".repeat(60_000));
    ends.asks(&post);
    ends.is_asked(&post);
    eventually("nothing is held", || buffered() == 0);
    ends.answers(OK);
    ends.is_answered(OK);
    // What may have to be sent again is held, and counted.
    ends.asks(GET);
    ends.is_asked(GET);
    assert_eq!(buffered(), GET.len() as u64);
    ends.answers(OK);
    ends.is_answered(OK);
    eventually("nothing is held", || buffered() == 0);
}

#[test]
fn a_client_that_goes_after_an_early_answer_is_noticed() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    let head = "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 100000000\r\n\r\n";
    ends.asks(head);
    ends.is_asked(head);
    ends.client.set_nonblocking(true).unwrap();
    // The server does not listen, and so somebody holds what comes.
    eventually("a full way to the server", || {
        while ends.client.write(&[0; 65536]).is_ok() {}
        is_held(&proxy)
    });
    ends.client.set_nonblocking(false).unwrap();
    let early = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n";
    ends.answers(early);
    ends.is_answered(early);
    reset(ends.client);
    let mut server = ends.server;
    let ended = server.read_to_end(&mut Vec::new());
    assert!(ended.is_err(), "a reset, since the request is not whole");
}

#[test]
fn a_request_that_breaks_off_after_its_answer_is_reset() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    let begun = "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 10\r\n\r\nab";
    ends.asks(begun);
    ends.is_asked(begun);
    ends.answers(OK);
    ends.is_answered(OK);
    reset(ends.client);
    assert_eq!(next(&ends.server), Seen::Reset);
}

#[test]
fn content_that_turns_bad_after_the_answer_is_told() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    let begun = "POST /late HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n";
    ends.asks(begun);
    ends.is_asked(begun);
    ends.answers(OK);
    ends.is_answered(OK);
    ends.asks("x\r\n");
    assert_eq!(next(&ends.server), Seen::Reset);
    assert_eq!(next(&ends.client), Seen::End);
    let lines = proxy.stop();
    let keys = ["path", "response_code", "response_flags", "response_code_details"];
    let expected = [&json!("/late"), &json!(200), &json!("DPE"), &json!("http1.chunk_size")];
    assert_eq!(told(&lines, keys), [expected]);
}

#[test]
fn a_refused_request_keeps_its_name_however_it_is_cut() {
    let proxy = proxy(&[]);
    let mut ends = Ends::inbound(&proxy);
    ends.asks("POST /named HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n");
    expect(&ends.client, b"HTTP/1.1 400 Bad Request\r\n");
    eventually("its line", || proxy.log.lines().iter().any(|line| line["path"] == "/named"));
}

#[test]
fn an_urgent_byte_behind_a_head_arrives() {
    let proxy = proxy(&[]);
    for _ in 0..5 {
        let mut ends = Ends::inbound(&proxy);
        ends.asks(GET);
        ends.is_asked(GET);
        let begun = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na";
        ends.answers(begun);
        socket2::SockRef::from(&ends.server).send_out_of_band(b"b").unwrap();
        ends.is_answered(format!("{begun}b"));
    }
}

#[test]
fn a_pipelined_request_does_not_go_to_a_server_that_has_ended() {
    let proxy = proxy(&[]);
    let listener = INBOUND.listener();
    let mut client = proxy.connect(INBOUND, address(&listener));
    let post = "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 1\r\n\r\n!";
    client.write_all([GET, post].concat().as_bytes()).unwrap();
    let mut server = accept(&listener);
    expect(&server, GET.as_bytes());
    // Its end comes with its answer, although it has not said so.
    socket2::SockRef::from(&server).set_tcp_cork(true).unwrap();
    server.write_all(OK.as_bytes()).unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    let again = accept(&listener);
    expect(&again, post.as_bytes());
    (&again).write_all(OK.as_bytes()).unwrap();
    expect(&client, OK.repeat(2).as_bytes());
}
