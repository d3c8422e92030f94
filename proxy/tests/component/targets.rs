//! What is fuzzed, and what it begins with: the tests give it mutations of the seeds, libFuzzer whatever it likes.

use proxy::detect::{LIMIT, Reason, detect};

/// A client's first bytes: whatever they are, an answer stands, comes by [`LIMIT`] bytes, and names hosts alone.
pub(crate) fn detection(bytes: &[u8]) {
    let whole = detect(bytes);
    // Everywhere near the beginning, where the readers decide, and here and there behind it.
    let lengths = (0..bytes.len().min(64)).chain((64..bytes.len()).step_by(bytes.len() / 16 + 1));
    for length in lengths {
        let early = detect(&bytes[..length]);
        assert!(early.is_none() || early == whole, "{length} bytes: {early:?}, and all: {whole:?}");
    }
    assert!(whole.is_some() || bytes.len() < LIMIT, "no answer after {} bytes", bytes.len());
    let Some(whole) = whole else { return };
    let told = [Reason::FirstBytes, Reason::Unrecognized, Reason::TooLong];
    assert!(told.contains(&whole.reason), "{:?} is nothing that bytes tell", whole.reason);
    let name = whole.hello.as_ref().and_then(|hello| hello.server_name.as_deref()).unwrap_or_default();
    assert!(name.chars().all(|letter| letter.is_ascii_graphic() && !letter.is_ascii_uppercase()), "{name:?}");
}

/// One beginning of each kind.
pub(crate) fn detection_seeds() -> impl Iterator<Item = Vec<u8>> {
    let lines: [&[u8]; 8] = [
        b"GET / HTTP/1.1\r\nHost: web.shop.example\r\n\r\n",
        b"\r\nCONNECT web.shop.example:443 HTTP/1.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        b"EHLO mail.shop.example\r\n",
        b"GET key\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"\0\0\0\x08\x04\xd2\x16\x2f",
    ];
    let name = vector(2, &[&[0][..], &vector(2, b"web.shop.example")].concat());
    let alpn = vector(2, &[vector(1, b"h2"), vector(1, b"http/1.1")].concat());
    let extensions = [&[0, 0][..], &vector(2, &name), &[0, 16], &vector(2, &alpn)].concat();
    let body = [&[3, 3][..], &[7; 32], &[0], &[0, 2, 0x13, 1], &[1, 0], &vector(2, &extensions)].concat();
    let message = [&[1][..], &vector(3, &body)].concat();
    let records = |size: usize| {
        message.chunks(size).flat_map(|part| [&[22, 3, 1][..], &vector(2, part)].concat()).collect::<Vec<_>>()
    };
    let hellos = [records(1), records(7), records(1 << 14)];
    lines.map(<[u8]>::to_vec).into_iter().chain(hellos)
}

/// Bytes behind their length, of so many bytes.
fn vector(width: usize, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a short one").to_be_bytes();
    [&length[length.len() - width..], bytes].concat()
}
