//! Lists of ports and ranges of ports.

use std::fmt;

use super::{MOST_ITEMS, Parsed, malformed};

/// Ports and ranges; may be empty.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(in super::super) struct Ports(Vec<(u16, u16)>);

/// All ports, or some.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in super::super) enum PortSelection {
    All,
    Only(Ports),
}

impl Ports {
    pub(in super::super) fn parse(value: &str) -> Parsed<Self> {
        list(value)
    }

    pub(in super::super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same and one more.
    pub(in super::super) fn with(&self, port: u16) -> Self {
        Self(self.0.iter().copied().chain([(port, port)]).collect())
    }

    pub(in super::super) fn contain(&self, port: u16) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&port))
    }
}

impl PortSelection {
    pub(in super::super) fn parse(value: &str) -> Parsed<Self> {
        if value.trim() == "*" { Ok(Self::All) } else { list(value).map(Self::Only) }
    }

    /// The ports, where not all are selected.
    pub(in super::super) fn ports(&self) -> Option<&Ports> {
        match self {
            Self::All => None,
            Self::Only(ports) => Some(ports),
        }
    }
}

fn list(value: &str) -> Parsed<Ports> {
    if value.trim().is_empty() {
        return Ok(Ports::default());
    }
    if value.split(',').nth(MOST_ITEMS).is_some() {
        return malformed(format!("it has more than {MOST_ITEMS} items; write ranges"));
    }
    let ranges = value.split(',').map(|item| {
        let problem = || malformed(format!("{} is neither a port nor a range", super::quoted(item)));
        range(item.trim()).map_or_else(problem, Ok)
    });
    ranges.collect::<Result<_, _>>().map(Ports)
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first)?, port(last)?);
    (first <= last).then_some((first, last))
}

/// Digits only: `FromStr` of integers would take a sign.
fn port(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|port| *port != 0)
}

impl fmt::Display for Ports {
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

impl fmt::Display for PortSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Only(ports) => ports.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PortSelection, Ports};

    #[test]
    fn lists_are_printed_as_init_redirect_reads_them() {
        for (given, printed) in
            [("", ""), (" 80 , 8000-8100,443", "80,8000-8100,443"), ("1-65535", "1-65535"), ("7-7", "7")]
        {
            assert_eq!(Ports::parse(given).unwrap().to_string(), printed);
            assert_eq!(PortSelection::parse(given).unwrap().to_string(), printed);
        }
        assert_eq!(PortSelection::parse(" * ").unwrap(), PortSelection::All);
    }

    #[test]
    fn what_is_no_list_of_ports_is_refused() {
        for bad in
            ["0", "65536", "http", "80;81", "80,,81", "90-80", "-1", "+80", "80-", "*", "80,*", "0-10", "٨٠"]
        {
            assert!(Ports::parse(bad).is_err(), "{bad}");
        }
        assert!(PortSelection::parse("80,*").is_err());
    }
}
