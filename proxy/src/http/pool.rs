//! Connections to servers that wait for the next request of HTTP/1: those whose client has left, or has been sent to another
//! endpoint. A connection whose client may go on with it stays with that client, and is none of these.
//!
//! Each worker has its own ones, and outbound only: all that is asked over them is this pod's. To the application each client has
//! a connection of its own, as without the proxy, and it ends with the client's: a server with few workers would keep one of them
//! for somebody who may never come, and what one peer makes it believe about a connection would be answered to another.
//!
//! Invariant: a connection is here between a whole response and the next request, and is given away once. One on which the server
//! has said something, its end most likely, is not given away; whether it is about to nobody can know, so a request that must not
//! be sent twice gets only one that was in use [a moment ago](FRESH).

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use runtime::shutdown::Shutdown;
use tokio::time::{Instant, sleep};

use crate::net::leg::Leg;
use crate::telemetry::Pooled;

/// Servers end connections that nobody uses, many of them after 2 to 5 s. Within this time none does.
const FRESH: Duration = Duration::from_secs(1);

/// How often it is looked for those that have ended, or waited for too long.
const SWEEP: Duration = Duration::from_secs(1);

thread_local! {
    /// The worker's.
    static SHELF: RefCell<Shelf> = RefCell::default();
}

/// How many of `descriptors`, the limit of this process, a pool may have that is to have `size` connections.
pub(crate) fn affordable(size: u32, descriptors: u64) -> u32 {
    size.min(u32::try_from(descriptors / 16).unwrap_or(u32::MAX))
}

/// Which connections are kept; clones are the same pool.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Rules>);

struct Rules {
    /// How many there are at most, of all workers.
    most: u32,
    /// How long they wait.
    idle_timeout: Duration,
    /// The proxy goes away.
    retiring: Shutdown,
    telemetry: Pooled,
}

/// A connection that waits.
pub(crate) struct Idle {
    pub(crate) leg: Leg,
    pub(crate) local: SocketAddr,
    /// When the last response was whole.
    pub(crate) used: Instant,
}

#[derive(Default)]
struct Shelf {
    /// The one that was not used for longest is the first of its queue.
    waiting: HashMap<SocketAddr, VecDeque<Idle>>,
    is_swept: bool,
}

impl Pool {
    /// Empty.
    pub(crate) fn new((most, idle_timeout): (u32, Duration), retiring: Shutdown, telemetry: Pooled) -> Self {
        Self(Arc::new(Rules { most, idle_timeout, retiring, telemetry }))
    }

    /// Whether something may be kept.
    pub(crate) fn is_used(&self) -> bool {
        self.0.most > 0
    }

    /// The one that was used last, if there is one for a request that may, or may not, be sent again.
    pub(crate) fn take(&self, server: SocketAddr, may_repeat: bool) -> Option<Idle> {
        SHELF.with_borrow_mut(|shelf| {
            let waiting = shelf.waiting.get_mut(&server)?;
            let idle = loop {
                let idle = waiting.pop_back()?;
                if !may_repeat && idle.used.elapsed() >= FRESH {
                    waiting.push_back(idle);
                    return None;
                }
                self.0.telemetry.left();
                // By the kernel's own word: what was said before a request must not be taken for its response.
                if idle.leg.has_nothing() {
                    break idle;
                }
            };
            self.0.telemetry.taken();
            Some(idle)
        })
    }

