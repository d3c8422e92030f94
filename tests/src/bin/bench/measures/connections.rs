//! New connections, each with one exchange, after which the client closes.

use anyhow::Result;

use super::{Amount, Reading, Row};
use crate::client::Client;
use crate::events::Events;
use crate::protocol::Protocol;
use crate::way::Way;

static CPU: Row = Row::new("new connection: CPU", "µs", 1).wanted("<= 0.60 of envoy");
static RATE: Row = Row::new("new connection: rate", "1/s", 0);

/// Within a minute there are no more than 28,000: the client's ports.
const COUNT: usize = 6_000;
/// At the same time.
const CONCURRENT: usize = 32;

pub(super) fn measure(way: Way, amount: Amount) -> Result<Vec<Reading>> {
    let count = amount.of(COUNT);
    way.run(|| connect(way, count / 10))?;
    let (cost, ()) = way.cost(|| connect(way, count))?;
    let cpu = cost.micros_each(count).map(|micros| CPU.reading(micros));
    Ok(cpu.into_iter().chain([RATE.reading(cost.rate(count))]).collect())
}

struct Visitor {
    client: Client,
    asked: bool,
}

impl Visitor {
    fn new(way: Way, events: &Events, number: usize) -> Result<Self> {
        let client = Client::connect_without_waiting(way, Protocol::Opaque)?;
        events.on_change(&client, number)?;
        Ok(Self { client, asked: false })
    }

    /// Whether it is done.
    fn proceed(&mut self) -> Result<bool> {
        if !self.asked {
            // The first change is that of having connected.
            self.asked = true;
            self.client.ask()?;
            return Ok(false);
        }
        self.client.answered()
    }
}

/// Returns when `count` connections were answered and closed.
fn connect(way: Way, count: usize) -> Result<()> {
    let mut events = Events::new()?;
    let mut visitors = Vec::with_capacity(CONCURRENT);
    for number in 0..CONCURRENT.min(count) {
        visitors.push(Some(Visitor::new(way, &events, number)?));
    }
    let (mut begun, mut done, mut ready) = (visitors.len(), 0, Vec::new());
    while done < count {
        events.wait_for_answers(&mut ready)?;
        for &number in &ready {
            let Some(slot) = visitors.get_mut(number) else { continue };
            let Some(visitor) = slot else { continue };
            if visitor.proceed()? {
                done += 1;
                *slot = None;
                if begun < count {
                    begun += 1;
                    *slot = Some(Visitor::new(way, &events, number)?);
                }
            }
        }
    }
    Ok(())
}
