//! Requests that a server has not accepted, and which of them are sent again.

use super::raw::*;
use super::{Ended, Lab, accept, listen};

/// `:status 200`.
const OK: &[u8] = &[0x88];

async fn asked(server: &mut Raw) -> u32 {
    server.next_of(HEADERS).await.stream
}

async fn answers(server: &mut Raw, stream: u32) {
    server.send(headers(stream, END_STREAM | END_HEADERS, OK)).await.unwrap();
}

async fn is_answered(client: &mut Raw, stream: u32, status: u16) {
    let response = client.next_of(HEADERS).await;
    assert_eq!((response.stream, response.status()), (stream, Some(status)));
}

#[track_caller]
fn assert_retries(lab: &Ended, expected: u32) {
    let lines = Lab::metric(&lab.shown, &["remora_http_retries_total{direction=\"inbound\""]);
    assert!(matches!(&lines[..], [line] if line.ends_with(&format!(" {expected}"))), "{lines:?}");
}

#[tokio::test]
async fn what_is_refused_is_sent_to_another_server() {
    let listeners = [listen().await, listen().await];
    let (mut client, lab, _dials) = Lab::among(&[], &listeners.each_ref()).await;
    client.send(get_and_post()).await.unwrap();
    // The first server refuses the first request, and the second one what comes then to it.
    let (mut first, mut second) = (accept(&listeners[0]).await, accept(&listeners[1]).await);
    let stream = asked(&mut first).await;
    first.send(reset(stream, REFUSED_STREAM)).await.unwrap();
    let others = [asked(&mut second).await, asked(&mut first).await];
    answers(&mut second, others[0]).await;
    answers(&mut first, others[1]).await;
    for _ in 0..2 {
        assert_eq!(client.next_of(HEADERS).await.status(), Some(200));
    }
    assert_retries(&lab, 1);
}

/// Two requests, of which the second has content that has not come.
fn get_and_post() -> Vec<u8> {
    [get(1), post(3)].concat()
}

#[tokio::test]
async fn what_a_server_has_not_taken_when_it_leaves_is_sent_again_and_the_rest_finishes() {
    let listener = listen().await;
    let (mut client, lab, _dials) = Lab::among(&[], &[&listener]).await;
    client.send([get(1), post(3)].concat()).await.unwrap();
    let mut old = accept(&listener).await;
    let taken = asked(&mut old).await;
    asked(&mut old).await;
    old.send(goaway(taken, NO_ERROR)).await.unwrap();
    let mut new = accept(&listener).await;
    let stream = asked(&mut new).await;
    client.send(frame(DATA, END_STREAM, 3, b"content")).await.unwrap();
    assert_eq!(new.next_of(DATA).await.payload, b"content");
    answers(&mut new, stream).await;
    is_answered(&mut client, 3, 200).await;
    answers(&mut old, taken).await;
    is_answered(&mut client, 1, 200).await;
    // The old connection ends, and nothing more goes there.
    assert_eq!(old.next_of(GOAWAY).await.code(), NO_ERROR);
    assert_eq!(old.next().await, None);
    client.send(get(5)).await.unwrap();
    let stream = asked(&mut new).await;
    answers(&mut new, stream).await;
    is_answered(&mut client, 5, 200).await;
    assert_retries(&lab, 1);
}

#[tokio::test]
async fn what_waits_for_its_turn_does_not_wait_for_a_server_that_leaves() {
    let listener = listen().await;
    let (mut client, lab, _dials) = Lab::among(&[], &[&listener]).await;
    client.send(get(1)).await.unwrap();
    let mut old = accept(&listener).await;
    let taken = asked(&mut old).await;
    old.send(settings(&[(3, 1)])).await.unwrap();
    old.wait_for(|frame| (frame.kind == SETTINGS && frame.flags & ACK != 0).then_some(())).await;
    client.send([post(3), frame(DATA, END_STREAM, 3, b"content"), get(5)].concat()).await.unwrap();
    // They have come when another frame is answered.
    client.send(ping(b"00000000")).await.unwrap();
    client.next_of(PING).await;
    old.send(goaway(taken, NO_ERROR)).await.unwrap();
    let mut new = accept(&listener).await;
    for _ in 0..2 {
        let stream = asked(&mut new).await;
        answers(&mut new, stream).await;
        assert_eq!(client.next_of(HEADERS).await.status(), Some(200));
    }
    answers(&mut old, taken).await;
    is_answered(&mut client, 1, 200).await;
    // No server had been asked.
    assert_retries(&lab, 0);
}

