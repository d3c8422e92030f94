//! On loopback. Deadlines are told by a clock that stands still until nothing else is left to be done.

use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use super::{Detected, FirstSpeaker, GREETED, Hint, Limits, Reason, Settings, speaks_http};
use crate::detect::{Ports, Protocol};
use crate::direction::Direction;
use crate::net::leg::Leg;
use crate::net::peek::LOOKS;
use crate::net::relay::Broken;

const LIMIT: Duration = Duration::from_millis(100);
const HOUR: Duration = Duration::from_hours(1);
/// The time that a head of HTTP has.
const HEAD: Duration = Duration::from_secs(10);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const AN_HOUR: Limits = Limits { any: HOUR, preface: HOUR };
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

/// Within [`LIMIT`].
static AT_ONCE: LazyLock<Settings> = LazyLock::new(|| within(LIMIT));
/// Within an [`HOUR`].
static AT_LENGTH: LazyLock<Settings> = LazyLock::new(|| within(HOUR));

fn within(detection_timeout: Duration) -> Settings {
    Settings { detection_timeout, detection_memory: 100, opaque_ports: Ports::default() }
}

/// A leg, and its peer.
async fn pair() -> (Leg, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let leg = Leg::of(listener.accept().await.unwrap().0).unwrap();
    (leg, peer)
}

fn destination() -> SocketAddr {
    "192.0.2.1:80".parse().unwrap()
}

fn listening(hint: Option<Hint>) -> FirstSpeaker {
    FirstSpeaker::new(Direction::Outbound, destination(), hint)
}

fn reset(peer: TcpStream) {
    socket2::SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
}

/// What the relay would read, as soon as tokio says that there is something.
async fn unread(leg: &Leg) -> Vec<u8> {
    timeout(HOUR, leg.stream().readable()).await.expect("it is told of what lies there").unwrap();
    let mut bytes = vec![0; 100];
    let length = leg.stream().try_read(&mut bytes).unwrap();
    bytes.truncate(length);
    bytes
}

#[tokio::test(start_paused = true)]
async fn a_beginning_without_an_end_is_given_its_time_and_kept() {
    let ((client, mut caller), (server, _callee)) = (pair().await, pair().await);
    for half in [&b"GET /"[..], b"\x16\x03\x01\x02\x00\x01"] {
        let (client, mut caller) = pair().await;
        caller.write_all(half).await.unwrap();
        let began = Instant::now();
        // A destination of its own, since what was seen is remembered.
        let listening = FirstSpeaker::new(Direction::Outbound, caller.local_addr().unwrap(), None);
        let (client, detected) = listening.either(client, &server, &AT_ONCE, HEAD).await.unwrap();
        assert_eq!((detected, began.elapsed()), (Detected::opaque(Reason::Incomplete), LIMIT));
        assert_eq!(unread(&client).await, half);
    }
    // The time runs from the first byte to the last, whatever comes between.
    let began = Instant::now();
    let drip = async {
        for byte in REQUEST {
            caller.write_all(&[*byte]).await.unwrap();
            tokio::time::sleep(LIMIT / 10).await;
        }
    };
    let (heard, ()) = tokio::join!(listening(None).either(client, &server, &AT_ONCE, HEAD), drip);
    assert_eq!(heard.unwrap().1, Detected::opaque(Reason::Incomplete));
    assert!(began.elapsed() >= LIMIT);
}

#[tokio::test(start_paused = true)]
async fn silence_has_no_deadline_and_neither_has_a_beginning_before_the_dial() {
    let ((client, mut caller), (server, mut callee)) = (pair().await, pair().await);
    let mut listening = listening(None);
    assert!(timeout(HOUR, listening.client(&client, None)).await.is_err());
    let (silent, _silent_caller) = pair().await;
    let either =
        FirstSpeaker::new(Direction::Outbound, destination(), None).either(silent, &server, &AT_ONCE, HEAD);
    assert!(timeout(HOUR, either).await.is_err());
    caller.write_all(b"GET /").await.unwrap();
    assert!(timeout(HOUR, listening.client(&client, None)).await.is_err());
    caller.write_all(b" HTTP/1.1\r\n").await.unwrap();
    listening.client(&client, None).await.unwrap();
    callee.write_all(b"too late").await.unwrap();
    let (client, detected) = listening.either(client, &server, &AT_ONCE, HEAD).await.unwrap();
    assert_eq!((detected.protocol, detected.reason), (Protocol::Http1, Reason::FirstBytes));
    assert_eq!(unread(&client).await, b"GET / HTTP/1.1\r\n");
}

