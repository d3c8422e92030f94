//! TCP ports and sets of them. Invariant of [`Ports`]: ranges are sorted, disjoint and not adjacent, so equal sets are
//! equal values.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::Malformed;

/// A TCP port, never 0.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Port(u16);

/// Ports from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct PortRange {
    /// The lowest.
    pub first: Port,
    /// The highest.
    pub last: Port,
}

/// A set of ports.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Ports(Vec<PortRange>);

impl Port {
    /// What the texts of a port have to be.
    pub const ALLOWED: &'static str = "a port from 1 to 65535";

    /// The highest port.
    pub const HIGHEST: Self = Self(u16::MAX);

    /// The port, unless it is 0.
    pub const fn new(number: u16) -> Option<Self> {
        if number == 0 { None } else { Some(Self(number)) }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl PortRange {
    /// The range, unless it is empty.
    pub fn new(first: Port, last: Port) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }
}

impl Ports {
    /// What the texts of a set have to be.
    pub const ALLOWED: &'static str =
        "ports from 1 to 65535 and ranges of them, comma separated, as in 80,8000-8100";

    /// The set of these; numbers that are no port are left out.
    pub fn of(numbers: impl IntoIterator<Item = u16>) -> Self {
        let ports = numbers.into_iter().filter_map(Port::new);
        ports.map(|port| PortRange { first: port, last: port }).collect()
    }

    /// The ranges, in order.
    pub fn ranges(&self) -> &[PortRange] {
        &self.0
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether it has this one.
    pub fn contains(&self, port: Port) -> bool {
        self.0.iter().any(|range| range.first <= port && port <= range.last)
    }

    /// What is in either.
    pub fn union(&self, other: &Self) -> Self {
        self.0.iter().chain(&other.0).copied().collect()
    }

    /// What is in this and not in the other.
    pub fn minus(&self, other: &Self) -> Self {
        self.0.iter().flat_map(|range| other.holes_in(*range)).collect()
    }

    /// The parts of `range` that this set does not have.
    fn holes_in(&self, range: PortRange) -> Vec<PortRange> {
        let mut holes = Vec::new();
        let mut next = Some(range.first);
        for taken in self.0.iter().filter(|taken| taken.last >= range.first && taken.first <= range.last) {
            if let (Some(first), Some(last)) = (next, Port::new(taken.first.0.saturating_sub(1))) {
                holes.extend(PortRange::new(first, last));
            }
            next = taken.last.0.checked_add(1).and_then(Port::new);
        }
        holes.extend(next.and_then(|first| PortRange::new(first, range.last)));
        holes
    }
}

impl FromIterator<PortRange> for Ports {
    fn from_iter<I: IntoIterator<Item = PortRange>>(ranges: I) -> Self {
        let mut sorted: Vec<PortRange> = ranges.into_iter().collect();
        sorted.sort_unstable();
        let mut merged: Vec<PortRange> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match merged.last_mut() {
                Some(before) if range.first.0 <= before.last.0.saturating_add(1) => {
                    before.last = before.last.max(range.last);
                }
                _ => merged.push(range),
            }
        }
        Self(merged)
    }
}

impl FromStr for Port {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let number = text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
        number.and_then(Self::new).ok_or_else(|| Malformed(format!("{text:?} is not a port")))
    }
}

impl FromStr for PortRange {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let Some((first, last)) = text.split_once('-') else {
            let port = text.parse()?;
            return Ok(Self { first: port, last: port });
        };
        let (first, last) = (first.trim().parse()?, last.trim().parse()?);
        Self::new(first, last).ok_or_else(|| Malformed(format!("{text:?} ends before it begins")))
    }
}

impl FromStr for Ports {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        text.split(',').map(|part| part.trim().parse::<PortRange>()).collect()
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { self.first.fmt(f) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            write!(f, "{}{range}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl Serialize for Ports {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(ToString::to_string))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Port, PortRange, Ports};

    fn ports(text: &str) -> Ports {
        text.parse().expect(text)
    }

    #[test]
    fn overlapping_and_adjacent_ranges_become_one() {
        assert_eq!(
            ports("8080, 80,8000-8079,81 ,65535,65000-65535").to_string(),
            "80-81, 8000-8080, 65000-65535"
        );
    }

    #[test]
    fn what_is_not_a_list_of_ports_is_refused() {
        for bad in
            ["0", "65536", "80,", ",", "+80", "80-", "90-80", "http", "80;81", "0-10", "-1", "*", "1-2-3"]
        {
            assert!(bad.parse::<Ports>().is_err(), "{bad:?}");
        }
        assert!(ports(" ").is_empty());
    }

    #[test]
    fn a_difference_may_split_ranges_and_reach_the_ends() {
        assert_eq!(
            ports("1-65535").minus(&ports("1,80,443-500,65535")).to_string(),
            "2-79, 81-442, 501-65534"
        );
        assert_eq!(ports("80").minus(&ports("1-65535")), Ports::default());
    }

    fn any_ports() -> impl Strategy<Value = Ports> {
        let near_the_ends = prop_oneof![1..40_u16, 65_500..=u16::MAX];
        proptest::collection::vec((near_the_ends, 0..8_u16), 0..8).prop_map(|pairs| {
            let range = |(first, more): (u16, u16)| {
                PortRange::new(Port::new(first)?, Port::new(first.saturating_add(more))?)
            };
            pairs.into_iter().filter_map(range).collect()
        })
    }

    proptest! {
        #[test]
        fn set_algebra_agrees_with_membership(a in any_ports(), b in any_ports()) {
            let (union, difference) = (a.union(&b), a.minus(&b));
            for port in (1..60).chain(65_490..=u16::MAX).filter_map(Port::new) {
                prop_assert_eq!(union.contains(port), a.contains(port) || b.contains(port));
                prop_assert_eq!(difference.contains(port), a.contains(port) && !b.contains(port));
            }
            prop_assert_eq!(&union.to_string().parse::<Ports>().expect("printed"), &union);
        }
    }
}
