//! Responses, as a server gives them to whoever is under test: no client may get one of them whole, or what is behind it.

use std::io;
use std::time::Duration;

use super::answer::{self, Answer};
use super::{GET, Part, Response, responses};
use crate::report::Report;
use crate::run::{self, Pace};
use crate::wire::{Connection, Ends, Stop, accept};

/// What a response may hide.
const HIDDEN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled";

/// Gives every response, and another one at once behind it, in answer to a client's request. The client must be told 502 (RFC 9110,
/// section 15.6.3), or where the content is broken see that it is; the server must be left, and what it had behind its response
/// must answer nothing.
pub async fn client_face(open: impl AsyncFn() -> io::Result<Ends>, pace: Pace) -> Report {
    let judge = async |response: Response| {
        let verdict = judge(&response, &open, pace.patience).await.into();
        (response.message.rule.source, response.message.name, verdict)
    };
    run::all("http1 servers", responses(), pace, judge).await
}

async fn judge(
    response: &Response,
    open: &impl AsyncFn() -> io::Result<Ends>,
    patience: Duration,
) -> Result<(), String> {
    let Ends { client, listener } = open().await.map_err(|error| format!("no connection: {error}"))?;
    let mut client = Connection::new(client, patience);
    client.send(response.asked).await.map_err(|stop| stop.to_string())?;
    let server =
        accept(&listener, patience).await.map_err(|stop| format!("the server was not asked: {stop}"))?;
    // Whoever is asked again is not there.
    drop(listener);
    let mut server = Connection::new(server, patience);
    is_asked(&mut server).await.map_err(|stop| format!("the server was not asked: {stop}"))?;
    let bytes = [&response.message.bytes, HIDDEN.as_bytes()].concat();
    server.send(bytes).await.map_err(|stop| format!("the server: {stop}"))?;
    let to_head = response.asked.starts_with("HEAD");
    let answer = answer::next(&mut client, to_head).await;
    let is_right = match (&answer, response.message.part) {
        (Ok(Answer { status: Some(502), is_whole: true, .. }), _) => true,
        (Ok(Answer { is_whole, .. }), Part::Content) => !is_whole,
        (Err(stop), Part::Content) => !matches!(stop, Stop::Silent(_)),
        (_, Part::Line | Part::Head) => false,
    };
    if !is_right {
        return Err(format!("the client got {answer:?}"));
    }
    is_left(&mut server).await?;
    if answer.is_ok_and(|answer| answer.persists) { hides_nothing(&mut client).await } else { Ok(()) }
}

async fn is_asked(server: &mut Connection<tokio::net::TcpStream>) -> Result<(), Stop> {
    while !server.unread().ends_with(b"\r\n\r\n") {
        server.fill().await?;
    }
    Ok(())
}

async fn is_left(server: &mut Connection<tokio::net::TcpStream>) -> Result<(), String> {
    loop {
        match server.fill().await {
            Ok(()) => {}
            Err(stop @ Stop::Silent(_)) => return Err(format!("the server is kept: {stop}")),
            Err(Stop::Ended | Stop::Broken(_)) => return Ok(()),
        }
    }
}

/// A second request of the client, for which nobody is there.
async fn hides_nothing(client: &mut Connection<tokio::net::TcpStream>) -> Result<(), String> {
    let _: Result<(), Stop> = client.send(GET).await;
    match answer::next(client, false).await {
        Ok(Answer { status: Some(500..), .. }) | Err(Stop::Ended | Stop::Broken(_)) => Ok(()),
        other => Err(format!("the next request got {other:?}")),
    }
}
