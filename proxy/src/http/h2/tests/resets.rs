//! Who breaks off, and what the other side hears of it.

use http::Request;

use super::Lab;
use super::peers::{client as h2_client, soon};
use super::raw::*;
use crate::telemetry::session::End;

/// `:status 200`.
const OK: &[u8] = &[0x88];

const CODES: [u32; 6] = [NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM];

#[tokio::test]
async fn a_client_breaks_off() {
    let (mut client, mut server, _ended) = Lab::greeted(&[]).await;
    let mut stream = 1;
    for code in CODES {
        for has_response in [false, true] {
            for is_complete in [false, true] {
                client.send(if is_complete { get(stream) } else { post(stream) }).await.unwrap();
                let asked = server.next_of(HEADERS).await;
                if has_response {
                    server.send(headers(asked.stream, END_HEADERS, OK)).await.unwrap();
                    assert_eq!(client.next_of(HEADERS).await.status(), Some(200));
                }
                client.send(reset(stream, code)).await.unwrap();
                let reset = server.next_of(RST_STREAM).await;
                assert_eq!(
                    (reset.stream, reset.code()),
                    (asked.stream, code),
                    "{has_response} {is_complete}"
                );
                stream += 2;
            }
        }
    }
}

#[tokio::test]
async fn a_server_breaks_off() {
    let (mut client, mut server, _ended) = Lab::greeted(&[]).await;
    let mut stream = 1;
    for code in CODES {
        for has_response in [false, true] {
            for is_complete in [false, true] {
                client.send(if is_complete { get(stream) } else { post(stream) }).await.unwrap();
                let asked = server.next_of(HEADERS).await;
                if has_response {
                    server.send(headers(asked.stream, END_HEADERS, OK)).await.unwrap();
                    assert_eq!(client.next_of(HEADERS).await.status(), Some(200));
                }
                server.send(reset(asked.stream, code)).await.unwrap();
                if code == REFUSED_STREAM && !has_response {
                    // It is asked again, and once more.
                    for _ in 0..2 {
                        let asked = server.next_of(HEADERS).await;
                        server.send(reset(asked.stream, code)).await.unwrap();
                    }
                }
                let reset = client.next_of(RST_STREAM).await;
                assert_eq!((reset.stream, reset.code()), (stream, code), "{has_response} {is_complete}");
                stream += 2;
            }
        }
    }
}

#[tokio::test]
async fn an_early_response_is_whole_though_the_rest_of_the_request_is_not_wanted() {
    let (mut client, mut server, _ended) = Lab::greeted(&[]).await;
    client.send(post(1)).await.unwrap();
    let stream = server.next_of(HEADERS).await.stream;
    let response = headers(stream, END_HEADERS, OK);
    let content = frame(DATA, END_STREAM, stream, b"no more");
    server.send([response, content, reset(stream, NO_ERROR)].concat()).await.unwrap();
    assert_eq!(client.next_of(HEADERS).await.status(), Some(200));
    let content = client.next_of(DATA).await;
    assert_eq!((content.is_end(), &content.payload[..]), (true, &b"no more"[..]));
    let reset = client.next_of(RST_STREAM).await;
    assert_eq!((reset.stream, reset.code()), (1, NO_ERROR));
}

/// The server breaks off with another code than RFC 9113 asks for, as older ones do, after the head had been passed on.
#[tokio::test]
async fn the_end_of_a_response_is_not_discarded_by_a_reset_that_follows_it() {
    let (mut client, mut server, _ended) = Lab::greeted(&[]).await;
    client.send(post(1)).await.unwrap();
    let stream = server.next_of(HEADERS).await.stream;
    server.send(headers(stream, END_HEADERS, OK)).await.unwrap();
    assert_eq!(client.next_of(HEADERS).await.status(), Some(200));
    let content = frame(DATA, END_STREAM, stream, b"all of it");
    server.send([content, reset(stream, CANCEL)].concat()).await.unwrap();
    let content = client.next_of(DATA).await;
    assert_eq!((content.is_end(), &content.payload[..]), (true, &b"all of it"[..]));
    assert_eq!(client.next_of(RST_STREAM).await.code(), NO_ERROR);
}

