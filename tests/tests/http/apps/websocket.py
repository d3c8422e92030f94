"""WebSocket by either of two libraries, as a server that returns messages in the fragments that they came in, or as a client
that goes through all that the protocol has and prints what it saw.

    websocket.py websockets|wsproto serve PORT
    websocket.py websockets|wsproto call ADDRESS PORT
"""

import hashlib
import json
import socket
import sys
import threading
from collections import deque

PATIENCE = 10
SUBPROTOCOL = "echo"


class Websockets:
    """A connection of the library `websockets`."""

    def __init__(self, connection):
        self.connection = connection
        self.closed = None

    @classmethod
    def connect(cls, address, port, path):
        from websockets.sync.client import connect

        uri = f"ws://server.example:{port}{path}"
        own = socket.create_connection((address, port), PATIENCE)
        own.settimeout(None)
        options = {"compression": None, "ping_interval": None, "max_size": None, "proxy": None}
        connection = connect(uri, sock=own, subprotocols=[SUBPROTOCOL], legacy=True, open_timeout=PATIENCE, **options)
        return cls(connection)

    @classmethod
    def serve(cls, port):
        from websockets.sync.server import serve

        options = {"compression": None, "ping_interval": None, "max_size": None}
        handle = lambda connection: answer(cls(connection))
        with serve(handle, "0.0.0.0", port, subprotocols=[SUBPROTOCOL], **options) as server:
            server.serve_forever()

    def subprotocol(self):
        return self.connection.subprotocol

    def send(self, fragments):
        self.connection.send(fragments[0] if len(fragments) == 1 else fragments)

    def receive(self):
        from websockets.exceptions import ConnectionClosed

        try:
            fragments = list(self.connection.recv_streaming())
            return [part for part in fragments if part] or fragments[:1]
        except ConnectionClosed:
            self.closed = (self.connection.close_code, self.connection.close_reason)
            return None

    def ping(self, payload):
        return self.connection.ping(payload).wait(PATIENCE)

    def close(self, code, reason):
        self.connection.close(code, reason)
        self.closed = (self.connection.close_code, self.connection.close_reason)


class Wsproto:
    """A connection of the library `wsproto`, on a socket."""

    def __init__(self, own, kind):
        from wsproto import WSConnection

        own.settimeout(PATIENCE)
        self.socket, self.protocol = own, WSConnection(kind)
        self.events, self.chosen, self.closed, self.pongs = deque(), None, None, []

    @classmethod
    def connect(cls, address, port, path):
        from wsproto import ConnectionType
        from wsproto.events import AcceptConnection, Request

        self = cls(socket.create_connection((address, port), PATIENCE), ConnectionType.CLIENT)
        host = f"server.example:{port}"
        self.say(Request(host=host, target=path, subprotocols=[SUBPROTOCOL]))
        accepted = self.next()
        assert isinstance(accepted, AcceptConnection), accepted
        self.chosen = accepted.subprotocol
        return self

    @classmethod
    def serve(cls, port):
        from wsproto import ConnectionType
        from wsproto.events import AcceptConnection

        def handle(own):
            self = cls(own, ConnectionType.SERVER)
            request = self.next()
            self.chosen = request.subprotocols[0]
            self.say(AcceptConnection(subprotocol=self.chosen))
            answer(self)
            own.close()

        listener = socket.create_server(("0.0.0.0", port))
        while True:
            threading.Thread(target=handle, args=(listener.accept()[0],), daemon=True).start()

    def say(self, event):
        self.socket.sendall(self.protocol.send(event))

    def next(self):
        while not self.events:
            self.protocol.receive_data(self.socket.recv(65536) or None)
            self.events.extend(self.protocol.events())
        return self.events.popleft()

    def subprotocol(self):
        return self.chosen

    def send(self, fragments):
        from wsproto.events import Message

        for number, fragment in enumerate(fragments, 1):
            self.say(Message(data=fragment, message_finished=number == len(fragments)))

    def receive(self):
        fragments, fragment = [], None
        while True:
            event = self.control(self.next())
            if self.closed is not None:
                return None
            if event is not None:
                fragment = event.data if fragment is None else fragment + event.data
                if event.frame_finished:
                    fragments.append(fragment)
                    fragment = None
                if event.message_finished:
                    return [bytes(part) if isinstance(part, bytearray) else part for part in fragments if part] or fragments[:1]

    def control(self, event):
        """The event, if it is of a message."""
        from wsproto.connection import ConnectionState
        from wsproto.events import CloseConnection, Message, Ping, Pong

        if isinstance(event, Message):
            return event
        if isinstance(event, Ping):
            self.say(event.response())
        elif isinstance(event, Pong):
            self.pongs.append(bytes(event.payload))
        elif isinstance(event, CloseConnection):
            self.closed = (event.code, event.reason)
            if self.protocol.state is ConnectionState.REMOTE_CLOSING:
                self.say(event.response())
        return None

    def ping(self, payload):
        from wsproto.events import Ping

        self.say(Ping(payload=payload))
        while payload not in self.pongs:
            assert self.control(self.next()) is None
        return True

    def close(self, code, reason):
        from wsproto.events import CloseConnection

        self.say(CloseConnection(code=code, reason=reason))
        while self.closed is None:
            self.control(self.next())


def answer(connection):
    """What the server does."""
    while (fragments := connection.receive()) is not None:
        if fragments == ["ping me"]:
            connection.send(["there" if connection.ping(b"are you there?") else "away"])
        elif fragments == ["close me"]:
            connection.close(4002, "asked for")
            break
        else:
            connection.send(fragments)
    print(f"closed with {connection.closed}", flush=True)


def call(library, address, port):
    """What the client does."""
    connection = library.connect(address, port, "/chat?a=b")
    seen = [("subprotocol", connection.subprotocol())]
    large = hashlib.sha256(b"remora").digest() * 32_768
    messages = {
        "text": ["h\u00e4llo \u20ac"],
        "nothing": [""],
        "binary": [bytes(range(256))],
        "fragments of text": ["one, ", "two, ", "three"],
        "fragments of bytes": [b"\x00", b"\r\n\r\n", b"GET / HTTP/1.1\r\n"],
        "1 MB": [large],
        "1 MB of fragments": [large[:300_000], large[300_000:]],
    }
    for name, fragments in messages.items():
        connection.send(fragments)
        back = connection.receive()
        empty = type(fragments[0])()
        assert empty.join(back) == empty.join(fragments), (name, [len(part) for part in back])
        seen.append((name, [len(part) for part in back]))
    seen.append(("pong", connection.ping(b"a payload")))
    connection.send(["ping me"])
    seen.append(("ping", connection.receive()))
    connection.close(4001, "good bye")
    seen.append(("closed by the client", connection.closed))
    other = library.connect(address, port, "/")
    other.send(["close me"])
    assert other.receive() is None
    seen.append(("closed by the server", other.closed))
    print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    library = {"websockets": Websockets, "wsproto": Wsproto}[sys.argv[1]]
    if sys.argv[2] == "serve":
        library.serve(int(sys.argv[3]))
    else:
        call(library, sys.argv[3], int(sys.argv[4]))