#[tokio::test]
async fn an_unread_beginning_costs_nothing_until_more_comes() {
    let ((client, mut caller), (server, _callee)) = (pair().await, pair().await);
    let (ping, mut pong) = pair().await;
    caller.write_all(b"G").await.unwrap();
    let polls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&polls);
    let listening = tokio::spawn(async move {
        let mut either = pin!(listening(None).either(client, &server, &AT_LENGTH, HEAD));
        poll_fn(|cx| {
            count.fetch_add(1, Ordering::Relaxed);
            either.as_mut().poll(cx)
        })
        .await
    });
    LOOKS.set(0);
    // Each exchange makes the runtime ask the kernel for news; a listener that did not wait would be polled every time.
    for _ in 0..1000 {
        pong.write_all(b"x").await.unwrap();
        ping.stream().readable().await.unwrap();
        assert_eq!(ping.stream().try_read(&mut [0; 9]).unwrap(), 1);
        assert_eq!(ping.stream().try_write(b"y").unwrap(), 1);
        pong.read_exact(&mut [0]).await.unwrap();
    }
    let (polled, looks) = (polls.load(Ordering::Relaxed), LOOKS.get());
    assert!(few(polled) && few(looks), "{polled} polls and {looks} looks at one byte");
    caller.write_all(b"ET / HTTP/1.1\r\n").await.unwrap();
    let (_, detected) = listening.await.unwrap().unwrap();
    assert_eq!(detected.protocol, Protocol::Http1);
    let (polled, looks) = (polls.load(Ordering::Relaxed) - polled, LOOKS.get() - looks);
    assert!(few(polled) && few(looks), "{polled} polls and {looks} looks at the rest");
}

/// For the byte, in vain after it, and once for each leg that is new to tokio, which takes such ones for readable.
fn few(times: usize) -> bool {
    (1..=4).contains(&times)
}

#[tokio::test(start_paused = true)]
async fn every_byte_alone_is_looked_at_and_none_is_taken() {
    let ((client, mut caller), (server, _callee)) = (pair().await, pair().await);
    let mut listening = listening(None);
    for (sent, byte) in REQUEST[..15].iter().enumerate() {
        caller.write_all(&[*byte]).await.unwrap();
        let heard = timeout(LIMIT, listening.client(&client, Some(AN_HOUR))).await;
        assert!(heard.is_err() && listening.seen == sent + 1, "{listening:?}");
    }
    caller.write_all(&REQUEST[15..]).await.unwrap();
    let (client, detected) = listening.either(client, &server, &AT_LENGTH, HEAD).await.unwrap();
    assert_eq!(detected.protocol, Protocol::Http1);
    assert_eq!(unread(&client).await, REQUEST);
}

#[tokio::test]
async fn the_first_speaker_decides() {
    for (from_client, from_server, expected) in [
        (REQUEST, &b""[..], (Protocol::Http1, Reason::FirstBytes)),
        (REQUEST, b"220 mail.example ESMTP\r\n", (Protocol::Http1, Reason::FirstBytes)),
        (b"", b"220 mail.example ESMTP\r\n", (Protocol::Opaque, Reason::ServerFirst)),
        (b"GET", b"\x4a\0\0\0\x0a8.0.36\0", (Protocol::Opaque, Reason::ServerFirst)),
        (b"\0\0\0\x08", b"", (Protocol::Opaque, Reason::Unrecognized)),
    ] {
        let ((client, mut caller), (server, mut callee)) = (pair().await, pair().await);
        caller.write_all(from_client).await.unwrap();
        callee.write_all(from_server).await.unwrap();
        let listening = FirstSpeaker::new(Direction::Outbound, caller.local_addr().unwrap(), None);
        let (client, detected) = listening.either(client, &server, &AT_LENGTH, HEAD).await.unwrap();
        assert_eq!((detected.protocol, detected.reason), expected);
        if !from_client.is_empty() {
            assert_eq!(unread(&client).await, from_client);
        }
        if !from_server.is_empty() {
            assert_eq!(unread(&server).await, from_server);
        }
    }
}

