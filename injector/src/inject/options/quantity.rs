//! Kubernetes quantities (`500m`, `64Mi`, `1e3`), as far as resources need them: positive, and comparable.

use std::fmt;

use super::{Parsed, malformed};

/// A positive quantity, as its author wrote it. Two are equal when they mean the same.
#[derive(Clone, Debug)]
pub(in super::super) struct Quantity {
    text: String,
    /// In units of 10^-9, the finest that Kubernetes knows.
    nanos: u128,
}

const NANOS: u128 = 1_000_000_000;

/// Suffixes and what they stand for, in units of 10^-9.
const SUFFIXES: [(&str, u128); 16] = [
    ("n", 1),
    ("u", 1_000),
    ("m", 1_000_000),
    ("", NANOS),
    ("k", NANOS * 1_000),
    ("M", NANOS * 1_000_000),
    ("G", NANOS * 1_000_000_000),
    ("T", NANOS * 1_000_000_000_000),
    ("P", NANOS * 1_000_000_000_000_000),
    ("E", NANOS * 1_000_000_000_000_000_000),
    ("Ki", NANOS << 10),
    ("Mi", NANOS << 20),
    ("Gi", NANOS << 30),
    ("Ti", NANOS << 40),
    ("Pi", NANOS << 50),
    ("Ei", NANOS << 60),
];

/// Longer numbers are no resource of any machine, and would leave the range of the arithmetic.
const MOST_DIGITS: usize = 18;

impl Quantity {
    pub(in super::super) fn parse(value: &str) -> Parsed<Self> {
        match nanos(value) {
            Some(nanos) if nanos > 0 => Ok(Self { text: value.to_owned(), nanos }),
            Some(_) | None => malformed("not a positive quantity"),
        }
    }

    /// In units of 10^-9, the finest that Kubernetes knows; sums of these are exact.
    pub(in super::super) fn nanos(&self) -> u128 {
        self.nanos
    }

    /// In whole units, if that is what it is in.
    pub(super) fn whole(&self) -> Option<u128> {
        self.nanos.is_multiple_of(NANOS).then_some(self.nanos / NANOS)
    }

    pub(in super::super) fn exceeds(&self, limit: &Self) -> bool {
        self.nanos > limit.nanos
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn nanos(value: &str) -> Option<u128> {
    let end = value.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(value.len());
    let (number, suffix) = value.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > MOST_DIGITS || fraction.contains('.') {
        return None;
    }
    let mantissa: u128 = digits.parse().ok()?;
    let unit = match SUFFIXES.iter().find(|(name, _)| *name == suffix) {
        Some((_, unit)) => *unit,
        None => exponent(suffix)?,
    };
    let divisor = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    // Kubernetes rounds up what is finer than its finest unit.
    Some(mantissa.checked_mul(unit)?.div_ceil(divisor))
}

fn exponent(suffix: &str) -> Option<u128> {
    let digits = suffix.strip_prefix(['e', 'E'])?;
    let (negative, digits) = match digits.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, digits.strip_prefix('+').unwrap_or(digits)),
    };
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let power =
        10_u128.checked_pow(plain.then(|| digits.parse().ok()).flatten().filter(|power| *power <= 18)?)?;
    let unit = if negative { NANOS.checked_div(power)? } else { NANOS.checked_mul(power)? };
    (unit > 0).then_some(unit)
}

#[cfg(test)]
mod tests {
    use super::Quantity;

    #[test]
    fn quantities_compare_across_notations() {
        for (greater, less) in [
            ("1", "999m"),
            ("1.5", "1"),
            ("1Gi", "1G"),
            ("1G", "953Mi"),
            ("1e3", "999"),
            ("2E3", "1k"),
            (".5", "499m"),
            ("1E", "1e17"),
            ("2", "1.999999999"),
        ] {
            let (greater, less) = (Quantity::parse(greater).unwrap(), Quantity::parse(less).unwrap());
            assert!(greater.exceeds(&less) && !less.exceeds(&greater), "{greater:?} {less:?}");
        }
        assert_eq!(Quantity::parse("0.5").unwrap().nanos, Quantity::parse("500m").unwrap().nanos);
    }

    #[test]
    fn what_is_no_positive_quantity_is_refused() {
        for bad in [
            "",
            "0",
            "-1",
            "+1",
            "1.2.3",
            ".",
            "1mi",
            "1 Gi",
            "Gi",
            "1e",
            "1e99",
            "1e-10",
            "1KiB",
            "٣",
            "1\n",
            "9999999999999999999",
            "\"1\"",
            "{{ .x }}",
        ] {
            assert!(Quantity::parse(bad).is_err(), "{bad:?}");
        }
    }
}
