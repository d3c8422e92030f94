//! What client and application say to each other: HTTP/1.1 messages of a fixed length, so that neither has to parse.

/// The length of [`request`].
pub(crate) const REQUEST_LENGTH: usize = 100;
/// The length of [`response`].
pub(crate) const RESPONSE_LENGTH: usize = 1024;

/// A question.
pub(crate) fn request() -> Vec<u8> {
    let head = "GET /item HTTP/1.1\r\nHost: bench.example\r\nAccept: */*\r\nUser-Agent: ";
    padded(head, REQUEST_LENGTH - 4, "\r\n\r\n")
}

/// Its answer.
pub(crate) fn response() -> Vec<u8> {
    const BODY: usize = 900;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\nX-Padding: ");
    let mut response = padded(&head, RESPONSE_LENGTH - BODY - 4, "\r\n\r\n");
    response.resize(RESPONSE_LENGTH, b'x');
    response
}

/// `head`, filled up to a length, and `end`.
fn padded(head: &str, length: usize, end: &str) -> Vec<u8> {
    let mut bytes = head.as_bytes().to_vec();
    bytes.resize(length, b'x');
    bytes.extend(end.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::{REQUEST_LENGTH, RESPONSE_LENGTH, request, response};

    #[test]
    fn the_messages_are_what_an_http_proxy_takes_them_for() {
        let (request, response) =
            (String::from_utf8(request()).unwrap(), String::from_utf8(response()).unwrap());
        assert_eq!((request.len(), response.len()), (REQUEST_LENGTH, RESPONSE_LENGTH));
        assert!(request.starts_with("GET /item HTTP/1.1\r\n") && request.ends_with("x\r\n\r\n"));
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
        assert_eq!(length.parse(), Ok(body.len()));
    }
}
