//! What RFC 9113 leaves to each implementation: how large the fields of a message may be (section 10.5.1), and what becomes of a
//! client that speaks something else. Everything that it says itself is the conformance crate's.

use super::Lab;
use super::peers::answer_all;
use super::raw::*;

/// What becomes of a request, or of its connection.
enum Then {
    Responds(u16),
    Resets(u32),
    Dies(u32),
}

/// A request with so many fields of this size.
fn request(count: usize, size: usize) -> Vec<u8> {
    let field = literal(b"x", "v".repeat(size).as_bytes());
    let block = [get_with(&[]), field.repeat(count)].concat();
    let (first, rest) = block.split_at(block.len().min(16_384));
    let (full, rest) = rest.split_at(rest.len() / 16_384 * 16_384);
    let mut frames = headers(1, END_STREAM, first);
    frames.extend(full.chunks(16_384).flat_map(|chunk| frame(CONTINUATION, 0, 1, chunk)));
    frames.extend(frame(CONTINUATION, END_HEADERS, 1, rest));
    frames
}

#[tokio::test]
async fn fields_of_requests_are_bounded() {
    for (what, count, size, then) in [
        ("as many fields as are allowed", 190, 10, Then::Responds(200)),
        ("more fields than are allowed", 210, 10, Then::Resets(PROTOCOL_ERROR)),
        ("almost the size that is allowed", 6, 10_000, Then::Responds(200)),
        ("a little more than the size that is allowed", 7, 10_000, Then::Responds(431)),
        ("many times the size that is allowed", 40, 10_000, Then::Dies(ENHANCE_YOUR_CALM)),
    ] {
        let (mut client, server, _ended) = Lab::raw(&[]).await;
        answer_all(server.into_stream());
        // Without a table, so that a status can be read.
        client.greet(&[(1, 0)]).await;
        // It may be told before it has sent all.
        let _ = client.send(request(count, size)).await;
        match then {
            Then::Responds(status) => {
                assert_eq!(client.next_of(HEADERS).await.status(), Some(status), "{what}");
            }
            Then::Resets(code) => assert_eq!(client.next_of(RST_STREAM).await.code(), code, "{what}"),
            Then::Dies(code) => {
                assert_eq!(client.next_of(GOAWAY).await.code(), code, "{what}");
                while client.next().await.is_some() {}
            }
        }
    }
}

#[tokio::test]
async fn fields_of_responses_are_bounded() {
    let ok = (":status", "200");
    let long = ("x", &*"y".repeat(16_000));
    let parts = |count| frame(CONTINUATION, 0, 1, block(&[long])).repeat(count);
    let end = frame(CONTINUATION, END_HEADERS, 1, []);
    let many = headers(1, END_STREAM | END_HEADERS, block(&[&[ok][..], &[("x", ""); 210]].concat()));
    let begun = headers(1, END_STREAM, block(&[ok]));
    for (what, response, lives) in [
        ("more fields than are allowed", many, true),
        ("a little more than the size that is allowed", [begun.clone(), parts(5), end].concat(), true),
        ("many times the size that is allowed", [begun, parts(30)].concat(), false),
    ] {
        let (mut client, mut server, _ended) = Lab::greeted(&[]).await;
        client.send(get(1)).await.unwrap();
        server.next_of(HEADERS).await;
        let _ = server.send(response).await;
        assert_eq!(client.next_of(HEADERS).await.status(), Some(502), "{what}");
        if lives {
            server.send(ping(b"12345678")).await.unwrap();
            assert_eq!(server.next_of(PING).await.flags, ACK, "{what}");
        } else {
            while server.next().await.is_some() {}
        }
    }
}

#[tokio::test]
async fn who_speaks_something_else_is_left() {
    for said in ["GET / HTTP/1.1\r\nhost: a\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"] {
        let (mut client, _server, _ended) = Lab::raw(&[]).await;
        client.send(said).await.unwrap();
        while client.next().await.is_some() {}
    }
}
