//! RFC 9113 and RFC 7541 by section: what a client may send, and what becomes of it when it sends something else.
//!
//! Each case is a connection of its own, to a server that answers all requests. A stream error may be answered as an error of
//! the connection (RFC 9113, section 5.4); the other way round is a failure.

mod compression;
mod frames;
mod messages;
mod states;

use super::peers::answer_all;
use super::raw::{
    ACK, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, Raw, SETTINGS, codes, frame, ping, read_to_the_last,
    settings,
};
use super::{Lab, assert_named_apart, assert_none};

/// What becomes of a connection, or of its last stream.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// GOAWAY with one of these codes, and the end.
    Dies(&'static [u32]),
    /// The end.
    Closes,
    /// A stream is reset with one of these codes.
    Resets(&'static [u32]),
    /// The last stream has this status and its end.
    Responds(u16),
    /// A PING is answered, and nothing was reset.
    Lives,
}
use Then::{Closes, Dies, Lives, Resets, Responds};

/// The section, what is sent, how, and what becomes of it.
type Case = (&'static str, &'static str, fn() -> Vec<u8>, Then);

async fn check(&(section, what, sends, then): &Case) -> Result<(), String> {
    let (mut client, server, _ended) = Lab::raw(&["--http2-max-streams=10"]).await;
    answer_all(server.into_stream());
    if !section.starts_with("3.") {
        // Without a table, so that a status can be read.
        client.greet(&[(1, 0)]).await;
    }
    let _ = client.send(&sends()).await;
    let failed = |why: String| format!("{section}: {what}: {then:?} is expected; {why}");
    if let Responds(status) = then {
        return responds(&mut client, status).await.map_err(failed);
    }
    let frames = read_to_the_last(&mut client).await;
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
        Responds(_) => false,
    };
    let lives = frames.is_ok();
    if is_as_expected {
        Ok(())
    } else {
        Err(failed(format!("GOAWAY {left:?}, RST_STREAM {reset:?}, lives: {lives}")))
    }
}

async fn responds(client: &mut Raw, status: u16) -> Result<(), String> {
    let mut seen = vec![];
    while let Some(frame) = client.next().await {
        if matches!(frame.kind, GOAWAY | RST_STREAM) {
            return Err(format!("{frame:?}"));
        }
        if frame.kind == HEADERS && frame.status() != Some(status) {
            return Err(format!("{frame:?}"));
        }
        if frame.is_end() {
            return Ok(());
        }
        seen.push(frame);
    }
    Err(format!("the end after {seen:?}"))
}

async fn check_all(cases: &[Case]) {
    let mut failures = vec![];
    for case in cases {
        failures.extend(check(case).await.err());
    }
    assert_none(cases.len(), &failures);
}

#[tokio::test]
async fn frames_one_by_one() {
    check_all(frames::CASES).await;
}

#[tokio::test]
async fn states_of_streams() {
    check_all(states::CASES).await;
}

#[tokio::test]
async fn messages_that_are_carried_or_not() {
    check_all(messages::CASES).await;
}

#[tokio::test]
async fn compression_of_fields() {
    check_all(compression::CASES).await;
}

#[test]
fn there_are_as_many_cases_as_elsewhere() {
    let all = [frames::CASES, states::CASES, messages::CASES, compression::CASES].concat();
    assert!(all.len() >= 147, "{}", all.len());
    assert_named_apart(all.iter().map(|(section, what, ..)| (*section, *what)).collect());
}

#[tokio::test]
async fn the_first_frame_is_of_settings_and_those_of_the_client_are_acknowledged() {
    let (mut client, server, _ended) = Lab::raw(&[]).await;
    answer_all(server.into_stream());
    client.send([PREFACE, &settings(&[(3, 7)])].concat()).await.unwrap();
    let first = client.next().await.unwrap();
    assert_eq!((first.kind, first.flags, first.stream), (SETTINGS, 0, 0));
    let ack = client.wait_for(|frame| (frame.flags & ACK != 0).then(|| frame.clone())).await;
    assert_eq!((ack.kind, ack.payload.len()), (SETTINGS, 0));
    client.send(frame(SETTINGS, ACK, 0, [])).await.unwrap();
    client.send(ping(b"12345678")).await.unwrap();
    let pong = client.next_of(PING).await;
    assert_eq!((pong.flags, &pong.payload[..]), (ACK, &b"12345678"[..]));
}
