//! Medians, spreads, ratios and percentiles.

use std::time::Duration;

/// Of the rounds' values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Summary {
    /// None without a value.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        let lower = if sorted.len().is_multiple_of(2) { *sorted.get(middle - 1)? } else { upper };
        Some(Self { median: (lower + upper) / 2.0, least: *sorted.first()?, most: *sorted.last()? })
    }
}

/// Ours by theirs, for each round that has both.
pub(crate) fn ratios(ours: &[Option<f64>], theirs: &[Option<f64>]) -> Vec<f64> {
    let rounds = ours.iter().zip(theirs).filter_map(|(ours, theirs)| ours.zip(*theirs));
    rounds.filter(|(_, theirs)| *theirs != 0.0).map(|(ours, theirs)| ours / theirs).collect()
}

/// The value below which so many of a thousand lie; zero if there is none.
pub(crate) fn percentile(sorted: &[Duration], permille: usize) -> Duration {
    let at = (sorted.len() * permille / 1000).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Duration, Summary, percentile, ratios};

    #[test]
    fn summaries() {
        assert_eq!(Summary::of(&[3.0, 1.0, 2.0]), Some(Summary { median: 2.0, least: 1.0, most: 3.0 }));
        assert_eq!(Summary::of(&[4.0, 1.0]), Some(Summary { median: 2.5, least: 1.0, most: 4.0 }));
        assert_eq!(Summary::of(&[7.0]), Some(Summary { median: 7.0, least: 7.0, most: 7.0 }));
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn a_ratio_is_of_one_round() {
        let ours = [Some(1.0), None, Some(3.0), Some(4.0), Some(5.0)];
        let theirs = [Some(2.0), Some(1.0), None, Some(0.0)];
        assert_eq!(ratios(&ours, &theirs), [0.5]);
    }

    #[test]
    fn percentiles() {
        let sorted: Vec<_> = (0..1000).map(Duration::from_micros).collect();
        for (permille, micros) in [(0, 0), (500, 500), (990, 990), (1000, 999)] {
            assert_eq!(percentile(&sorted, permille), Duration::from_micros(micros), "{permille}");
        }
        assert_eq!(percentile(&[], 990), Duration::ZERO);
    }
}
