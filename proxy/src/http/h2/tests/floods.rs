//! Frames that carry nothing, without end, from either side: the connection ends within a thousand of them, and the sender is
//! told why. And traffic that looks like it, which goes on.

use super::Lab;
use super::peers::soon;
use super::raw::*;

const MOST: usize = 1_000;

/// `:status 200`, and `:status 103` without an index.
const OK: &[u8] = &[0x88];
const HINTS: &[u8] = &[0x08, 0x03, b'1', b'0', b'3'];

/// What is sent first, what is sent again and again, how many frames that is, and the reason by which metrics name it; none
/// where h2 sees it itself.
struct Flood {
    name: &'static str,
    first: fn() -> Vec<u8>,
    round: fn(u32) -> Vec<u8>,
    frames: usize,
    reason: Option<&'static str>,
}

fn nothing() -> Vec<u8> {
    vec![]
}

/// The number of a client's stream.
fn odd(round: u32) -> u32 {
    2 * round + 3
}

/// Of a client; the first stream is open.
const OF_CLIENTS: &[Flood] = &[
    Flood { name: "PING", first: nothing, round: |_| ping(&[0; 8]), frames: 1, reason: Some("ping_flood") },
    Flood {
        name: "answers",
        first: nothing,
        round: |_| frame(PING, ACK, 0, [0; 8]),
        frames: 1,
        reason: Some("ping_flood"),
    },
    Flood {
        name: "SETTINGS",
        first: nothing,
        round: |_| settings(&[]),
        frames: 1,
        reason: Some("settings_flood"),
    },
    Flood {
        name: "full SETTINGS",
        first: nothing,
        round: |_| settings(&[(4, 70_000); 2_730]),
        frames: 1,
        reason: Some("settings_flood"),
    },
    Flood {
        name: "resets",
        first: nothing,
        round: |round| [get(odd(round)), reset(odd(round), CANCEL)].concat(),
        frames: 2,
        reason: Some("reset_flood"),
    },
    Flood {
        name: "resets of one stream",
        first: || reset(1, CANCEL),
        round: |_| reset(1, CANCEL),
        frames: 1,
        reason: Some("reset_flood"),
    },
    Flood {
        name: "empty CONTINUATION",
        first: || headers(3, END_STREAM, [0x82]),
        round: |_| frame(CONTINUATION, 0, 3, []),
        frames: 1,
        reason: None,
    },
    Flood {
        name: "full CONTINUATION",
        first: || headers(3, END_STREAM, [0x82]),
        round: |_| frame(CONTINUATION, 0, 3, block(&[("x", &"y".repeat(16_000))])),
        frames: 1,
        reason: None,
    },
    Flood {
        name: "empty DATA",
        first: nothing,
        round: |_| frame(DATA, 0, 1, []),
        frames: 1,
        reason: Some("empty_data_flood"),
    },
    Flood {
        name: "DATA of padding",
        first: nothing,
        round: |_| frame(DATA, PADDED, 1, [1, 0]),
        frames: 1,
        reason: Some("empty_data_flood"),
    },
    Flood {
        name: "windows",
        first: nothing,
        round: |_| window_update(0, 1),
        frames: 1,
        reason: Some("window_update_flood"),
    },
    Flood {
        name: "windows of a stream",
        first: nothing,
        round: |_| window_update(1, 1),
        frames: 1,
        reason: Some("window_update_flood"),
    },
    Flood {
        name: "windows of nothing",
        first: nothing,
        round: |_| window_update(1, 0),
        frames: 1,
        reason: None,
    },
    Flood {
        name: "PRIORITY",
        first: nothing,
        round: |round| frame(PRIORITY, 0, odd(round), [0; 5]),
        frames: 1,
        reason: Some("priority_flood"),
    },
    Flood {
        name: "updates of priorities",
        first: nothing,
        round: |_| frame(0x10, 0, 0, [0, 0, 0, 1, b'u']),
        frames: 1,
        reason: Some("priority_flood"),
    },
    Flood {
        name: "GOAWAY",
        first: nothing,
        round: |_| goaway(0, NO_ERROR),
        frames: 1,
        reason: Some("goaway_flood"),
    },
    Flood {
        name: "unknown frames",
        first: nothing,
        round: |_| frame(0xfa, 0, 0, []),
        frames: 1,
        reason: Some("unknown_frame_flood"),
    },
    Flood {
        name: "malformed requests",
        first: nothing,
        round: |round| headers(odd(round), END_STREAM | END_HEADERS, get_with(&[("connection", "x")])),
        frames: 1,
        reason: None,
    },
    Flood {
        name: "requests that are refused",
        first: nothing,
        round: |round| headers(odd(round), END_STREAM | END_HEADERS, get_with(&[("host", "x")])),
        frames: 1,
        reason: None,
    },
    Flood {
        name: "streams that a length breaks",
        first: nothing,
        round: |round| {
            [
                headers(odd(round), END_HEADERS, post_with(&[("content-length", "1")])),
                frame(DATA, 0, odd(round), [0; 2]),
            ]
            .concat()
        },
        frames: 2,
        reason: None,
    },
    Flood {
        name: "streams that a window breaks",
        first: nothing,
        round: |round| [post(odd(round)), window_update(odd(round), i32::MAX as u32)].concat(),
        frames: 2,
        reason: None,
    },
];

