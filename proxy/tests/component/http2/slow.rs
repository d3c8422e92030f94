//! Peers that stop within a stream, and are there: nobody is read for them without bound, and the stream ends in time.

use conformance::frames::{
    CANCEL, DATA, END_HEADERS, Frame, HEADERS, PING, Peer, RST_STREAM, WINDOW_UPDATE, frame, headers, ping,
    post, window_update,
};
use conformance::wire::Connection;
use serde_json::json;

use super::{asynchronous, connect, runtime};
use crate::support::{INBOUND, PATIENCE, Proxy};

type Peers = [Peer<tokio::net::TcpStream>; 2];

/// A stream's window is no larger than that of a connection is at first.
const QUIET: [&str; 4] = ["--http-stream-idle-timeout", "1s", "--http2-stream-window", "65535"];

/// RFC 9113, section 6.5.2: of a stream. A connection has 65,535 at first, which no setting changes.
const INITIAL_WINDOW: u16 = 4;
const WINDOW: usize = 65_535;
const WIDE: u32 = i32::MAX as u32;

/// `:status 200`.
const OK: &[u8] = &[0x88];

/// What a client and a server do, of which nothing more is passed on in the end; how the log tells it.
fn told(windows: [u32; 2], code: u16, play: impl AsyncFn(&Proxy, &mut Peers, u32)) {
    let proxy = Proxy::start(&QUIET);
    let (caller, called, _listener) = connect(&proxy, INBOUND);
    runtime().block_on(async {
        let mut peers = [caller, called].map(|end| Peer::new(Connection::new(asynchronous(end), PATIENCE)));
        let [client, server] = &mut peers;
        client.greet(&[(INITIAL_WINDOW, windows[0])]).await.unwrap();
        server.welcome(&[(INITIAL_WINDOW, windows[1])]).await.unwrap();
        client.send(post(1)).await.unwrap();
        let stream = server.next_of(HEADERS).await.unwrap().stream;
        play(&proxy, &mut peers, stream).await;
    });
    let timeouts = ["remora_http_timeouts_total{direction=\"inbound\"", "timer=\"stream_idle_timeout\""];
    assert_eq!(proxy.metric(&timeouts), 1);
    let lines = proxy.stop();
    let is_told = lines.iter().any(|line| {
        line["response_code"] == json!(code)
            && line["response_flags"] == "SI"
            && line["response_code_details"] == "stream_idle_timeout"
    });
    assert!(is_told, "{lines:?}");
}

async fn reset(peer: &mut Peer<tokio::net::TcpStream>) -> u32 {
    peer.wait_for(|frame| (frame.kind == RST_STREAM).then(|| frame.code())).await.unwrap()
}

/// As much content as there is a window for; and no more is given.
async fn fill(proxy: &Proxy, peer: &mut Peer<tokio::net::TcpStream>, stream: u32) {
    for size in [16_384, 16_384, 16_384, 16_383] {
        peer.send(frame(DATA, 0, stream, vec![b'x'; size])).await.unwrap();
    }
    peer.send(ping(&[0; 8])).await.unwrap();
    // The connection's window may grow, for others.
    let gives = |frame: &Frame| frame.kind == WINDOW_UPDATE && frame.stream == stream;
    let is_answer = |frame: &Frame| (frame.kind == PING || gives(frame)).then_some(frame.kind);
    assert_eq!(peer.wait_for(is_answer).await.unwrap(), PING);
    let held = proxy.metric(&["remora_relay_buffered_bytes{", "mode=\"copy\""]);
    assert!(held <= WINDOW as u64, "{held}");
}

#[test]
fn a_client_that_gives_windows_byte_by_byte_and_stops_is_given_up() {
    told([0, WIDE], 200, async |proxy, [client, server], stream| {
        server.send(headers(stream, END_HEADERS, OK)).await.unwrap();
        client.next_of(HEADERS).await.unwrap();
        fill(proxy, server, stream).await;
        for _ in 0..3 {
            client.send(window_update(1, 1)).await.unwrap();
            assert_eq!(client.next_of(DATA).await.unwrap().payload, b"x");
        }
        assert_eq!([reset(client).await, reset(server).await], [CANCEL; 2]);
    });
}

/// What the kernel holds and a stream's window is all that the server is read for it.
#[test]
fn a_client_that_reads_nothing_is_given_up() {
    const MOST: usize = 32 << 20;
    told([WIDE, WIDE], 200, async |_, [client, server], stream| {
        client.send(window_update(0, WIDE - 65_535)).await.unwrap();
        server.send(headers(stream, END_HEADERS, OK)).await.unwrap();
        let (mut given, mut sent) = (WINDOW, 0);
        let mut of_stream = WINDOW;
        while sent < MOST {
            let size = given.min(of_stream).min(16_384);
            if size > 0 {
                server.send(frame(DATA, 0, stream, vec![b'x'; size])).await.unwrap();
                (given, of_stream, sent) = (given - size, of_stream - size, sent + size);
                continue;
            }
            let frame = server.next().await.unwrap();
            match frame.kind {
                RST_STREAM => {
                    assert_eq!(frame.code(), CANCEL);
                    return;
                }
                WINDOW_UPDATE => {
                    let more = u32::from_be_bytes(frame.payload.try_into().unwrap()) as usize;
                    *(if frame.stream == 0 { &mut given } else { &mut of_stream }) += more;
                }
                _ => {}
            }
        }
        panic!("{sent} bytes were taken");
    });
}

#[test]
fn a_server_that_gives_no_window_is_given_up() {
    told([WIDE, 0], 504, async |proxy, [client, server], _| {
        fill(proxy, client, 1).await;
        assert!(client.next_of(HEADERS).await.unwrap().is_end());
        assert_eq!(reset(server).await, CANCEL);
    });
}

#[test]
fn a_client_whose_content_stops_is_given_up() {
    told([WIDE, WIDE], 504, async |_, [client, server], _| {
        client.send(frame(DATA, 0, 1, b"half")).await.unwrap();
        assert_eq!(server.next_of(DATA).await.unwrap().payload, b"half");
        assert!(client.next_of(HEADERS).await.unwrap().is_end());
        assert_eq!(reset(server).await, CANCEL);
    });
}
