//! Cases, some of them at once.

use std::io;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};

use crate::report::{Line, Report, Verdict};

/// How cases are run.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long an event is waited for before it counts as one that does not come.
    pub patience: Duration,
    /// How many cases, each with its connections, are run at once.
    pub at_once: usize,
}

/// A peer that refuses what is good cannot be judged by what it refuses.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// Nobody is there.
    #[error("no connection: {0}; is the address right, and does somebody listen there?")]
    Unreachable(io::Error),
    /// Another answer.
    #[error(
        "a good {asked} is not answered with success, but by {answer}; the cases need a server that {does}"
    )]
    Refuses {
        /// What was asked.
        asked: &'static str,
        /// What came.
        answer: String,
        /// What is needed.
        does: &'static str,
    },
}

/// A case that was judged: source, name and verdict, as a [`Line`] has them.
pub(crate) type Judged = (&'static str, String, Verdict);

/// Judges all cases, and reports in their order.
pub(crate) async fn all<C>(
    suite: &'static str,
    cases: impl IntoIterator<Item = C>,
    pace: Pace,
    judge: impl AsyncFn(C) -> Judged,
) -> Report {
    let timed = async |case| {
        let began = Instant::now();
        let (source, name, verdict) = judge(case).await;
        Line { source, name, verdict, took: began.elapsed() }
    };
    let lines = stream::iter(cases).map(timed).buffered(pace.at_once.max(1)).collect().await;
    Report { suite, lines }
}
