//! Clients that have their servers together, as outbound: which connection a request goes over, and that no client, and no
//! stream, is another one's trouble.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::yield_now;

use super::peers::soon;
use super::raw::*;
use super::{Arc, Ended, InTurn, Lab, SHARED, accept, accept_with, listen};

/// `:status 200`.
pub(super) const OK: &[u8] = &[0x88];

/// A client of those that share.
pub(super) struct Client {
    pub(super) raw: Raw,
    pub(super) lab: Ended,
    dials: Arc<AtomicUsize>,
}

impl Client {
    async fn of(listener: &TcpListener) -> Self {
        Self::with(&[], listener).await
    }

    async fn with(arguments: &[&str], listener: &TcpListener) -> Self {
        let (raw, lab, dials) = Lab::among(&[arguments, &[SHARED]].concat(), &[listener]).await;
        Self { raw, lab, dials }
    }

    /// Its requests go by that way.
    pub(super) async fn through(upstream: InTurn) -> Self {
        let (raw, lab, dials) = Lab::through(&[SHARED], upstream).await;
        Self { raw, lab, dials }
    }

    pub(super) fn dials(&self) -> usize {
        self.dials.load(Ordering::Relaxed)
    }

    pub(super) async fn gets(&mut self, stream: u32) {
        self.raw.send(get(stream)).await.unwrap();
    }

    pub(super) async fn is_answered(&mut self, stream: u32) {
        let response = self.raw.next_of(HEADERS).await;
        assert_eq!((response.stream, response.status()), (stream, Some(200)));
    }
}

pub(super) async fn asked(server: &mut Raw) -> u32 {
    server.next_of(HEADERS).await.stream
}

pub(super) async fn answers(server: &mut Raw) {
    let stream = asked(server).await;
    server.send(headers(stream, END_STREAM | END_HEADERS, OK)).await.unwrap();
}

#[tokio::test]
async fn clients_that_come_and_go_use_one_connection() {
    let listener = listen().await;
    let mut first = Client::of(&listener).await;
    first.gets(1).await;
    let mut server = accept(&listener).await;
    answers(&mut server).await;
    first.is_answered(1).await;
    for _ in 0..3 {
        let mut next = Client::of(&listener).await;
        next.gets(1).await;
        answers(&mut server).await;
        next.is_answered(1).await;
        assert_eq!(next.dials(), 0);
        drop(next.raw);
        soon(next.lab.end).await.unwrap();
    }
    first.gets(3).await;
    answers(&mut server).await;
    first.is_answered(3).await;
    assert_eq!(first.dials(), 1);
}

#[tokio::test]
async fn one_dial_is_for_all_clients_who_wait_for_it() {
    let listener = listen().await;
    let mut clients = vec![];
    for _ in 0..5 {
        let mut client = Client::of(&listener).await;
        client.gets(1).await;
        clients.push(client);
    }
    let mut server = accept(&listener).await;
    for _ in 0..5 {
        answers(&mut server).await;
    }
    for client in &mut clients {
        client.is_answered(1).await;
    }
    assert_eq!(clients.iter().map(Client::dials).sum::<usize>(), 1);
}

#[tokio::test]
async fn a_client_that_goes_takes_its_streams_with_it_and_no_others() {
    let listener = listen().await;
    let (mut goes, mut stays) = (Client::of(&listener).await, Client::of(&listener).await);
    goes.gets(1).await;
    let mut server = accept(&listener).await;
    let gone = asked(&mut server).await;
    stays.gets(1).await;
    let other = asked(&mut server).await;
    drop(goes.raw);
    assert_eq!(server.next_of(RST_STREAM).await.stream, gone);
    server.send(headers(other, END_STREAM | END_HEADERS, OK)).await.unwrap();
    stays.is_answered(1).await;
}

