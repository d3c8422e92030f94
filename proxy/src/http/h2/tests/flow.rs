//! Windows: who does not read holds up who writes, and nobody else; and no more is held than was allowed.

use ::h2::server;
use bytes::Bytes;
use http::{Request, Response};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::Lab;
use super::peers::{client, read, send, server as serve, soon};
use super::raw::*;

const STREAM: usize = 100_000;
const CONNECTION: usize = 250_000;
const WINDOWS: [&str; 2] = ["--http2-stream-window=100000", "--http2-connection-window=250000"];

/// `:status 200`.
const OK: &[u8] = &[0x88];

/// Waits until so much is held, and says what is.
async fn held(lab: &super::Ended, expected: usize) -> usize {
    let waited = timeout(PATIENCE, async {
        while lab.relaying.buffered() as usize != expected {
            yield_now().await;
        }
    });
    let _ = waited.await;
    lab.relaying.buffered() as usize
}

/// Sends content as the windows allow, until they allow no more for a while; how much that was.
async fn fill(from: &mut Raw, stream: u32, windows: &mut (usize, usize)) -> usize {
    let mut sent = 0;
    loop {
        let most = windows.0.min(windows.1).min(16_384);
        if most == 0 {
            return sent;
        }
        from.send(frame(DATA, 0, stream, vec![7; most])).await.unwrap();
        (windows.0, windows.1) = (windows.0 - most, windows.1 - most);
        sent += most;
    }
}

