//! What a scrape of the proxy's metrics costs, what it adds to the proxy's memory, and what requests notice of one every 100 ms.
//!
//! With us the series are those of [`destinations`] that were asked, more than sixty each; with Envoy those of clusters, which has
//! them whether they were asked or not. The scraper is on the other processor, with the load.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use ::tests::netns::Netns;
use ::tests::peer::PATIENCE;
use anyhow::{Context, Result, ensure};

use super::{Amount, Reading, Row, latency};
use crate::client::Client;
use crate::destinations;
use crate::pod::Pod;
use crate::process;
use crate::programs::Metrics;
use crate::protocol::Protocol;
use crate::way::{Direction, Way};

static SERIES: Row = Row::new("scrape: series", "", 0);
static CPU: Row = Row::new("scrape, of each 1,000 series: CPU", "ms", 2).wanted("<= 5");
static TIME: Row = Row::new("scrape, of each 1,000 series: time", "ms", 2);
static QUIET: Row = Row::new("HTTP/1.1 latency at 2,000/s, without scrapes: p99", "µs", 0);
static SCRAPED: Row = Row::new("HTTP/1.1 latency at 2,000/s, a scrape each 100 ms: p99", "µs", 0);
static SHARE: Row = Row::new("p99 with scrapes, by that without", "", 2);
static MANY: Row = Row::new("scrape of many: series", "", 0);
static MANY_SIZE: Row = Row::new("scrape of many: text", "KiB", 0);
static MANY_TIME: Row = Row::new("scrape of many: time", "ms", 1);
static MANY_MEMORY: Row = Row::new("scrape of many: memory at its peak, beyond that before", "KiB", 0);

/// How many scrapes a cost is the mean of.
const SCRAPES: usize = 50;
const INTERVAL: Duration = Duration::from_millis(100);
/// Destinations that make more than a thousand series.
const FEW: usize = 20;

/// Restarts the pod's proxy with what it takes, and in the end with what it had.
pub(super) fn measure(client: &Netns, pod: &mut Pod, amount: Amount) -> Result<Vec<Reading>> {
    let Some(metrics) = pod.program.metrics.clone() else { return Ok(Vec::new()) };
    let had = pod.program.configuration.clone().context("metrics without a configuration")?;
    let mut measured = |configuration: &str, measure: &dyn Fn(Scraper<'_>) -> Result<Vec<Reading>>| {
        pod.configure(configuration)?;
        super::restart(client, pod)?;
        measure(Scraper { client, pod, metrics: &metrics })
    };
    let few = measured(&metrics.few, &|scraper| scraper.few(amount))?;
    let many = measured(&metrics.many, &|scraper| scraper.many())?;
    measured(&had, &|_| Ok(Vec::new()))?;
    Ok(few.into_iter().chain(many).collect())
}

#[derive(Clone, Copy)]
struct Scraper<'a> {
    client: &'a Netns,
    pod: &'a Pod,
    metrics: &'a Metrics,
}

