//! How long a stream has been without a byte.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// Looks at the time once in a while, and not with each byte: so a stream is given up after once to twice the limit.
pub(super) struct Quiet {
    limit: Duration,
    /// There is none as long as nothing had to be waited for.
    sleep: Option<Pin<Box<Sleep>>>,
    /// How much had been passed on when it was looked last.
    passed: u64,
}

impl Quiet {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, sleep: None, passed: 0 }
    }

    /// Ready when nothing was passed on for that time; `passed` grows with what is.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, passed: u64) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(self.limit)));
        while sleep.as_mut().poll(cx).is_ready() {
            if self.passed == passed {
                return Poll::Ready(());
            }
            self.passed = passed;
            sleep.as_mut().reset(Instant::now() + self.limit);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::Quiet;
    use std::future::poll_fn;
    use std::task::Poll;
    use std::time::Duration;
    use tokio::time::{Instant, sleep};

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn what_goes_on_is_not_quiet() {
        let began = Instant::now();
        let mut quiet = Quiet::new(LIMIT);
        for passed in 1..100 {
            sleep(LIMIT / 2).await;
            let polled = poll_fn(|cx| Poll::Ready(quiet.poll(cx, passed))).await;
            assert!(polled.is_pending());
        }
        poll_fn(|cx| quiet.poll(cx, 99)).await;
        let waited = began.elapsed() - LIMIT / 2 * 99;
        assert!((LIMIT / 2..=2 * LIMIT).contains(&waited), "{waited:?}");
    }
}
