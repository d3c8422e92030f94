//! Connections to servers that wait for the next request of HTTP/1: those whose client has left, or has been sent to another
//! endpoint. A connection whose client may go on with it stays with that client, and is none of these.
//!
//! Each worker has its own ones. They are kept apart by who asked, too: what a peer has made a server believe about a connection,
//! no other peer's request runs into. Invariant: a connection is here between a whole response and the next request, and is
//! given away once. One on which the server has said something, its end most likely, is not given away; whether it has at this
//! moment nobody can know, so a request that must not be sent twice gets only one that was in use [a moment ago](FRESH).

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use runtime::shutdown::Shutdown;
use tokio::time::{Instant, sleep};

use crate::direction::Direction;
use crate::net::leg::Leg;
use crate::telemetry::Pooled;

/// Servers end connections that nobody uses, many of them after 2 to 5 s. Within this time none does.
const FRESH: Duration = Duration::from_secs(1);

/// How often it is looked for those that have ended, or waited for too long.
const SWEEP: Duration = Duration::from_secs(1);

thread_local! {
    /// The worker's, of each direction.
    static SHELVES: RefCell<[Shelf; 2]> = RefCell::default();
}

/// How many of `descriptors`, the limit of this process, a pool may have that is to have `size` connections.
pub(crate) fn affordable(size: u32, descriptors: u64) -> u32 {
    size.min(u32::try_from(descriptors / 16).unwrap_or(u32::MAX))
}

/// Which connections are kept; clones are the same pool.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Rules>);

struct Rules {
    direction: Direction,
    /// How many there are at most, of all workers.
    most: u32,
    /// How long they wait.
    idle_timeout: Duration,
    /// The proxy goes away.
    retiring: Shutdown,
    telemetry: Pooled,
}

/// Between whom a connection is one of several.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Key {
    pub(crate) server: SocketAddr,
    pub(crate) client: IpAddr,
}

/// A connection that waits.
pub(crate) struct Idle {
    pub(crate) leg: Leg,
    pub(crate) local: SocketAddr,
}

#[derive(Default)]
struct Shelf {
    /// The one that waits for longest is the first of its queue.
    waiting: HashMap<Key, VecDeque<(Instant, Idle)>>,
    is_swept: bool,
}

impl Pool {
    /// Empty.
    pub(crate) fn new(
        direction: Direction,
        (most, idle_timeout): (u32, Duration),
        retiring: Shutdown,
        telemetry: Pooled,
    ) -> Self {
        Self(Arc::new(Rules { direction, most, idle_timeout, retiring, telemetry }))
    }

    /// The one that was used last, if there is one for a request that may, or may not, be sent again.
    pub(crate) fn take(&self, key: Key, may_repeat: bool) -> Option<Idle> {
        self.on_shelf(|shelf| {
            let waiting = shelf.waiting.get_mut(&key)?;
            let idle = loop {
                let (since, idle) = waiting.pop_back()?;
                if !may_repeat && since.elapsed() >= FRESH {
                    waiting.push_back((since, idle));
                    return None;
                }
                self.0.telemetry.left();
                if idle.is_silent() && (may_repeat || idle.leg.has_nothing()) {
                    break idle;
                }
            };
            self.0.telemetry.taken();
            Some(idle)
        })
    }

    /// Keeps a connection, or ends it.
    pub(crate) fn put(&self, key: Key, idle: Idle) {
        let Rules { most, retiring, telemetry, .. } = self.0.as_ref();
        let has_begun = self.on_shelf(|shelf| {
            if telemetry.count() >= (*most).into() && !shelf.evict(telemetry) || retiring.is_requested() {
                idle.leg.finish();
                return false;
            }
            shelf.waiting.entry(key).or_default().push_back((Instant::now(), idle));
            telemetry.came();
            !std::mem::replace(&mut shelf.is_swept, true)
        });
        if has_begun {
            tokio::spawn(self.clone().sweep());
        }
    }

    /// Ends those that have waited for too long, until there is none.
    async fn sweep(self) {
        let Rules { idle_timeout, retiring, telemetry, .. } = self.0.as_ref();
        let mut retires = retiring.clone();
        loop {
            tokio::select! {
                () = retires.requested() => {}
                () = sleep(SWEEP.min(*idle_timeout)) => {}
            }
            let is_empty = self.on_shelf(|shelf| {
                shelf.retain(telemetry, |since, idle| {
                    idle.is_silent() && since.elapsed() < *idle_timeout && !retiring.is_requested()
                });
                shelf.is_swept = !shelf.waiting.is_empty();
                !shelf.is_swept
            });
            if is_empty {
                return;
            }
        }
    }

    fn on_shelf<T>(&self, look: impl FnOnce(&mut Shelf) -> T) -> T {
        SHELVES.with_borrow_mut(|[inbound, outbound]| match self.0.direction {
            Direction::Inbound => look(inbound),
            Direction::Outbound => look(outbound),
        })
    }
}

