//! A list of ports and ranges, in the form in which the injector and `init-redirect` write it.

use std::fmt;
use std::str::FromStr;

/// Ports; may be none.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Ports(Vec<(u16, u16)>);

/// What is no list of ports.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is neither a port nor a range; write for example 3306,9000-9100")]
pub struct NoPorts(String);

impl Ports {
    /// Whether a port is one of them.
    pub fn contain(&self, port: u16) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&port))
    }
}

impl FromStr for Ports {
    type Err = NoPorts;

    fn from_str(text: &str) -> Result<Self, NoPorts> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let ranges = text.split(',').map(|item| range(item.trim()).ok_or_else(|| NoPorts(item.to_owned())));
        ranges.collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if first == last { write!(f, "{comma}{first}") } else { write!(f, "{comma}{first}-{last}") }?;
        }
        Ok(())
    }
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some((first, last))
}

/// Digits only: `FromStr` of integers would take a sign.
fn port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten().filter(|port| *port != 0)
}
