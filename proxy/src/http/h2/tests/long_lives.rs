//! What connections meet that live for long and carry much: none of it is held against those who do nothing wrong.

use super::Lab;
use super::peers::soon;
use super::raw::*;

/// `:status 200`.
const OK: &[u8] = &[0x88];

/// A request with a field that HTTP/2 must not have.
fn malformed(stream: u32) -> Vec<u8> {
    headers(stream, END_STREAM | END_HEADERS, get_with(&[("connection", "close")]))
}

async fn is_answered(client: &mut Raw, server: &mut Raw, stream: u32) {
    client.send(get(stream)).await.unwrap();
    let asked = server.next_of(HEADERS).await.stream;
    server.send(headers(asked, END_STREAM | END_HEADERS, OK)).await.unwrap();
    let response = client.wait_for(|frame| (frame.stream == stream).then(|| frame.clone())).await;
    assert_eq!((response.kind, response.status()), (HEADERS, Some(200)));
}

/// A server's frames for streams that were broken off long ago are no fault of the server's.
#[tokio::test]
async fn calls_that_are_broken_off_by_the_thousand_end_no_other() {
    let (mut client, mut server, _lab) = Lab::greeted(&[]).await;
    client.send(post(1)).await.unwrap();
    let lasting = server.next_of(HEADERS).await.stream;
    let (mut stream, mut broken_off) = (3, vec![]);
    for _ in 0..80 {
        for _ in 0..30 {
            client.send(get(stream)).await.unwrap();
            broken_off.push(server.next_of(HEADERS).await.stream);
            client.send(reset(stream, CANCEL)).await.unwrap();
            server.next_of(RST_STREAM).await;
            stream += 2;
        }
        // What others ask, pays for the resets.
        for _ in 0..30 {
            is_answered(&mut client, &mut server, stream).await;
            stream += 2;
        }
    }
    for stream in broken_off {
        server.send(headers(stream, END_STREAM | END_HEADERS, OK)).await.unwrap();
    }
    server.send(headers(lasting, END_STREAM | END_HEADERS, OK)).await.unwrap();
    let response = client.wait_for(|frame| (frame.stream == 1).then(|| frame.clone())).await;
    assert_eq!((response.kind, response.status()), (HEADERS, Some(200)));
}

/// One of many who use a connection cannot have the others cut by what is refused of it.
#[tokio::test]
async fn what_is_refused_once_in_a_while_ends_nothing() {
    let (mut client, mut server, _lab) = Lab::greeted(&[]).await;
    let mut stream = 1;
    for _ in 0..600 {
        client.send(malformed(stream)).await.unwrap();
        let reset = client.next_of(RST_STREAM).await;
        assert_eq!((reset.stream, reset.code()), (stream, PROTOCOL_ERROR));
        is_answered(&mut client, &mut server, stream + 2).await;
        stream += 4;
    }
}

#[tokio::test]
async fn who_is_refused_always_is_left_and_told_why() {
    let (mut client, _server, mut lab) = Lab::greeted(&[]).await;
    let mut stream = 1;
    while client.send(malformed(stream)).await.is_ok() && stream < 4_000 {
        stream += 2;
    }
    assert_eq!(client.next_of(GOAWAY).await.code(), ENHANCE_YOUR_CALM);
    assert_eq!(soon(&mut lab.end).await.unwrap().flags, "DPE");
    let told = Lab::metric(&lab.shown, &["remora_http_refused_messages_total{", "broken_stream_flood"]);
    assert_eq!(told.len(), 1, "{told:?}");
}
