//! Connecting to an original destination: time limit, source address, and what went wrong in words that the log knows.
//!
//! It takes nothing but an [`OriginalDst`], so it cannot be made to dial something that was not checked.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use api::pod::INBOUND_SOURCES;
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use runtime::duration;
use tokio::net::TcpSocket;

use super::leg::{self, Leg};
use super::original_dst::OriginalDst;
use crate::direction::Direction;
use crate::telemetry::metrics::Metrics;

/// How upstream connections are made.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// How long a connection attempt may take before the client is reset
    #[arg(long, env = "REMORA_CONNECT_TIMEOUT", default_value = "10s", value_name = "DURATION",
          value_parser = duration::parse)]
    pub connect_timeout: Duration,

    /// The same for connections to the application, where that is another
    #[arg(long, env = api::env::INBOUND_CONNECT_TIMEOUT, value_name = "DURATION", value_parser = duration::parse)]
    pub inbound_connect_timeout: Option<Duration>,

    /// The same for connections to others, where that is another
    #[arg(long, env = api::env::OUTBOUND_CONNECT_TIMEOUT, value_name = "DURATION", value_parser = duration::parse)]
    pub outbound_connect_timeout: Option<Duration>,

    /// Endpoints of a Service that are tried for one connection, as long as none could be connected
    #[arg(long, env = "REMORA_CONNECT_ATTEMPTS", default_value_t = 3, value_name = "NUMBER",
          value_parser = clap::value_parser!(u8).range(1..=10))]
    pub connect_attempts: u8,
}

/// Why a connection was not made. The client sees a reset in each case, since its own handshake is over already.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Nobody listens.
    #[error("connection refused")]
    Refused,
    /// No answer within the time limit.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The network says that there is no way.
    #[error("unreachable: {0}")]
    Unreachable(io::Error),
    /// Every source address has used up its ports towards this destination.
    #[error("no source port is left for this destination")]
    NoSourcePort,
    /// This process or machine has no descriptors or memory left.
    #[error("short of descriptors or memory: {0}")]
    Exhausted(io::Error),
    /// Anything else.
    #[error("{0}")]
    Other(io::Error),
}

impl DialError {
    /// Whether the fault is this process's or machine's, so that another destination would not help.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self, Self::Exhausted(_))
    }
}

/// Makes upstream connections.
#[derive(Clone)]
pub struct Dialer {
    inbound_timeout: Duration,
    outbound_timeout: Duration,
    attempts: usize,
    sources: Arc<Sources>,
    metrics: Metrics,
}

impl Dialer {
    /// Finds out which source addresses the machine has.
    pub fn new(settings: &Settings, metrics: Metrics) -> Self {
        let or_common = |timeout: Option<Duration>| timeout.unwrap_or(settings.connect_timeout);
        Self {
            inbound_timeout: or_common(settings.inbound_connect_timeout),
            outbound_timeout: or_common(settings.outbound_connect_timeout),
            attempts: settings.connect_attempts.into(),
            sources: Arc::new(Sources::available()),
            metrics,
        }
    }

    /// How many destinations are tried for one connection.
    pub(crate) fn attempts(&self) -> usize {
        self.attempts
    }

    /// To another pod or host, from the address that the kernel chooses.
    pub async fn to_destination(&self, to: OriginalDst) -> Result<Leg, DialError> {
        self.within(Direction::Outbound, self.outbound_timeout, connect(leg::configure, None, to.address()))
            .await
    }

    /// To the pod's own application, from a source address that servers do not take for a local administrator.
    pub async fn to_application(&self, to: OriginalDst) -> Result<Leg, DialError> {
        self.within(Direction::Inbound, self.inbound_timeout, self.connect_from_sources(to.address())).await
    }

    async fn within(
        &self,
        direction: Direction,
        limit: Duration,
        attempt: impl Future<Output = io::Result<Leg>>,
    ) -> Result<Leg, DialError> {
        match tokio::time::timeout(limit, attempt).await {
            Ok(result) => result.map_err(DialError::from),
            Err(_) => {
                self.metrics.connect_timed_out(direction);
                Err(DialError::TimedOut(limit))
            }
        }
    }

    async fn connect_from_sources(&self, to: SocketAddr) -> io::Result<Leg> {
        let sources = self.sources.towards(to.ip());
        let (first, mut turn) = (sources.first(), 0);
        while let Some((number, source)) = sources.in_turn(first, turn) {
            turn += 1;
            match connect(leg::configure_local, Some(source), to).await {
                // All ports of this source towards `to` are taken (open or in TIME_WAIT).
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                    self.metrics.source_exhausted();
                    sources.leave(number);
                }
                other => return other,
            }
        }
        // The destination is one of the pod's own addresses, and that is what the kernel takes as source then; never
        // 127.0.0.1 or ::1, since those are refused as destinations.
        let leg = connect(leg::configure_local, None, to).await?;
        // The kernel may have taken the destination's port too, and joins a socket to itself then: nobody listens there.
        if leg.stream().local_addr()? == to {
            return Err(Errno::ECONNREFUSED.into());
        }
        Ok(leg)
    }
}

impl From<io::Error> for DialError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ECONNREFUSED) => Self::Refused,
            Some(Errno::EADDRNOTAVAIL | Errno::EADDRINUSE) => Self::NoSourcePort,
            Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM) => Self::Exhausted(error),
            Some(
                Errno::EHOSTUNREACH
                | Errno::ENETUNREACH
                | Errno::ETIMEDOUT
                | Errno::EHOSTDOWN
                | Errno::ENETDOWN
                | Errno::EACCES
                | Errno::EPERM,
            ) => Self::Unreachable(error),
            _ => Self::Other(error),
        }
    }
}