impl Shelf {
    /// Ends all others.
    fn retain(&mut self, telemetry: &Pooled, keep: impl Fn(Instant, &Idle) -> bool) {
        self.waiting.retain(|_, waiting| {
            for (since, idle) in std::mem::take(waiting) {
                if keep(since, &idle) {
                    waiting.push_back((since, idle));
                } else {
                    telemetry.left();
                    idle.leg.finish();
                }
            }
            !waiting.is_empty()
        });
    }

    /// Ends the one that waits for longest; false if this worker has none.
    fn evict(&mut self, telemetry: &Pooled) -> bool {
        let waiting = self.waiting.values_mut().filter(|waiting| !waiting.is_empty());
        let longest = waiting.min_by_key(|waiting| waiting.front().map(|(since, _)| *since));
        let Some((_, idle)) = longest.and_then(VecDeque::pop_front) else { return false };
        telemetry.left();
        telemetry.evicted();
        idle.leg.finish();
        true
    }
}

impl Idle {
    /// Whether the server has said nothing that is known of.
    fn is_silent(&self) -> bool {
        self.leg.poll_readable(&mut Context::from_waker(Waker::noop())).is_pending()
    }
}

#[cfg(test)]
mod tests {
    use super::{Direction, Duration, FRESH, Idle, Key, Leg, Pool, SWEEP, affordable};
    use crate::telemetry::metrics::Metrics;
    use runtime::shutdown;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::{advance, sleep};

    const IDLE: Duration = Duration::from_secs(30);
    const KEY: Key = Key {
        server: std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 80),
        client: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
    };

    fn pool(most: u32) -> (Pool, shutdown::Trigger) {
        let (trigger, retiring) = shutdown::channel();
        let pooled = Metrics::default().pooled(Direction::Outbound);
        (Pool::new(Direction::Outbound, (most, IDLE), retiring, pooled), trigger)
    }

    /// A connection, and its server.
    async fn connection() -> (Idle, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let leg = Leg::of(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap()).unwrap();
        let local = leg.stream().local_addr().unwrap();
        (Idle { leg, local }, listener.accept().await.unwrap().0)
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_was_used_last_is_taken_and_only_by_the_same_peer() {
        let (pool, _trigger) = pool(8);
        let ((first, _one), (second, _other)) = (connection().await, connection().await);
        let locals = [first.local, second.local];
        pool.put(KEY, first);
        pool.put(KEY, second);
        let other = Key { client: "10.0.0.1".parse().unwrap(), ..KEY };
        assert!(pool.take(other, true).is_none());
        let taken = || pool.take(KEY, true).map(|idle| idle.local);
        assert_eq!([taken(), taken(), taken()], [Some(locals[1]), Some(locals[0]), None]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_must_not_be_sent_twice_gets_a_fresh_one_or_none() {
        let (pool, _trigger) = pool(8);
        let (idle, _server) = connection().await;
        pool.put(KEY, idle);
        advance(FRESH).await;
        assert!(pool.take(KEY, false).is_none());
        let idle = pool.take(KEY, true).expect("it is still there");
        pool.put(KEY, idle);
        assert!(pool.take(KEY, false).is_some());
    }

    #[tokio::test]
    async fn one_on_which_something_was_said_is_given_to_nobody() {
        let (pool, _trigger) = pool(8);
        for may_repeat in [false, true] {
            let (idle, mut server) = connection().await;
            idle.leg.await_arrival();
            server.write_all(b"408").await.unwrap();
            idle.leg.stream().readable().await.unwrap();
            pool.put(KEY, idle);
            assert!(pool.take(KEY, may_repeat).is_none());
        }
        assert_eq!(pool.0.telemetry.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_too_long_is_sent_away_and_so_is_everybody_in_the_end() {
        let (pool, trigger) = pool(8);
        let (idle, _server) = connection().await;
        pool.put(KEY, idle);
        sleep(IDLE - SWEEP).await;
        assert_eq!(pool.0.telemetry.count(), 1);
        sleep(2 * SWEEP).await;
        assert_eq!(pool.0.telemetry.count(), 0);
        let (idle, _server) = connection().await;
        pool.put(KEY, idle);
        trigger.request();
        sleep(SWEEP / 2).await;
        assert_eq!(pool.0.telemetry.count(), 0);
        let (idle, _server) = connection().await;
        pool.put(KEY, idle);
        assert!(pool.take(KEY, true).is_none(), "nothing is kept any more");
    }

    #[tokio::test(start_paused = true)]
    async fn what_makes_room_is_what_waits_for_longest_and_not_what_has_left() {
        let (pool, _trigger) = pool(2);
        let key = |port| Key { server: std::net::SocketAddr::new(KEY.client, port), ..KEY };
        let mut servers = Vec::new();
        for port in 1..=4 {
            let (idle, server) = connection().await;
            servers.push(server);
            pool.put(key(port), idle);
            if port == 1 {
                assert!(pool.take(key(1), true).is_some());
            }
        }
        let there = [1, 2, 3, 4].map(|port| pool.take(key(port), true).is_some());
        assert_eq!(there, [false, false, true, true]);
    }

    #[test]
    fn few_descriptors_are_not_for_what_waits() {
        assert_eq!(
            [(128, 1024), (128, 1 << 20), (0, 1024), (9, 16)].map(|(size, all)| affordable(size, all)),
            [64, 128, 0, 1]
        );
    }
}
