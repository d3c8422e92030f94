//! Work that a signal ends in good order: what runs is killed, so the work fails, and its values clean up as they do whenever it
//! ends.

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

/// The shell's code for a program that Ctrl-C ended.
pub const INTERRUPTED: u8 = 130;

/// Does `work` on a thread of its own; nothing where SIGTERM or SIGINT came before its end.
pub fn supervise<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<Option<T>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut terminate, mut interrupt) = runtime
        .block_on(async {
            Ok::<_, std::io::Error>((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
        })
        .context("cannot handle signals")?;
    let (end, ended) = tokio::sync::oneshot::channel();
    let working = std::thread::spawn(move || {
        let result = work();
        let _ = end.send(());
        result
    });
    let interrupted = runtime.block_on(async {
        tokio::select! {
            _ = ended => false,
            _ = terminate.recv() => true,
            _ = interrupt.recv() => true,
        }
    });
    if interrupted {
        super::interrupt();
    }
    let result = working.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    Ok((!interrupted).then_some(result))
}
