//! The times that a connection may take, each of them apart.

use super::peers::soon;
use super::raw::*;
use super::{Lab, accept, listen};

/// `:status 200`.
const OK: &[u8] = &[0x88];

fn timeouts(lab: &super::Ended, timer: &str) -> Vec<String> {
    Lab::metric(&lab.shown, &["remora_http_timeouts_total{direction=\"inbound\"", timer])
}

#[track_caller]
fn assert_met(lab: &super::Ended, timer: &str) {
    let lines = timeouts(lab, timer);
    assert!(matches!(&lines[..], [line] if line.ends_with(" 1")), "{lines:?}");
}

#[tokio::test]
async fn a_connection_without_a_stream_ends() {
    let (mut client, mut server, lab) = Lab::greeted(&["--http-idle-timeout=200ms"]).await;
    assert_eq!(client.next_of(GOAWAY).await.code(), NO_ERROR);
    assert_eq!(server.next_of(GOAWAY).await.code(), NO_ERROR);
    assert_eq!(client.next().await, None);
    assert_met(&lab, "timer=\"idle_timeout\"");
    soon(lab.end).await.unwrap();
}

#[tokio::test]
async fn a_stream_keeps_a_connection_though_nothing_passes() {
    let (mut client, mut server, lab) = Lab::greeted(&["--http-idle-timeout=50ms"]).await;
    client.send(get(1)).await.unwrap();
    let stream = server.next_of(HEADERS).await.stream;
    // Another connection that is idle for as long has ended by then.
    let (mut other, _server, _lab) = Lab::greeted(&["--http-idle-timeout=200ms"]).await;
    other.next_of(GOAWAY).await;
    server.send(headers(stream, END_STREAM | END_HEADERS, OK)).await.unwrap();
    assert_eq!(client.next_of(HEADERS).await.status(), Some(200));
    client.next_of(GOAWAY).await;
    assert_met(&lab, "timer=\"idle_timeout\"");
}

#[tokio::test]
async fn a_head_that_does_not_end_is_not_waited_for() {
    let block = get_with(&[]);
    for slow in
        [headers(1, END_STREAM, &block[..8]), headers(1, END_STREAM | END_HEADERS, &block)[..30].to_vec()]
    {
        let (mut client, _server, mut lab) = Lab::greeted(&["--http-head-timeout=200ms"]).await;
        client.send(slow).await.unwrap();
        assert_eq!(client.next_of(GOAWAY).await.code(), ENHANCE_YOUR_CALM);
        assert_eq!(client.next().await, None);
        soon(&mut lab.end).await.unwrap();
        assert_met(&lab, "timer=\"request_head_timeout\"");
    }
}

#[tokio::test]
async fn a_request_that_nobody_answers_is_given_up() {
    let (mut client, mut server, lab) = Lab::greeted(&["--http-stream-idle-timeout=100ms"]).await;
    client.send(get(1)).await.unwrap();
    let asked = server.next_of(HEADERS).await.stream;
    let response = client.next_of(HEADERS).await;
    assert_eq!((response.status(), response.is_end()), (Some(504), true));
    let reset = server.next_of(RST_STREAM).await;
    assert_eq!((reset.stream, reset.code()), (asked, CANCEL));
    assert_met(&lab, "timer=\"stream_idle_timeout\"");
    // The connection goes on.
    client.send(get(3)).await.unwrap();
    let asked = server.next_of(HEADERS).await.stream;
    server.send(headers(asked, END_HEADERS, OK)).await.unwrap();
    assert_eq!(client.next_of(HEADERS).await.status(), Some(200));
    let reset = client.next_of(RST_STREAM).await;
    assert_eq!((reset.stream, reset.code()), (3, CANCEL));
}

