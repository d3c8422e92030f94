//! Connections whose peer is no longer there while bytes are on the way to it: found by a look at all sockets every few
//! seconds, on the main thread, and given up.
//!
//! The kernel's own means do not do: keep-alive is only for idle connections, retransmission gives up after a quarter of an
//! hour, and TCP_USER_TIMEOUT cuts a live peer that answers window probes and does not read. So a peer is dead when
//! something that it should acknowledge was sent again and again and it has said nothing at all for the limit. Invariant: whoever
//! answers, with whatever, is alive.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use runtime::duration;
use tokio::time::{MissedTickBehavior, interval};

use super::diag::{self, DiagError, Sighting};
use crate::telemetry::connections::{Connections, Pair, Side};
use crate::telemetry::metrics::Metrics;

/// The longest time between two looks.
const INTERVAL: Duration = Duration::from_secs(5);

/// Looks within the limit, at least: a suspicion has to be confirmed by a later look.
const LOOKS: u32 = 4;

/// Unanswered questions about a closed window that are no accident.
const PROBES: u8 = 3;

/// When a peer counts as dead.
#[derive(clap::Args, Clone, Copy, Debug)]
#[group(skip)]
pub struct Settings {
    /// How long a peer may be silent while data is on the way to it, before the connection is reset; 0s for as long as the
    /// kernel allows
    #[arg(long, env = "REMORA_DEAD_PEER_TIMEOUT", default_value = "20s", value_name = "DURATION",
          value_parser = parse_limit)]
    pub dead_peer_timeout: Duration,
}

fn parse_limit(text: &str) -> Result<Duration, String> {
    match duration::within(Duration::ZERO..=duration::DAY)(text)? {
        limit if limit.is_zero() || limit >= Duration::from_secs(1) => Ok(limit),
        _ => Err("must be 0s or at least 1s".to_owned()),
    }
}

/// Gives up connections with dead peers for as long as it is polled.
pub async fn sweep(settings: Settings, connections: Connections, metrics: Metrics) {
    let limit = settings.dead_peer_timeout;
    if limit.is_zero() {
        return std::future::pending().await;
    }
    let mut suspects = Suspects::new(limit);
    let mut looks = interval(suspects.interval());
    // After a pause of the whole process the looks must not come all at once, which would confirm nothing.
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut blind = false;
    loop {
        looks.tick().await;
        if connections.is_empty() {
            continue;
        }
        let looked = look(&mut suspects, &connections, &metrics).await;
        metrics.swept(looked.is_ok());
        let was_blind = std::mem::replace(&mut blind, looked.is_err());
        if let Err(error) = looked
            && !was_blind
        {
            tracing::warn!(%error, "dead peers are not noticed before the kernel does");
        }
    }
}

async fn look(
    suspects: &mut Suspects,
    connections: &Connections,
    metrics: &Metrics,
) -> Result<(), DiagError> {
    let (now, mut seen) = (Instant::now(), Vec::new());
    let listed = diag::each_socket(|sighting| {
        if suspects.is_suspicious(&sighting) {
            seen.push(sighting);
        }
    })
    .await;
    // A list that broke off is true as far as it goes.
    let dead = suspects.judge(now, &seen);
    if !dead.is_empty() {
        give_up(&dead, connections, metrics);
    }
    listed
}

fn give_up(dead: &HashMap<Pair, Duration>, connections: &Connections, metrics: &Metrics) {
    let silent = |pair| dead.get(&without_scope(pair)).copied();
    for connection in connections.all() {
        if let Some(side) = connection.give_up(silent) {
            metrics.peer_died(connection.direction, side);
            tracing::debug!(id = connection.id(), side = side.name(), "given up: its peer is silent");
        }
    }
    for direction in connections.give_up_links(silent) {
        metrics.peer_died(direction, Side::Server);
        tracing::debug!(%direction, "a server that several requests were sent to is given up: it is silent");
    }
}

/// As the kernel lists it: the scope of a link-local address is a property of the socket there.
fn without_scope(pair: Pair) -> Pair {
    let bare = |address: SocketAddr| SocketAddr::new(address.ip(), address.port());
    Pair { local: bare(pair.local), remote: bare(pair.remote) }
}

/// Sockets whose peer did not answer, and since which look.
#[derive(Debug)]
struct Suspects {
    limit: Duration,
    since: HashMap<Pair, Instant>,
}

impl Suspects {
    fn new(limit: Duration) -> Self {
        Self { limit, since: HashMap::new() }
    }

    fn interval(&self) -> Duration {
        INTERVAL.min(self.limit / LOOKS)
    }

    /// Whether the peer owes an answer, and for longer than any answer takes.
    ///
    /// It was asked after it had last been heard: either data was sent since, or the timer that sends again (which also
    /// covers a FIN) must have fired since. Only then does silence mean something, since the kernel asks ever more rarely.
    /// Behind a closed window nothing is unacknowledged, and probes ask; a single one may be lost.
    fn is_suspicious(&self, sighting: &Sighting) -> bool {
        let Sighting { unacked, probes, last_ack, last_sent, rto, .. } = *sighting;
        let owes_data = unacked > 0 && (last_sent < last_ack || rto < last_ack);
        (owes_data || probes >= PROBES) && last_ack >= self.interval()
    }

    /// Which of the suspicious sockets that were seen `now` have a dead peer, and for how long it has been silent.
    ///
    /// A live peer may just now be answering a question that came late. So it must have been suspicious at an earlier look
    /// already, and not have been heard since then.
    fn judge(&mut self, now: Instant, suspicious: &[Sighting]) -> HashMap<Pair, Duration> {
        let (before, mut dead) = (std::mem::take(&mut self.since), HashMap::new());
        for Sighting { pair, last_ack, .. } in suspicious {
            let silent_since = now.checked_sub(*last_ack);
            let confirmed =
                before.get(pair).filter(|first| silent_since.is_none_or(|silent| silent <= **first));
            if confirmed.is_some() && *last_ack >= self.limit {
                dead.insert(*pair, *last_ack);
            }
            self.since.insert(*pair, confirmed.copied().unwrap_or(now));
        }
        dead
    }
}

#[cfg(test)]
mod tests;
