//! Small exchanges at a fixed rate, whether answers come or not. A latency counts from the moment at which the request was
//! due, so that a pause of the proxy shows in every request that fell into it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::{Amount, Reading, Row};
use crate::backend::Service;
use crate::client::Client;
use crate::events::Events;
use crate::figures;
use crate::way::Way;
use crate::wire;

static CPU: Row = Row::new("small exchange, 2,000/s: CPU", "µs", 1);
static MEDIAN: Row = Row::new("latency at 2,000/s: p50", "µs", 0);
static TAIL: Row = Row::new("latency at 2,000/s: p99", "µs", 0);
static ADDED: Row = Row::new("latency at 2,000/s: added p50", "µs", 0).wanted("<= 0.40 of envoy");

const CONNECTIONS: usize = 64;
/// Between two requests.
const INTERVAL: Duration = Duration::from_micros(500);
const COUNT: usize = 6_000;

pub(super) fn measure(way: Way, amount: Amount) -> Result<Vec<Reading>> {
    let count = amount.of(COUNT);
    way.run(|| ask(way, count / 10))?;
    let (cost, mut latencies) = way.cost(|| ask(way, count))?;
    latencies.sort_unstable();
    let micros = |permille| figures::percentile(&latencies, permille).as_secs_f64() * 1e6;
    let cpu = cost.micros_each(count).map(|micros| CPU.reading(micros));
    Ok(cpu.into_iter().chain([MEDIAN.reading(micros(500)), TAIL.reading(micros(990))]).collect())
}

/// What a proxy adds to the median of the direct path.
pub(super) fn added(proxied: &[Reading], direct: &[Reading]) -> Option<Reading> {
    let median = |readings: &[Reading]| {
        readings.iter().find(|reading| *reading.row == MEDIAN).map(|reading| reading.value)
    };
    Some(ADDED.reading(median(proxied)? - median(direct)?))
}

/// A connection with the moments at which its unanswered requests were due; the first of them has been sent.
struct Queue {
    client: Client,
    due: VecDeque<Instant>,
}

/// Gives the latencies of `count` requests.
fn ask(way: Way, count: usize) -> Result<Vec<Duration>> {
    let request = wire::request();
    let mut events = Events::new()?;
    let mut queues = Vec::with_capacity(CONNECTIONS);
    for number in 0..CONNECTIONS {
        let client = Client::connect(way.to(Service::Exchange))?.without_waiting()?;
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
                    queue.client.ask(&request)?;
                }
            }
        }
        while asked < count && next <= Instant::now() {
            let Some(queue) = queues.get_mut(asked % CONNECTIONS) else { break };
            queue.due.push_back(next);
            if queue.due.len() == 1 {
                queue.client.ask(&request)?;
            }
            asked += 1;
            next += INTERVAL;
        }
    }
    Ok(latencies)
}