/// As gRPC's own servers do it when they stop at once.
#[tokio::test]
async fn the_end_of_an_early_response_is_not_discarded_when_no_more_is_wanted() {
    let (mut client, mut server, _ended) = Lab::greeted(&[]).await;
    client.send(post(1)).await.unwrap();
    let stream = server.next_of(HEADERS).await.stream;
    server.send([headers(stream, END_HEADERS, OK), frame(DATA, 0, stream, b"half")].concat()).await.unwrap();
    assert_eq!(client.next_of(DATA).await.payload, b"half");
    let content = frame(DATA, 0, stream, b"the rest");
    let trailers = headers(stream, END_HEADERS | END_STREAM, literal(b"grpc-status", b"14"));
    let going = [goaway(0x7fff_ffff, NO_ERROR), goaway(stream, INTERNAL_ERROR)].concat();
    server.send([going, content, trailers, reset(stream, NO_ERROR)].concat()).await.unwrap();
    drop(server);
    assert_eq!(client.next_of(DATA).await.payload, b"the rest");
    assert!(client.next_of(HEADERS).await.is_end());
    let reset = client.next_of(RST_STREAM).await;
    assert_eq!((reset.stream, reset.code()), (1, NO_ERROR));
}

#[tokio::test]
async fn an_early_response_does_not_end_the_request() {
    let (mut client, mut server, _ended) = Lab::greeted(&[]).await;
    client.send(post(1)).await.unwrap();
    let stream = server.next_of(HEADERS).await.stream;
    server.send(headers(stream, END_STREAM | END_HEADERS, OK)).await.unwrap();
    assert!(client.next_of(HEADERS).await.is_end());
    client.send(frame(DATA, 0, 1, b"more")).await.unwrap();
    assert_eq!(server.next_of(DATA).await.payload, b"more");
    client.send(frame(DATA, END_STREAM, 1, b"")).await.unwrap();
    assert!(server.next_of(DATA).await.is_end());
}

#[tokio::test]
async fn a_server_that_is_gone_before_a_response_is_told_by_one() {
    let (mut client, mut server, ended) = Lab::greeted(&[]).await;
    client.send(get(1)).await.unwrap();
    server.next_of(HEADERS).await;
    drop(server);
    let response = client.next_of(HEADERS).await;
    assert_eq!((response.status(), response.is_end()), (Some(503), true));
    drop(client);
    let _ = soon(ended.end).await.unwrap();
    let lines = Lab::metric(
        &ended.shown,
        &["istio_requests_total{", "response_code=\"503\"", "response_flags=\"UC\""],
    );
    assert_eq!(lines.len(), 1, "{}", ended.shown.text());
}

#[tokio::test]
async fn a_server_that_is_gone_before_a_response_is_told_to_a_call_by_its_status() {
    let lab = Lab::new().await;
    let mut server = Raw::new(lab.server);
    let mut requests = h2_client(lab.client).await;
    server.welcome(&[]).await;
    let call =
        Request::post("http://a/s/m").header("content-type", "application/grpc+proto").body(()).unwrap();
    let (response, _body) = requests.send_request(call, false).unwrap();
    server.next_of(HEADERS).await;
    drop(server);
    let response = soon(response).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/grpc");
    assert_eq!(response.headers()["grpc-status"], "14");
    assert!(response.headers().contains_key("grpc-message"));
    assert!(response.body().is_end_stream());
}

#[tokio::test]
async fn a_server_that_is_gone_after_the_head_is_told_by_a_reset() {
    let (mut client, mut server, _ended) = Lab::greeted(&[]).await;
    client.send(get(1)).await.unwrap();
    let stream = server.next_of(HEADERS).await.stream;
    server.send([headers(stream, END_HEADERS, OK), frame(DATA, 0, stream, b"half")].concat()).await.unwrap();
    assert_eq!(client.next_of(DATA).await.payload, b"half");
    drop(server);
    let reset = client.next_of(RST_STREAM).await;
    assert_eq!((reset.stream, reset.code()), (1, INTERNAL_ERROR));
}

