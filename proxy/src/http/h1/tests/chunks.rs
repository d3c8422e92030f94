//! How much of a stream in chunks is walked over.

use super::super::Refusal::*;
use super::super::{Chunked, Settings};
use super::settings;

/// What is walked over, and what is left for the next message.
#[test]
fn the_walk_ends_where_the_message_does() {
    let cases = [
        "0\r\n\r\n",
        "000\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
        "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
        "0000000000000001\r\na\r\n0\r\n\r\n",
        "1;a\r\n\n\r\n1;a=b;c=\"d \\\" \\\\ \u{e4}\";;\r\n\r\r\n0;last\r\n\r\n",
        "1; a = b ; c\r\nx\r\n0\r\n\r\n",
        "0\r\nA: b\r\nc:\r\nd: \u{e4} \t\"\r\n\r\n",
        "0\r\nX-Transfer-Encoding: a\r\ntransfer-encodings: b\r\nhos: c\r\nhosts: d\r\n\r\n",
    ];
    for case in cases {
        let stream = format!("{case}0\r\n\r\nGET");
        let mut chunked = Chunked::new(&settings());
        assert_eq!(chunked.walk(stream.as_bytes()), Ok(case.len()), "{case:?}");
        assert!(chunked.is_done());
        assert_eq!(chunked.walk(b"more"), Ok(0));
        let mut chunked = Chunked::new(&settings());
        for (number, byte) in case.bytes().enumerate() {
            assert!(!chunked.is_done(), "{case:?} is done at {number}");
            assert_eq!(chunked.walk(&[byte]), Ok(1));
        }
        assert!(chunked.is_done());
    }
}

#[test]
fn the_largest_chunk_is_counted_and_not_held() {
    let mut chunked = Chunked::new(&settings());
    assert_eq!(chunked.walk(b"ffffffffffffffff\r\n"), Ok(18));
    let piece = vec![b'a'; 1 << 20];
    for _ in 0..64 {
        assert_eq!(chunked.walk(&piece), Ok(piece.len()));
    }
    assert!(!chunked.is_done());
    assert!(size_of::<Chunked>() <= 48, "{}", size_of::<Chunked>());
}

#[test]
fn limits_are_exact() {
    let settings =
        Settings { http_max_chunk_extension: 3, http_max_trailers: 12, http_max_fields: 2, ..settings() };
    for (content, result) in [
        ("1;abc\r\na\r\n1;def\r\na\r\n0\r\n\r\n", None),
        ("1;abcd\r\na\r\n0\r\n\r\n", Some(ChunkExtensionTooLong)),
        ("0;abc\r\na:b\r\ncd:e\r\n\r\n", None),
        ("0\r\na:b\r\ncdefghijk:l\r\n\r\n", Some(TrailersTooLong)),
        ("0\r\na:\r\nb:\r\nc:\r\n\r\n", Some(TrailersTooLong)),
    ] {
        let mut chunked = Chunked::new(&settings);
        assert_eq!(chunked.walk(content.as_bytes()).err(), result, "{content:?}");
    }
    let none = Settings { http_max_chunk_extension: 0, ..settings };
    assert_eq!(Chunked::new(&none).walk(b"1;"), Err(ChunkExtensionTooLong));
}
