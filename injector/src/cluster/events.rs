//! Events: what was decided about pods, told on the object that creates them, since a controller is the only one to see a
//! denial or a warning. Best effort: a bounded queue that drops and counts, one Event for an owner and reason in ten
//! minutes, and no more than a handful a second.
//!
//! Invariant: a review never waits for it, and memory does not grow with the cluster.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use runtime::metrics::Metrics;
use runtime::metrics::types::counter::Counter;
use runtime::metrics::types::family::Family;
use tokio::sync::mpsc;

use super::{Told, chain};

/// Notices that wait to be told.
const QUEUE: usize = 256;

/// The same is not told again within it.
const QUIET: Duration = Duration::from_secs(600);

/// Of how many it is known when they were told.
const REMEMBERED: usize = 4096;

/// Events a second in the long run, and at once.
const RATE: f64 = 5.0;
const BURST: f64 = 25.0;

/// The most that the API takes.
const LONGEST_NOTE: usize = 1024;

/// Something to tell about the pods of an owner.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// The owner.
    pub owner: ObjectReference,
    /// Whether somebody should act.
    pub warning: bool,
    /// What happened, as Events have it: `InjectionRefused`.
    pub reason: &'static str,
    /// The deciding reason's stable name.
    pub code: &'static str,
    /// For people.
    pub note: String,
}

/// The way to tell; clones share it.
#[derive(Clone, Debug)]
pub struct Events {
    queue: mpsc::Sender<Notice>,
    counted: Counted,
}

/// What comes after the queue.
pub struct EventWriter {
    queue: mpsc::Receiver<Notice>,
    counted: Counted,
    allowance: Allowance,
}

type Counted = Family<[(&'static str, &'static str); 1], Counter>;

impl Events {
    /// Both ends of the queue.
    pub fn new(metrics: &Metrics, now: Instant) -> (Self, EventWriter) {
        let counted = Counted::default();
        metrics.register(|registry| {
            registry.register(
                "injector_events",
                "Events for owners of pods, by what came of them",
                counted.clone(),
            );
        });
        let (sender, queue) = mpsc::channel(QUEUE);
        let writer = EventWriter { queue, counted: counted.clone(), allowance: Allowance::new(now) };
        (Self { queue: sender, counted }, writer)
    }

    /// Tells it, or drops it where too much is being told.
    pub fn tell(&self, notice: Notice) {
        if self.queue.try_send(notice).is_err() {
            count(&self.counted, "dropped");
        }
    }
}

impl EventWriter {
    /// Writes what is told until everybody who tells is gone.
    pub async fn run(mut self, client: Client) {
        let reporter = Reporter { controller: api::control::INJECTOR.to_owned(), instance: None };
        let mut told = Told::default();
        while let Some(notice) = self.queue.recv().await {
            if let Err(result) = self.allowance.allows(&notice, Instant::now()) {
                count(&self.counted, result);
                continue;
            }
            // A recorder that lives on would repeat its first note for every later one of the same owner.
            let recorder = Recorder::new(client.clone(), reporter.clone());
            match recorder.publish(&event(&notice), &notice.owner).await {
                Ok(()) => {
                    told.is_over();
                    count(&self.counted, "written");
                }
                Err(error) => {
                    count(&self.counted, "failed");
                    let (kind, remedy) = kind(&error);
                    if told.is_news(&kind, Instant::now()) {
                        let reason = chain(&error);
                        tracing::warn!(reason, remedy, "an Event cannot be written");
                    }
                }
            }
        }
    }
}

/// What sort of failure it is, whatever its namespace, and what helps.
fn kind(error: &kube::Error) -> (String, &'static str) {
    let kube::Error::Api(status) = error else {
        return ("unreachable".to_owned(), "none is needed: Events are best effort");
    };
    let remedy = match status.code {
        403 => "apply `injector export rbac` with this configuration, or take `events: true` out of it",
        _ => "see the reason",
    };
    (status.code.to_string(), remedy)
}

