//! Accepting captured connections: what comes out of an [`Acceptor`] has a checked original destination; what may not be
//! carried has been refused, counted and reset before.
//!
//! It never ends by itself. Beyond the capacity a client is reset at once. When the kernel has no descriptor left
//! nevertheless, a spare one is given up for as long as it takes to reset the client that waits, since one that is left in
//! the queue learns nothing; when that does not help either, the acceptor waits, longer each time.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use nix::errno::Errno;
use runtime::listen::QUEUE;
use tokio::net::{TcpListener, TcpStream};

use super::capacity::Capacity;
use super::leg::Leg;
use super::original_dst::{Network, OriginalDst, Refusal, Rules};
use crate::budget::Budget;
use crate::telemetry::{Acceptance, connections::Pair, metrics};

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// A connection that may be carried.
#[derive(Debug)]
pub struct Accepted {
    /// The client's side.
    pub client: Leg,
    /// The addresses of its socket, ours as the redirect left it.
    pub pair: Pair,
    /// Where it wanted to go.
    pub original_dst: OriginalDst,
}

/// What an acceptor decides by; shared by the listeners of one direction.
#[derive(Clone)]
pub struct Gate {
    /// Which destinations are refused.
    pub rules: Rules,
    /// Who knows the original destination.
    pub network: Arc<dyn Network>,
    /// How many are carried at once.
    pub capacity: Capacity,
    /// Whether there is memory for more.
    pub budget: Budget,
    /// Who counts.
    pub telemetry: Acceptance,
}

/// One listener.
pub struct Acceptor {
    listener: TcpListener,
    gate: Gate,
    pause: Duration,
    spare: Option<OwnedFd>,
}

impl Acceptor {
    /// Registers a listener of `net::listen` with the worker's runtime.
    pub fn new(listener: std::net::TcpListener, gate: Gate) -> io::Result<Self> {
        let spare = Some(listener.as_fd().try_clone_to_owned()?);
        Ok(Self { listener: TcpListener::from_std(listener)?, gate, pause: FIRST_PAUSE, spare })
    }

    /// The next connection that may be carried.
    ///
    /// A flood cannot starve the connections of the same worker: each accept takes from tokio's budget, and when that is
    /// spent (128 operations) the other tasks get their turn.
    pub async fn next(&mut self) -> Accepted {
        loop {
            match self.listener.accept().await {
                Ok((client, peer)) => {
                    self.pause = FIRST_PAUSE;
                    if let Some(accepted) = self.gate.admit(client, peer) {
                        return accepted;
                    }
                }
                Err(error) => self.survive(&error).await,
            }
        }
    }

    /// Closes the listener, after taking what had completed its handshake: those clients see an established connection,
    /// which closing the listener would reset.
    pub fn close(self) -> Vec<Accepted> {
        let Self { listener, gate, spare, .. } = self;
        // It is the same socket, which would go on listening.
        drop(spare);
        let Ok(listener) = listener.into_std() else { return Vec::new() };
        let next = || match listener.accept() {
            Ok(accepted) => Some(Some(accepted)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => {
                gate.telemetry.accept_failed(&error);
                concerns_one_connection(&error).then_some(None)
            }
        };
        // What can have been waiting.
        let backlog = std::iter::from_fn(next).take(QUEUE.into()).flatten();
        backlog.filter_map(|(client, peer)| gate.admit_std(client, peer)).collect()
    }

    async fn survive(&mut self, error: &io::Error) {
        self.gate.telemetry.accept_failed(error);
        if concerns_one_connection(error) || (is_shortage_of_descriptors(error) && self.turn_one_away().await)
        {
            return;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = longer(self.pause);
    }

    /// Resets the client that waits longest, by means of the spare descriptor.
    async fn turn_one_away(&mut self) -> bool {
        if self.spare.take().is_none() {
            self.spare = self.listener.as_fd().try_clone_to_owned().ok();
            return false;
        }
        // The kernel looks for a descriptor before it looks into the queue, which may be empty: whoever comes later is not
        // to be turned away.
        let waiting = poll_fn(|context| match self.listener.poll_accept(context) {
            Poll::Ready(accepted) => Poll::Ready(accepted.ok()),
            Poll::Pending => Poll::Ready(None),
        });
        let Some((client, peer)) = waiting.await else {
            self.spare = self.listener.as_fd().try_clone_to_owned().ok();
            return false;
        };
        self.gate.telemetry.refused(
            metrics::REFUSED_BY_DESCRIPTORS,
            peer,
            &"no descriptor is left; raise the limit of the container",
        );
        drop(client);
        self.spare = self.listener.as_fd().try_clone_to_owned().ok();
        true
    }
}

/// Why one that may be carried is turned away, as long as it lasts.
#[derive(Debug, thiserror::Error)]
enum Shortage {
    #[error("more than {0} connections at once")]
    Connections(u64),
    #[error("memory is short; raise the limit of the container")]
    Memory,
}

impl Shortage {
    /// The value of the label `reason`.
    fn reason(&self) -> &'static str {
        match self {
            Self::Connections(_) => metrics::REFUSED_BY_LIMIT,
            Self::Memory => metrics::REFUSED_BY_MEMORY,
        }
    }
}

impl Gate {
    fn admit(&self, client: TcpStream, peer: SocketAddr) -> Option<Accepted> {
        let found = OriginalDst::of(&client, &self.rules, self.network.as_ref());
        let (original_dst, local) = self.counted(found, peer)?;
        if self.is_short_for(original_dst, peer) {
            return None;
        }
        Some(Accepted { client: Leg::new(client), pair: Pair { local, remote: peer }, original_dst })
    }

