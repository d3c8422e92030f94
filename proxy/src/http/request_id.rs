//! `x-request-id`: the name of a request across all hops. One that came is never changed; where there is none, one is made.

/// The field.
pub(crate) const NAME: &str = "x-request-id";

/// A name that was made: a random UUID (RFC 9562, section 5.4).
pub(crate) struct Field(String);

/// A new one.
pub(crate) fn field() -> Field {
    const VERSION: u128 = 0x4 << 76;
    const VARIANT: u128 = 0x2 << 62;
    let id = fastrand::u128(..) & !(0xf << 76) & !(0x3 << 62) | VERSION | VARIANT;
    let part = |from: u32, bits: u32| id >> from & ((1 << bits) - 1);
    Field(format!(
        "{NAME}: {:08x}-{:04x}-{:04x}-{:04x}-{:012x}\r\n",
        part(96, 32),
        part(80, 16),
        part(64, 16),
        part(48, 16),
        part(0, 48)
    ))
}

impl Field {
    /// As HTTP/1 sends it.
    pub(crate) fn line(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The value.
    pub(crate) fn id(&self) -> &[u8] {
        self.0.get(NAME.len() + 2..self.0.len().saturating_sub(2)).unwrap_or_default().as_bytes()
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
