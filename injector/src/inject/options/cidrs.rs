//! Lists of address ranges, of both families.

use std::fmt;

use ipnet::IpNet;

use super::Invalid;

const LIST_FORM: &str = "a list of CIDRs such as 10.0.0.0/8,2001:db8::/32";
const SELECTION_FORM: &str = "* or a list of CIDRs such as 10.0.0.0/8,2001:db8::/32";

/// Address ranges, host bits cleared; may be empty.
#[derive(Debug, Eq, PartialEq)]
pub(in super::super) struct Cidrs(Vec<IpNet>);

/// All addresses, or some.
#[derive(Debug, Eq, PartialEq)]
pub(in super::super) enum CidrSelection {
    All,
    Only(Cidrs),
}

impl Cidrs {
    pub(in super::super) fn parse(value: &str) -> Result<Self, Invalid> {
        list(value, LIST_FORM)
    }
}

impl CidrSelection {
    pub(in super::super) fn parse(value: &str) -> Result<Self, Invalid> {
        if value.trim() == "*" { Ok(Self::All) } else { list(value, SELECTION_FORM).map(Self::Only) }
    }
}

fn list(value: &str, allowed: &'static str) -> Result<Cidrs, Invalid> {
    if value.trim().is_empty() {
        return Ok(Cidrs(Vec::new()));
    }
    let ranges = value.split(',').map(|item| {
        item.trim()
            .parse::<IpNet>()
            .map(|range| range.trunc())
            .map_err(|_| Invalid { problem: format!("{} is not a CIDR", super::quoted(item)), allowed })
    });
    ranges.collect::<Result<_, _>>().map(Cidrs)
}

impl fmt::Display for Cidrs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, range) in self.0.iter().enumerate() {
            write!(f, "{}{range}", if position == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl fmt::Display for CidrSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Only(cidrs) => cidrs.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CidrSelection, Cidrs};

    #[test]
    fn ranges_of_both_families_are_printed_canonically() {
        for (given, printed) in [("", ""), ("10.1.2.3/8, 2001:DB8::1/32", "10.0.0.0/8,2001:db8::/32")] {
            assert_eq!(Cidrs::parse(given).unwrap().to_string(), printed);
            assert_eq!(CidrSelection::parse(given).unwrap().to_string(), printed);
        }
        assert_eq!(CidrSelection::parse("*").unwrap().to_string(), "*");
    }

    #[test]
    fn what_is_no_list_of_ranges_is_refused() {
        for bad in
            ["10.0.0.1", "10.0.0.0/33", "10.0.0.0/8,", "*", "::/129", "host/8", "10.0.0.0/8 10.1.0.0/16"]
        {
            assert!(Cidrs::parse(bad).is_err(), "{bad}");
        }
    }
}
