//! Whether a peer that is silent while streams are open is still there: it is asked by a PING.
//!
//! TCP's keep-alive finds machines that are gone, and soon; a process that hangs, or whose machine only forwards, keeps its kernel's
//! answers. Whatever a peer sends shows that it is there, so that one whose streams flow is never asked.

use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use ::h2::{Ping, PingPong};

use super::Settings;
use super::metered::Seen;
use super::timers::Lasting;

/// One peer.
pub(super) struct Alive {
    seen: Arc<Seen>,
    received: u64,
    interval: Duration,
    timeout: Duration,
    silence: Lasting,
    /// Since it was first asked.
    pings: Option<PingPong>,
    is_asked: bool,
}

impl Alive {
    /// Of which so much has been seen.
    pub(super) fn new(seen: Arc<Seen>, settings: &Settings) -> Self {
        let (interval, timeout) = (settings.http2_ping_interval, settings.http2_ping_timeout);
        let silence = Lasting::default();
        Self { seen, received: 0, interval, timeout, silence, pings: None, is_asked: false }
    }

    /// Whether the peer is not there any more. `pings` is how it is asked, once.
    pub(super) fn is_over(
        &mut self,
        cx: &mut Context<'_>,
        has_streams: bool,
        pings: impl FnOnce() -> Option<PingPong>,
    ) -> bool {
        let received = self.seen.received();
        if std::mem::replace(&mut self.received, received) != received || !has_streams {
            self.silence.restart();
            self.is_asked = false;
        }
        let limit = if self.is_asked { self.timeout } else { self.interval };
        if !self.silence.poll(has_streams, limit, cx) {
            return false;
        }
        if self.is_asked {
            return true;
        }
        if self.pings.is_none() {
            self.pings = pings();
        }
        if let Some(pings) = &mut self.pings {
            // An answer has been seen; it is taken, so that another one can be asked for. One that is on its way is as good.
            let _ = pings.poll_pong(cx);
            let _ = pings.send_ping(Ping::opaque());
            // h2 does not know yet whom to wake for this.
            cx.waker().wake_by_ref();
            self.is_asked = true;
            self.silence.restart();
            return self.silence.poll(has_streams, self.timeout, cx);
        }
        false
    }
}
