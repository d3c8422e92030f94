//! When a client's connection should end, though neither side has ended it.

use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::http::GRACE;
use crate::http::Http;

type Signal = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is waited for. None of it is over once it is due.
pub(super) struct Timers {
    idle_timeout: Duration,
    head_timeout: Duration,
    retiring: Option<Signal>,
    closing: Option<Signal>,
    idle: Lasting,
    head: Lasting,
}

/// What is due.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Due {
    /// The proxy goes away, and clients should go elsewhere.
    pub(super) retires: bool,
    /// Its listeners have closed, and whoever has nothing to ask had time to.
    pub(super) closes: bool,
    /// There was no stream for too long.
    pub(super) is_idle: bool,
    /// A head has begun and did not end in time.
    pub(super) is_late: bool,
}

impl Timers {
    /// Of a connection that begins.
    pub(super) fn new(http: &Http) -> Self {
        let (mut retiring, mut closing) = (http.retiring.clone(), http.closing.clone());
        Self {
            idle_timeout: http.settings.http_idle_timeout,
            head_timeout: http.settings.http_head_timeout,
            retiring: Some(Box::pin(async move { retiring.requested().await })),
            closing: Some(Box::pin(async move {
                closing.requested().await;
                sleep(GRACE).await;
            })),
            idle: Lasting::default(),
            head: Lasting::default(),
        }
    }

    /// Of a connection that has no stream, or is within a head.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, is_idle: bool, is_within_head: bool) -> Due {
        Due {
            retires: is_over(&mut self.retiring, cx),
            closes: is_over(&mut self.closing, cx),
            is_idle: self.idle.poll(is_idle, self.idle_timeout, cx),
            is_late: self.head.poll(is_within_head, self.head_timeout, cx),
        }
    }
}

fn is_over(signal: &mut Option<Signal>, cx: &mut Context<'_>) -> bool {
    if signal.as_mut().is_some_and(|signal| signal.as_mut().poll(cx).is_ready()) {
        *signal = None;
    }
    signal.is_none()
}

/// Since when something is so. What is so only for moments costs no timer each time: the sleep is kept, and looks at the time
/// when it is over.
#[derive(Default)]
pub(super) struct Lasting {
    since: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Lasting {
    /// It is so since now, if it is.
    pub(super) fn restart(&mut self) {
        self.since = None;
    }

    /// Whether something that is so now has been so for that long.
    pub(super) fn poll(&mut self, is_so: bool, limit: Duration, cx: &mut Context<'_>) -> bool {
        if !is_so {
            self.since = None;
            return false;
        }
        let due = *self.since.get_or_insert_with(Instant::now) + limit;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if sleep.deadline() > due {
            sleep.as_mut().reset(due);
        }
        while sleep.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if now >= due {
                // Whoever is told may still have something to do before it ends.
                self.since = Some(now);
                sleep.as_mut().reset(now + limit);
                return true;
            }
            sleep.as_mut().reset(due);
        }
        false
    }
}
