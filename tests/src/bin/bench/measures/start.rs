//! The time from exec to the first answer through the rules and the proxy.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tests::netns::Netns;

use super::{Reading, Row};
use crate::client::Client;
use crate::pod::Pod;
use crate::way::{Direction, Way};

static FIRST: Row = Row::new("exec to first answer", "ms", 1).wanted("<= 10");

/// Nobody needs longer to start.
const LIMIT: Duration = Duration::from_secs(10);

/// Starts the pod's proxy, in place of the one that runs.
pub(super) fn measure(client: &Netns, pod: &mut Pod) -> Result<Vec<Reading>> {
    pod.start()?;
    let begun = Instant::now();
    let way = Way { client, pod, direction: Direction::Inbound, direct: false };
    way.run(|| first_answer(way, begun))?;
    Ok(vec![FIRST.reading(begun.elapsed().as_secs_f64() * 1e3)])
}

/// Tries again and again: until the proxy listens, the kernel refuses at once.
fn first_answer(way: Way, begun: Instant) -> Result<()> {
    let protocol = way.pod.program.first_protocol();
    loop {
        let answered = Client::connect(way, protocol).and_then(|mut client| client.exchange());
        match answered {
            Err(error) if begun.elapsed() > LIMIT => {
                return Err(error).with_context(|| format!("nothing is carried after {LIMIT:?}"));
            }
            Err(_) => way.pod.pid().map(drop)?,
            Ok(()) => return Ok(()),
        }
    }
}