#[tokio::test]
async fn what_one_client_does_not_read_holds_up_no_other() {
    let listener = listen().await;
    let (mut slow, mut other) = (Client::of(&listener).await, Client::of(&listener).await);
    slow.raw.send(settings(&[(4, 0)])).await.unwrap();
    slow.gets(1).await;
    let mut server = accept(&listener).await;
    let held = asked(&mut server).await;
    other.gets(1).await;
    let stream = asked(&mut server).await;
    // More than the window of the connection, which grows with what is held.
    server.send(headers(held, END_HEADERS, OK)).await.unwrap();
    let (mut window, mut sent) = (65_535, 0);
    while sent < 200_000 {
        let part = 16_384.min(window);
        server.send(frame(DATA, 0, held, vec![7; part])).await.unwrap();
        (window, sent) = (window - part, sent + part);
        while window == 0 {
            let update = server.next_of(WINDOW_UPDATE).await;
            if update.stream == 0 {
                window = u32::from_be_bytes(update.payload.try_into().unwrap()) as usize;
            }
        }
    }
    server
        .send([headers(stream, END_HEADERS, OK), frame(DATA, END_STREAM, stream, b"all")].concat())
        .await
        .unwrap();
    other.is_answered(1).await;
    assert_eq!(other.raw.next_of(DATA).await.payload, b"all");
    // The slow one gets all of it when it reads.
    slow.raw.send([window_update(0, 1 << 20), window_update(1, 1 << 20)].concat()).await.unwrap();
    let mut got = 0;
    while got < sent {
        got += slow.raw.next_of(DATA).await.payload.len();
    }
    assert_eq!(got, sent);
}

#[tokio::test]
async fn a_server_that_takes_no_more_streams_is_connected_once_more() {
    let listener = listen().await;
    let (mut first, mut second) = (Client::of(&listener).await, Client::of(&listener).await);
    first.gets(1).await;
    let mut full = accept_with(&[(3, 1)], &listener).await;
    let taken = asked(&mut full).await;
    second.gets(1).await;
    let mut server = accept(&listener).await;
    answers(&mut server).await;
    second.is_answered(1).await;
    full.send(headers(taken, END_STREAM | END_HEADERS, OK)).await.unwrap();
    first.is_answered(1).await;
    // There is room on the older one again.
    second.gets(3).await;
    answers(&mut full).await;
    second.is_answered(3).await;
}

#[tokio::test]
async fn content_that_a_server_does_not_read_holds_up_no_other_client() {
    let listener = listen().await;
    let (mut stuck, mut other) = (Client::of(&listener).await, Client::of(&listener).await);
    stuck.raw.send(post(1)).await.unwrap();
    // It takes no content at all.
    let mut server = accept_with(&[(4, 0)], &listener).await;
    asked(&mut server).await;
    stuck.raw.send(frame(DATA, 0, 1, b"all")).await.unwrap();
    let mut next = 1;
    loop {
        other.gets(next).await;
        tokio::select! {
            () = answers(&mut server) => other.is_answered(next).await,
            mut fresh = accept(&listener) => {
                answers(&mut fresh).await;
                other.is_answered(next).await;
                break;
            }
        }
        next += 2;
        yield_now().await;
    }
}

#[tokio::test]
async fn a_server_that_leaves_is_connected_anew_for_all() {
    let listener = listen().await;
    let (mut first, mut second) = (Client::of(&listener).await, Client::of(&listener).await);
    first.gets(1).await;
    let mut old = accept(&listener).await;
    let taken = asked(&mut old).await;
    second.gets(1).await;
    asked(&mut old).await;
    old.send(goaway(taken, NO_ERROR)).await.unwrap();
    // What was not taken is sent again.
    let mut new = accept(&listener).await;
    answers(&mut new).await;
    second.is_answered(1).await;
    old.send(headers(taken, END_STREAM | END_HEADERS, OK)).await.unwrap();
    first.is_answered(1).await;
    first.gets(3).await;
    answers(&mut new).await;
    first.is_answered(3).await;
    assert_eq!(old.next_of(GOAWAY).await.code(), NO_ERROR);
    assert_eq!(old.next().await, None);
}

#[tokio::test]
async fn a_connection_that_nobody_needs_ends_in_good_order() {
    let listener = listen().await;
    let idle = ["--http-pool-idle-timeout=10ms"];
    let mut client = Client::with(&idle, &listener).await;
    client.gets(1).await;
    let mut server = accept(&listener).await;
    answers(&mut server).await;
    client.is_answered(1).await;
    assert_eq!(server.next_of(GOAWAY).await.code(), NO_ERROR);
    assert_eq!(server.next().await, None);
    // The client does not notice.
    client.gets(3).await;
    let mut server = accept(&listener).await;
    answers(&mut server).await;
    client.is_answered(3).await;
}