#[tokio::test]
async fn a_silent_peer_is_asked_whether_it_is_there_while_streams_are_open() {
    let times = ["--http2-ping-interval=100ms", "--http2-ping-timeout=1h"];
    let (mut client, mut server, lab) = Lab::greeted(&times).await;
    client.send(get(1)).await.unwrap();
    let asked = server.next_of(HEADERS).await.stream;
    for _ in 0..3 {
        for peer in [&mut client, &mut server] {
            let asks = peer.wait_for(|frame| (frame.kind == PING).then(|| frame.clone())).await;
            peer.send(frame(PING, ACK, 0, asks.payload)).await.unwrap();
        }
    }
    server.send(headers(asked, END_STREAM | END_HEADERS, OK)).await.unwrap();
    assert_eq!(client.next_of(HEADERS).await.status(), Some(200));
    // Without a stream nobody is asked, in the time in which another connection is.
    let (mut other, mut its_server, _lab) = Lab::greeted(&["--http2-ping-interval=300ms"]).await;
    other.send(get(1)).await.unwrap();
    its_server.next_of(PING).await;
    drop((other, its_server));
    for peer in [&mut client, &mut server] {
        peer.send(ping(b"00000000")).await.unwrap();
        let frame = peer.next_of(PING).await;
        assert_eq!((frame.flags, &frame.payload[..]), (ACK, &b"00000000"[..]));
    }
    assert_eq!(timeouts(&lab, "timer=\"ping_timeout\"").len(), 1);
    assert!(timeouts(&lab, "timer=\"ping_timeout\"")[0].ends_with(" 0"));
}

#[tokio::test]
async fn a_server_that_does_not_answer_a_ping_is_left() {
    let times = ["--http2-ping-interval=100ms", "--http2-ping-timeout=100ms"];
    let (mut client, mut server, lab) = Lab::greeted(&times).await;
    client.send(get(1)).await.unwrap();
    server.next_of(PING).await;
    let response = loop {
        let frame = client.next().await.unwrap();
        match frame.kind {
            PING => client.send(frame_of(&frame)).await.unwrap(),
            HEADERS => break frame,
            _ => {}
        }
    };
    assert_eq!(response.status(), Some(503));
    assert_eq!(server.next().await, None);
    assert_met(&lab, "timer=\"ping_timeout\"");
}

fn frame_of(asks: &Frame) -> Vec<u8> {
    frame(PING, ACK, 0, &asks.payload)
}

#[tokio::test]
async fn a_client_that_does_not_answer_a_ping_is_left() {
    let times = ["--http2-ping-interval=100ms", "--http2-ping-timeout=100ms"];
    let (mut client, mut server, lab) = Lab::greeted(&times).await;
    client.send(get(1)).await.unwrap();
    let reset = loop {
        let frame = server.next().await.unwrap();
        match frame.kind {
            PING => server.send(frame_of(&frame)).await.unwrap(),
            RST_STREAM => break frame,
            _ => {}
        }
    };
    assert_eq!(reset.code(), CANCEL);
    while client.next().await.is_some() {}
    let end = soon(lab.end).await.unwrap();
    assert_eq!(end.flags, "DC");
    let lines = Lab::metric(&lab.shown, &["istio_requests_total{", "response_flags=\"DC\""]);
    assert!(matches!(&lines[..], [line] if line.ends_with(" 1")), "{}", lab.shown.text());
}

#[tokio::test]
async fn a_server_that_nobody_needs_is_left_and_the_client_is_not() {
    let listener = listen().await;
    let (mut client, _lab, _dials) = Lab::among(&["--http-pool-idle-timeout=100ms"], &[&listener]).await;
    for stream in [1, 3] {
        client.send(get(stream)).await.unwrap();
        let mut server = accept(&listener).await;
        let asked = server.next_of(HEADERS).await.stream;
        // A stream keeps it, for as long as another one would be kept without.
        let (mut other, its_server) = {
            let other = listen().await;
            let (mut client, lab, _) = Lab::among(&["--http-pool-idle-timeout=200ms"], &[&other]).await;
            client.send(get(1)).await.unwrap();
            let mut server = accept(&other).await;
            let stream = server.next_of(HEADERS).await.stream;
            server.send(headers(stream, END_STREAM | END_HEADERS, OK)).await.unwrap();
            (server, (client, lab))
        };
        assert_eq!(other.next_of(GOAWAY).await.code(), NO_ERROR);
        drop(its_server);
        server.send(headers(asked, END_STREAM | END_HEADERS, OK)).await.unwrap();
        assert_eq!(client.next_of(HEADERS).await.status(), Some(200));
        assert_eq!(server.next_of(GOAWAY).await.code(), NO_ERROR);
        assert_eq!(server.next().await, None);
    }
}
