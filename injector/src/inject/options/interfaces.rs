//! Names of network interfaces. A name that ends in `+` stands for all that begin with the rest.

use std::fmt;

use super::{MOST_ITEMS, Parsed, malformed, quoted};

/// Names and beginnings of names; may be empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in super::super) struct Interfaces(Vec<String>);

/// The kernel's IFNAMSIZ without the final NUL.
const LONGEST: usize = 15;

impl Interfaces {
    pub(super) fn parse(text: &str) -> Parsed<Self> {
        if text.trim().is_empty() {
            return Ok(Self(Vec::new()));
        }
        if text.split(',').nth(MOST_ITEMS).is_some() {
            return malformed(format!("it has more than {MOST_ITEMS} items"));
        }
        let names = text.split(',').map(|item| name(item.trim()));
        names.collect::<Result<_, _>>().map(Self)
    }

    pub(in super::super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What the kernel takes, less what would mean something to a command line or a text of rules.
fn name(text: &str) -> Parsed<String> {
    let name = text.strip_suffix('+').unwrap_or(text);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@".contains(&byte);
    let valid =
        !name.is_empty() && name.len() <= LONGEST && name.bytes().all(plain) && !name.starts_with('-');
    if !valid || name.bytes().all(|byte| byte == b'.') {
        return malformed(format!("{} is not the name of an interface", quoted(text)));
    }
    if text == "lo" {
        return malformed("lo is never captured");
    }
    Ok(text.to_owned())
}

impl fmt::Display for Interfaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}
