//! RFC 9113 by section: what a server may send, and what becomes of it, and of the client, when it sends something else.
//!
//! Each case is a connection of its own, on which a client has asked once. Whatever the server does, the client gets an answer
//! or a reset, and its connection lives until then.

mod frames;
mod messages;

use super::raw::{
    ACK, Frame, GOAWAY, HEADERS, RST_STREAM, Raw, SETTINGS, codes, frame, get, post, read_to_the_last,
};
use super::{Lab, assert_named_apart, assert_none};

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

/// The section, what is sent, how, and what becomes of it. The client's request has
/// ended, but in sections 5.1 and 6.9.1.
type Case = (&'static str, &'static str, fn() -> Vec<u8>, Then, Sees);

async fn check(&(section, what, sends, then, sees): &Case) -> Result<(), String> {
    let failed = |why: String| Err(format!("{section}: {what}: {then:?}, {sees:?} are expected; {why}"));
    let (mut client, mut server, _ended) = Lab::raw(&[]).await;
    client.greet(&[(1, 0)]).await;
    if section.starts_with("3.") {
        server.expect_preface().await;
    } else {
        server.welcome(&[]).await;
    }
    let is_open = matches!(section, "5.1" | "6.9.1");
    client.send(if is_open { post(1) } else { get(1) }).await.unwrap();
    server.next_of(HEADERS).await;
    let _ = server.send(sends()).await;
    let frames = read_to_the_last(&mut server).await;
    let seen = frames.as_ref().unwrap_or_else(|frames| frames);
    let (left, reset) = (codes(seen, GOAWAY), codes(seen, RST_STREAM));
    let is_as_expected = match then {
        Dies(codes) => frames.is_err() && matches!(left[..], [code] if codes.contains(&code)),
        Closes => frames.is_err(),
        Resets(codes) => match (&reset[..], &left[..]) {
            ([code], []) => frames.is_ok() && codes.contains(code),
            ([], [code]) => frames.is_err() && codes.contains(code),
            _ => false,
        },
        Lives => frames.is_ok() && left.is_empty() && reset.is_empty(),
    };
    if !is_as_expected {
        return failed(format!("GOAWAY {left:?}, RST_STREAM {reset:?}, lives: {}", frames.is_ok()));
    }
    match client_sees(&mut client, sees).await {
        Ok(()) => Ok(()),
        Err(frames) => failed(format!("the client sees {frames:?}")),
    }
}

async fn client_sees(client: &mut Raw, sees: Sees) -> Result<(), Vec<Frame>> {
    let mut frames = vec![];
    if let Nothing = sees {
        frames = read_to_the_last(client).await?;
        frames.retain(|frame| frame.is_end() || matches!(frame.kind, RST_STREAM | GOAWAY));
        return if frames.is_empty() { Ok(()) } else { Err(frames) };
    }
    while let Some(frame) = client.next().await {
        let is_last = frame.is_end() || frame.kind == RST_STREAM;
        frames.push(frame);
        if is_last {
            break;
        }
    }
    let finals = |frame: &&Frame| frame.kind == HEADERS && frame.status().is_some_and(|status| status >= 200);
    let status = frames.iter().find(finals).and_then(Frame::status);
    let (is_whole, reset) = (frames.last().is_some_and(Frame::is_end), codes(&frames, RST_STREAM));
    let is_as_expected = match sees {
        Status(expected) => is_whole && status == Some(expected),
        Broken(expected, code) => status.is_none_or(|status| status == expected) && reset == [code],
        Reset(code) => status.is_none() && reset == [code],
        Nothing => false,
    };
    if is_as_expected { Ok(()) } else { Err(frames) }
}

async fn check_all(cases: &[Case]) {
    let mut failures = vec![];
    for case in cases {
        failures.extend(check(case).await.err());
    }
    assert_none(cases.len(), &failures);
}

#[tokio::test]
async fn frames_of_servers() {
    check_all(frames::CASES).await;
}

#[tokio::test]
async fn messages_of_servers() {
    check_all(messages::CASES).await;
}

#[test]
fn there_are_many_cases() {
    let all = [frames::CASES, messages::CASES].concat();
    assert!(all.len() >= 100, "{}", all.len());
    assert_named_apart(all.iter().map(|(section, what, ..)| (*section, *what)).collect());
}

#[tokio::test]
async fn servers_are_told_not_to_push_and_their_settings_are_acknowledged() {
    let (mut client, mut server, _ended) = Lab::raw(&[]).await;
    client.greet(&[]).await;
    server.expect_preface().await;
    let first = server.next().await.unwrap();
    assert_eq!((first.kind, first.flags), (SETTINGS, 0));
    assert!(first.payload.chunks(6).any(|setting| setting == [0, 2, 0, 0, 0, 0]), "{first:?}");
    server.send(frame(SETTINGS, 0, 0, [])).await.unwrap();
    let ack = server.wait_for(|frame| (frame.kind == SETTINGS).then(|| frame.clone())).await;
    assert_eq!((ack.flags, ack.payload.len()), (ACK, 0));
}

#[tokio::test]
async fn a_server_that_is_silent_keeps_nobody_from_leaving() {
    let (mut client, server, ended) = Lab::raw(&[]).await;
    client.greet(&[]).await;
    client.send(get(1)).await.unwrap();
    drop(client);
    super::peers::soon(ended.end).await.unwrap();
    drop(server);
}
