//! Many bytes over few connections, from the client to the application.

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, ensure};
use tests::peer::PATIENCE;

use super::{Amount, Reading, Row};
use crate::backend::Service;
use crate::way::Way;

static ONE_CPU: Row = Row::new("bulk TCP, 1 stream: CPU", "s/GB", 2).wanted("<= 0.83 of envoy");
static ONE_RATE: Row = Row::new("bulk TCP, 1 stream: rate", "Gb/s", 2);
static EIGHT_CPU: Row = Row::new("bulk TCP, 8 streams: CPU", "s/GB", 2).wanted("<= 0.57 of envoy");
static EIGHT_RATE: Row = Row::new("bulk TCP, 8 streams: rate", "Gb/s", 2);

/// What all streams carry together.
const BYTES: usize = 2_000_000_000;
/// What a client writes at once.
const CHUNK: usize = 256 * 1024;

pub(super) fn measure(way: Way, amount: Amount) -> Result<Vec<Reading>> {
    let mut readings = Vec::new();
    for (streams, cpu, rate) in [(1, &ONE_CPU, &ONE_RATE), (8, &EIGHT_CPU, &EIGHT_RATE)] {
        let bytes = amount.of(BYTES);
        way.run(|| carry(way, streams, bytes / 10))?;
        let (cost, ()) = way.cost(|| carry(way, streams, bytes))?;
        let gigabytes = bytes as f64 / 1e9;
        readings.extend(cost.proxy.map(|time| cpu.reading(time.as_secs_f64() / gigabytes)));
        readings.push(rate.reading(8.0 * gigabytes / cost.elapsed.as_secs_f64()));
    }
    Ok(readings)
}

/// Returns when the application has everything and has ended the connections.
fn carry(way: Way, streams: usize, bytes: usize) -> Result<()> {
    std::thread::scope(|scope| {
        let senders: Vec<_> =
            (0..streams).map(|_| scope.spawn(move || way.run(|| send(way, bytes / streams)))).collect();
        senders
            .into_iter()
            .try_for_each(|sender| sender.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

fn send(way: Way, bytes: usize) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&way.to(Service::Sink), PATIENCE).context("connecting")?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let chunk = vec![b'x'; CHUNK];
    let mut left = bytes;
    while left > 0 {
        let next = chunk.get(..left).unwrap_or(&chunk);
        stream.write_all(next).context("sending")?;
        left -= next.len();
    }
    stream.shutdown(std::net::Shutdown::Write).context("ending")?;
    let rest = stream.read(&mut [0]).context("waiting for the end")?;
    ensure!(rest == 0, "the application has answered");
    Ok(())
}
