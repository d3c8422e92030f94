//! `x-request-id`: the name of a request across all hops. One that came is never changed; where there is none, one is made.

use std::ops::Range;

/// The field.
pub(crate) const NAME: &str = "x-request-id";

/// How it is sent: `x` stands for any digit, and `y` for one of the four that RFC 9562, section 4.1, allows there.
const SHAPE: [u8; 52] = *b"x-request-id: xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx\r\n";

/// Where its value is.
const ID: Range<usize> = NAME.len() + 2..SHAPE.len() - 2;

/// A name that was made: a random UUID (RFC 9562, section 5.4).
pub(crate) struct Field([u8; SHAPE.len()]);

/// A new one.
pub(crate) fn field() -> Field {
    let (mut line, mut random) = (SHAPE, fastrand::u128(..));
    for place in line.get_mut(ID).unwrap_or_default() {
        let bits = random.to_le_bytes()[0] & 0xf;
        *place = match *place {
            b'x' => digit(bits),
            b'y' => digit(bits & 0x3 | 0x8),
            _ => continue,
        };
        random >>= 4;
    }
    Field(line)
}

fn digit(bits: u8) -> u8 {
    if bits < 10 { b'0' + bits } else { b'a' - 10 + bits }
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
    use super::field;

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
}
