//! Many bytes, long and short pieces, ends in all orders: whatever two programs say to each other arrives as it was sent.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use fastrand::Rng;
use sha2::{Digest, Sha256};
use socket2::SockRef;

use crate::conversation::{Ended, Program, talk};
use crate::support::{INBOUND, OUTBOUND, Proxy, Seen, Way, eventually, next, scale};

const MEGABYTE: usize = 1 << 20;

/// Two programs that follow scripts of `seed`.
fn conversation(proxy: &Proxy, way: Way, seed: u64) {
    println!("seed {seed}, {way:?}");
    let mut random = Rng::with_seed(seed);
    let (client, server) = proxy.pair(way);
    let may_reset = random.u8(..4) == 0;
    let mut client = Program::new(client, &mut random, may_reset);
    let mut server = Program::new(server, &mut random, may_reset);
    talk(&mut client, &mut server);
    for (reader, writer) in [(&client, &server), (&server, &client)] {
        if !reader.has_reset() {
            let expected = if writer.has_reset() { Ended::Reset } else { Ended::Fin };
            assert_eq!(reader.ended, Some(expected));
            assert!(
                writer.has_reset() || reader.received == writer.sent,
                "{} bytes of {}",
                reader.received,
                writer.sent
            );
        }
    }
}

#[test]
fn every_conversation_is_carried_byte_for_byte() {
    let proxy = Proxy::start(&[]);
    let first = fastrand::u64(..u64::MAX / 2);
    for round in 0..scale("conversations", 2000, 30) as u64 {
        for way in [OUTBOUND, INBOUND] {
            conversation(&proxy, way, first + round);
        }
    }
    assert!(proxy.metric(&["remora_relay_bytes_total", "copy"]) > 0);
    long_transfers_until(&proxy, || proxy.metric(&["remora_relay_bytes_total", "splice"]) > 0);
    assert_eq!(proxy.metric(&["remora_relay_splices_refused_total", "failed"]), 0);
    eventually("nothing is held", || {
        proxy.metric(&["remora_relay_buffered_bytes", "copy"])
            + proxy.metric(&["remora_relay_buffered_bytes", "splice"])
            == 0
    });
}

#[test]
fn without_pipes_every_conversation_is_carried_too() {
    let proxy = Proxy::start(&["--splice-pipes", "0"]);
    let first = fastrand::u64(..u64::MAX / 2);
    for round in 0..scale("conversations", 500, 20) as u64 {
        conversation(&proxy, OUTBOUND, first + round);
    }
    long_transfers_until(&proxy, || proxy.metric(&["remora_relay_splices_refused_total", "in_use"]) > 0);
    assert_eq!(proxy.metric(&["remora_relay_bytes_total", "splice"]), 0);
}

/// Whether a transfer counts as a long one depends on how its bytes arrive, so there are several.
fn long_transfers_until(proxy: &Proxy, seen: impl Fn() -> bool) {
    const MOST: u64 = 50;
    let transferred = (0..MOST).any(|number| {
        if seen() {
            return true;
        }
        let (client, mut server) = proxy.pair(OUTBOUND);
        let sending = send(client, 16, number);
        let (received, _) = receive(&mut server);
        assert!(received == sending.join().unwrap(), "other bytes than were sent");
        false
    });
    assert!(transferred, "not after {MOST} transfers of 16 MB");
}

/// Sends so many megabytes and FIN; returns their SHA-256.
fn send(mut stream: TcpStream, megabytes: usize, seed: u64) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let (mut random, mut digest) = (Rng::with_seed(seed), Sha256::new());
        let mut block: Vec<u8> = (0..MEGABYTE).map(|_| random.u8(..)).collect();
        for _ in 0..megabytes {
            // No block is like another.
            block.rotate_left(4099);
            digest.update(&block);
            stream.write_all(&block).expect("everything is taken");
        }
        stream.shutdown(Shutdown::Write).expect("FIN");
        digest.finalize().to_vec()
    })
}

