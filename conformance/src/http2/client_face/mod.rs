//! What a server may send, and what becomes of it, and of the client, when it sends something else.
//!
//! Each case is a connection of its own, on which a client has asked once. Whatever the server does, the client gets an answer or
//! a reset, and its connection lives until then.

mod compression;
mod frames;
mod messages;

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;

use super::became::Became;
use crate::frames::{
    ACK, Frame, GOAWAY, HEADERS, Peer, RST_STREAM, SETTINGS, codes, frame, get, post, read_to_the_last,
};
use crate::report::Report;
use crate::run::{self, Pace};
use crate::wire::{Connection, Ends, Stop, accept};

/// What becomes of the server's connection, or of the stream.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// GOAWAY with one of these codes, and the end.
    Dies(&'static [u32]),
    /// The end.
    Closes,
    /// The stream is reset with one of these codes.
    Resets(&'static [u32]),
    /// A PING is answered, and nothing was reset: what is wrong was the end of a stream anyway.
    Lives,
}
use Then::{Closes, Dies, Lives, Resets};

/// What the client sees.
#[derive(Clone, Copy, Debug)]
enum Sees {
    /// A whole response.
    Status(u16),
    /// The head of a response, and a reset with this code; the head may be left out when both have come together.
    Broken(u16, u32),
    /// A reset with this code and nothing before.
    Reset(u32),
    /// Nothing yet.
    Nothing,
}
use Sees::{Broken, Nothing, Reset, Status};

/// The section, what is sent, how, and what becomes of it.
type Case = (&'static str, &'static str, fn() -> Vec<u8>, Then, Sees);

/// Sections for which the client's request has not ended.
const WHILE_OPEN: [&str; 2] = ["9113 5.1", "9113 6.9.1"];

/// Lets a server send every case. It is the only one, so that a request which it has not taken cannot be sent to another.
pub async fn client_face(open: impl AsyncFn() -> io::Result<Ends>, pace: Pace) -> Report {
    let cases = [frames::CASES, compression::CASES, messages::CASES].into_iter().flatten().map(Some);
    let judge = async |case: Option<&'static Case>| {
        let (source, name) = case.map_or(GREETING, |(source, name, ..)| (source, name));
        let verdict = judge(case, &open, pace.patience).await.into();
        (source, name.to_owned(), verdict)
    };
    run::all("http2 servers", [None].into_iter().chain(cases), pace, judge).await
}

/// The case that is not one of bytes.
const GREETING: (&str, &str) =
    ("9113 6.5.2", "servers are told not to push, and their settings are acknowledged");

async fn judge(
    case: Option<&Case>,
    open: &impl AsyncFn() -> io::Result<Ends>,
    patience: Duration,
) -> Result<(), String> {
    let Ends { client, listener } = open().await.map_err(|error| format!("no connection: {error}"))?;
    let mut client = Peer::new(Connection::new(client, patience));
    let is_open = case.is_some_and(|(source, ..)| WHILE_OPEN.contains(source));
    let asked = if is_open { post(1) } else { get(1) };
    let stopped = |stop: Stop| format!("before the case: {stop}");
    // Without a table, so that a status can be read.
    client.greet(&[(1, 0)]).await.map_err(stopped)?;
    client.send(asked).await.map_err(stopped)?;
    let server = accept(&listener, patience).await.map_err(stopped)?;
    // It is the only one.
    drop(listener);
    let mut server = Peer::new(Connection::new(server, patience));
    let Some(case) = case else { return greeting(&mut server).await };
    if case.0.starts_with("9113 3.") {
        server.read_preface().await.map_err(stopped)?;
    } else {
        server.welcome(&[]).await.map_err(stopped)?;
    }
    server.next_of(HEADERS).await.map_err(stopped)?;
    follows(case, &mut server, &mut client).await
}

async fn follows(
    &(_, _, sends, then, sees): &Case,
    server: &mut Peer<TcpStream>,
    client: &mut Peer<TcpStream>,
) -> Result<(), String> {
    // Whoever is under test may be gone before it has taken all.
    let _: Result<(), Stop> = server.send(sends()).await;
    let became = Became::of(read_to_the_last(server).await);
    let is_as_expected = match then {
        Dies(codes) => became.dies(codes),
        Closes => became.closes(),
        Resets(codes) => became.resets(codes),
        Lives => became.lives(),
    };
    if !is_as_expected {
        return Err(format!("{then:?} is expected of the server, and what came is {became}"));
    }
    seen(client, sees).await.map_err(|what| format!("the client should see {sees:?}, and sees {what}"))
}

async fn seen(client: &mut Peer<TcpStream>, sees: Sees) -> Result<(), String> {
    if let Nothing = sees {
        let (mut frames, stop) = read_to_the_last(client).await;
        frames.retain(|frame| frame.is_end() || matches!(frame.kind, RST_STREAM | GOAWAY));
        let is_nothing = frames.is_empty() && stop.is_none();
        return if is_nothing { Ok(()) } else { Err(format!("{frames:?} {stop:?}")) };
    }
    let mut frames = vec![];
    let stop = loop {
        match client.next().await {
            Ok(frame) => frames.push(frame),
            Err(stop) => break Some(stop),
        }
        if frames.last().is_some_and(|frame| frame.is_end() || frame.kind == RST_STREAM) {
            break None;
        }
    };
    let status = frames.iter().filter_map(Frame::status).find(|status| *status >= 200);
    let (is_whole, reset) = (frames.last().is_some_and(Frame::is_end), codes(&frames, RST_STREAM));
    let is_as_expected = match sees {
        Status(expected) => is_whole && status == Some(expected),
        Broken(expected, code) => status.is_none_or(|status| status == expected) && reset == [code],
        Reset(code) => status.is_none() && reset == [code],
        Nothing => false,
    };
    if is_as_expected { Ok(()) } else { Err(format!("{frames:?} {stop:?}")) }
}

async fn greeting(server: &mut Peer<TcpStream>) -> Result<(), String> {
    let stopped = |stop: Stop| stop.to_string();
    server.read_preface().await.map_err(stopped)?;
    let first = server.next().await.map_err(stopped)?;
    let is_unpushed = first.payload.chunks(6).any(|setting| setting == [0, 2, 0, 0, 0, 0]);
    if (first.kind, first.flags) != (SETTINGS, 0) || !is_unpushed {
        return Err(format!("the first frame is {first:?}"));
    }
    server.send(frame(SETTINGS, 0, 0, [])).await.map_err(stopped)?;
    let ack = server.next_of(SETTINGS).await.map_err(stopped)?;
    if ack.flags == ACK && ack.payload.is_empty() { Ok(()) } else { Err(format!("the answer is {ack:?}")) }
}
