//! The access log: one line on stdout for each request, when it is over, and for each connection that speaks no HTTP.
//!
//! Lines go through a bounded queue to a thread of their own, since stdout is a pipe that its reader may leave full: then
//! lines are dropped and counted, and neither traffic nor the kubelet's probes nor signals wait.

mod json;
mod line;
mod text;
mod texts;

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;

use super::metrics::Metrics;
pub(super) use line::{Exchanged, Line};
pub(crate) use texts::LONGEST_PATH;
pub(super) use texts::Texts;

/// What is collected before it is written.
const BATCH_BYTES: usize = 64 * 1024;

/// How long lines are collected once there is one. A writer that wakes for each line costs 15 % of a short connection.
const COLLECT: Duration = Duration::from_millis(20);

/// Whether and how requests and connections are logged.
#[derive(clap::Args, Clone, Debug)]
#[group(skip)]
pub struct Settings {
    /// Format of the access log on stdout, one line for each request, or connection that speaks no HTTP
    #[arg(long, env = api::env::ACCESS_LOG, default_value = "json", value_enum, value_name = "FORMAT")]
    pub access_log: Format,

    /// Access-log lines that may wait for stdout, at half a kilobyte each, with long texts at 3 KiB; more are dropped and
    /// counted
    #[arg(long, env = "REMORA_ACCESS_LOG_QUEUE", default_value_t = 4096, value_name = "NUMBER",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub access_log_queue: u32,
}

/// Format of the access log.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// One JSON object a line, with Istio's keys.
    Json,
    /// Istio's default format.
    Text,
    /// None.
    Off,
}

/// Takes lines; clones write to the same queue.
#[derive(Clone)]
pub struct AccessLog {
    queue: Option<SyncSender<Box<Line>>>,
    metrics: Metrics,
}

/// Writes what is left in the queue.
#[must_use = "lines that are queued at exit are lost without it"]
pub struct Flush {
    done: Receiver<()>,
}

impl AccessLog {
    /// Starts the writer; `output` is stdout, or what a test reads.
    pub fn start(
        settings: &Settings,
        metrics: Metrics,
        output: impl Write + Send + 'static,
    ) -> io::Result<(Self, Flush)> {
        let (finished, done) = sync_channel(0);
        let append = match settings.access_log {
            Format::Json => json::append,
            Format::Text => text::append,
            Format::Off => return Ok((Self { queue: None, metrics }, Flush { done })),
        };
        let (queue, lines) = sync_channel(usize::try_from(settings.access_log_queue).unwrap_or(usize::MAX));
        let counter = metrics.clone();
        thread::Builder::new().name("access-log".to_owned()).spawn(move || {
            write_lines(&lines, append, output, &counter);
            drop(finished);
        })?;
        let queue = Some(queue);
        Ok((Self { queue, metrics }, Flush { done }))
    }

    /// Whether there is one.
    pub(super) fn is_on(&self) -> bool {
        self.queue.is_some()
    }

    /// Queues a line, which is only made if there is a log.
    pub(super) fn write(&self, line: impl FnOnce() -> Box<Line>) {
        if let Some(queue) = &self.queue
            && queue.try_send(line()).is_err()
        {
            self.metrics.access_log_dropped(1);
        }
    }
}

impl Flush {
    /// Waits until everything queued has been written; false when `limit` was not enough, since nobody reads stdout.
    /// Every [`AccessLog`] has to be gone before.
    pub fn wait(self, limit: Duration) -> bool {
        self.done.recv_timeout(limit) == Err(RecvTimeoutError::Disconnected)
    }
}

/// Appends a line's form to what will be written.
type Append = fn(&Line, &mut Vec<u8>);

/// Until the last sender is gone: waits for a line, takes what else has come a moment later, and writes it at once.
fn write_lines(lines: &Receiver<Box<Line>>, append: Append, mut output: impl Write, metrics: &Metrics) {
    let mut batch = Vec::new();
    while let Some(first) = next(lines) {
        let mut count = 1;
        append(&first, &mut batch);
        while batch.len() < BATCH_BYTES
            && let Ok(next) = lines.try_recv()
        {
            append(&next, &mut batch);
            count += 1;
        }
        if let Err(error) = output.write_all(&batch).and_then(|()| output.flush()) {
            metrics.access_log_dropped(count);
            tracing::debug!(%error, "stdout does not take the access log");
        }
        batch.clear();
    }
}

/// The next line: at once while there are more, otherwise [`COLLECT`] after it has come.
fn next(lines: &Receiver<Box<Line>>) -> Option<Box<Line>> {
    match lines.try_recv() {
        Err(TryRecvError::Empty) => {
            let line = lines.recv().ok()?;
            // Not in `recv`, or the next line would wake it.
            thread::park_timeout(COLLECT);
            Some(line)
        }
        line => line.ok(),
    }
}

#[cfg(test)]
mod tests;