/// Reads to the end; returns the SHA-256 and the number of bytes.
fn receive(stream: &mut TcpStream) -> (Vec<u8>, usize) {
    let (mut digest, mut piece, mut total) = (Sha256::new(), vec![0; MEGABYTE], 0);
    loop {
        match stream.read(&mut piece).expect("no error before the end") {
            0 => return (digest.finalize().to_vec(), total),
            length => {
                digest.update(&piece[..length]);
                total += length;
            }
        }
    }
}

#[test]
fn after_a_half_close_much_follows_the_other_way() {
    let proxy = Proxy::start(&[]);
    let megabytes = scale("megabytes each way", 1024, 24);
    let ways = [OUTBOUND, Way { inbound: true, v6: true }];
    for (way, client_ends_first) in ways.into_iter().flat_map(|way| [(way, true), (way, false)]) {
        let (client, server) = proxy.pair(way);
        let (first, mut second) = if client_ends_first { (client, server) } else { (server, client) };
        first.shutdown(Shutdown::Write).unwrap();
        assert_eq!(next(&second), Seen::End);
        let sender = send(second.try_clone().unwrap(), megabytes, fastrand::u64(..));
        let (digest, total) = receive(&mut first.try_clone().unwrap());
        assert_eq!((digest, total), (sender.join().unwrap(), megabytes * MEGABYTE));
        assert_eq!(second.read(&mut [0]).unwrap(), 0);
    }
    assert!(proxy.stop().iter().all(|line| line["response_flags"] == "-"));
}

#[test]
fn half_closed_connections_without_traffic_are_reset_and_active_ones_are_not() {
    // Each takes four descriptors of this process, which has 20,000.
    let flows = scale("half-closed connections", 4000, 1000);
    let proxy = Proxy::start(&["--half-closed-timeout", "1s"]);
    let (active, mut talker) = proxy.pair(OUTBOUND);
    active.shutdown(Shutdown::Write).unwrap();
    assert_eq!(next(&talker), Seen::End);
    let mut idle = Vec::new();
    let reaped = || proxy.metric(&["remora_relay_half_closed_resets_total"]);
    let mut stay_active = || {
        talker.write_all(b"x").unwrap();
        assert_eq!(next(&active), Seen::Byte(b'x'));
    };
    for flow in 0..flows {
        let (client, server) = proxy.pair(if flow % 2 == 0 { OUTBOUND } else { INBOUND });
        let (ends, other) = if flow % 3 == 0 { (&client, &server) } else { (&server, &client) };
        ends.shutdown(Shutdown::Write).unwrap();
        assert_eq!(next(other), Seen::End);
        idle.push((client, server));
        stay_active();
    }
    eventually("all are reaped", || {
        stay_active();
        reaped() == flows as u64
    });
    for (client, server) in &idle {
        for stream in [client, server] {
            eventually("a reset", || SockRef::from(stream).take_error().unwrap().is_some());
        }
    }
    for way in ["inbound", "outbound"] {
        let open = u64::from(way == "outbound");
        eventually("accounts are closed", || proxy.metric(&["remora_open_connections", way]) == open);
    }
    stay_active();
    drop((active, talker));
    let lines = proxy.stop();
    let reset: Vec<_> = lines.iter().filter(|line| line["response_flags"] == "SI").collect();
    assert_eq!(reset.len(), flows);
    assert_eq!(reset[0]["connection_termination_details"], "half-closed, and without traffic for 1s");
}

#[test]
fn a_client_that_is_gone_ends_a_server_that_still_sends() {
    let proxy = Proxy::start(&[]);
    for way in [OUTBOUND, INBOUND] {
        let (client, mut server) = proxy.pair(way);
        server.write_all(&vec![0; MEGABYTE]).unwrap();
        let mut client = client;
        client.read_exact(&mut vec![0; MEGABYTE]).unwrap();
        drop(client);
        let block = vec![0; MEGABYTE];
        let error = loop {
            if let Err(error) = server.write(&block) {
                break error;
            }
        };
        let kind = error.kind();
        assert!(
            matches!(kind, std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe),
            "{error}"
        );
    }
}
