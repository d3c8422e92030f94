//! RFC 7541: blocks of fields, as they are read.

use std::collections::VecDeque;

use super::huffman;

/// A line of a head, or of trailers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Field {
    /// As it came: nothing judges it.
    pub name: Vec<u8>,
    /// The same.
    pub value: Vec<u8>,
    /// RFC 7541, section 7.1.3: nobody on the way may put it into a table.
    pub is_never_indexed: bool,
}

type Entry = (Vec<u8>, Vec<u8>);

/// Reads all blocks of one direction of a connection, in their order.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The youngest first.
    table: VecDeque<Entry>,
    most: usize,
}

impl Decoder {
    /// Of a writer who may have a table of this size.
    pub fn new(most: usize) -> Self {
        Self { table: VecDeque::new(), most }
    }

    /// All fields of a block, unless it cannot be read.
    pub fn read(&mut self, block: &[u8]) -> Option<Vec<Field>> {
        let (mut rest, mut fields) = (block, vec![]);
        while !rest.is_empty() {
            fields.extend(self.next(&mut rest)?);
        }
        Some(fields)
    }

    /// RFC 7541, section 6. Nothing of a new size of the table can be told.
    fn next(&mut self, rest: &mut &[u8]) -> Option<Option<Field>> {
        let first = *rest.first()?;
        let (prefix, enters, is_never_indexed) = match first {
            0x80.. => {
                let (name, value) = self.entry(integer(rest, 7)?)?;
                return Some(Some(Field { name, value, is_never_indexed: false }));
            }
            0x40.. => (6, true, false),
            0x20.. => {
                self.most = integer(rest, 5)?;
                self.evict();
                return Some(None);
            }
            _ => (4, false, first & 0x10 != 0),
        };
        let name = match integer(rest, prefix)? {
            0 => text(rest)?,
            index => self.entry(index)?.0,
        };
        let value = text(rest)?;
        if enters {
            self.table.push_front((name.clone(), value.clone()));
            self.evict();
        }
        Some(Some(Field { name, value, is_never_indexed }))
    }

    fn entry(&self, index: usize) -> Option<Entry> {
        let index = index.checked_sub(1)?;
        let known =
            STATIC.get(index).map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        known.or_else(|| self.table.get(index.checked_sub(STATIC.len())?).cloned())
    }

    /// RFC 7541, sections 4.1 and 4.3.
    fn evict(&mut self) {
        let size = |(name, value): &Entry| name.len() + value.len() + 32;
        while self.table.iter().map(size).sum::<usize>() > self.most {
            self.table.pop_back();
        }
    }
}

/// RFC 7541, section 5.1; no number of ours has more than 28 bits.
fn integer(rest: &mut &[u8], prefix: u32) -> Option<usize> {
    let (first, mut after) = rest.split_first()?;
    let most = 2_usize.pow(prefix) - 1;
    let mut number = usize::from(*first) & most;
    if number == most {
        for shift in [0, 7, 14, 21] {
            let (next, left) = after.split_first()?;
            after = left;
            number += usize::from(next & 0x7f) << shift;
            if next & 0x80 == 0 {
                *rest = after;
                return Some(number);
            }
        }
        return None;
    }
    *rest = after;
    Some(number)
}

/// RFC 7541, section 5.2.
fn text(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let is_compressed = rest.first()? & 0x80 != 0;
    let (text, left) = integer(rest, 7).and_then(|length| rest.split_at_checked(length))?;
    *rest = left;
    if is_compressed { huffman::decode(text) } else { Some(text.to_vec()) }
}

/// RFC 7541, appendix A.
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

#[cfg(test)]
mod tests {
    use super::{Decoder, Field};
    use crate::frames::{block, never_indexed};

    fn shown(fields: &[Field]) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        fields.iter().map(|field| format!("{}: {}", text(&field.name), text(&field.value))).collect()
    }

    /// RFC 7541, C.6: a table of 256 bytes, out of which fields fall.
    #[test]
    fn responses_of_the_rfc() {
        let blocks = [
            "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
            "4883640effc1c0bf",
            "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
        ];
        let mut decoder = Decoder::new(256);
        let mut heads = blocks.map(|block| {
            let digits = block.as_bytes().chunks(2).map(|two| std::str::from_utf8(two).expect("ASCII"));
            let bytes: Vec<_> = digits.map(|two| u8::from_str_radix(two, 16).expect("digits")).collect();
            shown(&decoder.read(&bytes).expect("a block"))
        });
        let location = "location: https://www.example.com";
        let date = "date: Mon, 21 Oct 2013 20:13:21 GMT";
        assert_eq!(heads[0], [":status: 302", "cache-control: private", date, location]);
        assert_eq!(heads[1], [":status: 307", "cache-control: private", date, location]);
        assert_eq!(
            heads[2].pop().as_deref(),
            Some("set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1")
        );
        let later = "date: Mon, 21 Oct 2013 20:13:22 GMT";
        assert_eq!(
            heads[2],
            [":status: 200", "cache-control: private", later, location, "content-encoding: gzip"]
        );
    }

    #[test]
    fn what_is_written_here() {
        let long = "a".repeat(300);
        let written = [block(&[("x-a", &long), ("x-b", "")]), never_indexed(b"x-c", b"\xe9")].concat();
        let fields = Decoder::new(0).read(&written).expect("a block");
        assert_eq!(shown(&fields), [format!("x-a: {long}"), "x-b: ".to_owned(), "x-c: \u{fffd}".to_owned()]);
        assert_eq!(
            fields.iter().map(|field| field.is_never_indexed).collect::<Vec<_>>(),
            [false, false, true]
        );
    }

    #[test]
    fn what_cannot_be_read() {
        for block in [&b"\x80"[..], b"\xbe", b"\x00\x01", b"\x40\x05x", b"\x7f", b"\xff\xff\xff\xff\xff\xff"]
        {
            assert_eq!(Decoder::new(4096).read(block), None, "{block:?}");
        }
    }
}
