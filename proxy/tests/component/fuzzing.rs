//! The fuzz targets without a fuzzer, with every run, and what they are given over the wire. A failure prints the round's seed;
//! `FUZZ_SEED` begins with it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

use proxy::detect::{Protocol, detect};

use crate::composition;
use crate::support::{INBOUND, OUTBOUND, Proxy, Way, scale};
use crate::targets;

/// Gives a target its seeds, and what comes of them by chance: `most` in a soak, else `few`.
fn fuzz(what: &str, (most, few): (usize, usize), seeds: impl Iterator<Item = Vec<u8>>, target: fn(&[u8])) {
    let seeds: Vec<_> = seeds.collect();
    seeds.iter().for_each(|seed| target(seed));
    each(&seeds, scale(what, most, few), |_, bytes| target(bytes));
}

#[test]
fn beginnings_by_the_million() {
    fuzz("beginnings", (1_000_000, 200_000), targets::detection_seeds(), targets::detection);
}

#[test]
fn streams_of_http1_by_the_hundred_thousand() {
    fuzz("streams", (2_000_000, 100_000), targets::http1_seeds(), targets::http1);
}

#[test]
fn contexts_of_traces_by_the_hundred_thousand() {
    fuzz("contexts", (2_000_000, 200_000), targets::trace_seeds(), targets::trace);
}

#[test]
fn frames_of_http2_by_the_hundred_thousand() {
    fuzz("connections", (2_000_000, 100_000), targets::http2_seeds(), targets::http2);
}

/// Over the wire; see there.
#[test]
fn conversations_by_the_thousand() {
    fuzz("conversations", (100_000, 500), composition::seeds(), composition::composition);
}

/// A client that has said something, and where it arrives.
struct Said {
    seed: u64,
    bytes: Vec<u8>,
    taken_for: TakenFor,
    client: TcpStream,
    server: TcpStream,
}

/// What a beginning is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum TakenFor {
    Http,
    Bytes,
    /// A beginning that takes long is one of HTTP where the client before spoke that.
    Either,
}

impl Said {
    /// In one piece or two; with an end or without.
    fn new(proxy: &Proxy, seed: u64, bytes: &[u8]) -> Self {
        let mut random = fastrand::Rng::with_seed(!seed);
        let way = random.choice(Way::all().collect::<Vec<_>>()).expect("one of four");
        let (mut client, server) = proxy.pair(way);
        let (first, second) = bytes.split_at(random.usize(..=bytes.len()));
        let taken_for = match (is_http(bytes), detect(first)) {
            (true, _) => TakenFor::Http,
            (false, Some(_)) => TakenFor::Bytes,
            (false, None) => TakenFor::Either,
        };
        // What is judged may be answered, and its connection be over, before all of it was said.
        let is_heard_out = |said: io::Result<()>| said.is_ok() || taken_for != TakenFor::Bytes;
        assert!(is_heard_out(client.write_all(first)), "FUZZ_SEED={seed}");
        assert!(is_heard_out(client.write_all(second)), "FUZZ_SEED={seed}");
        if random.bool() {
            assert!(is_heard_out(client.shutdown(Shutdown::Write)), "FUZZ_SEED={seed}");
        }
        Self { seed, bytes: bytes.to_vec(), taken_for, client, server }
    }

    /// All of it has arrived, and an answer and its end come back; or it was judged.
    fn assert_carried(mut self) {
        match self.taken_for {
            TakenFor::Http => self.assert_judged(),
            TakenFor::Bytes => {
                let mut arrived = vec![0; self.bytes.len()];
                let read = self.server.read_exact(&mut arrived).map(|()| arrived);
                self.assert_arrived(read);
            }
            TakenFor::Either => {
                // Otherwise it would wait for more. It may have ended before.
                let _ = self.client.shutdown(Shutdown::Write);
                let mut arrived = Vec::new();
                match self.server.read_to_end(&mut arrived) {
                    Ok(0) if !self.bytes.is_empty() => self.assert_judged(),
                    read => self.assert_arrived(read.map(|_| arrived)),
                }
            }
        }
    }

    /// Whoever waits for an answer gets one, or an end, whatever becomes of the server.
    fn assert_judged(mut self) {
        // Either may have ended before.
        let _ = self.server.shutdown(Shutdown::Write);
        let _ = self.client.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let ended = self.client.read_to_end(&mut answer);
        // HTTP/2 begins with a frame of four settings.
        let is_answer = [&b"HTTP/1.1 "[..], b"\0\0\x18\x04\0"].iter().any(|begin| answer.starts_with(begin));
        let is_end = ended.is_ok_and(|length| length == 0 || is_answer);
        let is_reset = answer.is_empty() || is_answer;
        // Nothing is left unread, which would be a reset where it was carried as bytes (it may have come too slowly).
        let _ = self.server.read_to_end(&mut Vec::new());
        assert!(is_end || is_reset, "FUZZ_SEED={}: {}", self.seed, answer.escape_ascii());
    }