/// Source addresses for connections to the application.
///
/// 127.0.0.6 is what Istio uses, so servers and firewalls know it; the following ones multiply the ports. `init-redirect`
/// puts `::6` to `::f` on lo where it can.
#[derive(Debug)]
struct Sources {
    v4: Family,
    v6: Family,
}

/// Those of one family.
#[derive(Debug)]
struct Family {
    addresses: Vec<IpAddr>,
    /// The one that is tried first. It moves on when it is exhausted, and comes back after the last: each connection would
    /// otherwise try those again that have had no port left for some connections before it.
    first: AtomicUsize,
}

impl Sources {
    fn available() -> Self {
        let v4 = INBOUND_SOURCES.map(|last| Ipv4Addr::new(127, 0, 0, last).into());
        let v6 = INBOUND_SOURCES.map(|last| Ipv6Addr::from(u128::from(last)).into());
        Self { v4: Family::available(v4), v6: Family::available(v6) }
    }

    fn towards(&self, to: IpAddr) -> &Family {
        if to.is_ipv4() { &self.v4 } else { &self.v6 }
    }
}

impl Family {
    fn available(addresses: impl Iterator<Item = IpAddr>) -> Self {
        let usable = |ip: &IpAddr| std::net::UdpSocket::bind((*ip, 0)).is_ok();
        Self { addresses: addresses.filter(usable).collect(), first: AtomicUsize::new(0) }
    }

    /// The one that is tried in this turn, with its number, beginning with `first`; every one has had its turn before
    /// there is none. (An iterator would be a hundred bytes of every connection.)
    fn in_turn(&self, first: usize, turn: usize) -> Option<(usize, IpAddr)> {
        let count = self.addresses.len();
        let number = (first + turn).checked_rem(count).filter(|_| turn < count)?;
        Some((number, *self.addresses.get(number)?))
    }

    fn first(&self) -> usize {
        self.first.load(Ordering::Relaxed)
    }

    /// The next connection begins with the one after this.
    fn leave(&self, number: usize) {
        self.first.store((number + 1) % self.addresses.len().max(1), Ordering::Relaxed);
    }
}

async fn connect(
    configure: fn(&TcpSocket) -> io::Result<()>,
    source: Option<IpAddr>,
    to: SocketAddr,
) -> io::Result<Leg> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    configure(&socket)?;
    if let Some(source) = source {
        // Without this, bind would reserve a port for all destinations at once, and run out 28,000 connections later.
        setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
        socket.bind(SocketAddr::new(source, 0))?;
    }
    socket.connect(to).await.map(Leg::new)
}

#[cfg(test)]
mod tests {
    use super::{DialError, Dialer, Direction, Duration, Errno, IpAddr, Metrics, Settings, Sources, io};

    #[test]
    fn loopback_itself_is_never_a_source() {
        let sources = Sources::available();
        for source in sources.v4.addresses.iter().chain(&sources.v6.addresses) {
            assert!(![IpAddr::from([127, 0, 0, 1]), "::1".parse().unwrap()].contains(source), "{source}");
        }
        assert_eq!(sources.v4.in_turn(0, 0), Some((0, IpAddr::from([127, 0, 0, 6]))), "usable on lo");
    }

    #[test]
    fn an_exhausted_source_is_tried_last_and_all_are_tried_once() {
        let family = Sources::available().v4;
        let order = || {
            let turns = (0..).map_while(|turn| family.in_turn(family.first(), turn));
            turns.map(|(number, _)| number).collect::<Vec<_>>()
        };
        let all = order();
        for exhausted in all.iter().chain(&all) {
            assert_eq!(order().first(), Some(exhausted));
            family.leave(*exhausted);
            assert_eq!(order().last(), Some(exhausted));
            assert_eq!(order().len(), all.len());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_takes_too_long_is_counted() {
        let limit = Duration::from_secs(3);
        let settings = Settings {
            connect_timeout: limit,
            inbound_connect_timeout: None,
            outbound_connect_timeout: None,
            connect_attempts: 1,
        };
        let (metrics, registry) = (Metrics::default(), runtime::metrics::Metrics::default());
        metrics.register(&registry);
        let dialer = Dialer::new(&settings, metrics);
        let dialed = dialer.within(Direction::Outbound, limit, std::future::pending()).await;
        assert!(matches!(dialed, Err(DialError::TimedOut(after)) if after == limit));
        let text = registry.text();
        assert!(text.contains("remora_connect_timeouts_total{direction=\"outbound\"} 1\n"), "{text}");
    }

    #[test]
    fn errors_are_sorted() {
        let sorted = |errno: Errno| DialError::from(io::Error::from(errno));
        assert!(matches!(sorted(Errno::ECONNREFUSED), DialError::Refused));
        assert!(matches!(sorted(Errno::EHOSTUNREACH), DialError::Unreachable(_)));
        assert!(matches!(sorted(Errno::EADDRNOTAVAIL), DialError::NoSourcePort));
        assert!(matches!(sorted(Errno::EMFILE), DialError::Exhausted(_)));
        assert!(matches!(sorted(Errno::EINVAL), DialError::Other(_)));
    }
}