#[tokio::test]
async fn a_server_that_does_not_read_holds_up_the_client() {
    let (mut client, mut server, lab) = Lab::raw(&WINDOWS).await;
    client.greet(&[]).await;
    // The server gives no window at all.
    server.welcome(&[(4, 0)]).await;
    server.wait_for(|frame| (frame.kind == SETTINGS && frame.flags & ACK != 0).then_some(())).await;
    client.send(post(1)).await.unwrap();
    let stream = server.next_of(HEADERS).await.stream;
    // The connection begins with a window of 65,535, and has no reason to get more.
    let sent = fill(&mut client, 1, &mut (STREAM, 65_535)).await;
    assert_eq!(sent, 65_535);
    client.send(ping(b"00000000")).await.unwrap();
    let frame =
        client.wait_for(|frame| matches!(frame.kind, PING | WINDOW_UPDATE).then(|| frame.clone())).await;
    assert_eq!(frame.kind, PING, "no window is given for what was not passed on");
    assert_eq!(held(&lab, 65_535).await, 65_535);
    // As much as is taken is passed on, byte for byte, and paid.
    server.send(window_update(stream, 40_000)).await.unwrap();
    let mut got = 0;
    while got < 40_000 {
        got += server.next_of(DATA).await.payload.len();
    }
    assert_eq!(got, 40_000);
    let paid = client.next_of(WINDOW_UPDATE).await;
    assert!(paid.payload[1..] != [0; 3]);
    assert_eq!(held(&lab, 25_535).await, 25_535);
    // What was held is given up with the stream.
    client.send(reset(1, CANCEL)).await.unwrap();
    server.next_of(RST_STREAM).await;
    assert_eq!(held(&lab, 0).await, 0);
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_the_server() {
    let (mut client, mut server, lab) = Lab::raw(&WINDOWS).await;
    client.greet(&[(1, 0), (4, 0)]).await;
    server.welcome(&[]).await;
    client.send(get(1)).await.unwrap();
    let stream = server.next_of(HEADERS).await.stream;
    server.send(headers(stream, END_HEADERS, OK)).await.unwrap();
    assert_eq!(client.next_of(HEADERS).await.status(), Some(200));
    let sent = fill(&mut server, stream, &mut (STREAM, 65_535)).await;
    assert_eq!(sent, 65_535);
    assert_eq!(held(&lab, 65_535).await, 65_535);
    // A byte at a time.
    for _ in 0..3 {
        client.send(window_update(1, 1)).await.unwrap();
        assert_eq!(client.next_of(DATA).await.payload, [7]);
    }
    // A setting changes the windows of open streams (RFC 9113, section 6.9.2).
    client.send(settings(&[(4, 10)])).await.unwrap();
    assert_eq!(client.next_of(DATA).await.payload, [7; 10]);
    assert_eq!(held(&lab, 65_535 - 13).await, 65_535 - 13);
}

#[tokio::test]
async fn a_window_that_has_become_negative_is_waited_for() {
    let (mut client, mut server, _lab) = Lab::raw(&[]).await;
    client.greet(&[(1, 0), (4, 10)]).await;
    server.welcome(&[]).await;
    client.send(get(1)).await.unwrap();
    let stream = server.next_of(HEADERS).await.stream;
    server.send([headers(stream, END_HEADERS, OK), frame(DATA, 0, stream, [7; 30])].concat()).await.unwrap();
    assert_eq!(client.next_of(DATA).await.payload.len(), 10);
    // 10 have been sent; with a window of 4 it is 6 less than none.
    client.send([settings(&[(4, 4)]), window_update(1, 6), ping(b"00000000")].concat()).await.unwrap();
    client
        .wait_for(|frame| {
            assert_ne!(frame.kind, DATA);
            (frame.kind == PING).then_some(())
        })
        .await;
    client.send(window_update(1, 1)).await.unwrap();
    assert_eq!(client.next_of(DATA).await.payload.len(), 1);
}

#[tokio::test]
async fn a_reader_that_stops_holds_up_no_other_stream() {
    const SIZE: usize = 3_000_000;
    let lab = Lab::new().await;
    let mut requests = client(lab.client).await;
    let mut arrivals = serve(lab.server, server::Builder::new());
    // The first is not read by the client; the window of the peer is 65,535.
    let (stopped, _) = requests.send_request(Request::get("http://a/1").body(()).unwrap(), true).unwrap();
    let (_arrived, mut respond) = soon(arrivals.recv()).await.unwrap();
    let mut down = respond.send_response(Response::new(()), false).unwrap();
    down.send_data(vec![1; 60_000].into(), false).unwrap();
    let mut stopped = soon(stopped).await.unwrap().into_body();
    // The peer's connection has a window of its own, of which that took the most; it is given back.
    let first = soon(stopped.data()).await.unwrap().unwrap();
    stopped.flow_control().release_capacity(first.len()).unwrap();

    let (going, mut up) =
        requests.send_request(Request::post("http://a/2").body(()).unwrap(), false).unwrap();
    let (arrived, mut respond) = soon(arrivals.recv()).await.unwrap();
    let upload = send(&mut up, Bytes::from(vec![2; SIZE]), true);
    let (asked, ()) = soon(async { tokio::join!(read(arrived.into_body()), upload) }).await;
    assert_eq!(asked.unwrap().0.len(), SIZE);
    respond.send_response(Response::new(()), true).unwrap();
    assert_eq!(soon(going).await.unwrap().status(), 200);
}

#[tokio::test]
async fn much_content_passes_whole_both_ways_at_once() {
    const SIZE: usize = 8_000_000;
    let lab = Lab::new().await;
    let mut requests = client(lab.client).await;
    let mut arrivals = serve(lab.server, server::Builder::new());
    let content = |seed: usize| (0..SIZE).map(|at| (at.wrapping_mul(31) ^ seed) as u8).collect::<Vec<u8>>();
    let (up, down) = (content(1), content(2));
    let (response, mut sink) =
        requests.send_request(Request::put("http://a/").body(()).unwrap(), false).unwrap();
    let (arrived, mut respond) = soon(arrivals.recv()).await.unwrap();
    let mut answer = respond.send_response(Response::new(()), false).unwrap();
    let response = soon(response).await.unwrap();
    let (asked, answered, (), ()) = soon(async {
        tokio::join!(
            read(arrived.into_body()),
            read(response.into_body()),
            send(&mut sink, up.clone().into(), true),
            send(&mut answer, down.clone().into(), true),
        )
    })
    .await;
    assert!(asked.unwrap().0 == up, "the request's content");
    assert!(answered.unwrap().0 == down, "the response's content");
    assert_eq!(lab.relaying.buffered(), 0);
}

#[tokio::test]
async fn a_connection_that_carries_much_gets_a_larger_window_and_no_more() {
    let (mut client, mut server, lab) = Lab::raw(&WINDOWS).await;
    client.greet(&[]).await;
    server.welcome(&[(4, 1 << 30)]).await;
    server.send(window_update(0, 1 << 30)).await.unwrap();
    let (mut given, mut sent, mut stream) = (65_535_usize, 0, 1);
    client.send(post(stream)).await.unwrap();
    // Each stream is below its window, so that only that of the connection counts.
    while sent < 600_000 {
        let part = (given - sent).min(16_000);
        if part == 0 {
            let update = client
                .wait_for(|frame| (frame.kind == WINDOW_UPDATE && frame.stream == 0).then(|| frame.clone()))
                .await;
            given += u32::from_be_bytes(update.payload.try_into().unwrap()) as usize;
            continue;
        }
        client.send(frame(DATA, END_STREAM, stream, vec![0; part])).await.unwrap();
        sent += part;
        stream += 2;
        client.send(post(stream)).await.unwrap();
    }
    while given - sent <= 65_535 {
        let update = client.next_of(WINDOW_UPDATE).await;
        if update.stream == 0 {
            given += u32::from_be_bytes(update.payload.try_into().unwrap()) as usize;
        }
        assert!(given - sent <= CONNECTION, "{given} of {sent}");
    }
    assert_eq!(held(&lab, 0).await, 0);
}

#[tokio::test]
async fn more_than_the_window_allows_is_an_error() {
    // Of the stream.
    let (mut client, mut server, _lab) = Lab::raw(&["--http2-stream-window=65535"]).await;
    client.greet(&[]).await;
    server.welcome(&[(4, 0)]).await;
    server.wait_for(|frame| (frame.kind == SETTINGS && frame.flags & ACK != 0).then_some(())).await;
    client.send(post(1)).await.unwrap();
    server.next_of(HEADERS).await;
    fill(&mut client, 1, &mut (65_535, 65_535)).await;
    client.send(frame(DATA, 0, 1, [0])).await.unwrap();
    let left =
        client.wait_for(|frame| matches!(frame.kind, GOAWAY | RST_STREAM).then(|| frame.clone())).await;
    assert_eq!(left.code(), FLOW_CONTROL_ERROR);
    // Content of streams that were broken off counts for the connection, and is given back to it.
    let (mut client, mut server, _lab) = Lab::greeted(&[]).await;
    client.send(post(1)).await.unwrap();
    let stream = server.next_of(HEADERS).await.stream;
    server.send(reset(stream, CANCEL)).await.unwrap();
    assert_eq!(client.next_of(RST_STREAM).await.code(), CANCEL);
    fill(&mut client, 1, &mut (65_535, 65_535)).await;
    let update = client.next_of(WINDOW_UPDATE).await;
    assert_eq!(update.stream, 0);
}
