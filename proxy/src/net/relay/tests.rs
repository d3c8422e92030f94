//! Two legs on loopback and the relay between them, in one thread. What only the whole proxy shows is in the component tests.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clap::Parser;
use socket2::SockRef;

use super::pipe::Pipes;
use super::{Account, Broken, CHUNK, Leg, Relay, RelayMode, Relaying, Settings, Side};
use crate::budget::{self, Budget};
use crate::telemetry::NoPipe;
use crate::telemetry::metrics::Metrics;

const MEGABYTE: usize = 1 << 20;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    settings: Settings,
}

fn relay(options: &[&str]) -> Relay {
    let command = Command::parse_from([&["proxy"], options].concat());
    Relay::new(
        &command.settings,
        Budget::new(budget::Settings::default()),
        Relaying::new(&Metrics::default()),
    )
}

/// A relay whose pipes are made by `make`.
fn relay_with_pipes(make: fn() -> Result<(OwnedFd, OwnedFd), NoPipe>) -> Relay {
    let relay = relay(&[]);
    let pipes = Pipes::made_by(make, 16, relay.telemetry.pipes.clone());
    Relay { pipes, ..relay }
}

/// Bytes that are held, copied and spliced.
fn held(relay: &Relay) -> (i64, i64) {
    (relay.telemetry.copy.buffered.get(), relay.telemetry.splice.buffered.get())
}

fn pair() -> (Leg, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    crate::net::leg::configure(&ours).unwrap();
    ours.set_nonblocking(true).unwrap();
    (Leg::new(tokio::net::TcpStream::from_std(ours).unwrap()), listener.accept().unwrap().0)
}

/// Calls a function for every piece of the client's.
struct Told<F>(F);

impl<F: Fn(usize)> Account for Told<F> {
    fn carried(&self, from: Side, bytes: usize) {
        if from == Side::Client {
            (self.0)(bytes);
        }
    }

    fn relayed(&self, _: RelayMode) {}

    fn half_closed(&self, _: Side) {}
}

/// Waits for an event that has no future, while the relay goes on.
async fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let waiting = async {
        while !happened() {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(30), waiting).await;
    assert!(waited.is_ok(), "{what}: not within 30 s");
}

/// The two programs of a connection: a client that sends, and a server that receives. They do not block, and so share a
/// thread with the relay.
struct Programs {
    sender: TcpStream,
    sent: usize,
    receiver: TcpStream,
    received: usize,
}

/// What is sent repeats after so many bytes, which is no multiple of any buffer.
const PERIOD: usize = 1_000_003;

/// So many bytes from a place of what is sent.
fn bytes(place: usize, length: usize) -> &'static [u8] {
    static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let numbers = (0u32..).map(|number| number.wrapping_mul(2_654_435_761));
        let period: Vec<u8> = numbers.flat_map(u32::to_le_bytes).take(PERIOD).collect();
        period.iter().copied().cycle().take(PERIOD + MEGABYTE).collect()
    });
    &BYTES[place % PERIOD..][..length]
}

impl Programs {
    fn new() -> (Leg, Leg, Self) {
        let ((client, sender), (server, receiver)) = (pair(), pair());
        // Large pieces come at once, and not when the kernel has got used to them.
        SockRef::from(&sender).set_send_buffer_size(MEGABYTE).unwrap();
        SockRef::from(client.stream()).set_recv_buffer_size(MEGABYTE).unwrap();
        sender.set_nonblocking(true).unwrap();
        receiver.set_nonblocking(true).unwrap();
        (client, server, Self { sender, sent: 0, receiver, received: 0 })
    }

    /// Tells `story` while the connection is carried. What is left of the programs afterwards is in it.
    async fn meet<T>(relay: &Relay, story: impl AsyncFnOnce(Self) -> T) -> (Result<(), Broken>, T) {
        let (client, server, programs) = Self::new();
        let carried = async move {
            let ended = relay.carry(&client, &server, &Told(|_| ())).await;
            if ended.is_ok() {
                client.finish();
                server.finish();
            }
            ended
        };
        tokio::join!(carried, story(programs))
    }

