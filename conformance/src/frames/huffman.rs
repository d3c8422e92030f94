//! RFC 7541, section 5.2 and appendix B: texts that are compressed.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// How many bits each byte has, and what stands for the end. The codes follow from it: one counts up within a length, in the order of
/// the bytes.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, //
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, //
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, //
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, //
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, //
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, //
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, //
    23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, //
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, //
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, //
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

/// What stands for a length and a code.
static BYTES: LazyLock<BTreeMap<(u8, u32), u8>> = LazyLock::new(|| {
    let mut order: Vec<_> = LENGTHS.iter().zip(0_u16..).collect();
    order.sort();
    let (mut codes, mut code, mut before) = (BTreeMap::new(), 0, 0);
    for (length, byte) in order {
        code <<= length - before;
        // The last is the end.
        if let Ok(byte) = u8::try_from(byte) {
            codes.insert((*length, code), byte);
        }
        (code, before) = (code + 1, *length);
    }
    codes
});

/// The text, unless there is no such one.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut text = vec![];
    let (mut length, mut code) = (0, 0);
    for bit in bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| u32::from(byte >> at & 1))) {
        (length, code) = (length + 1, code << 1 | bit);
        if let Some(byte) = BYTES.get(&(length, code)) {
            text.push(*byte);
            (length, code) = (0, 0);
        } else if length == 30 {
            return None;
        }
    }
    // Filled up with the beginning of the end, which is nothing but ones.
    (length < 8 && code == (1 << length) - 1).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::decode;

    /// RFC 7541, C.4.1 and C.6.1.
    #[test]
    fn texts_of_the_rfc() {
        assert_eq!(
            decode(b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff").as_deref(),
            Some(&b"www.example.com"[..])
        );
        assert_eq!(decode(b"\x64\x02").as_deref(), Some(&b"302"[..]));
        assert_eq!(decode(b"\xae\xc3\x77\x1a\x4b").as_deref(), Some(&b"private"[..]));
    }

    #[test]
    fn no_texts() {
        assert_eq!(decode(b"\xff\xff\xff\xff"), None);
        assert_eq!(decode(b"\x18"), None, "filled up with zeros");
        assert_eq!(decode(b"\xff"), None, "as much as a byte to fill up");
    }
}
