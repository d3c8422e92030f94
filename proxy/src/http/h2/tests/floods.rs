//! Frames that carry nothing, without end, from who reads nothing: the connection ends within a thousand of them. And traffic that
//! looks like it, which goes on. Those who read are the conformance crate's.

use std::time::Instant;

use tokio::io::AsyncReadExt;
use tokio::task::coop::consume_budget;

use super::super::meter::Peer;
use super::super::metered::Metered;
use super::peers::soon;
use super::raw::*;
use super::{Lab, pair};
use crate::net::leg::Leg;

const MOST: usize = 1_000;

/// `:status 200`.
const OK: &[u8] = &[0x88];

/// A peer that does not read what it provokes is left, too, without being told.
#[tokio::test]
async fn floods_of_who_does_not_read_end() {
    for round in [ping(&[0; 8]), settings(&[]), frame(0xfa, 0, 0, [0; 16_384])] {
        let (mut client, mut server, mut lab) = Lab::greeted(&[]).await;
        for _ in 0..MOST {
            if client.send(&round).await.is_err() {
                break;
            }
        }
        let end = soon(&mut lab.end).await.unwrap();
        assert_eq!(end.flags, "DPE", "{end:?}");
        while server.next().await.is_some() {}
    }
}

/// What h2 sees by itself is told as what the meter sees is.
#[tokio::test]
async fn what_the_library_ends_is_counted() {
    let bomb = |stream| frame(CONTINUATION, 0, stream, block(&[("x", &"y".repeat(16_000))])).repeat(40);
    let told = |lab: &super::Ended, side: &str| {
        let parts = [
            "remora_http_refused_messages_total{direction=\"inbound\"",
            side,
            "reason=\"http2.enhance_your_calm\"} 1",
        ];
        Lab::metric(&lab.shown, &parts).len()
    };
    let (mut client, _server, mut lab) = Lab::greeted(&[]).await;
    let _ = client.send([headers(1, END_STREAM, get_with(&[])), bomb(1)].concat()).await;
    assert_eq!(soon(&mut lab.end).await.unwrap().flags, "DPE");
    assert_eq!(told(&lab, "side=\"client\""), 1);
    let (mut client, mut server, lab) = Lab::greeted(&[]).await;
    client.send(get(1)).await.unwrap();
    let stream = server.next_of(HEADERS).await.stream;
    let _ = server.send([headers(stream, 0, OK), bomb(stream)].concat()).await;
    client.next_of(HEADERS).await;
    drop(client);
    while server.next().await.is_some() {}
    assert_eq!(told(&lab, "side=\"server\""), 1);
}

/// However much of a turn has been used up when it is seen what the peer has sent: tokio lets a task read and write so often, and
/// then no more before its next turn.
#[tokio::test]
async fn who_is_left_is_told_why() {
    for used in 0..200 {
        let (theirs, ours) = pair().await;
        let mut client = Raw::new(theirs);
        client.send([PREFACE, &ping(&[0; 8])].concat()).await.unwrap();
        ours.readable().await.unwrap();
        let (mut metered, _seen) = Metered::new(Leg::of(ours).unwrap(), Peer::Client, Instant::now());
        let read = tokio::spawn(async move {
            for _ in 0..used {
                consume_budget().await;
            }
            metered.read(&mut [0; 100]).await
        });
        assert!(soon(read).await.unwrap().is_err());
        assert_eq!(client.next_of(GOAWAY).await.code(), PROTOCOL_ERROR, "{used}");
    }
}

/// What probes of bandwidth, updates of windows and short streams cost is paid by what they are for.
#[tokio::test]
async fn traffic_is_no_flood() {
    const ROUNDS: u32 = 3_000;
    let (mut client, mut server, _lab) = Lab::raw(&[]).await;
    client.greet(&[(1, 0), (4, 1 << 20)]).await;
    server.welcome(&[(4, 1 << 20)]).await;
    client.send(post(1)).await.unwrap();
    let stream = server.next_of(HEADERS).await.stream;
    server.send(headers(stream, END_HEADERS, OK)).await.unwrap();
    client.next_of(HEADERS).await;
    for round in 0..ROUNDS {
        // A message down, for which the client probes, and gives windows back.
        server.send(frame(DATA, 0, stream, b"\0\0\0\0\x01a")).await.unwrap();
        client.next_of(DATA).await;
        client.send([ping(&[1; 8]), window_update(0, 6), window_update(1, 6)].concat()).await.unwrap();
        // A message up, for which the server does the same.
        client.send(frame(DATA, 0, 1, b"\0\0\0\0\x01a")).await.unwrap();
        server.next_of(DATA).await;
        server.send([ping(&[2; 8]), window_update(0, 6), window_update(stream, 6)].concat()).await.unwrap();
        // A call that is broken off after its first answer.
        let call = 2 * round + 3;
        client.send(get(call)).await.unwrap();
        let asked = server.next_of(HEADERS).await.stream;
        server.send(headers(asked, END_HEADERS, OK)).await.unwrap();
        client.next_of(HEADERS).await;
        client.send(reset(call, CANCEL)).await.unwrap();
        server.next_of(RST_STREAM).await;
    }
}
