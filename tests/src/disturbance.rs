//! A bad network: what arrives at a namespace is lost, comes late, in another order or twice.
//!
//! The machine's kernel may lack netem, so packets go through a netfilter queue, whose verdicts a thread gives by a seed that
//! it prints; duplicates are made by iptables' TEE. It ends when dropped.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nfq::{Message, Queue, Verdict};

use crate::netns::Netns;
use crate::tool;

/// How bad it is; shares are of all packets.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// Share that is lost.
    pub loss: f64,
    /// Share that comes late, and so after those which were sent later.
    pub late: f64,
    /// How late.
    pub by: Duration,
    /// Share that comes twice.
    pub twice: f64,
}

/// The thread that decides about packets.
pub struct Disturbance<'a> {
    netns: &'a Netns,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<Counts>>,
}

/// What was done to packets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// All that came.
    pub packets: u64,
    /// Lost ones.
    pub lost: u64,
    /// Late ones.
    pub late: u64,
    /// Those which were sent once more; they are not among the others.
    pub twice: u64,
}

const QUEUE: u16 = 1;

/// More than can be on the way while they are late: the kernel's own limit, 1024, would lose the rest.
const MOST_HELD: u32 = 1 << 16;

/// How often an empty queue is looked at; every packet may be late by this.
const TICK: Duration = Duration::from_millis(1);

impl<'a> Disturbance<'a> {
    /// Of everything of TCP that comes to `netns` on its interface; what comes twice is sent again by `netns` to `peers`.
    pub fn new(netns: &'a Netns, peers: &[IpAddr], faults: Faults) -> Result<Self> {
        let seed = fastrand::u64(..);
        println!("disturbance by seed {seed}: {faults:?}");
        let queue = netns.run(|| -> Result<Queue> {
            let mut queue = Queue::open().context("cannot open a netfilter queue")?;
            queue.bind(QUEUE).context("cannot bind a netfilter queue")?;
            queue.set_copy_range(QUEUE, 0).context("cannot ask for packets without their content")?;
            queue.set_queue_max_len(QUEUE, MOST_HELD).context("cannot lengthen the queue")?;
            queue.set_nonblocking(true);
            Ok(queue)
        })??;
        for program in ["iptables", "ip6tables"] {
            rule(netns, program, &format!("-A INPUT -i eth0 -p tcp -j NFQUEUE --queue-num {QUEUE}"))?;
        }
        for peer in peers.iter().filter(|_| faults.twice > 0.0) {
            let program = if peer.is_ipv4() { "iptables" } else { "ip6tables" };
            let chance = format!("-m statistic --mode random --probability {}", faults.twice);
            rule(
                netns,
                program,
                &format!("-t mangle -A POSTROUTING -p tcp -d {peer} {chance} -j TEE --gateway {peer}"),
            )?;
        }
        let end = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&end);
        let thread =
            std::thread::spawn(move || decide(queue, faults, fastrand::Rng::with_seed(seed), &ended));
        Ok(Self { netns, end, thread: Some(thread) })
    }

    /// Ends it; what comes afterwards is lost, as nobody decides any more.
    pub fn counts(mut self) -> Result<Counts> {
        let mut counts = self.stop();
        for program in ["iptables-save", "ip6tables-save"] {
            let mut command = Command::new(program);
            let output = self.netns.tool("iptables", command.args(["-c", "-t", "mangle"]))?;
            counts.twice += duplicated(&String::from_utf8_lossy(&output.stdout));
        }
        Ok(counts)
    }

    fn stop(&mut self) -> Counts {
        self.end.store(true, Ordering::Relaxed);
        self.thread.take().and_then(|thread| thread.join().ok()).unwrap_or_default()
    }
}

impl Drop for Disturbance<'_> {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A rule is shown as `[PACKETS:BYTES] -A CHAIN ...`.
fn duplicated(saved: &str) -> u64 {
    let rules = saved.lines().filter(|line| line.contains("-j TEE"));
    let packets = rules.filter_map(|line| line.strip_prefix('[')?.split(':').next()?.parse::<u64>().ok());
    packets.sum()
}

fn rule(netns: &Netns, program: &str, line: &str) -> Result<()> {
    let mut command = Command::new(program);
    command.args(line.split_whitespace());
    netns.run(|| tool::run("iptables", &mut command))?.map(drop)
}

fn decide(mut queue: Queue, faults: Faults, mut random: fastrand::Rng, end: &AtomicBool) -> Counts {
    let mut counts = Counts::default();
    // All are late by the same time, so the first in is the first out.
    let mut held: VecDeque<(Instant, Message)> = VecDeque::new();
    while !end.load(Ordering::Relaxed) {
        let now = Instant::now();
        while held.front().is_some_and(|(due, _)| *due <= now)
            && let Some((_, packet)) = held.pop_front()
        {
            pass(&mut queue, packet, Verdict::Accept);
        }
        match queue.recv() {
            Ok(packet) => {
                counts.packets += 1;
                let chance = random.f64();
                if chance < faults.loss {
                    counts.lost += 1;
                    pass(&mut queue, packet, Verdict::Drop);
                } else if chance < faults.loss + faults.late {
                    counts.late += 1;
                    held.push_back((now + faults.by, packet));
                } else {
                    pass(&mut queue, packet, Verdict::Accept);
                }
            }
            #[expect(clippy::disallowed_methods, reason = "the library shows no descriptor to wait on")]
            Err(_) => std::thread::sleep(TICK),
        }
    }
    counts
}

/// A verdict that is not taken belongs to a packet that is gone.
fn pass(queue: &mut Queue, mut packet: Message, verdict: Verdict) {
    packet.set_verdict(verdict);
    let _ = queue.verdict(packet);
}