#[tokio::test]
async fn what_has_gone_in_part_is_refused() {
    let listener = listen().await;
    let (mut client, lab, _dials) = Lab::among(&[], &[&listener]).await;
    client.send([post(1), frame(DATA, 0, 1, b"part")].concat()).await.unwrap();
    let mut server = accept(&listener).await;
    let stream = asked(&mut server).await;
    assert_eq!(server.next_of(DATA).await.payload, b"part");
    server.send(reset(stream, REFUSED_STREAM)).await.unwrap();
    let refused = client.next_of(RST_STREAM).await;
    assert_eq!((refused.stream, refused.code()), (1, REFUSED_STREAM));
    // The same where the server leaves.
    client.send([post(3), frame(DATA, 0, 3, b"part")].concat()).await.unwrap();
    asked(&mut server).await;
    server.next_of(DATA).await;
    server.send(goaway(0, NO_ERROR)).await.unwrap();
    let refused = client.next_of(RST_STREAM).await;
    assert_eq!((refused.stream, refused.code()), (3, REFUSED_STREAM));
    assert_retries(&lab, 0);
}

#[tokio::test]
async fn what_is_refused_again_and_again_is_refused() {
    let listener = listen().await;
    let (mut client, lab, _dials) = Lab::among(&[], &[&listener]).await;
    client.send(get(1)).await.unwrap();
    for _ in 0..3 {
        let mut server = accept(&listener).await;
        asked(&mut server).await;
        server.send(goaway(0, NO_ERROR)).await.unwrap();
    }
    let refused = client.next_of(RST_STREAM).await;
    assert_eq!((refused.stream, refused.code()), (1, REFUSED_STREAM));
    assert_retries(&lab, 2);
}

#[tokio::test]
async fn what_may_be_repeated_is_sent_again_when_a_connection_ends_that_was_in_use() {
    for (request, is_repeated) in [
        (get(3), true),
        (headers(3, END_STREAM | END_HEADERS, post_with(&[])), false),
        (headers(3, END_HEADERS, get_with(&[])), false),
    ] {
        for in_use in [false, true] {
            let listener = listen().await;
            let (mut client, lab, _dials) = Lab::among(&[], &[&listener]).await;
            let mut old = None;
            if in_use {
                client.send(get(1)).await.unwrap();
                let mut server = accept(&listener).await;
                let stream = asked(&mut server).await;
                answers(&mut server, stream).await;
                is_answered(&mut client, 1, 200).await;
                old = Some(server);
            }
            client.send(&request[..]).await.unwrap();
            let mut old = match old {
                Some(old) => old,
                None => accept(&listener).await,
            };
            asked(&mut old).await;
            drop(old);
            if in_use && is_repeated {
                let mut new = accept(&listener).await;
                let stream = asked(&mut new).await;
                answers(&mut new, stream).await;
                is_answered(&mut client, 3, 200).await;
                assert_retries(&lab, 1);
            } else {
                is_answered(&mut client, 3, 503).await;
                assert_retries(&lab, 0);
            }
        }
    }
}

#[tokio::test]
async fn what_a_server_has_begun_to_answer_is_not_sent_again() {
    let listener = listen().await;
    let (mut client, lab, _dials) = Lab::among(&[], &[&listener]).await;
    client.send(get(1)).await.unwrap();
    let mut server = accept(&listener).await;
    let stream = asked(&mut server).await;
    let interim = headers(stream, END_HEADERS, block(&[(":status", "103")]));
    server.send(interim).await.unwrap();
    assert_eq!(client.next_of(HEADERS).await.status(), Some(103));
    server.send(reset(stream, REFUSED_STREAM)).await.unwrap();
    let refused = client.next_of(RST_STREAM).await;
    assert_eq!((refused.stream, refused.code()), (1, REFUSED_STREAM));
    assert_retries(&lab, 0);
}
