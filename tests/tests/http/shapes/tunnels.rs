//! Other protocols, switched to and not switched to.

use crate::message::To;
use crate::script::{Act, Shape, Step, noise, ok, request, response};

const WEBSOCKET: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLBMiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const HINTS: &[u8] = b"HTTP/1.1 103 Early Hints\r\n\r\n";

pub(super) fn all() -> Vec<Shape> {
    [upgrades(), not_upgraded(), connects()].concat()
}

fn ask() -> Vec<u8> {
    request("GET /chat", WEBSOCKET, "")
}

fn upgrades() -> Vec<Shape> {
    let (up, down) = (noise(11, 300_000), noise(12, 300_000));
    vec![
        Shape::new("upgrade: the client ends first")
            .steps([Step::Send(ask()), Step::Final(To::Get), Step::Send(b"hello".into())])
            .steps([Step::Bytes(5), Step::Finish, Step::End])
            .acts([Act::Rest, Act::Say(SWITCHED.into()), Act::Bytes(5), Act::Say(b"world".into())])
            .ends(),
        Shape::new("upgrade: the server ends first")
            .steps([Step::Send(ask()), Step::Final(To::Get), Step::Bytes(5)])
            .steps([Step::Send(b"hello".into()), Step::Finish, Step::End])
            .acts([Act::Rest, Act::Say([SWITCHED, b"world"].concat()), Act::FinishTunnel])
            .ends(),
        Shape::new("upgrade: half closed by the client, and much comes back")
            .steps([Step::Send(ask()), Step::Final(To::Get), Step::Send(up.clone()), Step::Finish, Step::End])
            .acts([
                Act::Rest,
                Act::Say(SWITCHED.into()),
                Act::Bytes(up.len() + 1),
                Act::Say(down.clone()),
                Act::FinishTunnel,
            ])
            .ends(),
        Shape::new("upgrade: half closed by the server, and much goes there")
            .steps([Step::Send(ask()), Step::Final(To::Get), Step::End, Step::Send(up), Step::Finish])
            .acts([Act::Rest, Act::Say([SWITCHED, &down].concat()), Act::FinishTunnel])
            .ends(),
        Shape::new("upgrade: nothing goes there before it is switched")
            .steps([Step::Send([ask(), b"early".into()].concat()), Step::Interim, Step::Signal])
            .steps([Step::Final(To::Get), Step::Send(b"hello".into()), Step::Finish, Step::End])
            .acts([
                Act::Rest,
                Act::Say(HINTS.into()),
                Act::Await,
                Act::Quiet,
                Act::Say([SWITCHED, b"world"].concat()),
                Act::Bytes(10),
                Act::FinishTunnel,
            ])
            .ends(),
    ]
}

fn not_upgraded() -> Vec<Shape> {
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    let tls = "Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n";
    vec![
        Shape::new("upgrade: refused").exchange(ask(), To::Get, response("403 Forbidden", "", b"no")),
        Shape::new("upgrade: ignored, and the connection goes on").exchange(ask(), To::Get, ok()).get(ok()),
        Shape::new("upgrade: refused for another version").exchange(
            ask(),
            To::Get,
            response("426 Upgrade Required", "Upgrade: websocket\r\nConnection: Upgrade\r\n", b"no"),
        ),
        Shape::new("upgrade: h2c is offered").exchange(request("GET /", h2c, ""), To::Get, ok()),
        Shape::new("upgrade: TLS is offered").exchange(request("GET /", tls, ""), To::Get, ok()),
        Shape::new("upgrade: without Connection").exchange(
            request("GET /", "Upgrade: something\r\n", ""),
            To::Get,
            ok(),
        ),
    ]
}

fn connects() -> Vec<Shape> {
    let connect = "CONNECT other.example:443 HTTP/1.1\r\nHost: other.example:443\r\n\r\n";
    vec![
        Shape::new("CONNECT: granted")
            .steps([Step::Send(connect.into()), Step::Final(To::Connect), Step::Send(b"hello".into())])
            .steps([Step::Bytes(5), Step::Finish, Step::End])
            .acts([
                Act::Rest,
                Act::Say(b"HTTP/1.1 200 Yes\r\n\r\n".into()),
                Act::Bytes(5),
                Act::Say(b"world".into()),
            ])
            .ends(),
        Shape::new("CONNECT: refused").exchange(
            connect,
            To::Connect,
            response("405 No", "Allow: GET\r\n", b"no"),
        ),
    ]
}