    /// Sends what is taken now.
    fn send(&mut self, most: usize) -> usize {
        let taken = self.sender.write(bytes(self.sent, most)).unwrap_or(0);
        self.sent += taken;
        taken
    }

    /// Sends one byte more, which is urgent (RFC 6093).
    fn send_urgent(&mut self) -> io::Result<()> {
        SockRef::from(&self.sender).send_out_of_band(bytes(self.sent, 1))?;
        self.sent += 1;
        Ok(())
    }

    /// Receives what was sent, although nothing follows it.
    async fn receive_all(&mut self) {
        until("everything", || {
            let _ = self.receive();
            self.received == self.sent
        })
        .await;
    }

    /// Receives what is there; the end is 0 bytes.
    fn receive(&mut self) -> io::Result<usize> {
        let mut received = vec![0; MEGABYTE];
        let length = self.receiver.read(&mut received)?;
        let expected = bytes(self.received, length);
        assert!(received[..length] == *expected, "after byte {} of {}", self.received, self.sent);
        self.received += length;
        Ok(length)
    }

    async fn transfer(&mut self, total: usize) {
        let end = self.sent + total;
        until("everything arrives", || {
            self.send(CHUNK.min(end - self.sent));
            let _ = self.receive();
            self.received == end
        })
        .await;
    }

    /// Ends, and receives to the end.
    async fn finish(&mut self) {
        self.sender.shutdown(Shutdown::Write).unwrap();
        until("the end", || matches!(self.receive(), Ok(0))).await;
        self.receiver.shutdown(Shutdown::Write).unwrap();
        assert_eq!(self.received, self.sent);
    }

    /// The sender goes on, and nobody receives, until nothing more is taken.
    async fn jam(&mut self) {
        let mut quiet = 0;
        until("everything is full", || {
            quiet = if self.send(CHUNK) == 0 { quiet + 1 } else { 0 };
            quiet > 1000
        })
        .await;
    }

    /// Bytes flow until they are spliced; then they jam, the last of them in a pipe.
    async fn jam_in_pipe(&mut self, relay: &Relay) {
        let switches = relay.telemetry.switches.get();
        until("splicing begins", || {
            self.send(CHUNK);
            let _ = self.receive();
            relay.telemetry.switches.get() > switches
        })
        .await;
        self.jam().await;
        assert!(relay.telemetry.splice.buffered.get() > 0, "the last bytes are in the pipe");
    }
}

