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
    .wanted("<= 0.30 of envoy, 0.25 of envoy-json, 1.15 of nginx");
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
        let work = |count| exchange(way, protocol, connections, count);
        way.run(|| work(count / 10))?;
        let (cost, ()) = way.cost(|| work(count))?;
        readings.extend(cost.micros_each(count).map(|micros| cpu.reading(micros)));
        readings.push(rate.reading(cost.rate(count)));
    }
    Ok(readings)
}

/// Returns when `count` answers have come.
fn exchange(way: Way, protocol: Protocol, connections: usize, count: usize) -> Result<()> {
    let mut events = Events::new()?;
    let mut clients = Vec::with_capacity(connections);
    for number in 0..connections.min(count) {
        let mut client = Client::connect(way, protocol)?.without_waiting()?;
        events.on_input(&client, number)?;
        client.ask()?;
        clients.push(client);
    }
    let (mut asked, mut answered, mut ready) = (clients.len(), 0, Vec::new());
    while answered < count {
        events.wait_for_answers(&mut ready)?;
        for &number in &ready {
            let Some(client) = clients.get_mut(number) else { continue };
            if client.answered()? {
                answered += 1;
                if asked < count {
                    asked += 1;
                    client.ask()?;
                }
            }
        }
    }
    Ok(())
}
