//! Requests, as a client sends them to whoever is under test: none may succeed, and none may hide another one behind it.

use std::io;
use std::time::Duration;

use super::answer::{self, Answer};
use super::{GET, Message, requests};
use crate::report::{Report, Verdict};
use crate::run::{self, Pace, Unfit};
use crate::wire::{Bytes, Connection, Stop};

/// What a message may hide.
pub(super) const HIDDEN: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

/// What every case builds on: that these succeed, one after the other on one connection.
const GOOD: [(&str, &str); 3] = [
    ("GET", GET),
    ("POST", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"),
    (
        "POST in chunks",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ),
];

/// Whether the cases say something about this peer.
pub async fn preflight<S: Bytes>(
    connect: impl AsyncFn() -> io::Result<S>,
    patience: Duration,
) -> Result<(), Unfit> {
    let mut connection = Connection::new(connect().await.map_err(Unfit::Unreachable)?, patience);
    for (asked, good) in GOOD {
        let does = "answers GET and POST of / with success, and keeps its connection";
        succeeds(&mut connection, good).await.map_err(|answer| Unfit::Refuses { asked, answer, does })?;
    }
    Ok(())
}

/// What whoever is under test is known to be asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Port {
    /// HTTP.
    Http,
    /// Any protocol: a message that begins as none that is known need be no request.
    Any,
}

/// How a message passes that would be of no known protocol at the beginning of a connection.
pub const BEHIND_ANOTHER: &str = "behind a good request only";

/// Sends every message at the beginning of a connection and behind a good request, with another request behind it: it must be
/// refused, by a status that says so or by the end, and the connection must end with it.
pub async fn server_face<S: Bytes>(
    connect: impl AsyncFn() -> io::Result<S>,
    pace: Pace,
    port: Port,
) -> Report {
    let judge = async |message: Message| {
        let may_be_first = port == Port::Http || message.begins_as_http();
        let verdict = match judge((&message, may_be_first), &connect, pace.patience).await {
            Ok(()) if may_be_first => Verdict::Passed(None),
            Ok(()) => Verdict::Passed(Some(BEHIND_ANOTHER.to_owned())),
            Err(what) => Verdict::Failed(what),
        };
        (message.rule.source, message.name, verdict)
    };
    run::all("http1", requests(), pace, judge).await
}

async fn judge<S: Bytes>(
    (message, may_be_first): (&Message, bool),
    connect: &impl AsyncFn() -> io::Result<S>,
    patience: Duration,
) -> Result<(), String> {
    let connected = async || match connect().await {
        Ok(stream) => Ok(Connection::new(stream, patience)),
        Err(error) => Err(format!("no connection: {error}")),
    };
    if may_be_first {
        is_refused(&mut connected().await?, message).await?;
    }
    let mut connection = connected().await?;
    let behind = |what| format!("behind a good request: {what}");
    succeeds(&mut connection, GET).await.map_err(behind)?;
    is_refused(&mut connection, message).await.map_err(behind)
}

async fn succeeds<S: Bytes>(connection: &mut Connection<S>, request: &str) -> Result<(), String> {
    let answer = match connection.send(request).await {
        Ok(()) => answer::next(connection, false).await,
        Err(stop) => Err(stop),
    };
    match answer {
        Ok(Answer { status: Some(200..400), is_whole: true, persists: true }) => Ok(()),
        Ok(answer) => Err(told(&answer)),
        Err(stop) => Err(stop.to_string()),
    }
}

async fn is_refused<S: Bytes>(connection: &mut Connection<S>, message: &Message) -> Result<(), String> {
    // It may be refused, and the connection be gone, before all of it was taken.
    let _: Result<(), Stop> = connection.send([&message.bytes, HIDDEN.as_bytes()].concat()).await;
    let mut answers = Vec::new();
    let stop = loop {
        match answer::next(connection, false).await {
            Ok(answer) => answers.push(answer),
            Err(stop) => break stop,
        }
        // What is no response is not followed by one.
        if answers.last().is_some_and(|answer| answer.status.is_none()) {
            break Stop::Ended;
        }
    };
    match (&answers[..], stop) {
        ([], stop @ Stop::Silent(_)) => Err(format!("neither an answer nor an end: {stop}")),
        ([Answer { status: Some(400..), .. }], Stop::Silent(_)) => Err("refused, but not left".to_owned()),
        ([] | [Answer { status: Some(400..), .. }], _) => Ok(()),
        ([first], _) => Err(format!("accepted: {}", told(first))),
        ([first, second, ..], _) => {
            Err(format!("{}, and the request behind it: {}", told(first), told(second)))
        }
    }
}

fn told(answer: &Answer) -> String {
    let status = answer.status.map_or_else(|| "no response".to_owned(), |status| status.to_string());
    let whole = if answer.is_whole { "" } else { ", not whole" };
    format!("{status}{whole}")
}
