//! Small exchanges as fast as they go: on each of some connections the next request is sent when the answer has come.

use anyhow::Result;

use super::{Amount, Reading, Row};
use crate::client::Client;
use crate::events::Events;
use crate::protocol::Protocol;
use crate::way::Way;

static MANY_CPU: Row = Row::new("small exchange, 64 connections: CPU", "µs", 1).wanted("<= 0.65 of envoy");
static MANY_RATE: Row = Row::new("small exchange, 64 connections: rate", "1/s", 0);
static ONE_CPU: Row = Row::new("small exchange, 1 connection: CPU", "µs", 1);
static ONE_RATE: Row = Row::new("small exchange, 1 connection: rate", "1/s", 0);
static HTTP1_MANY_CPU: Row = Row::new("HTTP/1.1 request, 64 connections: CPU", "µs", 1)
    .wanted("<= 0.30 of envoy, 0.25 of envoy-istio, 1.15 of nginx");
static HTTP1_MANY_RATE: Row =
    Row::new("HTTP/1.1 request, 64 connections: rate", "1/s", 0).wanted(">= 0.60 of direct");
static HTTP1_ONE_CPU: Row = Row::new("HTTP/1.1 request, 1 connection: CPU", "µs", 1);
static HTTP1_ONE_RATE: Row = Row::new("HTTP/1.1 request, 1 connection: rate", "1/s", 0);

static HTTP2_MANY_CPU: Row =
    Row::new("HTTP/2 request, 64 connections: CPU", "µs", 1).wanted("<= 0.25 of envoy");
static HTTP2_MANY_RATE: Row = Row::new("HTTP/2 request, 64 connections: rate", "1/s", 0);
static HTTP2_ONE_CPU: Row = Row::new("HTTP/2 request, 1 connection: CPU", "µs", 1);
static HTTP2_ONE_RATE: Row = Row::new("HTTP/2 request, 1 connection: rate", "1/s", 0);

/// How many connections, how many exchanges, and their rows.
type Part = (usize, usize, &'static Row, &'static Row);

pub(super) fn measure(way: Way, protocol: Protocol, amount: Amount) -> Result<Vec<Reading>> {
    let parts: [Part; 2] = match protocol {
        Protocol::Opaque => [(64, 60_000, &MANY_CPU, &MANY_RATE), (1, 6_000, &ONE_CPU, &ONE_RATE)],
        Protocol::Http1 => {
            [(64, 60_000, &HTTP1_MANY_CPU, &HTTP1_MANY_RATE), (1, 6_000, &HTTP1_ONE_CPU, &HTTP1_ONE_RATE)]
        }
        Protocol::Http2 => {
            [(64, 60_000, &HTTP2_MANY_CPU, &HTTP2_MANY_RATE), (1, 6_000, &HTTP2_ONE_CPU, &HTTP2_ONE_RATE)]
        }
    };
    let mut readings = Vec::new();
    for (connections, full, cpu, rate) in parts {
        let count = amount.of(full);
        let load = Load { protocol, connections, each: usize::MAX };
        way.run(|| exchange(way, load, count / 10).map(drop))?;
        let (cost, _) = way.cost(|| exchange(way, load, count))?;
        readings.extend(cost.micros_each(count).map(|micros| cpu.reading(micros)));
        readings.push(rate.reading(cost.rate(count)));
    }
    Ok(readings)
}

/// Who asks.
#[derive(Clone, Copy)]
pub(super) struct Load {
    pub(super) protocol: Protocol,
    pub(super) connections: usize,
    /// How often a connection asks; then it ends, and another one takes its place.
    pub(super) each: usize,
}

/// Returns when `count` answers have come, with the connections that are open then.
pub(super) fn exchange(way: Way, load: Load, count: usize) -> Result<Vec<Client>> {
    let mut events = Events::new()?;
    let connect = |events: &Events, number: usize| {
        let mut client = Client::connect(way, load.protocol)?.without_waiting()?;
        events.on_input(&client, number)?;
        client.ask()?;
        anyhow::Ok((client, 1))
    };
    let mut clients = Vec::with_capacity(load.connections);
    for number in 0..load.connections.min(count) {
        clients.push(connect(&events, number)?);
    }
    let (mut asked, mut answered, mut ready) = (clients.len(), 0, Vec::new());
    while answered < count {
        events.wait_for_answers(&mut ready)?;
        for &number in &ready {
            let Some(slot) = clients.get_mut(number) else { continue };
            let (client, times) = slot;
            if !client.answered()? {
                continue;
            }
            answered += 1;
            if asked == count {
                continue;
            }
            asked += 1;
            if *times < load.each {
                *times += 1;
                client.ask()?;
            } else {
                *slot = connect(&events, number)?;
            }
        }
    }
    Ok(clients.into_iter().map(|(client, _)| client).collect())
}