#[tokio::test]
async fn a_proxy_that_goes_away_keeps_no_connection_that_nobody_needs() {
    let listener = listen().await;
    let mut client = Client::of(&listener).await;
    client.gets(1).await;
    let mut server = accept(&listener).await;
    let stream = asked(&mut server).await;
    client.lab.drain.request();
    client.raw.next_of(GOAWAY).await;
    // The stream finishes, and then nobody needs it.
    server.send(headers(stream, END_STREAM | END_HEADERS, OK)).await.unwrap();
    client.is_answered(1).await;
    assert_eq!(server.next_of(GOAWAY).await.code(), NO_ERROR);
    assert_eq!(server.next().await, None);
}

#[tokio::test]
async fn that_a_server_takes_extended_connect_is_told_to_who_asks_it() {
    let listener = listen().await;
    let mut client = Client::of(&listener).await;
    client.gets(1).await;
    let mut server = accept_with(&[(8, 1)], &listener).await;
    answers(&mut server).await;
    let is_offer = |frame: &Frame| frame.kind == SETTINGS && frame.payload == [0, 8, 0, 0, 0, 1];
    client.raw.wait_for(|frame| is_offer(frame).then_some(())).await;
}

/// Servers often have one thread for a connection.
#[tokio::test]
async fn many_streams_of_clients_do_not_all_go_over_one_connection() {
    let listener = listen().await;
    let mut client = Client::of(&listener).await;
    client.gets(1).await;
    let mut first = accept_with(&[(3, 1_000)], &listener).await;
    answers(&mut first).await;
    client.is_answered(1).await;
    client.raw.send((1..=101).flat_map(|number| get(2 * number + 1)).collect::<Vec<_>>()).await.unwrap();
    let mut second = accept(&listener).await;
    for _ in 0..100 {
        asked(&mut first).await;
    }
    asked(&mut second).await;
    assert_eq!(client.dials(), 2);
}

#[tokio::test]
async fn who_has_waited_for_the_dial_of_another_in_vain_tries_what_else_there_is() {
    let (gone, live) = (listen().await, listen().await);
    let mut one = Client::of(&gone).await;
    let (mut other, _lab, _dials) = Lab::among(&[SHARED], &[&gone, &live]).await;
    drop(gone);
    one.gets(1).await;
    other.send(get(1)).await.unwrap();
    let mut server = accept(&live).await;
    answers(&mut server).await;
    assert_eq!(other.next_of(HEADERS).await.status(), Some(200));
    assert_eq!(one.raw.next_of(HEADERS).await.status(), Some(503));
}

/// As many descriptors as one client with its server has.
const FOR_ONE: &str = "--descriptors=4";

#[tokio::test]
async fn without_a_descriptor_for_another_connection_streams_wait_for_the_one_that_is_there() {
    for whose in [&[FOR_ONE, SHARED][..], &[FOR_ONE]] {
        let listener = listen().await;
        let (mut client, _lab, dials) = Lab::among(whose, &[&listener]).await;
        client.send([get(1), get(3)].concat()).await.unwrap();
        let mut server = accept_with(&[(3, 1)], &listener).await;
        // The first has been there before the server could say how many it takes.
        let mut waiting = vec![asked(&mut server).await];
        client.send(get(5)).await.unwrap();
        for _ in 0..3 {
            if waiting.is_empty() {
                waiting.push(asked(&mut server).await);
            }
            let stream = waiting.remove(0);
            server.send(headers(stream, END_STREAM | END_HEADERS, OK)).await.unwrap();
            assert_eq!(client.next_of(HEADERS).await.status(), Some(200), "{whose:?}");
        }
        assert_eq!(dials.load(Ordering::Relaxed), 1, "{whose:?}");
    }
}

#[tokio::test]
async fn without_a_descriptor_a_request_goes_to_a_server_that_is_connected() {
    // More than are tried where dials fail.
    let [one, others @ ..] = [listen().await, listen().await, listen().await, listen().await, listen().await];
    let servers = std::iter::once(&one).chain(&others);
    let addresses = servers.map(|server| server.local_addr().unwrap()).collect();
    let turns = Arc::default();
    let way = InTurn { addresses, turn: Arc::clone(&turns), ..InTurn::default() };
    let (mut client, _lab, dials) = Lab::through(&[SHARED, FOR_ONE], way).await;
    client.send(get(1)).await.unwrap();
    let mut server = accept(&one).await;
    let held = asked(&mut server).await;
    client.send(get(3)).await.unwrap();
    answers(&mut server).await;
    assert_eq!((client.next_of(HEADERS).await.stream, dials.load(Ordering::Relaxed)), (3, 1));
    assert_eq!(turns.load(Ordering::Relaxed), 2, "others are not chosen one after the other");
    server.send(headers(held, END_STREAM | END_HEADERS, OK)).await.unwrap();
    assert_eq!(client.next_of(HEADERS).await.stream, 1);
}

