//! Frames of HTTP/2 that carry nothing, or far more than they weigh, without end: whoever gets them has to end the connection
//! within a thousand of them, and should say why (RFC 9113, sections 5.4.1 and 10.5).

mod of_clients;
mod of_servers;

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::frames::*;
use crate::report::{Report, Verdict};
use crate::run::{self, Judged, Pace};
use crate::wire::{Bytes, Connection, Ends, Stop, accept};

/// Those that have brought servers down; clients and servers have a case of each.
pub const KNOWN: [&str; 8] = [
    "resets",
    "empty CONTINUATION",
    "full CONTINUATION",
    "PING",
    "SETTINGS",
    "empty DATA",
    "windows of nothing",
    "a bomb of fields",
];

/// Frames after which the connection has to have ended.
const MOST: usize = 1_000;

/// What is sent first, what is sent again and again, and how many frames that is.
struct Attack {
    source: &'static str,
    name: &'static str,
    first: fn() -> Vec<u8>,
    round: fn(u32) -> Vec<u8>,
    frames: usize,
}

fn nothing() -> Vec<u8> {
    vec![]
}

/// What clients and servers attack by alike; the stream 1 is open.
const OF_BOTH: &[Attack] = &[
    Attack { source: "CVE-2019-9512", name: "PING", first: nothing, round: |_| ping(&[0; 8]), frames: 1 },
    Attack {
        source: "9113 10.5",
        name: "answers",
        first: nothing,
        round: |_| frame(PING, ACK, 0, [0; 8]),
        frames: 1,
    },
    Attack { source: "CVE-2019-9515", name: "SETTINGS", first: nothing, round: |_| settings(&[]), frames: 1 },
    Attack {
        source: "9113 10.5",
        name: "windows",
        first: nothing,
        round: |_| window_update(0, 1),
        frames: 1,
    },
    Attack {
        source: "9113 10.5",
        name: "windows of a stream",
        first: nothing,
        round: |_| window_update(1, 1),
        frames: 1,
    },
    Attack {
        source: "CVE-2025-8671",
        name: "windows of nothing",
        first: nothing,
        round: |_| window_update(1, 0),
        frames: 1,
    },
    Attack {
        source: "9113 10.5",
        name: "unknown frames",
        first: nothing,
        round: |_| frame(0xfa, 0, 0, []),
        frames: 1,
    },
];

/// RFC 7541, section 6.1: the field that has entered the table last.
const LATEST: u8 = 0x80 | 62;

/// A field of this size, which enters the table.
fn remembered(size: u16) -> Vec<u8> {
    let length = size - 127;
    let bytes = [(length % 128 + 128) as u8, (length / 128) as u8];
    [b"\x40\x01x\x7f", &bytes[..], &vec![b'y'; size.into()]].concat()
}

/// Of clients, each on a connection whose first stream is open.
pub async fn server_face<S: Bytes>(connect: impl AsyncFn() -> io::Result<S>, pace: Pace) -> Report {
    let judge = async |attack: &'static Attack| {
        let verdict = match connect().await {
            Ok(stream) => of_client(attack, Peer::new(Connection::new(stream, pace.patience))).await,
            Err(error) => Verdict::Failed(format!("no connection: {error}")),
        };
        attack.judged(verdict)
    };
    run::all("attacks", OF_BOTH.iter().chain(of_clients::OTHERS), pace, judge).await
}

/// Of servers, each of which was asked once; whatever they do, the client has an answer or a reset.
pub async fn client_face(open: impl AsyncFn() -> io::Result<Ends>, pace: Pace) -> Report {
    let judge = async |attack: &'static Attack| {
        let verdict = of_server(attack, &open, pace.patience).await.unwrap_or_else(Verdict::Failed);
        attack.judged(verdict)
    };
    run::all("attacks of servers", OF_BOTH.iter().chain(of_servers::OTHERS), pace, judge).await
}

impl Attack {
    fn judged(&self, verdict: Verdict) -> Judged {
        (self.source, self.name.to_owned(), verdict)
    }
}

async fn of_client<S: Bytes>(attack: &Attack, mut client: Peer<S>) -> Verdict {
    // Whoever does not take it will be seen to have gone.
    let _: Result<(), Stop> = client.greet(&[]).await;
    let _: Result<(), Stop> = client.send(post(1)).await;
    flood(&mut client, attack).await
}

async fn of_server(
    attack: &Attack,
    open: &impl AsyncFn() -> io::Result<Ends>,
    patience: Duration,
) -> Result<Verdict, String> {
    let Ends { client, listener } = open().await.map_err(|error| format!("no connection: {error}"))?;
    let stopped = |stop: Stop| format!("before the attack: {stop}");
    let mut client = Peer::new(Connection::new(client, patience));
    client.greet(&[]).await.map_err(stopped)?;
    client.send(get(1)).await.map_err(stopped)?;
    let server: TcpStream = accept(&listener, patience).await.map_err(stopped)?;
    // It is the only one.
    drop(listener);
    let mut server = Peer::new(Connection::new(server, patience));
    server.welcome(&[]).await.map_err(stopped)?;
    server.next_of(HEADERS).await.map_err(stopped)?;
    let verdict = flood(&mut server, attack).await;
    let is_last = client.wait_for(|frame| (frame.is_end() || frame.kind == RST_STREAM).then_some(())).await;
    is_last.map_err(|stop| format!("the client has neither an answer nor a reset: {stop}"))?;
    Ok(verdict)
}

/// Sends until nothing more is taken, reading all the time, and asks whether somebody is still there.
async fn flood<S: Bytes>(peer: &mut Peer<S>, attack: &Attack) -> Verdict {
    let mut sent = 0;
    let _: Result<(), Stop> = peer.send((attack.first)()).await;
    for round in 0.. {
        if sent >= MOST || peer.send_reading((attack.round)(round)).await.is_err() {
            break;
        }
        sent += attack.frames;
    }
    let (frames, stop) = read_to_the_last(peer).await;
    match (stop, codes(&frames, GOAWAY).last()) {
        (None, _) => Verdict::Failed(format!("it goes on after {sent} frames")),
        (Some(stop @ Stop::Silent(_)), _) => {
            Verdict::Failed(format!("not ended after {sent} frames: {stop}"))
        }
        (Some(_), Some(code)) => Verdict::Passed(Some(format!("GOAWAY {code}"))),
        (Some(stop), None) => {
            Verdict::Passed(Some(format!("without a word after {} frames; {stop}", frames.len())))
        }
    }
}
