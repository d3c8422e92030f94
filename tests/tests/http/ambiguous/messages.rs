//! Messages that two readers may understand differently, as to where they end or whom they are for, which are the conformance
//! crate's, and some that are good and the last ones of their connection.

use conformance::http1::{self, Part};

/// What is wrong with a message, and so how much of it a server may get.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wrong {
    /// The head: nothing of it.
    Head,
    /// The first line, so that it is not taken for HTTP at the beginning of a connection; behind a request that is, the same
    /// as for any head.
    Line,
    /// The content, which may have been on its way already: never its end.
    Content,
    /// Nothing; but the connection ends with it.
    Nothing,
}

/// A message's name, its bytes, and what is wrong.
pub(crate) type Message = (String, Vec<u8>, Wrong);

/// Messages behind which nothing counts.
const LAST: [(&str, &str); 3] = [
    ("Connection: close", "GET / HTTP/1.1\r\nHost: server.example\r\nConnection: close\r\n\r\n"),
    ("HTTP/1.0", "GET / HTTP/1.0\r\nHost: server.example\r\n\r\n"),
    (
        "Connection: close after content",
        "POST / HTTP/1.1\r\nHost: server.example\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
    ),
];

/// All of them.
pub(crate) fn all() -> Vec<Message> {
    let ambiguous = http1::requests().into_iter().map(|message| {
        let wrong = match message.part {
            Part::Line if !message.begins_as_http() => Wrong::Line,
            Part::Line | Part::Head => Wrong::Head,
            Part::Content => Wrong::Content,
        };
        (message.name, message.bytes, wrong)
    });
    let last =
        LAST.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.as_bytes().to_vec(), Wrong::Nothing));
    ambiguous.chain(last).collect()
}