#[tokio::test]
async fn a_server_that_is_gone_after_the_head_is_told_to_a_call_by_its_status() {
    for leaves in [false, true] {
        let lab = Lab::new().await;
        let mut server = Raw::new(lab.server);
        let mut requests = h2_client(lab.client).await;
        server.welcome(&[]).await;
        let call = Request::post("http://a/s/m").header("content-type", "application/grpc").body(()).unwrap();
        let (response, _body) = requests.send_request(call, false).unwrap();
        let stream = server.next_of(HEADERS).await.stream;
        let head = [OK, &literal(b"content-type", b"application/grpc")].concat();
        server
            .send([headers(stream, END_HEADERS, head), frame(DATA, 0, stream, b"half")].concat())
            .await
            .unwrap();
        let mut body = soon(response).await.unwrap().into_body();
        assert_eq!(soon(body.data()).await.unwrap().unwrap(), "half");
        if leaves {
            server.send(goaway(stream, INTERNAL_ERROR)).await.unwrap();
        }
        drop(server);
        assert!(soon(body.data()).await.is_none());
        let trailers = soon(body.trailers()).await.unwrap().unwrap();
        assert_eq!(trailers["grpc-status"], "14");
        assert!(trailers.contains_key("grpc-message"));
    }
}

#[tokio::test]
async fn a_response_to_a_call_that_is_no_grpc_breaks_off_by_a_reset() {
    let (mut client, mut server, _ended) = Lab::greeted(&[]).await;
    let call = post_with(&[("content-type", "application/grpc")]);
    client.send(headers(1, END_HEADERS | END_STREAM, call)).await.unwrap();
    let stream = server.next_of(HEADERS).await.stream;
    server.send([headers(stream, END_HEADERS, OK), frame(DATA, 0, stream, b"half")].concat()).await.unwrap();
    assert_eq!(client.next_of(DATA).await.payload, b"half");
    drop(server);
    let reset = client.next_of(RST_STREAM).await;
    assert_eq!((reset.stream, reset.code()), (1, INTERNAL_ERROR));
}

/// Some libraries never end a request that was answered before its end.
#[tokio::test]
async fn a_client_that_has_its_response_breaks_nothing_off() {
    let (mut client, mut server, ended) = Lab::greeted(&[]).await;
    client.send([post(1), post(3)].concat()).await.unwrap();
    let streams = [server.next_of(HEADERS).await.stream, server.next_of(HEADERS).await.stream];
    for stream in streams {
        server.send(headers(stream, END_HEADERS | END_STREAM, OK)).await.unwrap();
        assert!(client.next_of(HEADERS).await.is_end());
    }
    client.send(reset(1, CANCEL)).await.unwrap();
    let first = server.next_of(RST_STREAM).await;
    drop(client);
    let second = server.next_of(RST_STREAM).await;
    assert_eq!(
        [first, second].map(|reset| (reset.stream, reset.code())),
        streams.map(|stream| (stream, CANCEL))
    );
    let _ = soon(ended.end).await.unwrap();
    let lines = Lab::metric(&ended.shown, &["istio_requests_total{"]);
    let are_complete = |line: &String| line.contains("response_flags=\"-\"") && line.ends_with(" 2");
    assert!(matches!(&lines[..], [line] if are_complete(line)), "{lines:?}");
}

