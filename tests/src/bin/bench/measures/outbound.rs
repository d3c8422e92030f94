//! HTTP requests of a pod's application to a Service, as fast as they go: on each of some connections the next request is sent
//! when the answer has come. Who chooses an endpoint for each request needs few connections to them all.

use anyhow::Result;

use super::exchanges::{Load, exchange};
use super::{Amount, Reading, Row};
use crate::backend::Service;
use crate::endpoints;
use crate::protocol::Protocol;
use crate::way::Way;

static HTTP1_CPU: Row = Row::new("HTTP/1.1 request outbound, 64 connections: CPU", "µs", 1);
static HTTP1_RATE: Row = Row::new("HTTP/1.1 request outbound, 64 connections: rate", "1/s", 0);
static HTTP1_SERVERS: Row = Row::new("HTTP/1.1 outbound, 64 connections: connections to 8 endpoints", "", 0);
static HTTP2_CPU: Row = Row::new("HTTP/2 request outbound, 64 connections: CPU", "µs", 1);
static HTTP2_RATE: Row = Row::new("HTTP/2 request outbound, 64 connections: rate", "1/s", 0);
static HTTP2_SERVERS: Row = Row::new("HTTP/2 outbound, 64 connections: connections to 8 endpoints", "", 0);

const CONNECTIONS: usize = 64;
const COUNT: usize = 60_000;

pub(super) fn measure(way: Way, protocol: Protocol, amount: Amount) -> Result<Vec<Reading>> {
    let (cpu, rate, servers) = match protocol {
        Protocol::Opaque => return Ok(Vec::new()),
        Protocol::Http1 => (&HTTP1_CPU, &HTTP1_RATE, &HTTP1_SERVERS),
        Protocol::Http2 => (&HTTP2_CPU, &HTTP2_RATE, &HTTP2_SERVERS),
    };
    let count = amount.of(COUNT);
    let load = Load { protocol, connections: CONNECTIONS, each: usize::MAX };
    way.run(|| exchange(way, load, count / 10).map(drop))?;
    let (cost, open) = way.cost(|| exchange(way, load, count))?;
    let port = Service::Exchange(protocol).port(way.direct);
    let connections = endpoints::connections(way.from(), port)?;
    drop(open);
    let cpu = cost.micros_each(count).map(|micros| cpu.reading(micros));
    Ok(cpu.into_iter().chain([rate.reading(cost.rate(count)), servers.reading(connections as f64)]).collect())
}
