//! What both forms of a line write in the same way, and often: times, numbers and addresses, without the formatter,
//! which takes five times as long.

use std::cell::Cell;
use std::fmt::Display;
use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second of the year 9999, behind which RFC 3339 has nothing.
const LAST: u64 = 253_402_300_799;

/// A time, as RFC 3339 has it, to the millisecond. Most lines are of the same second as the one before.
pub(super) fn time(to: &mut Vec<u8>, time: SystemTime) {
    thread_local! {
        /// A second since 1970, and its text.
        static SECOND: Cell<(u64, [u8; 20])> = const { Cell::new((u64::MAX, [0; 20])) };
    }
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (mut second, mut text) = SECOND.get();
    if second != since.as_secs() {
        second = since.as_secs().min(LAST);
        let begin = UNIX_EPOCH + Duration::from_secs(second);
        write!(text.as_mut_slice(), "{}", humantime::format_rfc3339_seconds(begin))
            .expect("a year has four digits");
        SECOND.set((second, text));
    }
    to.extend_from_slice(text.strip_suffix(b"Z").unwrap_or(&text));
    let digits = [100, 10, 1].map(|unit| b"0123456789".get(since.subsec_millis() as usize / unit % 10));
    to.push(b'.');
    to.extend(digits.into_iter().flatten());
    to.push(b'Z');
}

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
    use super::{LAST, address, decimal, time};
    use proptest::prelude::*;
    use std::net::SocketAddr;
    use std::time::{Duration, UNIX_EPOCH};

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
        fn times_are_those_of_the_formatter(second in 0..=LAST, millis in prop::array::uniform4(0..1000_u64)) {
            // The first is the only one that is not of the same second as the one before.
            for millis in millis {
                let moment = UNIX_EPOCH + Duration::from_millis(second * 1000 + millis);
                prop_assert_eq!(written(|to| time(to, moment)), humantime::format_rfc3339_millis(moment).to_string());
            }
        }

        #[test]
        fn as_the_formatter_writes_it(number: u64, v4: [u8; 4], v6: [u8; 16], port: u16) {
            prop_assert_eq!(written(|to| decimal(to, number)), number.to_string());
            for one in [SocketAddr::from((v4, port)), SocketAddr::from((v6, port))] {
                prop_assert_eq!(written(|to| address(to, one)), one.to_string());
            }
        }
    }
}
