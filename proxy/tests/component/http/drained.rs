//! The end of a proxy, as HTTP sees it.

use std::time::Instant;

use proxy::drain::Exit;

use super::{Ends, GET, OK, proxy};
use crate::support::{OUTBOUND, PATIENCE, Seen, next};

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
