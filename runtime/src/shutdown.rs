//! Asking a program to end: one trigger, many listeners, and the signals that pull the trigger.
//!
//! What ending means (drain, deadline) is the business of the program.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Pulls the trigger; dropping it pulls it too.
#[derive(Clone, Debug)]
pub struct Trigger(watch::Sender<bool>);

impl Trigger {
    /// Asks everybody who listens to end.
    pub fn request(&self) {
        self.0.send_replace(true);
    }
}

/// Hears the request to end.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

impl Shutdown {
    /// Whether the request has been made.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when the request has been made.
    pub async fn requested(&mut self) {
        // An error means that the trigger is gone, and with it the program's main part.
        let _ = self.0.wait_for(|requested| *requested).await;
    }
}

/// A connected pair.
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Shutdown(receiver))
}

/// The termination signals of the process.
pub struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    /// Installs the handlers; from now on SIGTERM and SIGINT no longer end the process by themselves.
    pub fn install() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next signal's name. Each call waits for one more.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::channel;

    #[tokio::test(flavor = "current_thread")]
    async fn a_request_reaches_every_listener_also_late_ones() {
        let (trigger, mut early) = channel();
        assert!(!early.is_requested());
        trigger.request();
        let mut late = early.clone();
        early.requested().await;
        late.requested().await;
        assert!(late.is_requested());
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_dropped_trigger_is_a_request() {
        let (trigger, mut shutdown) = channel();
        drop(trigger);
        shutdown.requested().await;
    }
}