    /// Where a connection goes that goes elsewhere than the client asked; nowhere, if the rules refuse it.
    pub(crate) fn reroute(&self, peer: SocketAddr, to: SocketAddr) -> Option<OriginalDst> {
        self.counted(OriginalDst::instead(to, &self.rules, self.network.as_ref()), peer)
    }

    /// The same for one that begins in this process, so that nobody has accepted it.
    pub(crate) fn admit_own(&self, peer: SocketAddr, to: SocketAddr) -> Option<OriginalDst> {
        self.reroute(peer, to).filter(|original_dst| !self.is_short_for(*original_dst, peer))
    }

    /// A connection from `peer` is refused, since a rule of the configuration says so.
    pub(crate) fn forbid(&self, peer: SocketAddr, rule: &str) {
        self.telemetry.refused("forbidden", peer, &format_args!("forbidden by {rule}"));
    }

    fn counted<T>(&self, judged: Result<T, Refusal>, peer: SocketAddr) -> Option<T> {
        judged.inspect_err(|refusal| self.telemetry.refused(refusal.reason(), peer, refusal)).ok()
    }

    fn is_short_for(&self, original_dst: OriginalDst, peer: SocketAddr) -> bool {
        let shortage = self.shortage_for(original_dst);
        if let Some(shortage) = &shortage {
            self.telemetry.refused(shortage.reason(), peer, shortage);
        }
        shortage.is_some()
    }

    /// The kubelet's probe is no load, and a full proxy is a working one.
    fn shortage_for(&self, original_dst: OriginalDst) -> Option<Shortage> {
        let direction = self.rules.direction;
        let (own, other) = self.telemetry.open();
        if original_dst.port() == api::ports::READINESS_CAPTURED {
            None
        } else if !self.capacity.admits(direction, (own, other), self.telemetry.further()) {
            Some(Shortage::Connections(self.capacity.of(direction)))
        } else {
            self.budget.is_short().then_some(Shortage::Memory)
        }
    }

    fn admit_std(&self, client: std::net::TcpStream, peer: SocketAddr) -> Option<Accepted> {
        client.set_nonblocking(true).ok()?;
        self.admit(TcpStream::from_std(client).ok()?, peer)
    }
}

/// accept(2) passes errors on that were pending on the new socket; the listener is well.
fn concerns_one_connection(error: &io::Error) -> bool {
    let Some(errno) = error.raw_os_error().map(Errno::from_raw) else { return false };
    matches!(
        errno,
        Errno::ECONNABORTED
            | Errno::EINTR
            | Errno::EPERM
            | Errno::EPROTO
            | Errno::ENETDOWN
            | Errno::ENETUNREACH
            | Errno::EHOSTDOWN
            | Errno::EHOSTUNREACH
            | Errno::ENONET
            | Errno::ETIMEDOUT
    )
}

fn is_shortage_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::EMFILE | Errno::ENFILE))
}

