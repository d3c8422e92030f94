//! Readers that are slow or do not read at all: what the proxy holds for them, and what it does not take of the sender.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use sha2::{Digest, Sha256};
use tests::meshed::{Meshed, PATIENCE, PORT, as_app};
use tests::netns::{Netns, Node, Switch};
use tests::scale;

use crate::traffic::{bytes, connect};

/// The most that a direction holds.
const MOST_HELD: u64 = 262_144;

/// What the kernel keeps of a connection at each of the four places where it keeps something.
const KERNEL: usize = 1 << 20;

/// What is read before the reader stops once more.
const ROUND: usize = 2 << 20;

/// Long enough to be spliced, where that is allowed.
const BODY: usize = 32 << 20;

fn kernel_keeps(netns: &Netns, most: usize) {
    for key in ["net/ipv4/tcp_wmem", "net/ipv4/tcp_rmem"] {
        netns.set_sysctl(key, &format!("4096 {most} {most}")).expect("the setting");
    }
}

/// Bytes that wait in the proxy for their reader, by how they are carried.
fn held(meshed: &Meshed) -> [u64; 2] {
    let held = ["copy", "splice"].map(|mode| meshed.metric(&["remora_relay_buffered_bytes{", mode]));
    assert!(held.iter().sum::<u64>() <= MOST_HELD, "{held:?}");
    held
}

/// Something waits for the reader, and the sender gets no further.
fn stuck(meshed: &Meshed, taken: &AtomicUsize) -> [u64; 2] {
    let state = || (held(meshed), taken.load(Ordering::Relaxed));
    let (mut before, mut same, began) = (state(), 0, Instant::now());
    while same < 20 {
        assert!(began.elapsed() < PATIENCE, "{before:?} are held and taken, {same} times the same");
        let now = state();
        same = if now == before && now.0 != [0, 0] { same + 1 } else { 0 };
        before = now;
    }
    before.0
}

/// Reads exactly so much, in pieces.
fn read(reader: &mut TcpStream, length: usize, piece: usize, digest: &mut Sha256) {
    let mut buffer = vec![0; piece];
    for _ in 0..length / piece {
        reader.read_exact(&mut buffer).expect("what was sent");
        digest.update(&buffer);
    }
}

/// A SHA-256.
type Digested = [u8; 32];

/// The reader stops at a shut window until what waits has been carried in the mode that is asked for, reads slowly for a while,
/// and then the rest; gives its digest.
fn transfer(
    meshed: &Meshed,
    mode: usize,
    text: &[u8],
    (mut sender, mut reader): (TcpStream, TcpStream),
) -> Digested {
    let (taken, mut digest) = (AtomicUsize::new(0), Sha256::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for piece in text.chunks(16 * 1024) {
                sender.write_all(piece).expect("everything is taken");
                taken.fetch_add(piece.len(), Ordering::Relaxed);
            }
            sender.shutdown(Shutdown::Write).expect("FIN");
        });
        let mut got = 0;
        loop {
            let held = stuck(meshed, &taken);
            let ahead = taken.load(Ordering::Relaxed) - got;
            assert!(ahead < 6 * KERNEL, "{ahead} bytes were taken that nobody reads");
            if held.into_iter().nth(mode) > Some(0) {
                println!("{held:?} bytes held, {ahead} taken and not read, {got} read");
                break;
            }
            read(&mut reader, ROUND, 64 * 1024, &mut digest);
            got += ROUND;
            assert!(got + 8 * KERNEL < BODY, "nothing was held in mode {mode}");
        }
        for _ in 0..20 {
            read(&mut reader, 50 * 517, 517, &mut digest);
            held(meshed);
        }
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).expect("all of it");
        digest.update(&rest);
    });
    digest.finalize().into()
}

fn open(from: &Node, to: &Node, is_v6: bool) -> (TcpStream, TcpStream) {
    let address = if is_v6 { to.v6.into() } else { to.v4.into() };
    let target = SocketAddr::new(address, PORT);
    let listener = as_app(&to.netns, || TcpListener::bind(target)).expect("a listener");
    let client = as_app(&from.netns, || connect(target)).expect("a connection");
    let (server, _) = listener.accept().expect("the connection");
    server.set_read_timeout(Some(PATIENCE)).expect("the option");
    server.set_write_timeout(Some(PATIENCE)).expect("the option");
    (client, server)
}

#[test]
fn a_direction_holds_one_chunk_for_its_reader_and_reads_no_more() {
    let text = bytes(1, BODY);
    let expected = Digested::from(Sha256::digest(&text));
    let families = scale::of("IPv6, of each mode", [&[false, true][..]; 2], [&[false], &[true]]);
    let modes = [&["--splice-pipes", "0"][..], &[]].into_iter().zip(families);
    for (mode, (options, families)) in modes.enumerate() {
        let mut switch = Switch::new("switch").expect("a switch");
        let meshed = Meshed::new(&mut switch, "meshed", options);
        let plain = switch.attach("plain").expect("a namespace");
        for netns in [&meshed.node.netns, &plain.netns] {
            kernel_keeps(netns, KERNEL);
        }
        for is_v6 in families.iter().copied() {
            for (from, to) in [(&plain, &meshed.node), (&meshed.node, &plain)] {
                let (client, server) = open(from, to, is_v6);
                assert_eq!(transfer(&meshed, mode, &text, (server, client)), expected);
                assert_eq!(transfer(&meshed, mode, &text, open(from, to, is_v6)), expected);
            }
        }
    }
}
