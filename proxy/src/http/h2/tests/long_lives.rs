//! What connections meet that live for long and carry much: none of it is held against those who do nothing wrong.

use std::sync::atomic::Ordering;

use super::peers::soon;
use super::raw::*;
use super::{Lab, accept, listen};

/// `:status 200`.
const OK: &[u8] = &[0x88];

/// A request with a field that HTTP/2 must not have.
fn malformed(stream: u32) -> Vec<u8> {
    headers(stream, END_STREAM | END_HEADERS, get_with(&[("connection", "close")]))
}

async fn is_answered(client: &mut Raw, server: &mut Raw, stream: u32) {
    client.send(get(stream)).await.unwrap();
    let asked = server.next_of(HEADERS).await.stream;
    server.send(headers(asked, END_STREAM | END_HEADERS, OK)).await.unwrap();
    let response = client.wait_for(|frame| (frame.stream == stream).then(|| frame.clone())).await;
    assert_eq!((response.kind, response.status()), (HEADERS, Some(200)));
}

/// A server's frames for streams that were broken off long ago are no fault of the server's.
#[tokio::test]
async fn calls_that_are_broken_off_by_the_thousand_end_no_other() {
    let (mut client, mut server, _lab) = Lab::greeted(&[]).await;
    client.send(post(1)).await.unwrap();
    let lasting = server.next_of(HEADERS).await.stream;
    let (mut stream, mut broken_off) = (3, vec![]);
    for _ in 0..80 {
        for _ in 0..30 {
            client.send(get(stream)).await.unwrap();
            broken_off.push(server.next_of(HEADERS).await.stream);
            client.send(reset(stream, CANCEL)).await.unwrap();
            server.next_of(RST_STREAM).await;
            stream += 2;
        }
        // What others ask, pays for the resets.
        for _ in 0..30 {
            is_answered(&mut client, &mut server, stream).await;
            stream += 2;
        }
    }
    for stream in broken_off {
        server.send(headers(stream, END_STREAM | END_HEADERS, OK)).await.unwrap();
    }
    server.send(headers(lasting, END_STREAM | END_HEADERS, OK)).await.unwrap();
    let response = client.wait_for(|frame| (frame.stream == 1).then(|| frame.clone())).await;
    assert_eq!((response.kind, response.status()), (HEADERS, Some(200)));
}

/// One of many who use a connection cannot have the others cut by what is refused of it.
#[tokio::test]
async fn what_is_refused_once_in_a_while_ends_nothing() {
    let (mut client, mut server, _lab) = Lab::greeted(&[]).await;
    let mut stream = 1;
    for _ in 0..600 {
        client.send(malformed(stream)).await.unwrap();
        let reset = client.next_of(RST_STREAM).await;
        assert_eq!((reset.stream, reset.code()), (stream, PROTOCOL_ERROR));
        is_answered(&mut client, &mut server, stream + 2).await;
        stream += 4;
    }
}

#[tokio::test]
async fn who_is_refused_always_is_left_and_told_why() {
    let (mut client, _server, mut lab) = Lab::greeted(&[]).await;
    let mut stream = 1;
    while client.send(malformed(stream)).await.is_ok() && stream < 4_000 {
        stream += 2;
    }
    assert_eq!(client.next_of(GOAWAY).await.code(), ENHANCE_YOUR_CALM);
    assert_eq!(soon(&mut lab.end).await.unwrap().flags, "DPE");
    let told =
        Lab::metric(&lab.shown, &["remora_http_refused_messages_total{", "\"http2.broken_stream_flood\""]);
    assert_eq!(told.len(), 1, "{told:?}");
}

#[tokio::test]
async fn what_a_server_breaks_off_is_not_held_against_the_client() {
    let (mut client, mut server, _lab) = Lab::greeted(&[]).await;
    client.send(post(1)).await.unwrap();
    server.next_of(HEADERS).await;
    for stream in (3..2_000).step_by(2) {
        client.send(get(stream)).await.unwrap();
        let asked = server.next_of(HEADERS).await.stream;
        server.send(reset(asked, PROTOCOL_ERROR)).await.unwrap();
        let told = client.next_of(RST_STREAM).await;
        assert_eq!((told.stream, told.code()), (stream, PROTOCOL_ERROR));
    }
    is_answered(&mut client, &mut server, 2_001).await;
}

/// As when the context of many calls ends at once.
#[tokio::test]
async fn a_burst_of_calls_that_are_broken_off_at_once_ends_no_other() {
    const CALLS: u32 = 300;
    let (mut client, mut server, _lab) = Lab::greeted(&[]).await;
    let mut stream = 1;
    // What has been answered allows for it.
    for _ in 0..CALLS {
        is_answered(&mut client, &mut server, stream).await;
        stream += 2;
    }
    let calls = (0..CALLS).map(|number| stream + 2 * number);
    let burst = calls.clone().flat_map(get).chain(calls.flat_map(|stream| reset(stream, CANCEL)));
    client.send(burst.collect::<Vec<_>>()).await.unwrap();
    let last = stream + 2 * CALLS;
    client.send(get(last)).await.unwrap();
    let answered = async {
        loop {
            let asked = server.next_of(HEADERS).await.stream;
            // All are answered, whether or not somebody wants it still.
            server.send(headers(asked, END_STREAM | END_HEADERS, OK)).await.unwrap();
        }
    };
    tokio::select! {
        () = answered => {}
        frame = client.wait_for(|frame| (frame.stream == last).then(|| frame.clone())) => {
            assert_eq!((frame.kind, frame.status()), (HEADERS, Some(200)));
        }
    }
}

/// h2 takes a hundred of them in a connection's life.
#[tokio::test]
async fn content_without_content_wears_a_connection_out_and_breaks_no_stream() {
    let listener = listen().await;
    let (mut client, _lab, dials) = Lab::among(&[], &[&listener]).await;
    client.send(get(1)).await.unwrap();
    let mut server = accept(&listener).await;
    for stream in (1..120).step_by(2) {
        if stream > 1 {
            client.send(get(stream)).await.unwrap();
        }
        let asked = loop {
            match server.next().await {
                Some(frame) if frame.kind == HEADERS => break frame.stream,
                Some(_) => {}
                None => server = accept(&listener).await,
            }
        };
        let response =
            [headers(asked, END_HEADERS, OK), frame(DATA, 0, asked, []), frame(DATA, 0, asked, [])];
        server.send([response.concat(), frame(DATA, END_STREAM, asked, b"all")].concat()).await.unwrap();
        client.wait_for(|frame| (frame.stream == stream && frame.is_end()).then_some(())).await;
    }
    assert!(dials.load(Ordering::Relaxed) > 1);
}
