//! Streams that were damaged by chance: however they are cut, the same becomes of them, and what is carried is carried
//! again without a change. A failure prints the round's seed; `FUZZ_SEED` begins with it.

use conformance::http1;

use super::{Message, Speaker, asked, read};

const GOOD: [&str; 6] = [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "\r\nPOST /a?b HTTP/1.1\r\nHost: a:80\r\nContent-Length: 11\r\nConnection: keep-alive, x\r\nX: y\r\n\r\nhello world",
    "PUT http://a/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: a\r\nTE: trailers\r\n\r\n5;a=\"b\"\r\nhello\r\n0\r\nT: u\r\n\r\n",
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nab",
    "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
];

const ANSWERS: [&str; 4] = [
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nKeep-Alive: a\r\n\r\n5\r\nhello\r\n0;x\r\nA: b\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nConnection: close\r\n\r\nHTTP/1.0 200 OK\r\n\r\nabc",
    "HTTP/1.1 204 No Content\r\n\r\n",
];

const PIECES: [&[u8]; 16] = [
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b"\0",
    b":",
    b",",
    b";",
    b"\"",
    b"0\r\n\r\n",
    b"Host: a\r\n",
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"GET / HTTP/1.1\r\n",
];

/// One of `seeds`, of which something is gone, other, or there twice.
fn mutated(seeds: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = random.choice(seeds).unwrap().clone();
    for _ in 0..random.usize(..4) {
        let at = random.usize(..=bytes.len());
        match random.u8(..5) {
            0 => bytes.truncate(at),
            1 => drop(bytes.splice(at..at, random.choice(PIECES).unwrap().iter().copied())),
            2 => bytes.extend_from_slice(random.choice(seeds).unwrap()),
            3 => {
                let end = random.usize(at..=bytes.len().min(at + 20));
                drop(bytes.drain(at..end));
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.u8(..);
                }
            }
        }
    }
    bytes
}

fn cut<'a>(mut bytes: &'a [u8], random: &mut fastrand::Rng) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let (piece, rest) = bytes.split_at(random.usize(1..=bytes.len().min(40)));
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

/// What the next hop gets.
fn forwarded(messages: &[Message]) -> Vec<u8> {
    messages.iter().flat_map(|message| [message.head.as_bytes(), &message.content].concat()).collect()
}

fn one(seeds: &[Vec<u8>], speaker: Speaker, random: &mut fastrand::Rng) {
    let stream = mutated(seeds, random);
    let whole = read(speaker, [stream.as_slice()]);
    let pieces = cut(&stream, random);
    assert_eq!(read(speaker, pieces), whole, "{}", stream.escape_ascii());
    let Ok(messages) = whole else { return };
    let total: usize = messages.iter().map(|message| message.head.len() + message.content.len()).sum();
    // "Connection: keep-alive" or "close" is all that is ever added.
    assert!(total <= stream.len() + messages.len() * 32, "{}", stream.escape_ascii());
    // A head that is not UTF-8 is shown otherwise than it is.
    if messages.iter().all(|message| !message.head.contains('\u{fffd}')) {
        let again =
            read(speaker, [forwarded(&messages).as_slice()]).expect("what is carried is carried again");
        assert_eq!(again, messages, "{}", stream.escape_ascii());
    }
}

#[test]
fn cuts_change_nothing_and_the_next_proxy_agrees() {
    let owned = |all: &[&str]| all.iter().map(|stream| stream.as_bytes().to_vec()).collect::<Vec<_>>();
    let requests = http1::requests().into_iter().map(|case| case.bytes);
    let responses = http1::responses().into_iter().map(|case| case.message.bytes);
    let clients: Vec<_> = owned(&GOOD).into_iter().chain(requests).collect();
    let servers: Vec<_> = owned(&ANSWERS).into_iter().chain(responses).collect();
    let given = std::env::var("FUZZ_SEED").ok().map(|text| text.parse().expect("a number"));
    let start = given.unwrap_or_else(|| fastrand::u64(..u64::MAX / 2));
    println!("FUZZ_SEED={start} begins here");
    for round in start..start + 20_000 {
        let mut random = fastrand::Rng::with_seed(round);
        let server = Speaker::Server(asked(GOOD[0]));
        let (seeds, speaker) = if random.bool() { (&clients, Speaker::Client) } else { (&servers, server) };
        // Half of them from messages that are good.
        let seeds = if random.bool() { &seeds[..4] } else { &seeds[..] };
        let run = std::panic::AssertUnwindSafe(|| one(seeds, speaker, &mut random));
        if let Err(panic) = std::panic::catch_unwind(run) {
            eprintln!("FUZZ_SEED={round}");
            std::panic::resume_unwind(panic);
        }
    }
}