/// Closes by RST.
fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[tokio::test(flavor = "current_thread")]
async fn a_fast_transfer_gives_others_their_turn() {
    let relay = relay(&[]);
    let ((client, mut sender), (server, mut receiver)) = (pair(), pair());
    let total = 128 * CHUNK;
    let feed = std::thread::spawn(move || sender.write_all(&vec![0; total]));
    let drain = std::thread::spawn(move || io::copy(&mut receiver, &mut io::sink()));
    let (carried, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let account = Told(|bytes| {
        let carried = carried.fetch_add(bytes, Ordering::Relaxed) + bytes;
        most.fetch_max(carried, Ordering::Relaxed);
    });
    let others = async {
        loop {
            carried.store(0, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        ended = relay.carry(&client, &server, &account) => ended.unwrap(),
        () = others => {}
    }
    feed.join().unwrap().unwrap();
    assert_eq!(drain.join().unwrap().unwrap(), total as u64);
    let most = most.into_inner();
    assert!(most < 2 * CHUNK, "{most} bytes in one turn");
}

#[tokio::test(flavor = "current_thread")]
async fn a_long_transfer_is_spliced_and_small_messages_are_copied() {
    let relay = relay(&[]);
    let Relaying { copy, splice, switches, pipes, .. } = relay.telemetry.clone();
    let (ended, ()) = Programs::meet(&relay, async |mut programs| {
        for round in 1..=2 {
            programs.transfer(16 * MEGABYTE).await;
            assert_eq!(switches.get(), round);
            let copied = copy.bytes.get();
            for _ in 0..100 {
                programs.transfer(100).await;
            }
            assert!(copy.bytes.get() >= copied + 50 * 100, "most of the messages");
        }
        programs.finish().await;
        assert_eq!(copy.bytes.get() + splice.bytes.get(), programs.sent as u64);
    })
    .await;
    ended.unwrap();
    assert_eq!((held(&relay), pipes.get()), ((0, 0), 1));
}

#[tokio::test(flavor = "current_thread")]
async fn who_does_not_read_is_sent_one_chunk_more_and_then_nothing() {
    for options in [&["--splice-pipes", "0"], &["--splice-pipes", "1"]] {
        let relay = relay(options);
        let (ended, ()) = Programs::meet(&relay, async |mut programs| {
            programs.transfer(8 * MEGABYTE).await;
            programs.jam().await;
            let (copied, spliced) = held(&relay);
            assert!(copied + spliced > 0 && copied + spliced <= CHUNK as i64, "{copied} and {spliced}");
            programs.finish().await;
        })
        .await;
        ended.unwrap();
        assert_eq!(held(&relay), (0, 0));
    }
}

#[tokio::test(flavor = "current_thread")]
async fn an_end_comes_after_what_is_in_the_pipe() {
    let relay = relay(&[]);
    let (ended, ()) = Programs::meet(&relay, async |mut programs| {
        programs.jam_in_pipe(&relay).await;
        programs.finish().await;
    })
    .await;
    ended.unwrap();
    assert_eq!((held(&relay), relay.telemetry.pipes.get()), ((0, 0), 1));
}

#[tokio::test(flavor = "current_thread")]
async fn a_reset_with_bytes_in_the_pipe_is_a_reset_and_the_pipe_serves_nobody_else() {
    for who in [Side::Client, Side::Server] {
        let relay = relay(&[]);
        let (ended, left) = Programs::meet(&relay, async |mut programs| {
            programs.jam_in_pipe(&relay).await;
            let Programs { sender, receiver, .. } = programs;
            let (gone, left) = match who {
                Side::Client => (sender, receiver),
                Side::Server => (receiver, sender),
            };
            reset(gone);
            left
        })
        .await;
        assert!(matches!(
            (who, ended),
            (Side::Client, Err(Broken::Client(_))) | (Side::Server, Err(Broken::Server(_)))
        ));
        until("the other one is reset", || SockRef::from(&left).take_error().unwrap().is_some()).await;
        assert_eq!((held(&relay), relay.telemetry.pipes.get()), ((0, 0), 0), "{who:?}");

        let (ended, ()) = Programs::meet(&relay, async |mut programs| {
            programs.jam_in_pipe(&relay).await;
            programs.finish().await;
        })
        .await;
        ended.unwrap();
        assert_eq!((held(&relay), relay.telemetry.pipes.get()), ((0, 0), 1), "{who:?}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn an_urgent_byte_stops_splicing_and_not_the_bytes() {
    let relay = relay(&[]);
    let (ended, ()) = Programs::meet(&relay, async |mut programs| {
        programs.jam_in_pipe(&relay).await;
        // Nothing is taken now, so bytes, the urgent one, more bytes and the end lie together in the leg later.
        for _ in 0..2 {
            until("room", || {
                let _ = programs.receive();
                programs.send(1000) == 1000
            })
            .await;
            until("room", || programs.send_urgent().is_ok()).await;
        }
        // The end would wake the relay, and is not needed for it.
        programs.receive_all().await;
        programs.finish().await;
    })
    .await;
    ended.unwrap();
}

#[tokio::test(flavor = "current_thread")]
async fn many_bytes_behind_an_urgent_one_are_carried_though_nothing_follows_them() {
    // A read takes 1 KiB.
    let memory_limit = std::num::NonZeroU64::new(16 * 1024);
    let budget = Budget::new(budget::Settings { memory_limit });
    let relay = Relay { budget, ..relay(&[]) };
    assert_eq!(relay.room(), 1024);
    let (ended, ()) = Programs::meet(&relay, async |mut programs| {
        // The relay has no turn in between, so that all of it lies in the leg when it reads.
        assert_eq!(programs.send(100), 100);
        programs.send_urgent().unwrap();
        assert_eq!(programs.send(20_000), 20_000);
        programs.receive_all().await;
        programs.finish().await;
    })
    .await;
    ended.unwrap();
}

#[tokio::test(flavor = "current_thread")]
async fn an_urgent_byte_behind_others_is_carried_though_nothing_follows_it() {
    let relay = relay(&[]);
    let (ended, ()) = Programs::meet(&relay, async |mut programs| {
        for _ in 0..3 {
            // The relay has no turn in between, so that all of it lies in the leg when it reads.
            assert_eq!(programs.send(100), 100);
            programs.send_urgent().unwrap();
            programs.receive_all().await;
        }
        programs.finish().await;
    })
    .await;
    ended.unwrap();
}

#[tokio::test(flavor = "current_thread")]
async fn where_memory_is_short_less_is_read() {
    let memory_limit = std::num::NonZeroU64::new(256 * 1024);
    let budget = Budget::new(budget::Settings { memory_limit });
    let relay = Relay { budget, ..relay(&[]) };
    let (ended, ()) = Programs::meet(&relay, async |mut programs| {
        programs.jam().await;
        let (copied, spliced) = held(&relay);
        assert!(copied > 0 && copied + spliced <= 64 * 1024 + 1024, "{copied} and {spliced} of a quarter");
        programs.finish().await;
    })
    .await;
    ended.unwrap();
}

#[tokio::test(flavor = "current_thread")]
async fn who_gets_no_pipe_copies() {
    let relay = relay(&["--splice-pipes", "1"]);
    let (ended, ()) = Programs::meet(&relay, async |mut first| {
        first.jam_in_pipe(&relay).await;
        let spliced = relay.telemetry.splice.bytes.get();
        let (ended, ()) = Programs::meet(&relay, async |mut second| {
            second.transfer(16 * MEGABYTE).await;
            second.finish().await;
        })
        .await;
        ended.unwrap();
        assert_eq!(relay.telemetry.splice.bytes.get(), spliced);
        assert!(relay.telemetry.refusals(NoPipe::InUse) > 0);
        first.finish().await;
    })
    .await;
    ended.unwrap();
}

#[tokio::test(flavor = "current_thread")]
async fn where_pipes_fail_everything_is_copied() {
    let null = || {
        let open = || File::options().read(true).write(true).open("/dev/null").map(OwnedFd::from);
        // The kernel splices only where one of both is a pipe.
        open().and_then(|one| Ok((one, open()?))).map_err(|_| NoPipe::Failed)
    };
    for (relay, reason) in [
        (relay_with_pipes(|| Err(NoPipe::Descriptors)), NoPipe::Descriptors),
        (relay_with_pipes(|| Err(NoPipe::UserLimit)), NoPipe::UserLimit),
        (relay_with_pipes(null), NoPipe::Failed),
    ] {
        let (ended, ()) = Programs::meet(&relay, async |mut programs| {
            programs.transfer(16 * MEGABYTE).await;
            programs.finish().await;
        })
        .await;
        ended.unwrap();
        assert_eq!(relay.telemetry.splice.bytes.get(), 0, "{reason:?}");
        assert!(relay.telemetry.refusals(reason) > 0, "{reason:?}");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_half_closed_connection_that_carries_nothing_is_reset() {
    let relay = relay(&["--half-closed-timeout", "50ms"]);
    for who in [Side::Client, Side::Server] {
        let (ended, programs) = Programs::meet(&relay, async |mut programs| {
            programs.transfer(10).await;
            match who {
                Side::Client => programs.sender.shutdown(Shutdown::Write).unwrap(),
                Side::Server => programs.receiver.shutdown(Shutdown::Write).unwrap(),
            }
            programs
        })
        .await;
        assert!(matches!(ended, Err(Broken::HalfClosed(_))), "{ended:?}");
        for stream in [&programs.sender, &programs.receiver] {
            until("a reset", || SockRef::from(stream).take_error().unwrap().is_some()).await;
        }
    }
    assert_eq!(relay.telemetry.half_closed_reset.get(), 2);
}
