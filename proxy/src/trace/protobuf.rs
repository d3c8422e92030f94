//! As much of protobuf's wire format as spans take: fields one after the other, and a message within a message is a field whose
//! length stands before it.

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// Seven bits a byte, the lowest ones first; all bytes but the last have the eighth bit.
pub(super) fn varint(to: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            return to.push(low & 0x7f);
        }
        to.push(low | 0x80);
    }
}

fn key(to: &mut Vec<u8>, field: u64, wire: u64) {
    varint(to, field << 3 | wire);
}

/// A number or an enum.
pub(super) fn number(to: &mut Vec<u8>, field: u64, number: u64) {
    key(to, field, VARINT);
    varint(to, number);
}

pub(super) fn fixed64(to: &mut Vec<u8>, field: u64, number: u64) {
    key(to, field, FIXED64);
    to.extend_from_slice(&number.to_le_bytes());
}

pub(super) fn fixed32(to: &mut Vec<u8>, field: u64, number: u32) {
    key(to, field, FIXED32);
    to.extend_from_slice(&number.to_le_bytes());
}

/// Bytes, a text or a message that is written already.
pub(super) fn bytes(to: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    key(to, field, BYTES);
    varint(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

/// A message that `write` appends. Its length is known afterwards, so what it says is moved behind it.
pub(super) fn message(to: &mut Vec<u8>, field: u64, write: impl FnOnce(&mut Vec<u8>)) {
    key(to, field, BYTES);
    let begin = to.len();
    write(to);
    let length = to.len() - begin;
    varint(to, length as u64);
    let moved = to.len() - begin - length;
    if let Some(written) = to.get_mut(begin..) {
        written.rotate_right(moved);
    }
}

#[cfg(test)]
mod tests {
    use super::{bytes, fixed32, fixed64, message, number, varint};

    #[test]
    fn numbers_have_the_bytes_that_the_format_gives_them() {
        for (value, expected) in [
            (0, &[0][..]),
            (1, &[1]),
            (127, &[0x7f]),
            (128, &[0x80, 1]),
            (150, &[0x96, 1]),
            (u64::MAX, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ] {
            let mut to = Vec::new();
            varint(&mut to, value);
            assert_eq!(to, expected, "{value}");
        }
    }

    #[test]
    fn fields_have_a_key_and_messages_a_length() {
        let mut to = Vec::new();
        number(&mut to, 1, 150);
        fixed64(&mut to, 7, 2);
        fixed32(&mut to, 16, 1);
        bytes(&mut to, 2, b"testing");
        message(&mut to, 3, |to| number(to, 1, 150));
        let expected = [
            &[0x08, 0x96, 1][..],
            &[0x39, 2, 0, 0, 0, 0, 0, 0, 0],
            &[0x85, 1, 1, 0, 0, 0],
            b"\x12\x07testing",
            &[0x1a, 3, 0x08, 0x96, 1],
        ];
        assert_eq!(to, expected.concat());
        // A length of two bytes.
        let mut long = Vec::new();
        message(&mut long, 1, |to| to.extend([7; 200]));
        assert_eq!(long, [&[0x0a, 0xc8, 1][..], &[7; 200]].concat());
    }
}
