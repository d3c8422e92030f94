//! Numeric users and groups.

use std::fmt;

use super::modes::digits;
use super::{MOST_ITEMS, Parsed, malformed, quoted};

/// Somebody who is not root; Kubernetes takes no higher numbers than these.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) struct Id(u32);

/// Ids and ranges of them; may be empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in super::super) struct Ids(Vec<(u32, u32)>);

const HIGHEST: u32 = i32::MAX.unsigned_abs();

/// The number after it means "no one" to the kernel.
const HIGHEST_OF_KERNEL: u32 = u32::MAX - 1;

impl Id {
    pub(super) fn parse(text: &str) -> Parsed<Self> {
        match digits(text) {
            Some(0) => malformed("the proxy never runs as root"),
            Some(id) if id <= HIGHEST => Ok(Self(id)),
            Some(_) | None => malformed("not an id"),
        }
    }

    /// One of the contract's.
    pub(super) const fn contract(id: u32) -> Self {
        Self(id)
    }

    pub(in super::super) fn get(self) -> u32 {
        self.0
    }
}

impl Ids {
    pub(super) fn parse(text: &str) -> Parsed<Self> {
        if text.trim().is_empty() {
            return Ok(Self(Vec::new()));
        }
        if text.split(',').nth(MOST_ITEMS).is_some() {
            return malformed(format!("it has more than {MOST_ITEMS} items; write ranges"));
        }
        let ranges = text.split(',').map(|item| {
            let problem = || malformed(format!("{} is neither an id nor a range", quoted(item)));
            range(item.trim()).map_or_else(problem, Ok)
        });
        ranges.collect::<Result<_, _>>().map(Self)
    }
}

fn range(text: &str) -> Option<(u32, u32)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (digits(first)?, digits(last)?);
    (first <= last && last <= HIGHEST_OF_KERNEL).then_some((first, last))
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (first, last)) in self.0.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}
