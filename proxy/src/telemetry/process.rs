//! What the process takes of the machine, read from the kernel when somebody scrapes.
//!
//! The names are Prometheus' `process_*` behind a prefix of ours: the application beside us has those without, and both are
//! in one answer. A value that cannot be read is left out, never made up.

use std::fmt;

use procfs::process::{Process, Task};
use runtime::metrics::collector::Collector;
use runtime::metrics::encoding::{DescriptorEncoder, EncodeMetric};
use runtime::metrics::types::counter::ConstCounter;
use runtime::metrics::types::gauge::ConstGauge;

/// What the names of the workers' threads begin with; their number follows.
pub(crate) const WORKER: &str = "worker-";

/// Reads /proc/self.
#[derive(Debug)]
pub(super) struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Ok(process) = Process::myself() else { return Ok(()) };
        let mut tasks: Vec<_> = process.tasks().into_iter().flatten().flatten().collect();
        tasks.sort_unstable_by_key(|task| task.tid);
        let busy: f64 = tasks.iter().filter_map(seconds).sum();
        let cpu = ConstCounter::new(busy);
        metric(&mut encoder, "remora_process_cpu_seconds", "Processor time of all threads", &cpu)?;
        if let Ok(memory) = process.statm() {
            let bytes = memory.resident.saturating_mul(procfs::page_size());
            let gauge = ConstGauge::new(i64::try_from(bytes).unwrap_or(i64::MAX));
            metric(&mut encoder, "remora_process_resident_memory_bytes", "Resident memory", &gauge)?;
        }
        if let Ok(count) = process.fd_count() {
            let gauge = ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX));
            metric(&mut encoder, "remora_process_open_fds", "Open descriptors", &gauge)?;
        }
        workers(&mut encoder, &tasks)
    }
}

/// How busy each worker is: the rate of this counter is 1 for one that does nothing else.
fn workers(encoder: &mut DescriptorEncoder, tasks: &[Task]) -> fmt::Result {
    let kind = ConstCounter::new(0_f64).metric_type();
    let help = "Processor time of a worker's thread";
    let mut family = encoder.encode_descriptor("remora_worker_cpu_seconds", help, None, kind)?;
    for task in tasks {
        let name = task.stat().map(|stat| stat.comm).unwrap_or_default();
        if let Some(number) = name.strip_prefix(WORKER)
            && let Some(seconds) = seconds(task)
        {
            let labels = [("worker", number)];
            ConstCounter::new(seconds).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

/// In nanoseconds the scheduler counts, where the ticks of /proc/PID/stat are hundredths of a second.
fn seconds(task: &Task) -> Option<f64> {
    let spent = std::time::Duration::from_nanos(task.schedstat().ok()?.sum_exec_runtime);
    Some(spent.as_secs_f64())
}

fn metric(encoder: &mut DescriptorEncoder, name: &str, help: &str, value: &impl EncodeMetric) -> fmt::Result {
    value.encode(encoder.encode_descriptor(name, help, None, value.metric_type())?)
}

#[cfg(test)]
mod tests {
    use super::ProcessCollector;

    fn value(text: &str, name: &str) -> f64 {
        let line = text.lines().find(|line| line.starts_with(name)).expect(name);
        line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect(line)
    }

    #[test]
    fn what_the_kernel_knows_is_shown() {
        let metrics = runtime::metrics::Metrics::default();
        metrics.register(|registry| registry.register_collector(Box::new(ProcessCollector)));
        // The scheduler counts when it switches.
        let scrape = move || {
            std::thread::yield_now();
            metrics.text()
        };
        let worker = std::thread::Builder::new().name("worker-7".to_owned());
        let text = worker.spawn(scrape).unwrap().join().unwrap();
        assert!(value(&text, "remora_process_cpu_seconds_total ") > 0.0, "{text}");
        assert!(value(&text, "remora_process_resident_memory_bytes ") > 100_000.0, "{text}");
        assert!(value(&text, "remora_process_open_fds ") >= 3.0, "{text}");
        assert!(value(&text, "remora_worker_cpu_seconds_total{worker=\"7\"} ") > 0.0, "{text}");
    }
}