/// Of a server that has been asked once, whose stream is 1.
const OF_SERVERS: &[Flood] = &[
    Flood { name: "PING", first: nothing, round: |_| ping(&[0; 8]), frames: 1, reason: Some("ping_flood") },
    Flood {
        name: "answers",
        first: nothing,
        round: |_| frame(PING, ACK, 0, [0; 8]),
        frames: 1,
        reason: Some("ping_flood"),
    },
    Flood {
        name: "SETTINGS",
        first: nothing,
        round: |_| settings(&[]),
        frames: 1,
        reason: Some("settings_flood"),
    },
    Flood {
        name: "resets",
        first: || reset(1, CANCEL),
        round: |_| reset(1, CANCEL),
        frames: 1,
        reason: Some("reset_flood"),
    },
    Flood {
        name: "empty CONTINUATION",
        first: || headers(1, 0, OK),
        round: |_| frame(CONTINUATION, 0, 1, []),
        frames: 1,
        reason: None,
    },
    Flood {
        name: "full CONTINUATION",
        first: || headers(1, 0, OK),
        round: |_| frame(CONTINUATION, 0, 1, block(&[("x", &"y".repeat(16_000))])),
        frames: 1,
        reason: None,
    },
    Flood {
        name: "empty DATA",
        first: || headers(1, END_HEADERS, OK),
        round: |_| frame(DATA, 0, 1, []),
        frames: 1,
        reason: Some("empty_data_flood"),
    },
    Flood {
        name: "windows",
        first: nothing,
        round: |_| window_update(0, 1),
        frames: 1,
        reason: Some("window_update_flood"),
    },
    Flood {
        name: "windows of a stream",
        first: nothing,
        round: |_| window_update(1, 1),
        frames: 1,
        reason: Some("window_update_flood"),
    },
    Flood {
        name: "PRIORITY",
        first: nothing,
        round: |_| frame(PRIORITY, 0, 1, [0; 5]),
        frames: 1,
        reason: Some("priority_flood"),
    },
    Flood {
        name: "GOAWAY",
        first: nothing,
        round: |_| goaway(1, NO_ERROR),
        frames: 1,
        reason: Some("goaway_flood"),
    },
    Flood {
        name: "unknown frames",
        first: nothing,
        round: |_| frame(0xfa, 0, 0, []),
        frames: 1,
        reason: Some("unknown_frame_flood"),
    },
    Flood {
        name: "interim responses",
        first: nothing,
        round: |_| headers(1, END_HEADERS, HINTS),
        frames: 1,
        reason: Some("response_head_flood"),
    },
    Flood {
        name: "content of a stream that was broken off",
        first: || [headers(1, END_HEADERS, OK), window_update(1, 0)].concat(),
        round: |_| frame(DATA, 0, 1, []),
        frames: 1,
        reason: None,
    },
];

/// Sends until it is told that it must not, or the connection ends; how many frames that were at most.
async fn flood(peer: &mut Raw, flood: &Flood) -> Result<usize, String> {
    let mut sent = 0;
    let _ = peer.send((flood.first)()).await;
    let mut round = 0;
    while sent < MOST {
        if peer.send((flood.round)(round)).await.is_err() {
            break;
        }
        round += 1;
        sent += flood.frames;
    }
    let mut codes = vec![];
    while let Some(frame) = peer.next().await {
        if frame.kind == GOAWAY {
            codes.push(frame.code());
        }
    }
    match codes.last() {
        Some(&(ENHANCE_YOUR_CALM | PROTOCOL_ERROR)) => Ok(sent),
        _ => Err(format!("{}: after {sent} frames GOAWAY {codes:?}", flood.name)),
    }
}

fn is_told(lab: &super::Ended, side: &str, flood: &Flood) -> Result<(), String> {
    let Some(reason) = flood.reason else { return Ok(()) };
    let parts = ["remora_http_refused_messages_total{", side, &format!("reason=\"{reason}\"")];
    match Lab::metric(&lab.shown, &parts).len() {
        1 => Ok(()),
        _ => Err(format!("{}: {reason} is not told", flood.name)),
    }
}

#[tokio::test]
async fn floods_of_clients_end() {
    let mut failures = vec![];
    for case in OF_CLIENTS {
        let (mut client, mut server, mut lab) = Lab::greeted(&[]).await;
        client.send(post(1)).await.unwrap();
        server.next_of(HEADERS).await;
        let served = tokio::spawn(async move { while server.next().await.is_some() {} });
        failures.extend(flood(&mut client, case).await.err());
        drop(client);
        let end = soon(&mut lab.end).await.unwrap();
        soon(served).await.unwrap();
        assert_eq!(end.flags, "DPE", "{}: {end:?}", case.name);
        failures.extend(is_told(&lab, "side=\"client\"", case).err());
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[tokio::test]
async fn floods_of_servers_end_and_the_client_has_an_answer() {
    let mut failures = vec![];
    for case in OF_SERVERS {
        let (mut client, mut server, mut lab) = Lab::greeted(&[]).await;
        client.send(get(1)).await.unwrap();
        server.next_of(HEADERS).await;
        let answered = tokio::spawn(async move {
            client.wait_for(|frame| (frame.is_end() || frame.kind == RST_STREAM).then_some(())).await;
        });
        failures.extend(flood(&mut server, case).await.err());
        soon(answered).await.expect(case.name);
        soon(&mut lab.end).await.unwrap();
        failures.extend(is_told(&lab, "side=\"server\"", case).err());
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

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
