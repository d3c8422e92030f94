//! What a client may send, and what becomes of it when it sends something else.
//!
//! Each case is a connection of its own, to whoever answers all requests with success.

mod compression;
mod frames;
mod messages;
mod states;

use std::io;
use std::time::Duration;

use super::became::Became;
use crate::frames::{
    ACK, GOAWAY, HEADERS, PING, PREFACE, Peer, RST_STREAM, SETTINGS, frame, get, ping, read_to_the_last,
    settings,
};
use crate::report::{Report, Verdict};
use crate::run::{self, Pace, Unfit};
use crate::wire::{Bytes, Connection, Stop};

/// What becomes of a connection, or of its last stream.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// GOAWAY with one of these codes, and the end.
    Dies(&'static [u32]),
    /// The end.
    Closes,
    /// A stream is reset with one of these codes.
    Resets(&'static [u32]),
    /// The last stream has a response of success, and its end.
    Responds,
    /// A PING is answered, and nothing was reset.
    Lives,
}
use Then::{Closes, Dies, Lives, Resets, Responds};

/// The section, what is sent, how, and what becomes of it.
type Case = (&'static str, &'static str, fn() -> Vec<u8>, Then);

/// What is sent depends on how many streams the peer takes at once.
type Limited = (&'static str, &'static str, fn(u32) -> Vec<u8>, Then);

/// What is sent would be very much otherwise.
const MOST_STREAMS: u32 = 2_000;

#[derive(Clone, Copy)]
enum Any {
    Case(&'static Case),
    Limited(&'static Limited),
    Greeting,
}

fn all() -> impl Iterator<Item = Any> {
    let cases = [frames::CASES, states::CASES, messages::CASES, compression::CASES];
    let cases = cases.into_iter().flatten().map(Any::Case);
    [Any::Greeting].into_iter().chain(cases).chain(states::LIMITED.iter().map(Any::Limited))
}

/// Whether the cases say something about this peer.
pub async fn preflight<S: Bytes>(
    connect: impl AsyncFn() -> io::Result<S>,
    patience: Duration,
) -> Result<(), Unfit> {
    let stream = connect().await.map_err(Unfit::Unreachable)?;
    let mut client = Peer::new(Connection::new(stream, patience));
    let greeted = client.greet(&WITHOUT_TABLE).await;
    let asked = if greeted.is_ok() { client.send(get(1)).await } else { greeted };
    let answer = match asked {
        Ok(()) => responds(&mut client).await,
        Err(stop) => Err(stop.to_string()),
    };
    let does =
        "speaks HTTP/2 without TLS and with prior knowledge, and answers GET and POST of / with success";
    answer.map_err(|answer| Unfit::Refuses { asked: "GET", answer, does })
}

/// Sends every case.
pub async fn server_face<S: Bytes>(connect: impl AsyncFn() -> io::Result<S>, pace: Pace) -> Report {
    let judge = async |case: Any| {
        let (source, name) = match case {
            Any::Case((source, name, ..)) | Any::Limited((source, name, ..)) => (*source, *name),
            Any::Greeting => ("9113 3.4", "settings first, and those of the client are acknowledged"),
        };
        let verdict = match connect().await {
            Ok(stream) => judge(case, Peer::new(Connection::new(stream, pace.patience))).await,
            Err(error) => Verdict::Failed(format!("no connection: {error}")),
        };
        (source, name.to_owned(), verdict)
    };
    run::all("http2", all(), pace, judge).await
}

/// So that a status can be read.
const WITHOUT_TABLE: [(u16, u32); 1] = [(1, 0)];

async fn judge<S: Bytes>(case: Any, mut client: Peer<S>) -> Verdict {
    match case {
        Any::Greeting => greeting(&mut client).await.into(),
        Any::Case((source, _, sends, then)) => {
            if !source.starts_with("9113 3.") {
                // Whoever does not take it will be seen to have gone.
                let _: Result<(), Stop> = client.greet(&WITHOUT_TABLE).await;
            }
            follows(client, &sends(), *then).await.into()
        }
        Any::Limited((_, _, sends, then)) => {
            let _: Result<(), Stop> = client.greet(&WITHOUT_TABLE).await;
            match most_streams(&mut client).await {
                Ok(Some(most @ 1..=MOST_STREAMS)) => follows(client, &sends(most), *then).await.into(),
                Ok(most) => Verdict::Skipped(format!("the peer says that it takes {most:?} streams at once")),
                Err(stop) => Verdict::Failed(format!("no settings: {stop}")),
            }
        }
    }
}

/// What the peer's settings say.
async fn most_streams<S: Bytes>(client: &mut Peer<S>) -> Result<Option<u32>, Stop> {
    let settings = client.next_of(SETTINGS).await?;
    let most = settings.payload.chunks(6).find_map(|setting| match setting {
        [0, 3, value @ ..] => Some(u32::from_be_bytes(value.try_into().ok()?)),
        _ => None,
    });
    Ok(most)
}

async fn follows<S: Bytes>(mut client: Peer<S>, bytes: &[u8], then: Then) -> Result<(), String> {
    // The peer may be gone before it has taken all.
    let _: Result<(), Stop> = client.send(bytes).await;
    if let Responds = then {
        return responds(&mut client).await;
    }
    let became = Became::of(read_to_the_last(&mut client).await);
    let is_as_expected = match then {
        Dies(codes) => became.dies(codes),
        Closes => became.closes(),
        Resets(codes) => became.resets(codes),
        Lives => became.lives(),
        Responds => false,
    };
    if is_as_expected { Ok(()) } else { Err(format!("{then:?} is expected, and what came is {became}")) }
}

async fn responds<S: Bytes>(client: &mut Peer<S>) -> Result<(), String> {
    let mut status = None;
    loop {
        let frame = client.next().await.map_err(|stop| format!("no response, but {stop}"))?;
        if matches!(frame.kind, GOAWAY | RST_STREAM) {
            return Err(format!("no response, but {frame:?}"));
        }
        if frame.kind == HEADERS {
            status = frame.status().filter(|status| *status >= 200).or(status);
        }
        if frame.is_end() {
            return match status {
                Some(200..400) => Ok(()),
                _ => Err(format!("a response with the status {status:?}")),
            };
        }
    }
}

/// RFC 9113, sections 3.4, 6.5.3 and 6.7.
async fn greeting<S: Bytes>(client: &mut Peer<S>) -> Result<(), String> {
    let stopped = |stop: Stop| stop.to_string();
    client.send([PREFACE, &settings(&[(3, 7)])].concat()).await.map_err(stopped)?;
    let first = client.next().await.map_err(stopped)?;
    if (first.kind, first.flags, first.stream) != (SETTINGS, 0, 0) {
        return Err(format!("the first frame is {first:?}"));
    }
    let ack = client.wait_for(|frame| (frame.flags & ACK != 0).then(|| frame.clone())).await;
    let ack = ack.map_err(stopped)?;
    if ack.kind != SETTINGS || !ack.payload.is_empty() {
        return Err(format!("the settings are acknowledged by {ack:?}"));
    }
    client.send([frame(SETTINGS, ACK, 0, []), ping(b"12345678")].concat()).await.map_err(stopped)?;
    let pong = client.next_of(PING).await.map_err(stopped)?;
    if (pong.flags, pong.payload.as_slice()) != (ACK, b"12345678") {
        return Err(format!("a PING is answered by {pong:?}"));
    }
    Ok(())
}