/// Returns when a server was chosen so often.
async fn chosen(times: usize, turns: &AtomicUsize) {
    soon(async {
        while turns.load(Ordering::Relaxed) < times {
            yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn without_a_descriptor_a_request_waits_for_a_connection_that_is_being_made() {
    let (one, other) = (listen().await, listen().await);
    let addresses = [&one, &other].map(|server| server.local_addr().unwrap()).into();
    let (gate, turns) = (Arc::new(Semaphore::new(0)), Arc::default());
    let way =
        InTurn { addresses, turn: Arc::clone(&turns), gate: Some(Arc::clone(&gate)), ..InTurn::default() };
    let (mut client, _lab, dials) = Lab::through(&[SHARED, FOR_ONE], way).await;
    client.send([get(1), get(3)].concat()).await.unwrap();
    chosen(2, &turns).await;
    gate.add_permits(1);
    let mut server = accept(&one).await;
    for _ in 0..2 {
        answers(&mut server).await;
        assert_eq!(client.next_of(HEADERS).await.status(), Some(200));
    }
    assert_eq!(dials.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn without_a_descriptor_a_request_waits_where_something_goes_on() {
    let servers = [listen().await, listen().await, listen().await, listen().await];
    let (addresses, turns) =
        (servers.each_ref().map(|server| server.local_addr().unwrap()).into(), Arc::default());
    let way = InTurn { addresses, turn: Arc::clone(&turns), ..InTurn::default() };
    let (mut client, _lab, dials) = Lab::through(&[SHARED, "--descriptors=8"], way).await;
    client.send(get(1)).await.unwrap();
    // It has taken the first request before it could say that it takes none, and does not end it.
    let mut none = accept_with(&[(3, 0)], &servers[0]).await;
    asked(&mut none).await;
    client.send(get(3)).await.unwrap();
    let mut busy = accept_with(&[(3, 1)], &servers[1]).await;
    let stream = asked(&mut busy).await;
    client.send(get(5)).await.unwrap();
    let mut busy_too = accept_with(&[(3, 1)], &servers[2]).await;
    asked(&mut busy_too).await;
    client.send(get(7)).await.unwrap();
    chosen(4, &turns).await;
    busy.send(headers(stream, END_STREAM | END_HEADERS, OK)).await.unwrap();
    assert_eq!(client.next_of(HEADERS).await.stream, 3);
    answers(&mut busy).await;
    assert_eq!(client.next_of(HEADERS).await.stream, 7);
    assert_eq!(dials.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn without_a_descriptor_a_connection_that_nobody_needs_makes_room_for_one_that_is() {
    let (one, other) = (listen().await, listen().await);
    let (mut client, _lab, _dials) = Lab::among(&[SHARED, FOR_ONE], &[&one, &other]).await;
    client.send(get(1)).await.unwrap();
    let mut server = accept(&one).await;
    answers(&mut server).await;
    assert_eq!(client.next_of(HEADERS).await.stream, 1);
    client.send(get(3)).await.unwrap();
    let mut next = accept(&other).await;
    answers(&mut next).await;
    assert_eq!(client.next_of(HEADERS).await.stream, 3);
    server.next_of(GOAWAY).await;
}

#[tokio::test]
async fn a_client_whose_server_leaves_often_has_no_more_descriptors_than_it_needs() {
    let listener = listen().await;
    let (mut client, _lab, _dials) = Lab::among(&["--descriptors=8"], &[&listener]).await;
    let mut held: Vec<(Raw, u32)> = Vec::new();
    // At most three servers at once: the client's second descriptor, and two more.
    for (stream, is_over) in [(1, false), (3, true), (5, false), (7, false)] {
        client.send(get(stream)).await.unwrap();
        let mut server = accept(&listener).await;
        let taken = asked(&mut server).await;
        server.send(goaway(taken, NO_ERROR)).await.unwrap();
        server.is_heard().await;
        held.push((server, taken));
        if is_over {
            let (mut first, taken) = held.remove(0);
            first.send(headers(taken, END_STREAM | END_HEADERS, OK)).await.unwrap();
            assert_eq!(client.next_of(HEADERS).await.status(), Some(200));
            while first.next().await.is_some() {}
        }
    }
}
