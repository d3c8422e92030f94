//! What became of the cases: a line for each, and a last one for all.

use std::fmt;
use std::time::Duration;

/// Of one case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// What has to follow did; how, where there is more than one way.
    Passed(Option<String>),
    /// What came instead.
    Failed(String),
    /// Why it cannot be judged of this peer.
    Skipped(String),
}

impl From<Result<(), String>> for Verdict {
    fn from(result: Result<(), String>) -> Self {
        result.map_or_else(Self::Failed, |()| Self::Passed(None))
    }
}

/// One case.
#[derive(Clone, Debug)]
pub struct Line {
    /// RFC and section, as `9112 6.3`, or another source.
    pub source: &'static str,
    /// What it is about; unique within a suite.
    pub name: String,
    /// What became of it.
    pub verdict: Verdict,
    /// How long that took.
    pub took: Duration,
}

/// All cases of a suite, in its order.
#[derive(Clone, Debug)]
pub struct Report {
    /// The suite.
    pub suite: &'static str,
    /// Its cases.
    pub lines: Vec<Line>,
}

impl Report {
    /// Those that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| matches!(line.verdict, Verdict::Failed(_)))
    }

    /// Those that were not judged.
    pub fn skipped(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| matches!(line.verdict, Verdict::Skipped(_)))
    }

    /// The last line: how many there are of each.
    pub fn summary(&self) -> String {
        let (all, failed, skipped) = (self.lines.len(), self.failures().count(), self.skipped().count());
        let passed = all - failed - skipped;
        format!("{}: {all} cases, {passed} passed, {failed} failed, {skipped} skipped", self.suite)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, what) = match &self.verdict {
            Verdict::Passed(how) => ("pass", how.as_deref()),
            Verdict::Failed(what) => ("FAIL", Some(what.as_str())),
            Verdict::Skipped(why) => ("skip", Some(why.as_str())),
        };
        write!(f, "{word}  {:<12} {}", self.source, self.name)?;
        what.map_or(Ok(()), |what| write!(f, "\n      {what}"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        f.write_str(&self.summary())
    }
}
