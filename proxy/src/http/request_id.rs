//! `x-request-id`: the name of a request across all hops. One that came is never changed; where there is none, one is made.

use std::ops::Range;

/// The field.
pub(crate) const NAME: &str = "x-request-id";

/// How it is sent, with `x` for each digit.
const SHAPE: [u8; 52] = *b"x-request-id: xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx\r\n";

/// Where its value is.
const ID: Range<usize> = NAME.len() + 2..SHAPE.len() - 2;

/// A name that was made: a random UUID (RFC 9562, section 5.4).
pub(crate) struct Field([u8; SHAPE.len()]);

/// A new one.
pub(crate) fn field() -> Field {
    const VERSION: u32 = 0x4 << 12;
    const VARIANT: u32 = 0x2 << 30;
    let [a, b, c, d] = std::array::from_fn(|_| fastrand::u32(..));
    let [a, b, c, d] = [a, b & !(0xf << 12) | VERSION, c & !(0x3 << 30) | VARIANT, d].map(digits);
    let mut line = SHAPE;
    let mut place = ID.start;
    for (group, behind) in [(&a[..], 1), (&b[..4], 1), (&b[4..], 1), (&c[..4], 1), (&c[4..], 0), (&d[..], 0)]
    {
        if let Some(to) = line.get_mut(place..place + group.len()) {
            to.copy_from_slice(group);
        }
        place += group.len() + behind;
    }
    Field(line)
}

/// The eight digits of a number, all in one step, since each request waits for four of them.
fn digits(number: u32) -> [u8; 8] {
    /// The same in each byte.
    const fn each(byte: u8) -> u64 {
        u64::from_ne_bytes([byte; 8])
    }
    // One digit's bits in each byte.
    let mut bits = u64::from(number);
    bits = (bits | bits << 16) & 0x0000_ffff_0000_ffff;
    bits = (bits | bits << 8) & 0x00ff_00ff_00ff_00ff;
    bits = (bits | bits << 4) & each(0x0f);
    // 6 more than 9 is the first with another bit.
    let letters = (bits + each(6)) >> 4 & each(1);
    (bits + each(b'0') + letters * u64::from(b'a' - b'9' - 1)).to_be_bytes()
}

impl Field {
    /// As HTTP/1 sends it.
    pub(crate) fn line(&self) -> &[u8] {
        &self.0
    }

    /// The value.
    pub(crate) fn id(&self) -> &[u8] {
        self.0.get(ID).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::{digits, field};

    #[test]
    fn a_name_is_a_random_uuid() {
        let (one, other) = (field(), field());
        assert_ne!(one.id(), other.id());
        for field in [one, other] {
            let id = str::from_utf8(field.id()).unwrap();
            assert_eq!(field.line(), format!("x-request-id: {id}\r\n").as_bytes());
            let parts: Vec<_> = id.split('-').collect();
            assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{id}");
            assert!(
                id.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
            );
            assert!(parts[2].starts_with('4') && parts[3].starts_with(['8', '9', 'a', 'b']), "{id}");
        }
    }

    #[test]
    fn digits_are_those_of_the_formatter() {
        for number in [0, 1, 0x9a, 0x0123_4567, 0x89ab_cdef, 0x9999_9999, 0xaaaa_aaaa, u32::MAX] {
            assert_eq!(digits(number), format!("{number:08x}").as_bytes());
        }
    }
}