#[tokio::test]
async fn a_client_that_is_gone_is_told_by_resets() {
    let (mut client, mut server, ended) = Lab::greeted(&[]).await;
    client.send([get(1), post(3)].concat()).await.unwrap();
    let streams = [server.next_of(HEADERS).await.stream, server.next_of(HEADERS).await.stream];
    drop(client);
    let mut resets = [server.next_of(RST_STREAM).await, server.next_of(RST_STREAM).await];
    resets.sort_by_key(|reset| reset.stream);
    assert_eq!(resets.map(|reset| (reset.stream, reset.code())), streams.map(|stream| (stream, CANCEL)));
    assert_eq!(server.next_of(GOAWAY).await.code(), NO_ERROR);
    assert_eq!(server.next().await, None);
    let _ = soon(ended.end).await.unwrap();
    let lines = Lab::metric(&ended.shown, &["istio_requests_total{", "response_flags=\"DC\""]);
    assert!(matches!(&lines[..], [line] if line.ends_with(" 2")), "{lines:?}");
}

#[tokio::test]
async fn a_client_that_ends_in_good_order_takes_the_server_with_it() {
    let (mut client, mut server, ended) = Lab::greeted(&[]).await;
    client.send(goaway(0, NO_ERROR)).await.unwrap();
    drop(client);
    assert_eq!(server.next_of(GOAWAY).await.code(), NO_ERROR);
    assert_eq!(server.next().await, None);
    let _ = soon(ended.end).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_silent_keeps_nobody_from_leaving() {
    let (mut client, server, ended) = Lab::raw(&[]).await;
    client.greet(&[]).await;
    client.send(get(1)).await.unwrap();
    drop(client);
    soon(ended.end).await.unwrap();
    drop(server);
}

#[tokio::test]
async fn requests_wait_where_the_server_takes_fewer_streams() {
    let (mut client, mut server, _ended) = Lab::raw(&[]).await;
    client.greet(&[(1, 0)]).await;
    server.welcome(&[(3, 1)]).await;
    // The settings have come when they are acknowledged.
    server.wait_for(|frame| (frame.kind == SETTINGS && frame.flags & ACK != 0).then_some(())).await;
    client.send([get(1), get(3), get(5)].concat()).await.unwrap();
    let first = server.next_of(HEADERS).await.stream;
    server.send(ping(b"00000000")).await.unwrap();
    // The next frame is the answer, and not another request.
    assert_eq!(server.next().await.unwrap().kind, PING);
    let mut next = first;
    for stream in [1, 3, 5] {
        server.send(headers(next, END_STREAM | END_HEADERS, OK)).await.unwrap();
        let response = client.next_of(HEADERS).await;
        assert_eq!((response.stream, response.status()), (stream, Some(200)));
        if stream != 5 {
            next = server.next_of(HEADERS).await.stream;
        }
    }
}

#[tokio::test]
async fn a_refused_message_has_one_reason() {
    let (mut client, server, ended) = Lab::greeted(&[]).await;
    let messages = [
        (get_with(&[("host", "b")]), "reason=\"http2.host_not_authority\""),
        (get_with(&[("x", " y")]), "reason=\"http2.field_value\""),
        (get_with(&[("connection", "close")]), "reason=\"http2.malformed\""),
    ];
    let mut stream = 1;
    for (block, reason) in messages {
        client.send(headers(stream, END_STREAM | END_HEADERS, block)).await.unwrap();
        assert_eq!(client.next_of(RST_STREAM).await.code(), PROTOCOL_ERROR);
        // What was sent has been counted when another frame is answered.
        client.send(ping(b"00000000")).await.unwrap();
        client.next_of(PING).await;
        let lines = Lab::metric(
            &ended.shown,
            &["remora_http_refused_messages_total{direction=\"inbound\",side=\"client\"", reason],
        );
        assert!(matches!(&lines[..], [line] if line.ends_with(" 1")), "{reason}: {lines:?}");
        stream += 2;
    }
    drop(server);
}

#[tokio::test]
async fn a_client_without_a_server_is_answered() {
    let refused =
        |_| Err(End { flags: "UF,URX", details: None, failure: Some("connection refused".to_owned()) });
    let lab = Lab::between(&[], refused).await;
    let mut requests = h2_client(lab.client).await;
    for _ in 0..2 {
        let (response, _) = requests.send_request(Request::get("http://a/").body(()).unwrap(), true).unwrap();
        let response = soon(response).await.unwrap();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["server"], "remora");
    }
    drop(requests);
    assert_eq!(soon(lab.end).await.unwrap(), End::COMPLETE);
    let lines = Lab::metric(
        &lab.shown,
        &["istio_requests_total{", "response_flags=\"UF,URX\"", "response_code=\"503\""],
    );
    assert!(matches!(&lines[..], [line] if line.ends_with(" 2")), "{}", lab.shown.text());
}

