//! Names of network interfaces, which need not exist yet. A name that ends in `+` stands for all that begin with the rest, as
//! to iptables.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::Malformed;

/// An interface, or all with a common beginning.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Interface {
    name: String,
    prefix: bool,
}

/// A set of interfaces. Invariant: sorted, none twice.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Interfaces(Vec<Interface>);

impl Interface {
    /// The longest name: the kernel's IFNAMSIZ without the final NUL.
    pub const MAX: usize = 15;

    /// The name, or what the names begin with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it stands for all that begin with [`Interface::name`].
    pub const fn is_prefix(&self) -> bool {
        self.prefix
    }

    /// Whether an interface of this name is meant.
    pub fn matches(&self, name: &str) -> bool {
        if self.prefix { name.starts_with(&self.name) } else { name == self.name }
    }
}

impl Interfaces {
    /// What the texts of a set have to be.
    pub const ALLOWED: &'static str = "names of interfaces of at most 15 characters, comma separated, as in net1,tap+ (+ stands for any ending)";

    /// The interfaces, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Interface> {
        self.0.iter()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Interface> for Interfaces {
    fn from_iter<I: IntoIterator<Item = Interface>>(interfaces: I) -> Self {
        let mut sorted: Vec<Interface> = interfaces.into_iter().collect();
        sorted.sort_unstable();
        sorted.dedup();
        Self(sorted)
    }
}

impl FromStr for Interface {
    type Err = Malformed;

    /// What the kernel takes as a name, less what would not survive a text of rules.
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let (name, prefix) = text.strip_suffix('+').map_or((text, false), |name| (name, true));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
        let valid = !name.is_empty() && name.len() <= Self::MAX && name.bytes().all(plain);
        if !valid || [".", ".."].contains(&name) || name.starts_with('-') {
            return Err(Malformed(format!("{text:?} is not the name of an interface")));
        }
        if name == "lo" && !prefix {
            return Err(Malformed("lo is never captured".to_owned()));
        }
        Ok(Self { name: name.to_owned(), prefix })
    }
}

impl FromStr for Interfaces {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        text.split(',').map(|part| part.trim().parse::<Interface>()).collect()
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, if self.prefix { "+" } else { "" })
    }
}

impl Serialize for Interface {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::{Interface, Interfaces};

    #[test]
    fn a_plus_stands_for_any_ending() {
        let tap: Interface = "tap+".parse().expect("a prefix");
        assert!(tap.matches("tap0") && tap.matches("tap") && !tap.matches("eth0"));
        let net: Interface = "net1".parse().expect("a name");
        assert!(net.matches("net1") && !net.matches("net10"));
    }

    #[test]
    fn a_list_is_a_set() {
        let names = |text: &str| {
            text.parse::<Interfaces>().expect(text).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(names("net1, eth0.5,net1,tap+"), ["eth0.5", "net1", "tap+"]);
        assert!(names(" ").is_empty());
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for bad in ["sixteen-letters-", "a b", "a/b", "+", ",", "eth0,", "*", "-i", "..", "a\nb", "\"", "lo"]
        {
            assert!(bad.parse::<Interfaces>().is_err(), "{bad:?}");
        }
    }
}
