//! Frames of HTTP/2 (RFC 9113), made by hand, as no library would send them.

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// RFC 7541: GET or POST, http, /, and an authority that is not remembered.
pub(crate) const GET: &[u8] = b"\x82\x86\x84\x01\x03web";
pub(crate) const POST: &[u8] = b"\x83\x86\x84\x01\x03web";
/// `:status 200`; and 103, without an index.
pub(crate) const OK: &[u8] = b"\x88";
pub(crate) const HINTS: &[u8] = b"\x08\x03103";

/// A field that is remembered, whose value has 4,000 bytes: the name as a literal, the length as 127 and by seven bits what is left.
pub(crate) fn long_field(name: &str) -> Vec<u8> {
    let length = u8::try_from(name.len()).expect("a short name");
    [&[0x40, length], name.as_bytes(), &[0x7f, 0xa1, 0x1e], &[b'v'; 4_000]].concat()
}

/// The latest field that is remembered (RFC 7541, section 2.3.3).
pub(crate) const LATEST: u8 = 0x80 + 62;

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).expect("a short payload").to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What everybody says first.
pub(crate) fn greeting() -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[])
}

/// What a client says first, and then.
pub(crate) fn opening(says: &[u8]) -> Vec<u8> {
    [PREFACE, &greeting(), says].concat()
}

/// The same, and that it says nothing more: the connection ends with its streams.
pub(crate) fn leaving(says: &[u8]) -> Vec<u8> {
    [&opening(says)[..], &frame(GOAWAY, 0, 0, &[0; 8])].concat()
}

/// A frame that has come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) payload: &'a [u8],
}

/// Those that are whole of what has come from a client or a server.
pub(crate) fn walk(heard: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    let mut rest = heard.strip_prefix(PREFACE).unwrap_or(heard);
    std::iter::from_fn(move || {
        let ([high, middle, low, kind, flags, _stream @ ..], after) = rest.split_first_chunk::<9>()?;
        let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
        let (payload, after) = after.split_at_checked(length)?;
        rest = after;
        Some(Frame { kind: *kind, flags: *flags, payload })
    })
}