#[tokio::test]
async fn a_client_that_asked_nothing_ends_as_the_connection_to_its_server_did() {
    let refused = |_| Err(End { flags: "UF,URX", details: None, failure: None });
    let lab = Lab::between(&[], refused).await;
    let mut client = Raw::new(lab.client);
    client.greet(&[]).await;
    client.send(goaway(0, NO_ERROR)).await.unwrap();
    while client.next().await.is_some() {}
    drop(client);
    assert_eq!(soon(lab.end).await.unwrap().flags, "UF,URX");
}

#[tokio::test]
async fn a_call_without_a_server_has_a_status() {
    let refused =
        |_| Err(End { flags: "UF,URX", details: None, failure: Some("connection refused".to_owned()) });
    let lab = Lab::between(&[], refused).await;
    let mut requests = h2_client(lab.client).await;
    let call = Request::post("http://a/s/m").header("content-type", "application/grpc").body(()).unwrap();
    let (response, _body) = requests.send_request(call, false).unwrap();
    let response = soon(response).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["grpc-status"]),
        (200, &"14".parse().unwrap())
    );
    assert_eq!(response.headers()["grpc-message"], "connection refused");
}

/// h2 leaves out the field that is too much, and all that follow.
#[tokio::test]
async fn trailers_that_are_too_long_are_not_cut() {
    let (mut client, mut server, lab) = Lab::greeted(&[]).await;
    for (stream, size) in [(1, 60_000), (3, 70_000), (5, 60_000)] {
        client.send(get(stream)).await.unwrap();
        let asked = server.next_of(HEADERS).await.stream;
        let trailers = block(&[("a", &"~".repeat(size)), ("grpc-status", "0")]);
        let (first, rest) = trailers.split_at(16_384);
        let mut sent = [headers(asked, END_HEADERS, OK), headers(asked, END_STREAM, first)].concat();
        for part in rest.chunks(16_384) {
            sent.extend(frame(CONTINUATION, 0, asked, part));
        }
        sent.extend(frame(CONTINUATION, END_HEADERS, asked, []));
        server.send(sent).await.unwrap();
        let is_last = |frame: &Frame| frame.is_end() || frame.kind == RST_STREAM;
        let last = client.wait_for(|frame| is_last(frame).then(|| frame.clone())).await;
        assert_eq!((last.stream, last.kind == RST_STREAM), (stream, size > 65_536), "{size}");
    }
    // A head that was long says nothing of them.
    client.send(get(7)).await.unwrap();
    let asked = server.next_of(HEADERS).await.stream;
    let head = [OK, &block(&[("a", &"~".repeat(20_000))])].concat();
    let (first, rest) = head.split_at(16_384);
    let head = [headers(asked, 0, first), frame(CONTINUATION, END_HEADERS, asked, rest)].concat();
    let trailers = headers(asked, END_STREAM | END_HEADERS, block(&[("grpc-status", "0")]));
    server.send([head, frame(DATA, 0, asked, b"all"), trailers].concat()).await.unwrap();
    client.wait_for(|frame| (frame.kind == HEADERS && frame.is_end()).then_some(())).await;
    let told = [
        "remora_http_refused_messages_total{direction=\"inbound\"",
        "side=\"server\"",
        "reason=\"http2.trailers_too_long\"",
    ];
    let lines = Lab::metric(&lab.shown, &told);
    assert!(matches!(&lines[..], [line] if line.ends_with(" 1")), "{lines:?}");
}
