//! Content that is longer than any buffer.

use std::io::{Read, Write};
use std::net::TcpStream;

use sha2::{Digest, Sha256};

use super::{Ends, GET, OK, expect, proxy};
use crate::support::{Way, scale};

/// How the length of content is told.
#[derive(Clone, Copy, Debug)]
enum Told {
    Exact,
    Chunked,
    Not,
}

/// A message's head, with which `length` bytes come.
fn head(first_line: &str, told: Told, length: usize) -> String {
    match told {
        Told::Exact => format!("{first_line}\r\nContent-Length: {length}\r\n\r\n"),
        Told::Chunked => format!("{first_line}\r\nTransfer-Encoding: chunked\r\n\r\n"),
        Told::Not => format!("{first_line}\r\nConnection: close\r\n\r\n"),
    }
}

/// So many bytes, as they are told.
fn content(told: Told, length: usize, random: &mut fastrand::Rng) -> Vec<u8> {
    let bytes: Vec<u8> =
        (0..length / 8 + 1).flat_map(|_| random.u64(..).to_le_bytes()).take(length).collect();
    match told {
        Told::Exact | Told::Not => bytes,
        Told::Chunked => {
            let mut chunks = Vec::new();
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let (chunk, after) = rest.split_at(rest.len().min(random.usize(1..300_000)));
                chunks.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                chunks.extend_from_slice(chunk);
                chunks.extend_from_slice(b"\r\n");
                rest = after;
            }
            chunks.extend_from_slice(b"0\r\n\r\n");
            chunks
        }
    }
}

/// Sends bytes while the other end reads them.
fn send(from: &TcpStream, to: &TcpStream, bytes: &[u8]) {
    let mut from = from.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || from.write_all(bytes).unwrap());
        let (mut received, mut to) = (vec![0; bytes.len()], to);
        to.read_exact(&mut received).unwrap();
        let [sent, received] = [bytes, &received].map(Sha256::digest);
        assert_eq!(sent, received);
    });
}

#[test]
fn long_content_arrives_whole_both_ways_and_the_connection_goes_on() {
    let length = scale("bytes of content", 1 << 30, 12_000_003);
    for way in Way::all() {
        let proxy = proxy(&[]);
        for told in [Told::Exact, Told::Chunked, Told::Not] {
            let seed = fastrand::u64(..);
            println!("seed {seed}");
            let mut random = fastrand::Rng::with_seed(seed);
            let mut ends = Ends::of(&proxy, way);
            let request = match told {
                Told::Exact | Told::Chunked => {
                    let head = head("POST / HTTP/1.1\r\nHost: web", told, length);
                    [head.into_bytes(), content(told, length, &mut random)].concat()
                }
                Told::Not => GET.as_bytes().to_vec(),
            };
            send(&ends.client, &ends.server, &request);
            let head = head("HTTP/1.1 200 OK", told, length);
            let response = [head.into_bytes(), content(told, length, &mut random)].concat();
            send(&ends.server, &ends.client, &response);
            match told {
                Told::Not => {
                    ends.server_ends();
                    expect(&ends.client, b"");
                }
                Told::Exact | Told::Chunked => ends.exchange(GET, OK),
            }
        }
        let spliced = proxy.metric(&["remora_relay_bytes_total{", "mode=\"splice\""]);
        assert!(spliced > 0, "long content of a known length is not shown to the proxy");
        let lines = proxy.stop();
        assert_eq!(lines[0]["bytes_received"], length);
        assert_eq!(lines[0]["bytes_sent"], length);
    }
}
