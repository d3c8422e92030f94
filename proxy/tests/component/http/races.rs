//! Servers that leave a connection at the moment at which the next request comes: what may be sent again is never lost, and what
//! may not is never done twice.
//!
//! When a server goes is a matter of chance, of a few microseconds before or after. A failure prints the seed; `RACE_SEED` begins
//! with it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use super::{AS_SENT, OK, PAIRED, address};
use crate::support::{INBOUND, OUTBOUND, Proxy, patient, reset, scale};

const CLIENTS: usize = 4;

/// Whether to send it twice is to do it twice.
fn is_idempotent(number: usize) -> bool {
    !number.is_multiple_of(3)
}

fn request(number: usize) -> String {
    let method = ["POST", "PUT", "GET"][number % 3];
    let content = if method == "GET" { "\r\n" } else { "Content-Length: 1\r\n\r\n!" };
    format!("{method} /{number} HTTP/1.1\r\nHost: web\r\n{content}")
}

/// The number of a request that is whole.
fn read(reader: &mut BufReader<&TcpStream>) -> Option<usize> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let number = line.split(['/', ' ']).nth(2)?.parse().ok()?;
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    }
    if number % 3 < 2 {
        reader.read_exact(&mut [0]).ok()?;
    }
    Some(number)
}

/// Answers, and goes at some moment after an answer, in good order or not.
fn serve(stream: TcpStream, done: &[AtomicU32], mut random: fastrand::Rng) {
    let mut reader = BufReader::new(&stream);
    while let Some(number) = read(&mut reader) {
        done[number].fetch_add(1, Ordering::Relaxed);
        // Whoever asked may be gone.
        let _ = (&stream).write_all(OK.as_bytes());
        if random.bool() {
            (0..random.u32(..20_000)).for_each(|_| std::hint::spin_loop());
            break;
        }
    }
    if random.bool() {
        reset(stream);
    }
}

/// The status, and whether the connection ends with it.
fn answer(reader: &mut BufReader<TcpStream>) -> (u16, bool) {
    let (mut line, mut length, mut is_last) = (String::new(), 0, false);
    reader.read_line(&mut line).expect("an answer");
    let status = line.split(' ').nth(1).expect("an answer").parse().expect("a status");
    while line != "\r\n" {
        line.clear();
        assert!(reader.read_line(&mut line).expect("a head") > 0, "the end of a head");
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim_end().parse().expect("a length");
        }
        is_last |= line == "Connection: close\r\n";
    }
    reader.read_exact(&mut vec![0; length]).expect("the content");
    (status, is_last)
}

/// Sends requests one after the other, each of a number of its own; what was answered to each.
fn ask(connect: impl Fn() -> TcpStream, next: &AtomicUsize, most: usize) -> Vec<(usize, u16)> {
    let (mut reader, mut answered) = (BufReader::new(connect()), Vec::new());
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= most {
            return answered;
        }
        reader.get_mut().write_all(request(number).as_bytes()).expect("the connection is kept");
        let (status, is_last) = answer(&mut reader);
        answered.push((number, status));
        if is_last {
            reader = BufReader::new(connect());
        }
    }
}

fn accept_all(listener: &TcpListener, is_over: &AtomicBool, serve: impl Fn(TcpStream, usize) + Sync) {
    std::thread::scope(|scope| {
        for (number, stream) in listener.incoming().enumerate() {
            if is_over.load(Ordering::Relaxed) {
                return;
            }
            let (stream, serve) = (patient(stream.expect("a connection")), &serve);
            scope.spawn(move || serve(stream, number));
        }
    });
}

#[test]
fn no_request_is_lost_or_done_twice_when_servers_leave() {
    let seed = std::env::var("RACE_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("RACE_SEED={seed}");
    let requests = scale("requests", 60_000, 6_000);
    for (way, options) in [(INBOUND, &PAIRED[..]), (OUTBOUND, &PAIRED[..]), (OUTBOUND, &[])] {
        let (proxy, listener) = (Proxy::start(&[&AS_SENT, options].concat()), way.listener());
        let connect = || proxy.connect(way, address(&listener));
        let done: Vec<_> = (0..requests).map(|_| AtomicU32::new(0)).collect();
        let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
        let answered: Vec<_> = std::thread::scope(|scope| {
            scope.spawn(|| {
                accept_all(&listener, &is_over, |stream, number| {
                    serve(stream, &done, fastrand::Rng::with_seed(seed.wrapping_add(number as u64)));
                });
            });
            let asking = [(); CLIENTS].map(|()| scope.spawn(|| ask(connect, &next, requests)));
            let answered = asking.map(|client| client.join());
            is_over.store(true, Ordering::Relaxed);
            TcpStream::connect(address(&listener)).expect("the last one");
            answered.into_iter().flat_map(|client| client.expect("all are answered")).collect()
        });
        check(&answered, &done);
        let direction = if way.inbound { "inbound" } else { "outbound" };
        let again = proxy.metric(&["remora_http_retries_total{", direction]);
        let failed = answered.iter().filter(|(_, status)| *status != 200).count();
        println!("{direction}: {again} were sent again, {failed} must not be");
        assert!(again > 0 && failed > 0, "there was no race");
        proxy.stop();
    }
}

fn check(answered: &[(usize, u16)], done: &[AtomicU32]) {
    for (number, status) in answered {
        let times = done[*number].load(Ordering::Relaxed);
        match (is_idempotent(*number), status) {
            (true, 200) => assert!(times > 0, "{number} was answered by nobody"),
            (false, 200) => assert_eq!(times, 1, "{number} was done so often"),
            // The server has gone with it, and only it knows whether it has done it.
            (false, 503) => assert!(times <= 1, "{number} was done {times} times"),
            (_, other) => panic!("{number}: {other}"),
        }
    }
    assert_eq!(answered.len(), done.len());
}