impl Scraper<'_> {
    fn few(&self, amount: Amount) -> Result<Vec<Reading>> {
        self.visit(FEW)?;
        let series = series(&self.way(Direction::Outbound).run(|| self.scrape())?)?;
        ensure!(series >= 1_000, "{series} series are too few");
        let thousands = series as f64 / 1e3;
        let count = amount.of(SCRAPES);
        let mut readings = vec![SERIES.reading(series as f64)];
        let (cost, ()) =
            self.way(Direction::Outbound).cost(|| (0..count).try_for_each(|_| self.scrape().map(drop)))?;
        readings.extend(cost.micros_each(count).map(|micros| CPU.reading(micros / 1e3 / thousands)));
        readings.push(TIME.reading(1e3 / cost.rate(count) / thousands));
        readings.extend(self.latencies(amount)?);
        Ok(readings)
    }

    fn way(&self, direction: Direction) -> Way<'_> {
        Way { client: self.client, pod: self.pod, direction, direct: false }
    }

    /// Asks so many destinations once.
    fn visit(&self, count: usize) -> Result<()> {
        self.way(Direction::Outbound).run(|| {
            destinations::all()
                .take(count)
                .try_for_each(|address| Client::connect_to(address, Protocol::Http1)?.exchange())
        })
    }

    /// Without and with scrapes, one after the other.
    fn latencies(&self, amount: Amount) -> Result<[Reading; 3]> {
        let way = self.way(Direction::Inbound);
        let tail = || latency::tail(way, Protocol::Http1, amount);
        let quiet = tail()?;
        let (stop, stopped) = channel::<()>();
        let scraped = std::thread::scope(|scope| {
            let scraper = scope.spawn(|| self.way(Direction::Outbound).run(|| self.scrape_until(stopped)));
            let tail = tail();
            drop(stop);
            scraper.join().expect("it does not panic").context("a scrape beside requests")?;
            tail
        })?;
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        Ok([
            QUIET.reading(micros(quiet)),
            SCRAPED.reading(micros(scraped)),
            SHARE.reading(scraped.as_secs_f64() / quiet.as_secs_f64()),
        ])
    }

    fn scrape_until(&self, stopped: std::sync::mpsc::Receiver<()>) -> Result<()> {
        let mut next = Instant::now();
        loop {
            match stopped.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Err(RecvTimeoutError::Timeout) => drop(self.scrape()?),
                _ => return Ok(()),
            }
            next += INTERVAL;
        }
    }

    /// The first scrape of a process: later ones find what it has left in the allocator.
    fn many(&self) -> Result<Vec<Reading>> {
        self.visit(destinations::COUNT)?;
        let pid = self.pod.pid()?;
        let before = process::forget_peak(pid)?;
        let begun = Instant::now();
        let answer = self.way(Direction::Outbound).run(|| self.scrape())?;
        let time = begun.elapsed();
        let peak = process::peak(pid)?;
        Ok(vec![
            MANY.reading(series(&answer)? as f64),
            MANY_SIZE.reading(answer.len() as f64 / 1024.0),
            MANY_TIME.reading(time.as_secs_f64() * 1e3),
            MANY_MEMORY.reading(peak.saturating_sub(before) as f64),
        ])
    }

    /// The whole answer, as it came.
    fn scrape(&self) -> Result<Vec<u8>> {
        let Metrics { port, path, .. } = *self.metrics;
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("connecting to scrape")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).context("a scrape")?;
        ensure!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
        Ok(answer)
    }
}

/// How many a scraper would store.
fn series(answer: &[u8]) -> Result<usize> {
    let text = String::from_utf8(content(answer)?).context("metrics")?;
    Ok(text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count())
}

/// Of an answer in chunks, or one to the end.
fn content(answer: &[u8]) -> Result<Vec<u8>> {
    let head_end = answer.windows(4).position(|window| window == b"\r\n\r\n").context("no head")? + 4;
    let (head, mut rest) = answer.split_at_checked(head_end).context("no head")?;
    if !head.to_ascii_lowercase().windows(7).any(|window| window == b"chunked") {
        return Ok(rest.to_vec());
    }
    let mut content = Vec::new();
    loop {
        let line_end = rest.windows(2).position(|window| window == b"\r\n").context("no chunk")?;
        let (size, after) = rest.split_at_checked(line_end).context("no chunk")?;
        let size = usize::from_str_radix(std::str::from_utf8(size)?, 16).context("a chunk's size")?;
        let (chunk, after) =
            after.get(2..).and_then(|after| after.split_at_checked(size)).context("half a chunk")?;
        if size == 0 {
            return Ok(content);
        }
        content.extend_from_slice(chunk);
        rest = after.get(2..).context("half a chunk")?;
    }
}

#[cfg(test)]
mod tests {
    use super::content;

    #[test]
    fn chunks_are_put_together() {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n";
        let of = |text: &str| content(text.as_bytes()).ok();
        assert_eq!(
            of(&format!("{head}3\r\na 1\r\n00a\r\n\nb 2\r\n# EO\r\n0\r\n\r\n")),
            Some(b"a 1\nb 2\r\n# EO".to_vec())
        );
        assert_eq!(of("HTTP/1.1 200 OK\r\n\r\na 1\n"), Some(b"a 1\n".to_vec()));
        for broken in ["", "3\r\na", "x\r\n", "3\r\nabc"] {
            assert_eq!(of(&format!("{head}{broken}")), None, "{broken}");
        }
    }
}
