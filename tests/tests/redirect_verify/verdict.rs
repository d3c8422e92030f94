//! A verdict as the program reports it.

use serde_json::Value;
use tests::lab::Lab;

/// What the program said of its rules.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) exit_code: i64,
    /// Claim, family and packet, in order.
    pub(crate) proven: Vec<String>,
    /// Claim, family and reason, in order, none twice.
    pub(crate) unproven: Vec<String>,
    /// Claim, family and packet, in order.
    pub(crate) wrong: Vec<String>,
    pub(crate) report: Value,
}

impl Verdict {
    /// Of a run of the program in the lab's pod; its exit code has to be the one of its report.
    pub(crate) fn of(lab: &Lab, arguments: &[&str]) -> Self {
        let output = lab.run(arguments);
        let log = String::from_utf8(output.stderr).expect("UTF-8");
        let verdict = Self::read(&log);
        assert_eq!(output.status.code().map(i64::from), Some(verdict.exit_code), "{log}");
        verdict
    }

    /// Of a run's log, which is one line.
    pub(crate) fn read(log: &str) -> Self {
        let report: Value = serde_json::from_str(log).expect(log);
        let listed = |list: &str, last: &str| {
            let items = report.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
            let word = |item: &Value, key: &str| {
                item.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            let line = |item: &Value| ["claim", "family", last].map(|key| word(item, key)).join(" ");
            let mut lines: Vec<_> = items.iter().map(|item| line(item).trim().to_owned()).collect();
            lines.sort();
            lines.dedup();
            lines
        };
        Self {
            exit_code: report.get("exit_code").and_then(Value::as_i64).expect("a number"),
            proven: listed("proven", "packet"),
            unproven: listed("unproven", "reason"),
            wrong: listed("wrong", "packet"),
            report,
        }
    }
}