fn event(notice: &Notice) -> Event {
    let mut note = notice.note.clone();
    note.truncate(note.floor_char_boundary(LONGEST_NOTE));
    Event {
        type_: if notice.warning { EventType::Warning } else { EventType::Normal },
        reason: notice.reason.to_owned(),
        note: Some(note),
        action: "Inject".to_owned(),
        secondary: None,
    }
}

fn count(counted: &Counted, result: &'static str) {
    counted.get_or_create(&[("result", result)]).inc();
}

/// What was told lately, and how much may still be.
struct Allowance {
    recent: HashMap<(Option<String>, &'static str, &'static str), Instant>,
    tokens: f64,
    filled: Instant,
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self { recent: HashMap::new(), tokens: BURST, filled: now }
    }

    fn allows(&mut self, notice: &Notice, now: Instant) -> Result<(), &'static str> {
        let is_recent = |at: &Instant| now.saturating_duration_since(*at) < QUIET;
        let key = (notice.owner.uid.clone(), notice.reason, notice.code);
        if self.recent.get(&key).is_some_and(is_recent) {
            return Err("repeated");
        }
        let elapsed = now.saturating_duration_since(self.filled).as_secs_f64();
        (self.tokens, self.filled) = ((self.tokens + elapsed * RATE).min(BURST), now);
        if self.tokens < 1.0 {
            return Err("limited");
        }
        if self.recent.len() >= REMEMBERED {
            self.recent.retain(|_, at| is_recent(at));
        }
        if self.recent.len() >= REMEMBERED {
            return Err("limited");
        }
        self.tokens -= 1.0;
        self.recent.insert(key, now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use k8s_openapi::api::core::v1::ObjectReference;

    use super::{Allowance, Events, Notice, QUEUE, REMEMBERED, event};

    fn notice(owner: usize, code: &'static str) -> Notice {
        let owner = ObjectReference { uid: Some(owner.to_string()), ..ObjectReference::default() };
        Notice { owner, warning: true, reason: "InjectionRefused", code, note: "é".repeat(1000) }
    }

    #[test]
    fn the_same_is_told_once_in_ten_minutes() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(allowance.allows(&notice(1, "a"), at(0)), Ok(()));
        assert_eq!(allowance.allows(&notice(1, "a"), at(599)), Err("repeated"));
        assert_eq!(allowance.allows(&notice(1, "b"), at(599)), Ok(()));
        assert_eq!(allowance.allows(&notice(2, "a"), at(599)), Ok(()));
        assert_eq!(allowance.allows(&notice(1, "a"), at(600)), Ok(()));
    }

    #[test]
    fn many_owners_are_told_slowly_and_not_all_remembered() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        let mut told = |from: usize, second| {
            let now = start + Duration::from_secs(second);
            (from..from + 100).filter(|owner| allowance.allows(&notice(*owner, "a"), now).is_ok()).count()
        };
        assert_eq!((told(0, 0), told(1000, 1), told(2000, 3)), (25, 5, 10));
        let now = start + Duration::from_secs(3600);
        for owner in 10_000..10_000 + 2 * REMEMBERED {
            allowance.tokens = 2.0;
            let _ = allowance.allows(&notice(owner, "a"), now);
        }
        assert_eq!(allowance.recent.len(), REMEMBERED);
    }

    #[test]
    fn what_does_not_fit_into_the_queue_is_dropped_and_counted() {
        let metrics = runtime::metrics::Metrics::default();
        let (events, _writer) = Events::new(&metrics, Instant::now());
        (0..QUEUE + 3).for_each(|owner| events.tell(notice(owner, "a")));
        assert!(metrics.text().contains("injector_events_total{result=\"dropped\"} 3"));
    }

    #[test]
    fn a_note_is_as_long_as_the_api_takes() {
        assert_eq!(event(&notice(1, "a")).note.unwrap().len(), 1024);
    }
}
