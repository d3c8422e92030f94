//! Dials of a further connection that take long: whoever can go on elsewhere does so, and the dial is not lost.

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio::time::sleep;

use super::super::links::PATIENCE;
use super::peers::soon;
use super::raw::*;
use super::together::{Client, OK, answers, asked};
use super::{Arc, InTurn, accept, accept_with, listen};

/// A client of those that share. Its dials are let through the gate.
async fn client(listener: &TcpListener, gate: &Arc<Semaphore>) -> Client {
    let addresses = vec![listener.local_addr().unwrap()];
    Client::through(InTurn { addresses, gate: Some(Arc::clone(gate)), ..InTurn::default() }).await
}

/// A server's connection that takes one stream at a time and has it, and another client's dial, which does not go on.
struct Full {
    listener: TcpListener,
    gate: Arc<Semaphore>,
    server: Raw,
    taken: u32,
    first: Client,
    second: Client,
}

impl Full {
    async fn new() -> Self {
        let (listener, gate) = (listen().await, Arc::new(Semaphore::new(1)));
        let mut first = client(&listener, &gate).await;
        first.gets(1).await;
        let mut server = accept_with(&[(3, 1)], &listener).await;
        let taken = asked(&mut server).await;
        let mut second = client(&listener, &gate).await;
        second.gets(1).await;
        soon(async {
            while second.dials() == 0 {
                yield_now().await;
            }
        })
        .await;
        Self { listener, gate, server, taken, first, second }
    }

    async fn first_is_answered(&mut self) {
        answer(&mut self.server, self.taken).await;
        self.first.is_answered(1).await;
    }

    /// The second one is answered in the place of the first, which has it again then.
    async fn hands_over(&mut self) {
        self.first_is_answered().await;
        let stream = asked(&mut self.server).await;
        answer(&mut self.server, stream).await;
        self.second.is_answered(1).await;
        self.first.gets(3).await;
        self.taken = asked(&mut self.server).await;
    }

    /// The dial goes on, and `client` is the one that waits for it.
    async fn dial_is_made_for(&self, client: &mut Client) {
        self.gate.add_permits(1);
        answers(&mut accept(&self.listener).await).await;
        client.is_answered(1).await;
    }
}

async fn answer(server: &mut Raw, stream: u32) {
    server.send(headers(stream, END_STREAM | END_HEADERS, OK)).await.unwrap();
}

#[tokio::test]
async fn a_request_takes_the_place_of_another_one_and_its_dial_goes_on() {
    let mut full = Full::new().await;
    full.hands_over().await;
    // The next one waits for the same dial.
    let mut third = client(&full.listener, &full.gate).await;
    third.gets(1).await;
    full.dial_is_made_for(&mut third).await;
    assert_eq!((full.first.dials(), full.second.dials(), third.dials()), (1, 1, 0));
}

#[tokio::test]
async fn who_waits_for_the_dial_of_another_takes_a_place_that_comes_first() {
    let mut full = Full::new().await;
    let mut third = client(&full.listener, &full.gate).await;
    third.gets(1).await;
    full.first_is_answered().await;
    for _ in 0..2 {
        let stream = asked(&mut full.server).await;
        answer(&mut full.server, stream).await;
    }
    full.second.is_answered(1).await;
    third.is_answered(1).await;
    assert_eq!((full.second.dials(), third.dials()), (1, 0));
}

/// Where streams do not end, a place in their queue is worth nothing.
#[tokio::test]
async fn who_waits_in_a_queue_takes_a_connection_that_comes_first() {
    let mut full = Full::new().await;
    full.first_is_answered().await;
    let _taken = asked(&mut full.server).await;
    // For longer than the patience: it is behind the one that has the place.
    let mut third = client(&full.listener, &full.gate).await;
    third.gets(1).await;
    sleep(2 * PATIENCE).await;
    full.dial_is_made_for(&mut third).await;
}

#[tokio::test]
async fn a_dial_that_goes_with_its_client_is_made_by_who_waits_for_it() {
    let mut full = Full::new().await;
    full.hands_over().await;
    let mut third = client(&full.listener, &full.gate).await;
    third.gets(1).await;
    let Client { raw, lab, .. } =
        std::mem::replace(&mut full.second, client(&full.listener, &full.gate).await);
    drop(raw);
    soon(lab.end).await.unwrap();
    full.dial_is_made_for(&mut third).await;
    assert_eq!(third.dials(), 1);
}

#[tokio::test]
async fn a_dial_outlives_the_request_that_has_begun_it_where_others_wait_for_it() {
    let mut full = Full::new().await;
    let mut third = client(&full.listener, &full.gate).await;
    third.gets(1).await;
    third.raw.is_heard().await;
    full.second.raw.send(reset(1, CANCEL)).await.unwrap();
    full.second.raw.is_heard().await;
    full.dial_is_made_for(&mut third).await;
    assert_eq!((full.second.dials(), third.dials()), (1, 0));
}
