//! When a client's connection should end, though neither side has ended it.

use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::http::Http;
use crate::http::h1::GRACE;

type Signal = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is waited for. None of it is over once it is due.
pub(super) struct Timers {
    idle_timeout: Duration,
    head_timeout: Duration,
    retiring: Option<Signal>,
    closing: Option<Signal>,
    idle: Option<Pin<Box<Sleep>>>,
    head: Option<Pin<Box<Sleep>>>,
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
            idle: None,
            head: None,
        }
    }

    /// Of a connection that has no stream, or is within a head.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, is_idle: bool, is_within_head: bool) -> Due {
        Due {
            retires: is_over(&mut self.retiring, cx),
            closes: is_over(&mut self.closing, cx),
            is_idle: has_lasted(&mut self.idle, is_idle, self.idle_timeout, cx),
            is_late: has_lasted(&mut self.head, is_within_head, self.head_timeout, cx),
        }
    }
}

fn is_over(signal: &mut Option<Signal>, cx: &mut Context<'_>) -> bool {
    if signal.as_mut().is_some_and(|signal| signal.as_mut().poll(cx).is_ready()) {
        *signal = None;
    }
    signal.is_none()
}

/// Whether something that is so now has been so for that long.
fn has_lasted(
    since: &mut Option<Pin<Box<Sleep>>>,
    is_so: bool,
    limit: Duration,
    cx: &mut Context<'_>,
) -> bool {
    if !is_so {
        *since = None;
        return false;
    }
    let sleep = since.get_or_insert_with(|| Box::pin(sleep(limit)));
    let is_due = sleep.as_mut().poll(cx).is_ready();
    if is_due {
        // Whoever is told may still have something to do before it ends.
        sleep.as_mut().reset(Instant::now() + limit);
    }
    is_due
}
