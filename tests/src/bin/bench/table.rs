//! What was measured: for each row and subject the values of all rounds, and how people and programs read them.

use serde_json::{Value, json};

use crate::figures::{Summary, ratios};
use crate::measures::{Reading, Row};
use crate::programs::OURS;

/// The subject that is no proxy.
pub(crate) const DIRECT: &str = "direct";

/// One column of values for each subject, in the order in which they are shown, ours first.
#[derive(Debug)]
pub(crate) struct Table {
    subjects: Vec<&'static str>,
    lines: Vec<Line>,
}

/// A row and, for each subject, a value for each round.
#[derive(Debug)]
struct Line {
    row: &'static Row,
    values: Vec<Vec<Option<f64>>>,
}

impl Table {
    pub(crate) fn new(subjects: Vec<&'static str>) -> Self {
        Self { subjects, lines: Vec::new() }
    }

    /// Takes what was measured of a subject in a round, counted from 0.
    pub(crate) fn record(&mut self, round: usize, subject: &str, readings: &[Reading]) {
        let Some(column) = self.subjects.iter().position(|name| *name == subject) else { return };
        for Reading { row, value } in readings {
            let columns = self.subjects.len();
            let known = self.lines.iter().position(|line| line.row == *row);
            let at = known.unwrap_or(self.lines.len());
            if known.is_none() {
                self.lines.push(Line { row, values: vec![Vec::new(); columns] });
            }
            if let Some(values) = self.lines.get_mut(at).and_then(|line| line.values.get_mut(column)) {
                values.resize(values.len().max(round + 1), None);
                if let Some(slot) = values.get_mut(round) {
                    *slot = Some(*value);
                }
            }
        }
    }

    /// A Markdown table whose columns are aligned.
    pub(crate) fn to_markdown(&self) -> String {
        let others = || self.subjects.iter().filter(|name| **name != OURS);
        let head = ["".to_owned(), "unit".to_owned()]
            .into_iter()
            .chain(self.subjects.iter().map(ToString::to_string))
            .chain(others().map(|name| format!("{OURS} / {name}")))
            .chain(["wanted".to_owned()]);
        let mut lines: Vec<Vec<String>> = vec![head.collect()];
        lines.extend(self.lines.iter().map(|line| line.cells(&self.subjects)));
        aligned(&lines)
    }

    /// Every value, and the summaries.
    pub(crate) fn to_json(&self) -> Value {
        let lines = self.lines.iter().map(|line| {
            let subjects = self.subjects.iter().zip(&line.values).map(|(name, values)| {
                let median = Summary::of(&known(values)).map(|summary| summary.median);
                (name.to_string(), json!({ "median": median, "rounds": values }))
            });
            let Row { name, unit, goal, .. } = line.row;
            json!({
                "name": name,
                "unit": unit,
                "wanted": goal,
                "subjects": subjects.collect::<serde_json::Map<_, _>>(),
                "ratios": line.ratios(&self.subjects).into_iter().map(|(name, ratios)| {
                    (name.to_owned(), Summary::of(&ratios).map(|summary| summary.median).into())
                }).collect::<serde_json::Map<_, _>>(),
            })
        });
        lines.collect()
    }
}

impl Line {
    fn cells(&self, subjects: &[&'static str]) -> Vec<String> {
        let Row { name, unit, digits, goal } = self.row;
        let values = self.values.iter().map(|values| cell(&known(values), *digits));
        let ratios = self.ratios(subjects);
        [name.to_string(), unit.to_string()]
            .into_iter()
            .chain(values)
            .chain(ratios.iter().map(|(_, ratios)| cell(ratios, 2)))
            .chain([goal.to_string()])
            .collect()
    }

    /// Ours to each of the others'.
    fn ratios(&self, subjects: &[&'static str]) -> Vec<(&'static str, Vec<f64>)> {
        let named = || subjects.iter().copied().zip(&self.values);
        let ours =
            named().find(|(name, _)| *name == OURS).map(|(_, values)| values.as_slice()).unwrap_or_default();
        named().filter(|(name, _)| *name != OURS).map(|(name, theirs)| (name, ratios(ours, theirs))).collect()
    }
}

fn known(values: &[Option<f64>]) -> Vec<f64> {
    values.iter().copied().flatten().collect()
}

/// Median and spread.
fn cell(values: &[f64], digits: usize) -> String {
    match Summary::of(values) {
        None => "-".to_owned(),
        Some(Summary { median, least, most }) if least == most => format!("{median:.digits$}"),
        Some(Summary { median, least, most }) => {
            format!("{median:.digits$} [{least:.digits$}-{most:.digits$}]")
        }
    }
}

fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|column| lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max())
        .map(|width| width.unwrap_or_default().max(3))
        .collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (cell, width) in line.iter().zip(&widths) {
            text += &format!("| {cell:<width$} ");
        }
        text += "|\n";
        if number == 0 {
            text += &widths.iter().map(|width| format!("|{}", "-".repeat(width + 2))).collect::<String>();
            text += "|\n";
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{DIRECT, OURS, Reading, Row, Table};

    static CPU: Row = Row { name: "exchange", unit: "µs", digits: 1, goal: "<= 0.65 of envoy" };

    fn table() -> Table {
        let mut table = Table::new(vec![OURS, "envoy", DIRECT]);
        for (round, (ours, theirs)) in [(10.0, 40.0), (30.0, 40.0), (20.0, 40.0)].into_iter().enumerate() {
            table.record(round, OURS, &[Reading { row: &CPU, value: ours }]);
            table.record(round, "envoy", &[Reading { row: &CPU, value: theirs }]);
            table.record(round, "nobody", &[Reading { row: &CPU, value: 1.0 }]);
        }
        table
    }

    #[test]
    fn people_read_medians_spreads_and_ratios_of_the_same_round() {
        let text = table().to_markdown();
        let lines: Vec<Vec<_>> = text.lines().map(|line| line.split('|').map(str::trim).collect()).collect();
        assert_eq!(
            lines[0],
            ["", "", "unit", OURS, "envoy", DIRECT, "remora / envoy", "remora / direct", "wanted", ""]
        );
        assert_eq!(
            lines[2],
            [
                "",
                "exchange",
                "µs",
                "20.0 [10.0-30.0]",
                "40.0",
                "-",
                "0.50 [0.25-0.75]",
                "-",
                "<= 0.65 of envoy",
                ""
            ]
        );
        let widths: Vec<_> = text.lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{text}");
    }

    #[test]
    fn programs_read_every_value() {
        let json = table().to_json();
        assert_eq!(json[0]["subjects"][OURS]["rounds"], serde_json::json!([10.0, 30.0, 20.0]));
        assert_eq!(
            (&json[0]["ratios"]["envoy"], &json[0]["ratios"][DIRECT]),
            (&0.5.into(), &serde_json::Value::Null)
        );
    }

    #[test]
    fn a_round_that_a_subject_has_missed_is_empty() {
        let mut table = Table::new(vec![OURS]);
        table.record(1, OURS, &[Reading { row: &CPU, value: 1.0 }]);
        assert_eq!(table.to_json()[0]["subjects"][OURS]["rounds"], serde_json::json!([null, 1.0]));
    }
}