fn longer(pause: Duration) -> Duration {
    (pause * 2).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;

    use super::{
        Acceptor, Capacity, Errno, FIRST_PAUSE, Gate, LONGEST_PAUSE, Network, Rules, SocketAddr, TcpStream,
        concerns_one_connection, io, longer,
    };
    use crate::budget::Budget;
    use crate::direction::Direction;
    use crate::net::original_dst::Scope;
    use crate::telemetry::{Acceptance, metrics::Metrics, sockets::Whose};

    /// Every connection wanted to go to 192.0.2.1:80.
    struct Elsewhere;

    impl Network for Elsewhere {
        fn original_dst(&self, _: &TcpStream, _: SocketAddr) -> io::Result<Option<SocketAddr>> {
            Ok(Some(([192, 0, 2, 1], 80).into()))
        }

        fn scope(&self, _: IpAddr) -> Scope {
            Scope::Routable
        }

        fn is_own(&self, _: IpAddr) -> bool {
            false
        }

        fn addresses(&self) -> Vec<IpAddr> {
            Vec::new()
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn closing_hands_over_what_was_waiting() {
        let (acceptor, address) = acceptor();
        let clients: Vec<_> = (0..10).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
        let accepted = acceptor.close();
        assert_eq!(accepted.len(), clients.len());
        assert!(std::net::TcpStream::connect(address).is_err(), "the port is closed");
    }

    fn acceptor() -> (Acceptor, SocketAddr) {
        acceptor_with(20_000, Metrics::default())
    }

    fn acceptor_with(descriptors: u64, metrics: Metrics) -> (Acceptor, SocketAddr) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        // As every listener of ours: what it accepts is reset on close.
        crate::net::leg::configure(&listener).unwrap();
        listener.set_nonblocking(true).unwrap();
        let (address, direction) = (listener.local_addr().unwrap(), Direction::Outbound);
        let gate = Gate {
            rules: Rules { direction, listeners: Vec::new(), private: Vec::new() },
            network: Arc::new(Elsewhere),
            capacity: Capacity::new(&Default::default(), descriptors, None),
            budget: Budget::new(Default::default()),
            telemetry: Acceptance::new(direction, metrics),
        };
        (Acceptor::new(listener, gate).unwrap(), address)
    }

    #[tokio::test(flavor = "current_thread")]
    async fn without_descriptors_the_first_in_the_queue_is_reset_and_the_next_accepted() {
        use std::io::Read;
        let (mut acceptor, address) = acceptor();
        for errno in [Errno::EMFILE, Errno::ENFILE] {
            let mut first = std::net::TcpStream::connect(address).unwrap();
            let second = std::net::TcpStream::connect(address).unwrap();
            // The runtime learns that they are there.
            tokio::task::yield_now().await;
            acceptor.survive(&errno.into()).await;
            assert_eq!(first.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset, "{errno}");
            let accepted = acceptor.next().await;
            assert_eq!(accepted.pair.remote, second.local_addr().unwrap(), "{errno}");
            assert!(acceptor.spare.is_some(), "{errno}");
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn without_descriptors_and_without_a_queue_who_comes_later_is_accepted() {
        let (mut acceptor, address) = acceptor();
        let error = Errno::EMFILE.into();
        let survived = acceptor.survive(&error);
        tokio::time::timeout(std::time::Duration::from_secs(10), survived).await.expect("nobody is awaited");
        let later = std::net::TcpStream::connect(address).unwrap();
        assert_eq!(acceptor.next().await.pair.remote, later.local_addr().unwrap());
        assert!(acceptor.spare.is_some());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn further_sockets_to_servers_take_the_place_of_clients() {
        use std::io::Read;
        let metrics = Metrics::default();
        // Half of the eight are for two connections.
        let (mut acceptor, address) = acceptor_with(8, metrics.clone());
        let sockets = metrics.sockets();
        let mut counted: Vec<_> = (0..3).map(|_| sockets.further().one(Whose::Own)).collect();
        let mut refused = std::net::TcpStream::connect(address).unwrap();
        refused.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
        let next = std::thread::spawn(move || {
            let ended = refused.read(&mut [0]).unwrap_err().kind();
            counted.pop();
            (ended, std::net::TcpStream::connect(address).unwrap(), counted)
        });
        let accepted = acceptor.next().await;
        let (ended, next, _counted) = next.join().unwrap();
        assert_eq!(ended, io::ErrorKind::ConnectionReset);
        assert_eq!(accepted.pair.remote, next.local_addr().unwrap());
    }

    #[test]
    fn shortage_waits_and_a_lost_client_does_not() {
        for errno in [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM, Errno::EINVAL] {
            assert!(!concerns_one_connection(&io::Error::from(errno)), "{errno}");
        }
        for errno in [Errno::ECONNABORTED, Errno::EPROTO, Errno::ENETDOWN] {
            assert!(concerns_one_connection(&io::Error::from(errno)), "{errno}");
        }
    }

    #[test]
    fn pauses_grow_to_a_bound() {
        let mut pause = FIRST_PAUSE;
        for _ in 0..20 {
            let next = longer(pause);
            assert!(next >= pause && next <= LONGEST_PAUSE);
            pause = next;
        }
        assert_eq!(pause, LONGEST_PAUSE);
    }
}