    fn assert_arrived(mut self, read: io::Result<Vec<u8>>) {
        let seed = self.seed;
        let mut arrived = read.unwrap_or_else(|error| panic!("FUZZ_SEED={seed}: {error}"));
        assert_eq!(arrived, self.bytes, "FUZZ_SEED={seed}");
        arrived.reverse();
        self.server.write_all(&arrived).unwrap();
        self.server.shutdown(Shutdown::Write).unwrap();
        let mut back = Vec::new();
        self.client.read_to_end(&mut back).unwrap_or_else(|error| panic!("FUZZ_SEED={seed}: {error}"));
        assert_eq!(back, arrived, "FUZZ_SEED={seed}");
        // It may have ended before.
        let _ = self.client.shutdown(Shutdown::Write);
        assert_eq!(self.server.read(&mut [0]).unwrap(), 0, "FUZZ_SEED={seed}");
    }
}

/// Whether these bytes are judged, and not only carried.
fn is_http(bytes: &[u8]) -> bool {
    detect(bytes).is_some_and(|detected| matches!(detected.protocol, Protocol::Http1 | Protocol::Http2))
}

/// Whatever a client begins with, all of it is carried as without a proxy. What is incomplete waits 100 ms for more, so many wait
/// at once.
#[test]
fn beginnings_over_the_wire_by_the_thousand() {
    let proxy = Proxy::start(&[]);
    let (rounds, waiting) = (scale("connections", 100_000, 3_000), std::cell::RefCell::new(Vec::new()));
    let carried = || waiting.take().into_iter().for_each(Said::assert_carried);
    let seeds = targets::detection_seeds().chain(targets::http2_seeds()).collect::<Vec<_>>();
    each(&seeds, rounds, |seed, bytes| {
        let said = Said::new(&proxy, seed, bytes);
        waiting.borrow_mut().push(said);
        if waiting.borrow().len() == 200 {
            carried();
        }
    });
    carried();
    let lines = proxy.stop();
    assert!(lines.len() >= rounds, "one line for each connection, or for each request on it");
    let is_http = |line: &&serde_json::Value| {
        line["detected_protocol"] == "http1" || line["detected_protocol"] == "http2"
    };
    assert!(lines.iter().any(|line| is_http(&line)) && !lines.iter().all(|line| is_http(&line)));
    let out_of_order = lines.iter().find(|line| !is_http(line) && line["response_flags"] != "-");
    assert_eq!(out_of_order, None);
}

/// Whatever a server answers to a request of HTTP/2, its client gets an end, and nothing but frames before.
#[test]
fn answers_of_http2_over_the_wire_by_the_thousand() {
    let proxy = Proxy::start(&[]);
    let request = targets::http2_seeds().next().expect("a request");
    let seeds = targets::http2_seeds().skip(1).collect::<Vec<_>>();
    each(&seeds, scale("answers", 50_000, 1_000), |seed, bytes| {
        let way = if seed % 2 == 0 { INBOUND } else { OUTBOUND };
        let (mut client, mut server) = proxy.pair(way);
        client.write_all(&request).unwrap();
        // It may be left before all was said.
        let _ = server.write_all(bytes);
        let _ = server.shutdown(Shutdown::Write);
        let _ = client.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        if let Err(error) = client.read_to_end(&mut answer) {
            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "FUZZ_SEED={seed}");
        }
        let mut rest = answer.as_slice();
        while let [a, b, c, _, _, _, _, _, _, after @ ..] = rest {
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            rest = after.get(length..).unwrap_or_else(|| panic!("FUZZ_SEED={seed}: {answer:?}"));
        }
        assert!(rest.is_empty(), "FUZZ_SEED={seed}: {answer:?}");
    });
}

/// Gives so many mutations of `seeds` to `check`, each with the seed of its chance.
fn each(seeds: &[Vec<u8>], rounds: usize, check: impl Fn(u64, &[u8])) {
    let given = std::env::var("FUZZ_SEED").ok().map(|text| text.parse().expect("a number"));
    let start = given.unwrap_or_else(|| fastrand::u64(..u64::MAX / 2));
    for seed in (start..).take(rounds) {
        let bytes = mutated(seeds, &mut fastrand::Rng::with_seed(seed));
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(seed, &bytes)));
        if let Err(panic) = checked {
            eprintln!("FUZZ_SEED={seed}: {bytes:?}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// Noise, or a seed that is cut, of which a few bytes are others, or behind which something else follows.
fn mutated(seeds: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut bytes = seeds[random.usize(..seeds.len())].clone();
    if random.u8(..8) == 0 {
        bytes = vec![0; random.usize(..64)];
        random.fill(&mut bytes);
    }
    for _ in 0..random.usize(..4) {
        if let Some(byte) = random.choice(&mut bytes) {
            *byte = [random.u8(..), 0, 255, b' ', b'\n', 22][random.usize(..6)];
        }
    }
    match random.u8(..4) {
        0 => bytes.truncate(random.usize(..=bytes.len())),
        1 => bytes.extend_from_slice(&seeds[random.usize(..seeds.len())]),
        _ => {}
    }
    bytes
}
