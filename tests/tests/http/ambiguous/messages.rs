//! Messages that two readers may understand differently, as to where they end or whom they are for.

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

use Wrong::{Content, Head, Line, Nothing};

/// A message's name, its bytes, and what is wrong.
pub(crate) type Message = (String, Vec<u8>, Wrong);

/// Fields of a POST that has a Host, and what follows the head.
const FIELDS: [(&str, &str, &str); 37] = [
    ("both lengths", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    ("both lengths, the other way round", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
    ("two lengths", "Content-Length: 0\r\nContent-Length: 5\r\n", "hello"),
    ("two lengths that agree", "Content-Length: 5\r\nContent-Length: 5\r\n", "hello"),
    ("a list of lengths", "Content-Length: 5, 5\r\n", "hello"),
    ("a length with a sign", "Content-Length: +5\r\n", "hello"),
    ("a negative length", "Content-Length: -5\r\n", ""),
    ("a hexadecimal length", "Content-Length: 0x5\r\n", "hello"),
    ("a length with an underscore", "Content-Length: 1_0\r\n", "helloworld"),
    ("a length with a space in it", "Content-Length: 1 0\r\n", "helloworld"),
    ("a length with letters", "Content-Length: 5a\r\n", "hello"),
    ("an empty length", "Content-Length:\r\n", ""),
    ("a length of too many digits", "Content-Length: 18446744073709551621\r\n", "hello"),
    ("a space before the colon of a length", "Content-Length : 5\r\n", "hello"),
    ("an underscore in the name of a length", "Content_Length: 5\r\n", "hello"),
    ("a space before the colon of a coding", "Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
    ("a tab before a coding", "Transfer-Encoding:\tchunked\r\n", "0\r\n\r\n"),
    ("a tab after a coding", "Transfer-Encoding: chunked\t\r\n", "0\r\n\r\n"),
    ("a vertical tab before a coding", "Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n"),
    ("another coding", "Transfer-Encoding: identity\r\n", ""),
    ("another coding before", "Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
    ("another coding after", "Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"),
    ("a coding twice", "Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"),
    ("a coding that is none", "Transfer-Encoding: xchunked\r\n", ""),
    ("a quoted coding", "Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"),
    ("two codings", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
    ("an underscore in the name of a coding", "Transfer_Encoding: chunked\r\n", "0\r\n\r\n"),
    ("a continued coding", "Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"),
    ("a continued length", "Content-Length:\r\n 5\r\n", "hello"),
    ("a continued field", "X-A: b\r\n\tc\r\n", ""),
    ("a bare LF between fields", "X-A: b\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    ("a bare CR between fields", "X-A: b\rTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
    ("a NUL in a value", "X-A: b\0c\r\n", ""),
    ("a NUL in a name", "X\0A: b\r\n", ""),
    ("a line without a colon", "Transfer-Encoding\r\n", ""),
    ("Connection names the length", "Connection: Content-Length\r\nContent-Length: 5\r\n", "hello"),
    (
        "Connection names the coding",
        "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n",
        "0\r\n\r\n",
    ),
];

/// Whole messages.
const WHOLE: [(&str, Wrong, &str); 23] = [
    ("no Host", Head, "GET / HTTP/1.1\r\n\r\n"),
    ("two Hosts", Head, "GET / HTTP/1.1\r\nHost: server.example\r\nHost: other.example\r\n\r\n"),
    ("two Hosts that agree", Head, "GET / HTTP/1.1\r\nHost: server.example\r\nHost: server.example\r\n\r\n"),
    ("a Host with a comma", Head, "GET / HTTP/1.1\r\nHost: server.example, other.example\r\n\r\n"),
    ("a Host with a user", Head, "GET / HTTP/1.1\r\nHost: server.example@other.example\r\n\r\n"),
    ("a Host with a path", Head, "GET / HTTP/1.1\r\nHost: server.example/a\r\n\r\n"),
    (
        "another Host than the target",
        Head,
        "GET http://server.example/ HTTP/1.1\r\nHost: other.example\r\n\r\n",
    ),
    ("a user in the target", Head, "GET http://a@server.example/ HTTP/1.1\r\nHost: server.example\r\n\r\n"),
    ("a fragment", Head, "GET /#a HTTP/1.1\r\nHost: server.example\r\n\r\n"),
    ("a target of no form", Head, "GET a HTTP/1.1\r\nHost: server.example\r\n\r\n"),
    ("an asterisk for a GET", Head, "GET * HTTP/1.1\r\nHost: server.example\r\n\r\n"),
    ("a continued Host", Head, "GET / HTTP/1.1\r\n Host: server.example\r\n\r\n"),
    ("a bare LF after the first line", Head, "GET / HTTP/1.1\nHost: server.example\r\n\r\n"),
    ("bare LFs everywhere", Head, "GET / HTTP/1.1\nHost: server.example\n\n"),
    ("a bare LF at the end", Head, "GET / HTTP/1.1\r\nHost: server.example\r\n\n"),
    (
        "chunks in HTTP/1.0",
        Head,
        "POST / HTTP/1.0\r\nHost: server.example\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("CONNECT with content", Head, "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nContent-Length: 5\r\n\r\nhello"),
    ("two spaces before the target", Line, "GET  / HTTP/1.1\r\nHost: server.example\r\n\r\n"),
    ("tabs in the first line", Line, "GET\t/\tHTTP/1.1\r\nHost: server.example\r\n\r\n"),
    ("a space in the target", Line, "GET /a b HTTP/1.1\r\nHost: server.example\r\n\r\n"),
    ("another version", Line, "GET / HTTP/2.0\r\nHost: server.example\r\n\r\n"),
    ("no version", Line, "GET /\r\n"),
    ("a bare CR after the first line", Line, "GET / HTTP/1.1\rHost: server.example\r\n\r\n"),
];

/// What is sent in chunks.
const CHUNKS: [(&str, &str); 20] = [
    ("a bare LF after a size", "5\nhello\r\n0\r\n\r\n"),
    ("a bare LF after a chunk", "5\r\nhello\n0\r\n\r\n"),
    ("a bare LF after the last size", "0\n\r\n"),
    ("a bare LF at the end", "0\r\n\n"),
    ("a bare LF in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
    ("a bare LF in a quotation", "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n"),
    ("a bare CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n"),
    ("a size with a sign", "+5\r\nhello\r\n0\r\n\r\n"),
    ("a size with a prefix", "0x5\r\nhello\r\n0\r\n\r\n"),
    ("a size with an underscore", "0_5\r\nhello\r\n0\r\n\r\n"),
    ("a space before a size", " 5\r\nhello\r\n0\r\n\r\n"),
    ("no size", "\r\nhello\r\n0\r\n\r\n"),
    ("a size that is none", "g\r\nhello\r\n0\r\n\r\n"),
    ("a size of too many digits", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("a chunk that is longer than its size", "4\r\nhello\r\n0\r\n\r\n"),
    ("a chunk that is shorter than its size", "6\r\nhello\r\n0\r\n\r\n"),
    ("a length among the trailers", "5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n"),
    ("a coding among the trailers", "5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ("a continued trailer", "5\r\nhello\r\n0\r\n X-A: b\r\n\r\n"),
    ("a bare LF among the trailers", "5\r\nhello\r\n0\r\nX-A: b\n\r\n"),
];

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
    let of = |name: &str, bytes: String, wrong| (name.to_owned(), bytes.into_bytes(), wrong);
    let fields = FIELDS.iter().map(|(name, fields, content)| {
        of(name, format!("POST / HTTP/1.1\r\nHost: server.example\r\n{fields}\r\n{content}"), Head)
    });
    let whole = WHOLE.iter().map(|(name, wrong, bytes)| of(name, (*bytes).to_owned(), *wrong));
    let chunks = CHUNKS.iter().map(|(name, chunks)| {
        let head = "POST / HTTP/1.1\r\nHost: server.example\r\nTransfer-Encoding: chunked\r\n\r\n";
        of(name, format!("{head}{chunks}"), Content)
    });
    let last = LAST.iter().map(|(name, bytes)| of(name, (*bytes).to_owned(), Nothing));
    fields.chain(whole).chain(chunks).chain(last).collect()
}
