//! The table and its connections, without sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use crate::detect::{Detected, Reason};

use super::{Connection, Connections, Direction, Linked, Pair, RelayMode, STRIDE, Side, Silence};

fn address(port: u16) -> SocketAddr {
    ([192, 0, 2, 1], port).into()
}

fn enter(table: &Connections, direction: Direction) -> Arc<Connection> {
    table.enter(direction, Pair { local: address(15006), remote: address(40000) }, address(80))
}

fn ids(page: &[Arc<Connection>]) -> Vec<u64> {
    page.iter().map(|connection| connection.id()).collect()
}

#[test]
fn pages_go_through_all_parts_by_age_and_miss_nobody_who_stays() {
    let table = Connections::new(3);
    let entries: Vec<_> = (0..4)
        .flat_map(|_| {
            // Threads of their own, so all parts are used.
            let table = table.clone();
            let enter = move || (0..STRIDE).map(|_| enter(&table, Direction::Inbound)).collect::<Vec<_>>();
            std::thread::spawn(enter).join().unwrap()
        })
        .collect();
    assert_eq!((table.len(), table.all().count()), (entries.len(), entries.len()));
    let (mut seen, mut after) = (Vec::new(), 0);
    loop {
        let page = ids(&table.page(after, 100, |_| true));
        let Some(last) = page.last() else { break };
        after = *last;
        seen.extend(page);
    }
    assert_eq!(seen, (1..=entries.len() as u64).collect::<Vec<_>>());
    entries.iter().for_each(|connection| table.leave(connection));
    assert!(table.is_empty());
    assert_eq!(table.all().count(), 0);
}

#[test]
fn a_filter_looks_further_than_one_stride() {
    let table = Connections::new(1);
    let _others: Vec<_> = (0..2 * STRIDE).map(|_| enter(&table, Direction::Inbound)).collect();
    let wanted = enter(&table, Direction::Outbound);
    let page = table.page(0, 10, |connection| connection.direction == Direction::Outbound);
    assert_eq!(ids(&page), [wanted.id()]);
}

#[test]
fn it_is_told_how_far_a_connection_is() {
    let table = Connections::new(1);
    let entry = enter(&table, Direction::Inbound);
    let seen = || table.all().next().unwrap();
    assert_eq!((seen().state(), seen().server(), seen().detected()), ("connecting", None, None));
    let server = Pair { local: address(50000), remote: address(80) };
    entry.connected(server);
    assert_eq!((seen().state(), seen().server(), seen().relay_mode()), ("open", Some(server), None));
    let another = Pair { local: address(50001), remote: address(81) };
    entry.connected(another);
    assert_eq!(seen().server(), Some(another), "a later request may go to another server");
    entry.speaks(Detected::opaque(Reason::ServerFirst));
    entry.speaks(Detected::opaque(Reason::Ended));
    entry.add_received(3);
    entry.add_sent(4);
    assert_eq!((seen().detected(), seen().bytes()), (Some(&Detected::opaque(Reason::ServerFirst)), (3, 4)));
    for mode in [RelayMode::Copy, RelayMode::Splice, RelayMode::Copy] {
        entry.relayed(mode);
        assert_eq!(seen().relay_mode(), Some(mode));
    }
    entry.ended(Side::Server);
    assert_eq!(seen().state(), "server_half_closed");
    entry.ended(Side::Client);
    assert_eq!(seen().state(), "closing");
}

#[tokio::test(flavor = "current_thread")]
async fn whoever_carries_it_hears_that_it_was_given_up() {
    let silence = |seconds| Silence { side: Side::Server, lasts: Duration::from_secs(seconds) };
    let table = Connections::new(1);
    let entry = enter(&table, Direction::Inbound);
    let server = Pair { local: address(50000), remote: address(80) };
    entry.connected(server);
    let seen = table.all().next().unwrap();
    let waiting = async {
        let mut given_up = std::pin::pin!(entry.given_up());
        let unasked = async {
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            silence = &mut given_up => panic!("nobody did: {silence:?}"),
            () = unasked => {}
        }
        let other = std::thread::spawn(move || {
            assert_eq!(seen.give_up(|_| None), None);
            for (seconds, side) in [(20, Some(Side::Server)), (30, None)] {
                let lasts = |pair| (pair == server).then_some(Duration::from_secs(seconds));
                assert_eq!(seen.give_up(lasts), side);
            }
        });
        let heard = given_up.await;
        other.join().unwrap();
        heard
    };
    assert_eq!(waiting.await, silence(20), "the first reason stands");
    assert_eq!(entry.given_up().await, silence(20), "also for whoever asks later");
}

#[tokio::test]
async fn an_upstream_socket_that_is_no_connections_alone_is_given_up_alone() {
    let table = Connections::new(1);
    let entry = enter(&table, Direction::Outbound);
    entry.uses_links();
    let servers = [50000, 50001, 50002].map(|port| Pair { local: address(port), remote: address(80) });
    let mut linked = servers.map(|server| table.link(Direction::Inbound, server));
    // Which was connected last does not matter.
    entry.connected(servers[1]);
    let dead = |pair| servers[..2].contains(&pair).then_some(Duration::from_secs(20));
    let is_given_up =
        |linked: &mut Linked| linked.poll_given_up(&mut Context::from_waker(Waker::noop())).is_ready();
    assert_eq!(linked.each_mut().map(is_given_up), [false; 3]);
    drop(std::mem::replace(&mut linked[0], table.link(Direction::Inbound, servers[2])));
    assert_eq!(entry.give_up(dead), None);
    assert_eq!(table.give_up_links(dead), [Direction::Inbound], "of one that is there no more nobody hears");
    assert_eq!(linked.each_mut().map(is_given_up), [false, true, false]);
    assert_eq!(table.give_up_links(dead), []);
    let given_up = tokio::time::timeout(Duration::ZERO, entry.given_up());
    assert!(given_up.await.is_err(), "the client's connection goes on");
    let client = |pair| (pair == entry.client).then_some(Duration::from_secs(20));
    assert_eq!(entry.give_up(client), Some(Side::Client));
    assert_eq!(entry.given_up().await.side, Side::Client);
}

#[test]
fn an_entry_is_small() {
    assert!(size_of::<Connection>() <= 384, "{} bytes for each connection", size_of::<Connection>());
}
