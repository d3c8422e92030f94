//! The drain, driven: events and time go into the state machine, and what it says is done to the listeners.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use runtime::readiness::Condition;
use runtime::shutdown::{self, Shutdown, Trigger};
use tokio::sync::{Notify, mpsc, oneshot};

use crate::direction::Direction;
use crate::drain::{Doors, Drain, Exit, Load};
use crate::http::pool::Pool;
use crate::http::{self, Http};
use crate::net::capacity::Room;
use crate::telemetry::metrics::Metrics;
use crate::trace::Tracer;

/// What happens to the proxy from outside.
#[derive(Debug)]
pub enum Event {
    /// `proxy drain`; the sender is told when the drain has begun.
    Drain(oneshot::Sender<()>),
    /// A termination signal, by name.
    Terminate(&'static str),
}

/// The doors of both directions, and the number of listeners behind each.
pub(super) struct Closing {
    inbound: Door,
    outbound: Door,
    /// Notified when a connection, or one to a server, has ended or a listener has closed.
    ended: Arc<Notify>,
}

struct Door {
    trigger: Trigger,
    closing: Shutdown,
    /// Before it closes, clients are asked to go elsewhere.
    retire: Trigger,
    retiring: Shutdown,
    listeners: Arc<AtomicUsize>,
}

/// What carries HTTP in both directions.
pub(super) struct Carries<'a> {
    pub(super) settings: http::Settings,
    pub(super) tracer: Tracer,
    /// Connections that are kept at most.
    pub(super) pooled: u32,
    pub(super) room: Room,
    pub(super) metrics: &'a Metrics,
}

/// Counts a listener for as long as it accepts.
pub(super) struct Accepting {
    listeners: Arc<AtomicUsize>,
    ended: Arc<Notify>,
}

impl Closing {
    pub(super) fn new(ended: Arc<Notify>) -> Self {
        let door = || {
            let ((trigger, closing), (retire, retiring)) = (shutdown::channel(), shutdown::channel());
            Door { trigger, closing, retire, retiring, listeners: Arc::default() }
        };
        Self { inbound: door(), outbound: door(), ended }
    }

    /// For one more listener: its count, and how it hears that it has to close.
    pub(super) fn accepting(&self, direction: Direction) -> (Accepting, Shutdown) {
        let door = self.door(direction);
        door.listeners.fetch_add(1, Ordering::SeqCst);
        let accepting = Accepting { listeners: Arc::clone(&door.listeners), ended: Arc::clone(&self.ended) };
        (accepting, door.closing.clone())
    }

    /// What carries HTTP of this direction.
    pub(super) fn http(&self, direction: Direction, carries: Carries<'_>) -> Http {
        let Door { retiring, closing, .. } = self.door(direction);
        let (retiring, closing) = (retiring.clone(), closing.clone());
        let Carries { settings, tracer, pooled, room, metrics } = carries;
        let pooled = if direction == Direction::Outbound { pooled } else { 0 };
        let bounds = (pooled, settings.http_pool_idle_timeout);
        let pool = Pool::new(bounds, retiring.clone(), metrics.pooled());
        Http { settings, tracer, retiring, closing, pool, room }
    }

    fn door(&self, direction: Direction) -> &Door {
        match direction {
            Direction::Inbound => &self.inbound,
            Direction::Outbound => &self.outbound,
        }
    }

    /// Listeners that were told to close and have not finished.
    fn closing(&self) -> usize {
        [&self.inbound, &self.outbound]
            .into_iter()
            .filter(|door| door.closing.is_requested())
            .map(|door| door.listeners.load(Ordering::SeqCst))
            .sum()
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.listeners.fetch_sub(1, Ordering::SeqCst);
        self.ended.notify_one();
    }
}

/// Everything that the drain moves.
pub(super) struct Lifecycle {
    pub(super) drain: Drain,
    pub(super) closing: Closing,
    pub(super) metrics: Metrics,
    pub(super) accepting: Condition,
}

impl Lifecycle {
    /// Returns when the process should end.
    pub(super) async fn run(mut self, mut events: mpsc::Receiver<Event>) -> Exit {
        loop {
            let now = Instant::now();
            self.apply(self.drain.doors(now));
            let load = self.load();
            if let Some(exit) = self.drain.exit(now, load) {
                return exit;
            }
            if self.drain.has_carried_all(now, load) {
                self.apply(Doors { inbound: false, outbound: false });
            }
            let wake = self.drain.wake(now);
            tokio::select! {
                Some(event) = events.recv() => self.on(event),
                () = sleep_until(wake) => {}
                () = self.closing.ended.notified(), if self.drain.is_terminating() => {}
            }
        }
    }

    fn on(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Drain(begun) => {
                self.drain.begin(now);
                self.apply(self.drain.doors(now));
                tracing::info!(
                    "inbound drain has begun; inbound connections are still accepted for the delay"
                );
                // Nobody waits any more when the client of the control socket has gone.
                let _ = begun.send(());
            }
            Event::Terminate(signal) => {
                self.drain.terminate(now);
                tracing::info!(signal, connections = self.load().seen(), "ending");
            }
        }
    }

    /// Readiness goes with the inbound listeners and not before: Kubernetes takes a terminating pod out of its endpoints
    /// by itself, and a probe that fails earlier would only say so of a proxy that still works.
    fn apply(&self, doors: Doors) {
        for (direction, door, open) in [
            (Direction::Inbound, &self.closing.inbound, doors.inbound),
            (Direction::Outbound, &self.closing.outbound, doors.outbound),
        ] {
            // It never opens again.
            let open = open && !door.closing.is_requested();
            self.metrics.draining(direction, !open);
            let retires = !open || (direction == Direction::Inbound && self.drain.has_begun());
            if retires && !door.retiring.is_requested() {
                door.retire.request();
            }
            if !open && !door.closing.is_requested() {
                door.trigger.request();
                tracing::info!(%direction, "listeners close");
                if direction == Direction::Inbound {
                    self.accepting.fails("draining");
                }
            }
        }
    }

    fn load(&self) -> Load {
        // Listeners first: one that closes meanwhile has opened the accounts of its backlog before. Then who may connect to a
        // server meanwhile.
        let closing = self.closing.closing();
        let sum = |open: &dyn Fn(Direction) -> i64| {
            u64::try_from(Direction::BOTH.into_iter().map(open).sum::<i64>()).unwrap_or(0)
        };
        let connections = sum(&|direction| self.metrics.open(direction));
        let links = sum(&|direction| self.metrics.links(direction));
        let self_calls = u64::try_from(self.metrics.self_calls.get()).unwrap_or(0);
        Load { connections, self_calls, closing, links }
    }
}

async fn sleep_until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
