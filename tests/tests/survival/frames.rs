//! What attackers say by frames of HTTP/2, which are made by hand as the conformance crate's are.

pub(crate) use conformance::frames::{
    ACK, CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, NO_ERROR, PADDED, PING, PREFACE,
    PRIORITY, PUSH_PROMISE, frame, goaway, literal, ping, reset, settings, window_update,
};

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

/// What everybody says first.
pub(crate) fn greeting() -> Vec<u8> {
    settings(&[])
}

/// What a client says first, and then.
pub(crate) fn opening(says: &[u8]) -> Vec<u8> {
    [PREFACE, &greeting(), says].concat()
}

/// The same, and that it says nothing more: the connection ends with its streams.
pub(crate) fn leaving(says: &[u8]) -> Vec<u8> {
    [&opening(says)[..], &goaway(0, NO_ERROR)].concat()
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
