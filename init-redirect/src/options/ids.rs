//! Numeric users and groups. Names mean nothing here: what a name is called differs from image to image.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::Malformed;

/// Ids from `first` to `last`, both included. The highest number is no id: it means "no one" to the kernel.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct IdRange {
    first: u32,
    last: u32,
}

/// A set of ids. Invariant: its ranges are sorted, disjoint and not adjacent, so equal sets are equal values.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Ids(Vec<IdRange>);

impl IdRange {
    /// The range, unless it is empty or has the number that is no id.
    pub const fn new(first: u32, last: u32) -> Option<Self> {
        if first <= last && last < u32::MAX { Some(Self { first, last }) } else { None }
    }

    /// The lowest.
    pub const fn first(self) -> u32 {
        self.first
    }

    /// The highest.
    pub const fn last(self) -> u32 {
        self.last
    }

    /// Whether it has this one.
    pub const fn contains(self, id: u32) -> bool {
        self.first <= id && id <= self.last
    }
}

impl Ids {
    /// What the texts of a set have to be.
    pub const ALLOWED: &'static str =
        "numbers from 0 to 4294967294 and ranges of them, comma separated, as in 1000,2000-2010";

    /// The ranges, in order.
    pub fn ranges(&self) -> &[IdRange] {
        &self.0
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<IdRange> for Ids {
    fn from_iter<I: IntoIterator<Item = IdRange>>(ranges: I) -> Self {
        let mut sorted: Vec<IdRange> = ranges.into_iter().collect();
        sorted.sort_unstable();
        let mut merged: Vec<IdRange> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match merged.last_mut() {
                Some(before) if range.first <= before.last.saturating_add(1) => {
                    before.last = before.last.max(range.last);
                }
                _ => merged.push(range),
            }
        }
        Self(merged)
    }
}

impl FromStr for IdRange {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let id = |text: &str| {
            let number = text.trim().parse().ok().filter(|_| text.trim().bytes().all(|b| b.is_ascii_digit()));
            number
                .filter(|id| *id != u32::MAX)
                .ok_or_else(|| Malformed(format!("{text:?} is not a numeric id")))
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Self::new(id(first)?, id(last)?).ok_or_else(|| Malformed(format!("{text:?} ends before it begins")))
    }
}

impl FromStr for Ids {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        text.split(',').map(|part| part.trim().parse::<IdRange>()).collect()
    }
}

impl fmt::Display for IdRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { self.first.fmt(f) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

impl Serialize for IdRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::Ids;

    fn printed(text: &str) -> Vec<String> {
        text.parse::<Ids>().expect(text).ranges().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn overlapping_and_adjacent_ranges_become_one() {
        assert_eq!(
            printed("2001, 1000,2000,1500-1999,4294967294,0"),
            ["0", "1000", "1500-2001", "4294967294"]
        );
        assert!(printed("").is_empty());
    }

    #[test]
    fn what_is_not_a_list_of_ids_is_refused() {
        for bad in ["root", "-1", "+1", "4294967295", "2-1", "1,", ",", "*", "1-", "0-4294967295"] {
            assert!(bad.parse::<Ids>().is_err(), "{bad:?}");
        }
    }
}