#[tokio::test]
async fn an_end_is_an_answer() {
    for said in [&b""[..], b"GET /"] {
        for client_ends in [true, false] {
            let ((client, mut caller), (server, mut callee)) = (pair().await, pair().await);
            caller.write_all(said).await.unwrap();
            if client_ends { caller.shutdown() } else { callee.shutdown() }.await.unwrap();
            LOOKS.set(0);
            let (client, detected) = listening(None).either(client, &server, &AT_LENGTH, HEAD).await.unwrap();
            assert_eq!(detected, Detected::opaque(Reason::Ended), "{client_ends}");
            assert!(LOOKS.get() <= 4, "{} looks", LOOKS.get());
            if client_ends || !said.is_empty() {
                assert_eq!(unread(&client).await, said);
            }
        }
    }
}

#[tokio::test]
async fn a_reset_is_told_by_its_side() {
    let ((client, caller), (server, callee)) = (pair().await, pair().await);
    reset(caller);
    let heard = listening(None).either(client, &server, &AT_LENGTH, HEAD).await;
    assert!(matches!(heard, Err(Broken::Client(_))), "{heard:?}");
    let (client, _caller) = pair().await;
    reset(callee);
    let heard = listening(None).either(client, &server, &AT_LENGTH, HEAD).await;
    assert!(matches!(heard, Err(Broken::Server(_))), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_declared_wins() {
    for (hint, from_client, from_server, expected) in [
        (Hint::Opaque, REQUEST, &b""[..], (Protocol::Opaque, Reason::Hint)),
        (Hint::Http, REQUEST, b"", (Protocol::Http1, Reason::FirstBytes)),
        (Hint::Http, b"GET", b"", (Protocol::Http1, Reason::Hint)),
        (Hint::Http, b"", b"220 mail\r\n", (Protocol::Opaque, Reason::ServerFirst)),
        (Hint::Http, b"?\0", b"", (Protocol::Http1, Reason::Hint)),
        (Hint::Http, b"GE", b"HTTP/1.1 408 \r\n", (Protocol::Http1, Reason::Hint)),
        (Hint::Tls, b"", b"220 mail\r\n", (Protocol::Tls, Reason::Hint)),
        (Hint::Tls, REQUEST, b"", (Protocol::Tls, Reason::Hint)),
    ] {
        let ((client, mut caller), (server, mut callee)) = (pair().await, pair().await);
        caller.write_all(from_client).await.unwrap();
        callee.write_all(from_server).await.unwrap();
        LOOKS.set(0);
        let (_, detected) = listening(Some(hint)).either(client, &server, &AT_ONCE, HEAD).await.unwrap();
        assert_eq!((detected.protocol, detected.reason), expected, "{hint:?}");
        assert_eq!(LOOKS.get() == 0, hint == Hint::Opaque);
    }
    // However long nobody says anything, it does not become opaque.
    let ((client, _caller), (server, _callee)) = (pair().await, pair().await);
    assert!(
        timeout(HOUR, listening(Some(Hint::Http)).either(client, &server, &AT_ONCE, HEAD)).await.is_err()
    );
}

#[tokio::test]
async fn a_destination_known_to_be_opaque_is_not_looked_at() {
    let look = async |hint: Option<Hint>| {
        let ((client, mut caller), (server, mut callee)) = (pair().await, pair().await);
        callee.write_all(b"220 mail\r\n").await.unwrap();
        caller.write_all(b"").await.unwrap();
        LOOKS.set(0);
        let mut listening = listening(None);
        listening.expect(hint);
        let detected = listening.either(client, &server, &AT_LENGTH, HEAD).await.unwrap().1;
        (detected.protocol, detected.reason, LOOKS.get() > 0)
    };
    let seen = (Protocol::Opaque, Reason::ServerFirst, true);
    let remembered = (Protocol::Opaque, Reason::Memory, false);
    for expected in [seen, remembered, seen, remembered, remembered, remembered, seen] {
        assert_eq!(look(None).await, expected);
    }
    // Discovery may say later what the port speaks.
    assert_eq!(look(Some(Hint::Tls)).await, (Protocol::Tls, Reason::Hint, true));
}

const GREETING: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\x10\0\0";

#[tokio::test(start_paused = true)]
async fn a_server_of_http2_may_greet_first() {
    let ((client, mut caller), (server, mut callee)) = (pair().await, pair().await);
    callee.write_all(GREETING).await.unwrap();
    let listening = FirstSpeaker::new(Direction::Outbound, caller.local_addr().unwrap(), None);
    let mut heard = pin!(listening.either(client, &server, &AT_LENGTH, HEAD));
    assert!(timeout(LIMIT, heard.as_mut()).await.is_err());
    caller.write_all(PREFACE).await.unwrap();
    let (_, detected) = heard.await.unwrap();
    assert_eq!((detected.protocol, detected.reason), (Protocol::Http2, Reason::FirstBytes));
    assert_eq!(unread(&server).await, GREETING);
    // Who does not answer it in time does not speak HTTP/2.
    callee.write_all(GREETING).await.unwrap();
    let (silent, silent_caller) = pair().await;
    let began = Instant::now();
    let listening = FirstSpeaker::new(Direction::Outbound, silent_caller.local_addr().unwrap(), None);
    let (_, detected) = listening.either(silent, &server, &AT_ONCE, HEAD).await.unwrap();
    assert_eq!((detected, began.elapsed()), (Detected::opaque(Reason::ServerFirst), GREETED * LIMIT));
}

#[tokio::test(start_paused = true)]
async fn nonsense_of_a_stranger_is_not_remembered_of_the_server() {
    for (port, (direction, remembers)) in
        (1..).zip([(Direction::Inbound, false), (Direction::Outbound, true)])
    {
        let destination = SocketAddr::from(([192, 0, 2, 9], port));
        // Nothing that is known, and nothing whole.
        for nonsense in [&b"?\0"[..], b"GE"] {
            let ((client, mut caller), (server, _callee)) = (pair().await, pair().await);
            caller.write_all(nonsense).await.unwrap();
            let listening = FirstSpeaker::new(direction, destination, None);
            let (_, detected) = listening.either(client, &server, &AT_ONCE, HEAD).await.unwrap();
            assert_eq!(detected.protocol, Protocol::Opaque);
            let next = FirstSpeaker::new(direction, destination, None);
            assert_eq!(next.detected.is_some(), remembers, "{direction:?} {nonsense:?}");
        }
        let ((client, _caller), (server, mut callee)) = (pair().await, pair().await);
        callee.write_all(b"220").await.unwrap();
        FirstSpeaker::new(direction, SocketAddr::from(([192, 0, 2, 8], port)), None)
            .either(client, &server, &AT_ONCE, HEAD)
            .await
            .unwrap();
        let next = FirstSpeaker::new(direction, SocketAddr::from(([192, 0, 2, 8], port)), None);
        assert!(next.detected.is_some(), "the server has said it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_strangers_silence_makes_no_port_of_http_another_one() {
    for (port, (said, remembers)) in
        (1..).zip([(GREETING, false), (b"HTTP/1.1 408 Request Timeout\r\n", false), (b"HTTP?", true)])
    {
        for direction in Direction::BOTH {
            let destination =
                SocketAddr::from(([192, 0, 2, if direction == Direction::Inbound { 5 } else { 6 }], port));
            say(REQUEST, (direction, destination)).await;
            speaks_http(destination);
            let ((client, _caller), (server, mut callee)) = (pair().await, pair().await);
            callee.write_all(said).await.unwrap();
            let listening = FirstSpeaker::new(direction, destination, None);
            let (_, detected) = listening.either(client, &server, &AT_ONCE, HEAD).await.unwrap();
            assert_eq!(detected, Detected::opaque(Reason::ServerFirst));
            let next = FirstSpeaker::new(direction, destination, None);
            assert_eq!(
                (next.detected.is_some(), next.may_ask),
                (remembers, !remembers),
                "{direction:?} {said:?}"
            );
        }
    }
}

/// A client says this, to nobody in particular.
async fn say(bytes: &[u8], (direction, destination): (Direction, SocketAddr)) {
    let ((client, mut caller), (server, _callee)) = (pair().await, pair().await);
    caller.write_all(bytes).await.unwrap();
    FirstSpeaker::new(direction, destination, None).either(client, &server, &AT_ONCE, HEAD).await.unwrap();
}

/// A destination that has responded by HTTP.
async fn known_as_http() -> SocketAddr {
    say(REQUEST, (Direction::Outbound, destination())).await;
    speaks_http(destination());
    destination()
}

#[tokio::test(start_paused = true)]
async fn http_is_what_a_server_has_responded_by() {
    for (port, direction) in (1..).zip(Direction::BOTH) {
        let destination = SocketAddr::from(([192, 0, 2, 7], port));
        let asks = || FirstSpeaker::new(direction, destination, None).may_ask;
        say(REQUEST, (direction, destination)).await;
        assert!(!asks(), "{direction:?}");
        speaks_http(destination);
        assert!(asks(), "{direction:?}");
        // It is not for strangers to say that it is over.
        say(b"?\0", (direction, destination)).await;
        assert_eq!(asks(), direction == Direction::Inbound);
    }
}

#[tokio::test(start_paused = true)]
async fn a_preface_in_pieces_is_waited_for_where_http_is_spoken() {
    for (greeting, hint) in
        [(&b""[..], None), (GREETING, None), (b"", Some(Hint::Http2)), (GREETING, Some(Hint::Http))]
    {
        let destination = known_as_http().await;
        let ((client, mut caller), (server, mut callee)) = (pair().await, pair().await);
        callee.write_all(greeting).await.unwrap();
        let pieces = async {
            for piece in PREFACE.chunks(4) {
                tokio::time::sleep(15 * LIMIT).await;
                caller.write_all(piece).await.unwrap();
            }
        };
        let listening = FirstSpeaker::new(Direction::Outbound, destination, hint);
        let (heard, ()) = tokio::join!(listening.either(client, &server, &AT_ONCE, HEAD), pieces);
        let (client, detected) = heard.unwrap();
        assert_eq!((detected.protocol, detected.reason), (Protocol::Http2, Reason::FirstBytes));
        assert_eq!(unread(&client).await, PREFACE);
    }
}

#[tokio::test(start_paused = true)]
async fn the_reader_of_http_has_what_takes_long() {
    for (begun, limit, expected) in [
        (&PREFACE[..1], HEAD, Detected::HTTP1_BY_MEMORY),
        (&PREFACE[..23], HEAD, Detected::HTTP1_BY_MEMORY),
        (b"PO", LIMIT, Detected::HTTP1_BY_MEMORY),
        (b"\x16\x03", LIMIT, Detected::opaque(Reason::Incomplete)),
    ] {
        let destination = known_as_http().await;
        let ((client, mut caller), (server, _callee)) = (pair().await, pair().await);
        caller.write_all(begun).await.unwrap();
        let began = Instant::now();
        let listening = FirstSpeaker::new(Direction::Outbound, destination, None);
        let (_, detected) = listening.either(client, &server, &AT_ONCE, HEAD).await.unwrap();
        assert_eq!((detected, began.elapsed()), (expected, limit), "{}", begun.escape_ascii());
    }
}
