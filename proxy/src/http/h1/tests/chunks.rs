//! Contents that are refused for their chunks, of requests and responses alike, and how much of a stream is walked over.

use super::super::Refusal::{self, *};
use super::super::{Chunked, Settings};
use super::{Speaker, all_refused, asked, settings};

const REQUEST: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
const RESPONSE: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn none_is_accepted() {
    all_refused(Speaker::Client, matrix());
    let server = Speaker::Server(asked(super::GET));
    all_refused(
        server,
        contents().into_iter().map(|(reason, content)| (reason, [RESPONSE, &content].concat().into())),
    );
}

/// All of them, in requests.
pub(super) fn matrix() -> Vec<(Refusal, Vec<u8>)> {
    contents().into_iter().map(|(reason, content)| (reason, [REQUEST, &content].concat().into())).collect()
}

fn contents() -> Vec<(Refusal, String)> {
    let mut all: Vec<_> = CONTENTS.iter().map(|(reason, content)| (*reason, (*content).to_owned())).collect();
    all.push((ChunkExtensionTooLong, format!("1;{}\r\na\r\n0\r\n\r\n", "a".repeat(1025))));
    all.push((ChunkExtensionTooLong, format!("0;a=\"{}\"\r\n\r\n", "b".repeat(1025))));
    all.push((TrailersTooLong, format!("0\r\na: {}\r\n\r\n", "b".repeat(17_000))));
    all.push((TrailersTooLong, format!("0\r\n{}: b\r\n\r\n", "a".repeat(17_000))));
    all.push((TrailersTooLong, format!("0\r\n{}\r\n", "a: b\r\n".repeat(101))));
    all
}

const CONTENTS: [(Refusal, &str); 69] = [
    // Sizes.
    (ChunkSize, "\r\na\r\n0\r\n\r\n"),
    (ChunkSize, "g\r\na\r\n0\r\n\r\n"),
    (ChunkSize, "-1\r\na\r\n0\r\n\r\n"),
    (ChunkSize, "+1\r\na\r\n0\r\n\r\n"),
    (ChunkSize, "0x1\r\na\r\n0\r\n\r\n"),
    (ChunkSize, " 1\r\na\r\n0\r\n\r\n"),
    (ChunkSize, "\t1\r\na\r\n0\r\n\r\n"),
    (ChunkSize, "1 \r\na\r\n0\r\n\r\n"),
    (ChunkSize, "1\t\r\na\r\n0\r\n\r\n"),
    (ChunkSize, "1 ;a\r\na\r\n0\r\n\r\n"),
    (ChunkSize, "1 1\r\na\r\n0\r\n\r\n"),
    (ChunkSize, "1_0\r\na\r\n0\r\n\r\n"),
    (ChunkSize, "1.\r\na\r\n0\r\n\r\n"),
    (ChunkSize, "1,1\r\na\r\n0\r\n\r\n"),
    (ChunkSize, "1h\r\na\r\n0\r\n\r\n"),
    (ChunkSize, "\"1\"\r\na\r\n0\r\n\r\n"),
    (ChunkSize, "1\0\r\na\r\n0\r\n\r\n"),
    (ChunkSize, "\u{661}\r\na\r\n0\r\n\r\n"),
    (ChunkSize, ";a\r\na\r\n0\r\n\r\n"),
    (ChunkSize, "00000000000000001\r\na\r\n0\r\n\r\n"),
    (ChunkSize, "10000000000000000\r\na\r\n0\r\n\r\n"),
    (ChunkSize, "ffffffffffffffffff\r\na\r\n0\r\n\r\n"),
    (ChunkSize, "1\r\na\r\n\r\n"),
    (ChunkSize, "GET / HTTP/1.1\r\n\r\n"),
    // Line ends.
    (LineEnd, "1\na\r\n0\r\n\r\n"),
    (LineEnd, "\n1\r\na\r\n0\r\n\r\n"),
    (LineEnd, "1\r\r\na\r\n0\r\n\r\n"),
    (LineEnd, "1\ra\r\n0\r\n\r\n"),
    (LineEnd, "1;a\na\r\n0\r\n\r\n"),
    (LineEnd, "1;a\ra\r\n0\r\n\r\n"),
    (LineEnd, "1;a=b\nc\r\na\r\n0\r\n\r\n"),
    (LineEnd, "1\r\na\r\n0\n\r\n"),
    (LineEnd, "1\r\na\r\n0\r\n\n"),
    (LineEnd, "1\r\na\r\n0\r\n\r\r\n"),
    (LineEnd, "1\r\na\r\n0\r\n\rX"),
    (LineEnd, "0\na: b\r\n\r\n"),
    (LineEnd, "0\r\na: b\n\r\n"),
    (LineEnd, "0\r\na: b\rc\r\n\r\n"),
    (LineEnd, "0\r\na: b\r\n\n"),
    (ChunkEnd, "1\r\na\n0\r\n\r\n"),
    (ChunkEnd, "1\r\na\r0\r\n\r\n"),
    // Contents of another length.
    (ChunkEnd, "1\r\nab\r\n0\r\n\r\n"),
    (ChunkEnd, "3\r\na\r\n0\r\n\r\n"),
    (ChunkEnd, "1\r\na0\r\n\r\n"),
    (ChunkEnd, "1\r\naXX0\r\n\r\n"),
    (ChunkEnd, "2\r\na\r\n0\r\n\r\n"),
    // Extensions.
    (ChunkExtension, "1;\0\r\na\r\n0\r\n\r\n"),
    (ChunkExtension, "1;a\x0b\r\na\r\n0\r\n\r\n"),
    (ChunkExtension, "1;a\x7f\r\na\r\n0\r\n\r\n"),
    (ChunkExtension, "1;a=\"b\r\na\r\n0\r\n\r\n"),
    (ChunkExtension, "1;a=\"b\\\r\na\r\n0\r\n\r\n"),
    (ChunkExtension, "1;a=\"\r\n\"\r\na\r\n0\r\n\r\n"),
    (ChunkExtension, "1;a=\"b\0\"\r\na\r\n0\r\n\r\n"),
    (ChunkExtension, "1;a=(b)\r\na\r\n0\r\n\r\n"),
    (ChunkExtension, "1;a=b,c\r\na\r\n0\r\n\r\n"),
    (ChunkExtension, "1;\u{e4}\r\na\r\n0\r\n\r\n"),
    (LineEnd, "1;a=\"\n\"\r\na\r\n0\r\n\r\n"),
    (ChunkExtension, "0;a=\"b\r\n\r\n"),
    // Trailers.
    (Trailer, "0\r\na\r\n\r\n"),
    (Trailer, "0\r\n: a\r\n\r\n"),
    (Trailer, "0\r\n a: b\r\n\r\n"),
    (Trailer, "0\r\na : b\r\n\r\n"),
    (Trailer, "0\r\na: b\r\n c\r\n\r\n"),
    (Trailer, "0\r\na: b\0\r\n\r\n"),
    (Trailer, "0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (TrailerForbidden, "0\r\nContent-Length: 5\r\n\r\n"),
    (TrailerForbidden, "0\r\ntransfer-encoding: chunked\r\n\r\n"),
    (TrailerForbidden, "0\r\na: b\r\nHOST: a\r\n\r\n"),
    (TrailerForbidden, "0\r\nTransfer_Encoding: chunked\r\n\r\n"),
];

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
