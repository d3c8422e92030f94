//! The clock that every answer of the API server sets, by its `Date` (RFC 9110, 6.6.1).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use axum::http::HeaderMap;
use axum::http::header::DATE;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;

use crate::pki::Clock;

/// The API server's time; clones share it.
#[derive(Clone, Debug)]
pub struct ApiClock(Arc<Mutex<Clock>>);

impl Default for ApiClock {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Clock::new(SystemTime::now(), Instant::now()))))
    }
}

impl ApiClock {
    /// The time.
    pub fn now(&self) -> SystemTime {
        self.clock().time(Instant::now())
    }

    /// An answer came with these headers. Through some proxy they may lack a date; then nothing is learned.
    pub(super) fn heard(&self, headers: &HeaderMap) {
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        let Some(time) = date.and_then(|date| httpdate::parse_http_date(date).ok()) else { return };
        let off = self.clock().heard(time, Instant::now());
        if let Some(off) = off {
            tracing::warn!(?off, "the API server's clock says something else than ours; its is used");
        }
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TimeProvider for ApiClock {
    fn current_time(&self) -> Option<UnixTime> {
        self.now().duration_since(SystemTime::UNIX_EPOCH).ok().map(UnixTime::since_unix_epoch)
    }
}
