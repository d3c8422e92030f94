//! Memory: of a proxy that has just started, and what each idle connection adds, each of which has had one exchange.

use std::time::Duration;

use anyhow::Result;
use tests::netns::Netns;

use super::{Amount, Reading, Row};
use crate::client::Client;
use crate::pod::Pod;
use crate::process;
use crate::protocol::Protocol;
use crate::way::{Direction, Way};

static IDLE: Row = Row::new("memory, idle", "MiB PSS", 1).wanted("<= 6");
static FEW: Row = Row::new("memory, 1,000 idle connections", "MiB PSS", 1);
static MANY: Row = Row::new("memory, 9,000 idle connections", "MiB PSS", 1);
static EACH: Row = Row::new("memory of an idle connection", "KiB", 2).wanted("<= 2.5");
static HTTP2_FEW: Row = Row::new("memory, 1,000 idle HTTP/2 connections", "MiB PSS", 1);
static HTTP2_MANY: Row = Row::new("memory, 9,000 idle HTTP/2 connections", "MiB PSS", 1);
static HTTP2_EACH: Row = Row::new("memory of an idle HTTP/2 connection", "KiB", 2);
static HTTP1_FEW: Row = Row::new("memory, 1,000 idle HTTP/1.1 connections", "MiB PSS", 1);
static HTTP1_MANY: Row = Row::new("memory, 9,000 idle HTTP/1.1 connections", "MiB PSS", 1);
static HTTP1_EACH: Row = Row::new("memory of an idle HTTP/1.1 connection", "KiB", 2).wanted("<= 3.5");

/// What a proxy is allowed to carry; two descriptors each, below the 20,000 that a process often has at most.
pub(crate) const MOST_CONNECTIONS: u64 = 9_500;
/// For both ends of all connections, and everything else.
pub(crate) const DESCRIPTORS: u64 = 2 * MOST_CONNECTIONS;

/// Restarts the pod's proxy, so that what it has carried before does not count.
pub(super) fn measure(
    client: &Netns,
    pod: &mut Pod,
    protocol: Protocol,
    amount: Amount,
) -> Result<Vec<Reading>> {
    let (few_row, many_row, each_row) = match protocol {
        Protocol::Opaque => (&FEW, &MANY, &EACH),
        Protocol::Http1 => (&HTTP1_FEW, &HTTP1_MANY, &HTTP1_EACH),
        Protocol::Http2 => (&HTTP2_FEW, &HTTP2_MANY, &HTTP2_EACH),
    };
    super::restart(client, pod)?;
    let way = Way { client, pod, direction: Direction::Inbound, direct: false };
    let (few, many) = (amount.of(1_000), amount.of(9_000));
    let idle = settled(pod)?;
    let mut open = way.run(|| connect(way, protocol, few))?;
    let with_few = settled(pod)?;
    open.extend(way.run(|| connect(way, protocol, many - few))?);
    let with_many = settled(pod)?;
    drop(open);
    let mebibytes = |kibibytes: f64| kibibytes / 1024.0;
    Ok(vec![
        IDLE.reading(mebibytes(idle)),
        few_row.reading(mebibytes(with_few)),
        many_row.reading(mebibytes(with_many)),
        each_row.reading((with_many - with_few) / (many - few) as f64),
    ])
}

fn connect(way: Way, protocol: Protocol, count: usize) -> Result<Vec<Client>> {
    let connect = |_| {
        let mut client = Client::connect(way, protocol)?;
        client.exchange()?;
        Ok(client)
    };
    (0..count).map(connect).collect()
}

/// In KiB, after a second in which nothing happens: allocators give back, and threads finish what they had begun.
#[expect(
    clippy::disallowed_methods,
    reason = "there is no event: what is waited for is that nothing happens"
)]
fn settled(pod: &Pod) -> Result<f64> {
    std::thread::sleep(Duration::from_secs(1));
    Ok(process::memory(pod.pid()?)? as f64)
}
