//! Small exchanges at a fixed rate, whether answers come or not. A latency counts from the moment at which the request was
//! due, so that a pause of the proxy shows in every request that fell into it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::{Amount, Reading, Row};
use crate::client::Client;
use crate::events::Events;
use crate::figures;
use crate::protocol::Protocol;
use crate::way::Way;

static CPU: Row = Row::new("small exchange, 2,000/s: CPU", "µs", 1);
static MEDIAN: Row = Row::new("latency at 2,000/s: p50", "µs", 0);
static TAIL: Row = Row::new("latency at 2,000/s: p99", "µs", 0);
static ADDED: Row = Row::new("latency at 2,000/s: added p50", "µs", 0).wanted("<= 0.40 of envoy");
static HTTP2_CPU: Row = Row::new("HTTP/2 request, 2,000/s: CPU", "µs", 1);
static HTTP2_MEDIAN: Row = Row::new("HTTP/2 latency at 2,000/s: p50", "µs", 0);
static HTTP2_TAIL: Row = Row::new("HTTP/2 latency at 2,000/s: p99", "µs", 0);
static HTTP2_ADDED: Row =
    Row::new("HTTP/2 latency at 2,000/s: added p50", "µs", 0).wanted("<= 0.40 of envoy");
static HTTP1_CPU: Row = Row::new("HTTP/1.1 request, 2,000/s: CPU", "µs", 1);
static HTTP1_MEDIAN: Row = Row::new("HTTP/1.1 latency at 2,000/s: p50", "µs", 0);
static HTTP1_TAIL: Row = Row::new("HTTP/1.1 latency at 2,000/s: p99", "µs", 0);
static HTTP1_ADDED: Row =
    Row::new("HTTP/1.1 latency at 2,000/s: added p50", "µs", 0).wanted("<= 0.40 of envoy");

const CONNECTIONS: usize = 64;
/// Between two requests.
const INTERVAL: Duration = Duration::from_micros(500);
const COUNT: usize = 6_000;

pub(super) fn measure(way: Way, protocol: Protocol, amount: Amount) -> Result<Vec<Reading>> {
    let (cpu, median, tail) = match protocol {
        Protocol::Opaque => (&CPU, &MEDIAN, &TAIL),
        Protocol::Http1 => (&HTTP1_CPU, &HTTP1_MEDIAN, &HTTP1_TAIL),
        Protocol::Http2 => (&HTTP2_CPU, &HTTP2_MEDIAN, &HTTP2_TAIL),
    };
    let count = amount.of(COUNT);
    way.run(|| ask(way, protocol, count / 10))?;
    let (cost, latencies) = way.cost(|| ask(way, protocol, count))?;
    let micros = |permille| figures::percentile(&latencies, permille).as_secs_f64() * 1e6;
    let cpu = cost.micros_each(count).map(|micros| cpu.reading(micros));
    Ok(cpu.into_iter().chain([median.reading(micros(500)), tail.reading(micros(990))]).collect())
}

/// The 99th of a hundred.
pub(super) fn tail(way: Way, protocol: Protocol, amount: Amount) -> Result<Duration> {
    let count = amount.of(COUNT);
    way.run(|| ask(way, protocol, count / 10))?;
    let latencies = way.run(|| ask(way, protocol, count))?;
    Ok(figures::percentile(&latencies, 990))
}

/// What a proxy adds to the median of the direct path.
pub(super) fn added(proxied: &[Reading], direct: &[Reading]) -> Option<Reading> {
    let rows = [(&MEDIAN, &ADDED), (&HTTP1_MEDIAN, &HTTP1_ADDED), (&HTTP2_MEDIAN, &HTTP2_ADDED)];
    rows.into_iter().find_map(|(median, added)| {
        let median = |readings: &[Reading]| {
            readings.iter().find(|reading| reading.row == median).map(|reading| reading.value)
        };
        Some(added.reading(median(proxied)? - median(direct)?))
    })
}

/// A connection with the moments at which its unanswered requests were due; the first of them has been sent.
struct Queue {
    client: Client,
    due: VecDeque<Instant>,
}

/// Gives the latencies of `count` requests, the least first.
fn ask(way: Way, protocol: Protocol, count: usize) -> Result<Vec<Duration>> {
    let mut events = Events::new()?;
    let mut queues = Vec::with_capacity(CONNECTIONS);
    for number in 0..CONNECTIONS {
        let client = Client::connect(way, protocol)?.without_waiting()?;
        events.on_input(&client, number)?;
        queues.push(Queue { client, due: VecDeque::new() });
    }
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC).context("a timer")?;
    timer.set(Expiration::Interval(TimeSpec::from_duration(INTERVAL)), TimerSetTimeFlags::empty())?;
    events.on_input(&timer, CONNECTIONS)?;
    let (mut next, mut latencies, mut ready) =
        (Instant::now() + INTERVAL, Vec::with_capacity(count), Vec::new());
    let mut asked = 0;
    while latencies.len() < count {
        events.wait_for_answers(&mut ready)?;
        for &number in &ready {
            let Some(queue) = queues.get_mut(number) else {
                timer.wait()?;
                continue;
            };
            if queue.client.answered()? {
                latencies.extend(queue.due.pop_front().map(|due| due.elapsed()));
                if !queue.due.is_empty() {
                    queue.client.ask()?;
                }
            }
        }
        while asked < count && next <= Instant::now() {
            let Some(queue) = queues.get_mut(asked % CONNECTIONS) else { break };
            queue.due.push_back(next);
            if queue.due.len() == 1 {
                queue.client.ask()?;
            }
            asked += 1;
            next += INTERVAL;
        }
    }
    latencies.sort_unstable();
    Ok(latencies)
}
