//! The servers of a client's requests: to which of them a request goes, and over which connection.

use std::sync::atomic::Ordering;

use super::peers::soon;
use super::raw::*;
use super::{Lab, accept, listen};
use crate::http::h2::MOST_SERVERS;

/// `:status 200`.
const OK: &[u8] = &[0x88];

async fn answers(server: &mut Raw) {
    let stream = server.next_of(HEADERS).await.stream;
    server.send(headers(stream, END_STREAM | END_HEADERS, OK)).await.unwrap();
}

async fn is_answered(client: &mut Raw, stream: u32) {
    let response = client.next_of(HEADERS).await;
    assert_eq!((response.stream, response.status()), (stream, Some(200)));
}

#[tokio::test]
async fn each_request_goes_to_the_server_that_is_chosen_for_it() {
    let listeners = [listen().await, listen().await];
    let (mut client, _lab, dials) = Lab::among(&[], &listeners.each_ref()).await;
    client.send(get(1)).await.unwrap();
    let mut servers = [accept(&listeners[0]).await, {
        client.send(get(3)).await.unwrap();
        accept(&listeners[1]).await
    }];
    // What one does not answer keeps nobody from the other.
    answers(&mut servers[1]).await;
    is_answered(&mut client, 3).await;
    answers(&mut servers[0]).await;
    is_answered(&mut client, 1).await;
    for round in 0..10 {
        for (index, server) in servers.iter_mut().enumerate() {
            let stream = 5 + 4 * round + 2 * index as u32;
            client.send(get(stream)).await.unwrap();
            answers(server).await;
            is_answered(&mut client, stream).await;
        }
    }
    assert_eq!(dials.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn requests_wait_for_one_connection_that_is_being_made() {
    let listener = listen().await;
    let (mut client, _lab, dials) = Lab::among(&[], &[&listener]).await;
    client.send((0..20).flat_map(|number| get(2 * number + 1)).collect::<Vec<_>>()).await.unwrap();
    let mut server = accept(&listener).await;
    for _ in 0..20 {
        answers(&mut server).await;
    }
    for _ in 0..20 {
        assert_eq!(client.next_of(HEADERS).await.status(), Some(200));
    }
    assert_eq!(dials.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn requests_that_wait_for_a_connection_that_cannot_be_made_hear_why() {
    let address = listen().await;
    let (mut client, lab, dials) = Lab::among(&[], &[&address]).await;
    drop(address);
    client.send((0..20).flat_map(|number| get(2 * number + 1)).collect::<Vec<_>>()).await.unwrap();
    for _ in 0..20 {
        assert_eq!(client.next_of(HEADERS).await.status(), Some(503));
    }
    assert!(dials.load(Ordering::Relaxed) < 20, "{dials:?}");
    let lines = Lab::metric(&lab.shown, &["istio_requests_total{", "response_flags=\"UF,URX\""]);
    assert!(matches!(&lines[..], [line] if line.ends_with(" 20")), "{lines:?}");
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_none_and_others_are() {
    let (gone, listener) = (listen().await, listen().await);
    let (mut client, _lab, _dials) = Lab::among(&[], &[&gone, &listener]).await;
    drop(gone);
    client.send([get(1), get(3)].concat()).await.unwrap();
    let mut server = accept(&listener).await;
    for _ in 0..2 {
        answers(&mut server).await;
        assert_eq!(client.next_of(HEADERS).await.status(), Some(200));
    }
}

#[tokio::test]
async fn who_has_waited_in_vain_waits_for_another_and_dials_nothing_by_itself() {
    const REQUESTS: u32 = 20;
    let (gone, listener) = (listen().await, listen().await);
    let (mut client, _lab, dials) = Lab::among(&[], &[&gone, &listener]).await;
    drop(gone);
    client.send((0..REQUESTS).flat_map(|number| get(2 * number + 1)).collect::<Vec<_>>()).await.unwrap();
    let mut server = accept(&listener).await;
    for _ in 0..REQUESTS {
        answers(&mut server).await;
        assert_eq!(client.next_of(HEADERS).await.status(), Some(200));
    }
    let dials = dials.load(Ordering::Relaxed);
    assert!(dials <= 4, "{dials} for {REQUESTS} requests and two addresses");
}

#[tokio::test]
async fn a_client_that_breaks_off_leaves_the_connection_to_who_waits_for_it() {
    let listener = listen().await;
    let (mut client, _lab, _dials) = Lab::among(&[], &[&listener]).await;
    client.send([get(1), get(3), reset(1, CANCEL)].concat()).await.unwrap();
    let mut server = accept(&listener).await;
    let mut other = None;
    loop {
        // The connection of the first request is perhaps made in spite of it.
        tokio::select! {
            frame = client.next_of(HEADERS) => {
                assert_eq!((frame.stream, frame.status()), (3, Some(200)));
                break;
            }
            () = answers(&mut server) => {}
            accepted = accept(&listener), if other.is_none() => {
                other = Some(std::mem::replace(&mut server, accepted));
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_starts_anew_between_requests_is_connected_anew() {
    let listener = listen().await;
    let (mut client, _lab, dials) = Lab::among(&[], &[&listener]).await;
    for stream in [1, 3, 5] {
        client.send(get(stream)).await.unwrap();
        let mut server = accept(&listener).await;
        answers(&mut server).await;
        is_answered(&mut client, stream).await;
        if stream == 3 {
            server.send(goaway(i32::MAX as u32, NO_ERROR)).await.unwrap();
        }
        drop(server);
    }
    assert_eq!(dials.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn a_server_does_not_wait_for_what_is_not_read_of_another() {
    let listeners = [listen().await, listen().await];
    let (mut client, _lab, _dials) = Lab::among(&[], &listeners.each_ref()).await;
    // The client takes no content.
    client.send(settings(&[(4, 0)])).await.unwrap();
    client.send([get(1), get(3)].concat()).await.unwrap();
    let (mut first, mut second) = (accept(&listeners[0]).await, accept(&listeners[1]).await);
    let streams = [first.next_of(HEADERS).await.stream, second.next_of(HEADERS).await.stream];
    // All that a connection may send.
    let content = [16_384, 16_384, 16_384, 16_383].map(|length| frame(DATA, 0, streams[0], vec![0; length]));
    first.send([headers(streams[0], END_HEADERS, OK), content.concat()].concat()).await.unwrap();
    is_answered(&mut client, 1).await;
    // The other one may send as much as before.
    second
        .send([headers(streams[1], END_HEADERS, OK), frame(DATA, END_STREAM, streams[1], b"all")].concat())
        .await
        .unwrap();
    is_answered(&mut client, 3).await;
    client.send(window_update(3, 3)).await.unwrap();
    let content = client.next_of(DATA).await;
    assert_eq!((content.stream, &content.payload[..], content.is_end()), (3, &b"all"[..], true));
}

#[tokio::test]
async fn of_many_connections_those_are_closed_that_nobody_needs() {
    let mut listeners = vec![];
    for _ in 0..=MOST_SERVERS {
        listeners.push(listen().await);
    }
    let (mut client, _lab, _dials) = Lab::among(&[], &listeners.iter().collect::<Vec<_>>()).await;
    let mut servers = vec![];
    for (listener, number) in listeners.iter().zip(0..) {
        let stream = 2 * number + 1;
        client.send(get(stream)).await.unwrap();
        let mut server = accept(listener).await;
        answers(&mut server).await;
        is_answered(&mut client, stream).await;
        servers.push(server);
    }
    let first = &mut servers[0];
    assert_eq!(first.next_of(GOAWAY).await.code(), NO_ERROR);
    assert_eq!(first.next().await, None);
}

#[tokio::test]
async fn a_drain_lets_the_streams_of_all_servers_finish() {
    let listeners = [listen().await, listen().await];
    let (mut client, lab, _dials) = Lab::among(&[], &listeners.each_ref()).await;
    client.send([get(1), get(3)].concat()).await.unwrap();
    let mut servers = [accept(&listeners[0]).await, accept(&listeners[1]).await];
    lab.drain.request();
    client.next_of(GOAWAY).await;
    for server in &mut servers {
        answers(server).await;
        assert_eq!(client.next_of(HEADERS).await.status(), Some(200));
    }
    // The client hears the rest when it answers the PING that comes with the first GOAWAY.
    drop(client);
    for server in &mut servers {
        assert_eq!(server.next_of(GOAWAY).await.code(), NO_ERROR);
        assert_eq!(server.next().await, None);
    }
    soon(lab.end).await.unwrap();
}
