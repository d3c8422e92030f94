//! What both forms of a line write in the same way, and often: numbers and addresses, without the formatter, which takes
//! five times as long.

use std::fmt::Display;
use std::io::Write;
use std::net::SocketAddr;

/// A number.
pub(super) fn decimal(to: &mut Vec<u8>, mut number: u64) {
    // 2^64 has 20 digits.
    let mut digits = [b'0'; 20];
    let mut begin = digits.len();
    for (place, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        (number, begin) = (number / 10, place);
        if number == 0 {
            break;
        }
    }
    to.extend(digits.get(begin..).unwrap_or_default());
}

/// An address with its port.
pub(super) fn address(to: &mut Vec<u8>, address: SocketAddr) {
    let SocketAddr::V4(v4) = address else { return shown(to, address) };
    for (number, behind) in v4.ip().octets().into_iter().zip(*b"...:") {
        octet(to, number, behind);
    }
    decimal(to, v4.port().into());
}

fn octet(to: &mut Vec<u8>, number: u8, behind: u8) {
    let [hundreds, tens, ones] = [number / 100, number / 10 % 10, number % 10].map(|digit| b'0' + digit);
    match number {
        0..=9 => to.extend_from_slice(&[ones, behind]),
        10..=99 => to.extend_from_slice(&[tens, ones, behind]),
        100.. => to.extend_from_slice(&[hundreds, tens, ones, behind]),
    }
}

/// Anything else.
pub(super) fn shown(to: &mut Vec<u8>, value: impl Display) {
    write!(to, "{value}").expect("memory takes all text");
}

#[cfg(test)]
mod tests {
    use super::{address, decimal};
    use proptest::prelude::*;
    use std::net::SocketAddr;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut text = Vec::new();
        write(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn the_smallest_and_the_greatest() {
        for number in [0, 9, 10, 99, 100, u64::MAX] {
            assert_eq!(written(|to| decimal(to, number)), number.to_string());
        }
    }

    proptest! {
        #[test]
        fn as_the_formatter_writes_it(number: u64, v4: [u8; 4], v6: [u8; 16], port: u16) {
            prop_assert_eq!(written(|to| decimal(to, number)), number.to_string());
            for one in [SocketAddr::from((v4, port)), SocketAddr::from((v6, port))] {
                prop_assert_eq!(written(|to| address(to, one)), one.to_string());
            }
        }
    }
}
