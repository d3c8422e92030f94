//! The end of a proxy, as HTTP sees it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use proxy::drain::Exit;

use super::{Ends, GET, OK, address, proxy};
use crate::support::{INBOUND, OUTBOUND, PATIENCE, Seen, next, scale};

const LAST: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

#[test]
fn clients_are_asked_to_go_when_the_drain_begins_and_nothing_is_lost() {
    let proxy = proxy(&["--drain-delay", "1h"]);
    let (mut ends, mut other) = (Ends::inbound(&proxy), Ends::of(&proxy, OUTBOUND));
    ends.exchange(GET, OK);
    other.exchange(GET, OK);
    proxy.drain();
    // Its own listener still accepts, and so does the application.
    for ends in [&mut ends, &mut Ends::inbound(&proxy)] {
        ends.asks(GET);
        ends.is_asked(GET);
        ends.answers(OK);
        ends.is_answered(LAST);
        assert_eq!(next(&ends.client), Seen::End);
    }
    other.exchange(GET, OK);
}

#[test]
fn a_connection_that_the_application_has_left_ends_with_the_drain() {
    let proxy = proxy(&["--drain-delay", "1h"]);
    let mut ends = Ends::inbound(&proxy);
    ends.exchange(GET, OK);
    ends.server_ends();
    assert_eq!(next(&ends.server), Seen::End);
    proxy.drain();
    assert_eq!(next(&ends.client), Seen::End);
}

#[test]
fn the_process_ends_soon_although_clients_keep_their_connections() {
    let began = Instant::now();
    let proxy = proxy(&["--drain-deadline", "1h"]);
    let mut busy = Ends::inbound(&proxy);
    let mut idle = [Ends::inbound(&proxy), Ends::of(&proxy, OUTBOUND)];
    for ends in &mut idle {
        ends.exchange(GET, OK);
    }
    busy.asks(GET);
    busy.is_asked(GET);
    proxy.terminate();
    for ends in &idle {
        assert_eq!(next(&ends.client), Seen::End);
        assert_eq!(next(&ends.server), Seen::End);
    }
    busy.answers(OK);
    busy.is_answered(LAST);
    assert_eq!(next(&busy.client), Seen::End);
    drop(busy);
    assert_eq!(proxy.exit(), Exit::Idle);
    assert!(began.elapsed() < PATIENCE);
}

/// Answers whatever comes, each connection in a thread of its own, until there are no more.
fn serve(listener: &TcpListener, connections: usize) {
    std::thread::scope(|scope| {
        for _ in 0..connections {
            let stream = crate::support::accept(listener);
            scope.spawn(move || {
                let mut lines = BufReader::new(&stream).lines();
                while let Some(Ok(line)) = lines.next() {
                    if line.is_empty() {
                        (&stream).write_all(OK.as_bytes()).unwrap();
                    }
                }
            });
        }
    });
}

/// Asks until it is told that the connection ends; how often it was answered, and `total` with all others.
fn ask(stream: &TcpStream, total: &AtomicUsize) -> usize {
    let (mut reader, mut answered) = (BufReader::new(stream), 0);
    loop {
        (&mut &*stream).write_all(GET.as_bytes()).expect("the connection is kept");
        let mut is_last = false;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("an answer");
            assert!(!line.is_empty(), "an end instead of an answer, after {answered}");
            is_last |= line == "Connection: close\r\n";
            if line == "\r\n" {
                break;
            }
        }
        let mut content = [0; 2];
        reader.read_exact(&mut content).expect("the whole answer");
        assert_eq!(&content, b"ok");
        answered += 1;
        total.fetch_add(1, Ordering::Relaxed);
        if is_last {
            assert_eq!(reader.read(&mut [0]).expect("an end in good order"), 0);
            return answered;
        }
    }
}

#[test]
fn no_request_is_lost_when_the_proxy_ends_under_load() {
    const CLIENTS: usize = 16;
    let requests = scale("requests", 60_000, 6_000);
    let proxy = proxy(&["--drain-deadline", "1h"]);
    let listener = INBOUND.listener();
    let clients: Vec<_> = (0..CLIENTS).map(|_| proxy.connect(INBOUND, address(&listener))).collect();
    let total = AtomicUsize::new(0);
    let answered: usize = std::thread::scope(|scope| {
        scope.spawn(|| serve(&listener, CLIENTS));
        let asking: Vec<_> = clients.iter().map(|client| scope.spawn(|| ask(client, &total))).collect();
        crate::support::eventually("load", || total.load(Ordering::Relaxed) >= requests);
        proxy.terminate();
        asking.into_iter().map(|client| client.join().expect("nothing lost")).sum()
    });
    proxy.has_answered(answered);
}
