//! Lists of address ranges, of both families.

use std::fmt;

use ipnet::IpNet;

use super::{MOST_ITEMS, Parsed, malformed};

/// Address ranges, host bits cleared; may be empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in super::super) struct Cidrs(Vec<IpNet>);

/// All addresses, or some.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in super::super) enum CidrSelection {
    All,
    Only(Cidrs),
}

impl Cidrs {
    pub(in super::super) fn parse(value: &str) -> Parsed<Self> {
        list(value)
    }

    pub(in super::super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl CidrSelection {
    pub(in super::super) fn parse(value: &str) -> Parsed<Self> {
        if value.trim() == "*" { Ok(Self::All) } else { list(value).map(Self::Only) }
    }
}

fn list(value: &str) -> Parsed<Cidrs> {
    if value.trim().is_empty() {
        return Ok(Cidrs(Vec::new()));
    }
    if value.split(',').nth(MOST_ITEMS).is_some() {
        return malformed(format!("it has more than {MOST_ITEMS} items; write wider ranges"));
    }
    let ranges = value.split(',').map(|item| {
        let range = item.trim().parse::<IpNet>().map(|range| range.trunc());
        range.or_else(|_| malformed(format!("{} is not a CIDR", super::quoted(item))))
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