    /// Keeps a connection, or ends it.
    pub(crate) fn put(&self, server: SocketAddr, idle: Idle) {
        let Rules { most, idle_timeout, retiring, telemetry } = self.0.as_ref();
        let has_begun = SHELF.with_borrow_mut(|shelf| {
            let is_old = idle.used.elapsed() >= *idle_timeout;
            let is_full = telemetry.count() >= (*most).into() && !shelf.evict(telemetry);
            if is_old || is_full || retiring.is_requested() {
                idle.leg.finish();
                return false;
            }
            let waiting = shelf.waiting.entry(server).or_default();
            let place =
                waiting.iter().rposition(|other| other.used <= idle.used).map_or(0, |place| place + 1);
            waiting.insert(place, idle);
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
            let is_empty = SHELF.with_borrow_mut(|shelf| {
                shelf.retain(telemetry, |idle| {
                    idle.is_silent() && idle.used.elapsed() < *idle_timeout && !retiring.is_requested()
                });
                shelf.is_swept = !shelf.waiting.is_empty();
                !shelf.is_swept
            });
            if is_empty {
                return;
            }
        }
    }
}

impl Shelf {
    /// Ends all others.
    fn retain(&mut self, telemetry: &Pooled, keep: impl Fn(&Idle) -> bool) {
        self.waiting.retain(|_, waiting| {
            for idle in std::mem::take(waiting) {
                if keep(&idle) {
                    waiting.push_back(idle);
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
        let longest = waiting.min_by_key(|waiting| waiting.front().map(|idle| idle.used));
        let Some(idle) = longest.and_then(VecDeque::pop_front) else { return false };
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
    use super::{Duration, FRESH, Idle, Instant, Leg, Pool, SWEEP, SocketAddr, affordable};
    use crate::telemetry::metrics::Metrics;
    use runtime::shutdown;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::{advance, sleep};

    const IDLE: Duration = Duration::from_secs(30);
    const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 80);

    fn pool(most: u32) -> (Pool, shutdown::Trigger) {
        let (trigger, retiring) = shutdown::channel();
        let pooled = Metrics::default().pooled();
        (Pool::new((most, IDLE), retiring, pooled), trigger)
    }

    /// A connection, and its server.
    async fn connection() -> (Idle, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let leg = Leg::of(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap()).unwrap();
        let local = leg.stream().local_addr().unwrap();
        (Idle { leg, local, used: Instant::now() }, listener.accept().await.unwrap().0)
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_was_used_last_is_taken_whichever_came_last() {
        let (pool, _trigger) = pool(8);
        let ((first, _one), (second, _other)) = (connection().await, connection().await);
        let locals = [first.local, second.local];
        pool.put(SERVER, Idle { used: first.used + FRESH, ..first });
        pool.put(SERVER, second);
        let locals = [locals[1], locals[0]];
        let taken = || pool.take(SERVER, true).map(|idle| idle.local);
        assert_eq!([taken(), taken(), taken()], [Some(locals[1]), Some(locals[0]), None]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_must_not_be_sent_twice_gets_a_fresh_one_or_none() {
        let (pool, _trigger) = pool(8);
        let (idle, _server) = connection().await;
        pool.put(SERVER, idle);
        advance(FRESH).await;
        assert!(pool.take(SERVER, false).is_none());
        let idle = pool.take(SERVER, true).expect("it is still there");
        // That it has come anew makes it no fresher.
        pool.put(SERVER, Idle { ..idle });
        assert!(pool.take(SERVER, false).is_none());
        let idle = pool.take(SERVER, true).expect("it is still there");
        pool.put(SERVER, Idle { used: Instant::now(), ..idle });
        assert!(pool.take(SERVER, false).is_some());
    }

    #[tokio::test]
    async fn one_on_which_something_was_said_is_given_to_nobody() {
        let (pool, _trigger) = pool(8);
        for may_repeat in [false, true] {
            let (idle, mut server) = connection().await;
            idle.leg.await_arrival();
            server.write_all(b"408").await.unwrap();
            idle.leg.stream().readable().await.unwrap();
            pool.put(SERVER, idle);
            assert!(pool.take(SERVER, may_repeat).is_none());
        }
        assert_eq!(pool.0.telemetry.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_too_long_is_sent_away_and_so_is_everybody_in_the_end() {
        let (pool, trigger) = pool(8);
        let (idle, _server) = connection().await;
        pool.put(SERVER, idle);
        sleep(IDLE - SWEEP).await;
        assert_eq!(pool.0.telemetry.count(), 1);
        sleep(2 * SWEEP).await;
        assert_eq!(pool.0.telemetry.count(), 0);
        let (idle, _server) = connection().await;
        pool.put(SERVER, idle);
        trigger.request();
        sleep(SWEEP / 2).await;
        assert_eq!(pool.0.telemetry.count(), 0);
        let (idle, _server) = connection().await;
        pool.put(SERVER, idle);
        assert!(pool.take(SERVER, true).is_none(), "nothing is kept any more");
    }

    #[tokio::test(start_paused = true)]
    async fn what_makes_room_is_what_waits_for_longest_and_not_what_has_left() {
        let (pool, _trigger) = pool(2);
        let key = |port| SocketAddr::new(SERVER.ip(), port);
        let mut servers = Vec::new();
        for port in 1..=4 {
            let (idle, server) = connection().await;
            servers.push(server);
            advance(SWEEP / 10).await;
            pool.put(key(port), Idle { used: Instant::now(), ..idle });
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
