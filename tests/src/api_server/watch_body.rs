//! Bodies of answers: whole, or a watch that goes on until the outage.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame};
use tokio::sync::mpsc;

use super::Shared;

/// Pieces as they come.
pub(super) struct Answer(mpsc::Receiver<Bytes>);

impl From<String> for Answer {
    fn from(text: String) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        // There is room for one.
        let _ = sender.try_send(text.into());
        Self(receiver)
    }
}

impl Answer {
    /// What happens to namespaces after a version.
    pub(super) fn watch(shared: Arc<Shared>, mut version: u64) -> Self {
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut changes = shared.changes.subscribe();
            loop {
                let (events, is_down) = {
                    let state = shared.state();
                    (state.events_after(version), state.down)
                };
                if is_down {
                    return;
                }
                version = events.0;
                for line in events.1 {
                    if sender.send(line.into()).await.is_err() {
                        return;
                    }
                }
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return },
                    () = sender.closed() => return,
                }
            }
        });
        Self(receiver)
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}
