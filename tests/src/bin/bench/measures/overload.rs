//! HTTP/1.1 requests of three times as many connections as keep everybody busy, beside what those answer. All connections end after
//! some requests, and others come.

use anyhow::Result;

use super::exchanges::{Load, exchange};
use super::{Amount, Reading, Row};
use crate::process;
use crate::protocol::Protocol;
use crate::way::Way;

static PEAK: Row = Row::new("HTTP/1.1, 64 connections that end: rate", "1/s", 0);
static RATE: Row = Row::new("HTTP/1.1, 192 connections that end: rate", "1/s", 0);
static SHARE: Row = Row::new("HTTP/1.1, 3 times the load: share of the rate", "", 2).wanted(">= 0.90");
static MEMORY: Row = Row::new("HTTP/1.1, 192 connections that end: memory", "MiB PSS", 1);

/// So many keep application, proxy and client busy.
const BUSY: usize = 64;
const TIMES: usize = 3;
/// Requests of a connection.
const EACH: usize = 100;
const COUNT: usize = 60_000;

pub(super) fn measure(way: Way, amount: Amount) -> Result<Vec<Reading>> {
    let count = amount.of(COUNT);
    let load = |connections| Load { protocol: Protocol::Http1, connections, each: EACH };
    way.run(|| exchange(way, load(BUSY), count / 10).map(drop))?;
    let (peak, open) = way.cost(|| exchange(way, load(BUSY), count))?;
    drop(open);
    let (cost, open) = way.cost(|| exchange(way, load(TIMES * BUSY), count))?;
    let memory = if way.direct { None } else { Some(process::memory(way.pod.pid()?)? as f64 / 1024.0) };
    drop(open);
    let (peak, rate) = (peak.rate(count), cost.rate(count));
    let readings = [PEAK.reading(peak), RATE.reading(rate), SHARE.reading(rate / peak)];
    Ok(readings.into_iter().chain(memory.map(|memory| MEMORY.reading(memory))).collect())
}
