"""gRPC by the library that people use, as a server, or as a client that goes through all that the protocol has and prints what
it saw. Messages are bytes; the methods' names are in the access log.

    rpc.py serve PORT       further servers take the two ports after it, when a client asks for them
    rpc.py all ADDRESS PORT
    rpc.py calls ADDRESS PORT     without those about servers and connections that end
    rpc.py terminated ADDRESS PORT     those alone of a server that is asked to end
    rpc.py soak ADDRESS PORT CALLS CONNECTIONS     so many calls one after the other, and then one on each of so many connections
"""

import collections
import concurrent.futures
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import grpc

PATIENCE = 10
CALLS = 100
HELD = 10
LARGE = hashlib.sha256(b"remora").digest() * 131_072
SERVICE = "remora.Test"
BINARY = bytes(range(256))
SPECIAL = "\t\n100 % of \u20ac, \U0001f608\r\n"
SENT = (("x-text", "a value, ~"), ("x-twice", "1"), ("x-twice", "2"), ("x-some-bin", BINARY), ("x-some-bin", b""))
# Of the messages that gRPC's own interoperability tests send.
SIZES = [27_182, 8, 1_828, 45_904]
OF_A_SOAK = random.randbytes(271_828)
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.enable_retries", 0)]
# A connection is idle for ten times as long as after it a ping is sent, and a ping that is not answered would end it.
PINGS = [("grpc.keepalive_time_ms", 100), ("grpc.keepalive_timeout_ms", 500), ("grpc.http2.max_pings_without_data", 0)]
PERMITTED = [("grpc.http2.min_ping_interval_without_data_ms", 10), ("grpc.http2.max_ping_strikes", 0)]
QUIET = 1


class Service:
    """What the server does."""

    def __init__(self, port):
        self.port = port
        self.cancelled = collections.defaultdict(threading.Event)
        self.all = threading.Barrier(CALLS)
        self.open = threading.Barrier(HELD + 1)
        self.last = threading.Event()
        self.other = self.child = None

    def handler(self):
        kinds = {
            grpc.unary_unary_rpc_method_handler: "Unary Large Metadata Fails Forbidden Deadline Cancelled Together Begin Stop Cut Kill Terminate Ended Held",
            grpc.unary_stream_rpc_method_handler: "ServerStream Endless Aborts",
            grpc.stream_unary_rpc_method_handler: "ClientStream",
            grpc.stream_stream_rpc_method_handler: "Bidirectional Refuses Idle Stopped CutShort Killed Terminated Returned Listening Asleep",
        }
        methods = {name: kind(getattr(self, name)) for kind, names in kinds.items() for name in names.split()}
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def Unary(self, request, _):
        return request[::-1]

    def Large(self, request, _):
        assert request == LARGE
        return request

    def ServerStream(self, request, _):
        for number in range(int(request)):
            yield b"%d" % number

    def ClientStream(self, requests, _):
        return b",".join(requests)

    def Bidirectional(self, requests, _):
        yield from (request.upper() for request in requests)

    Idle = Stopped = CutShort = Killed = Bidirectional

    def Metadata(self, request, context):
        send_back(context)
        return request

    def Returned(self, requests, context):
        send_back(context)
        yield from (request.upper() for request in requests)

    def Fails(self, request, context):
        context.set_trailing_metadata([("x-why-bin", BINARY)])
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, SPECIAL)

    def Forbidden(self, request, context):
        context.set_code(grpc.StatusCode.PERMISSION_DENIED)
        context.set_details("not you")
        return b"nevertheless"

    def Aborts(self, request, context):
        yield from (b"one", b"two", b"three")
        context.abort(grpc.StatusCode.DATA_LOSS, "no more")

    def Refuses(self, requests, context):
        yield next(requests).upper()
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "no more of these")

    def Endless(self, request, context):
        context.add_callback(self.cancelled[request].set)
        yield b"begun"
        self.cancelled[request].wait(PATIENCE)

    def Listening(self, requests, context):
        context.add_callback(self.cancelled[name(context)].set)
        context.send_initial_metadata(())
        yield from (request.upper() for request in requests)
        self.cancelled[name(context)].wait(PATIENCE)

    def Asleep(self, _, context):
        context.add_callback(self.cancelled[name(context)].set)
        self.cancelled[name(context)].wait(PATIENCE)
        yield b"too late"

    def Deadline(self, request, context):
        remaining = context.time_remaining()
        context.add_callback(self.cancelled[request].set)
        self.cancelled[request].wait(PATIENCE)
        assert remaining < PATIENCE, remaining
        return b"too late"

    def Cancelled(self, request, _):
        return b"%d" % self.cancelled[request].wait(PATIENCE)

    def Together(self, request, _):
        self.all.wait(PATIENCE)
        return request

    def Begin(self, request, _):
        if request == b"a process":
            arguments = [sys.executable, __file__, "serve", str(self.port + 2)]
            self.child = subprocess.Popen(arguments, stdout=subprocess.PIPE)
            self.child.stdout.readline()
        else:
            self.other = serve(self.port + 1)
        return b""

    def Stop(self, request, _):
        self.other.stop(PATIENCE)
        return b""

    def Cut(self, request, _):
        self.other.stop(None).wait(PATIENCE)
        return b""

    def Kill(self, request, _):
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()
        return b""

    def Terminate(self, request, _):
        self.child.send_signal(signal.SIGTERM)
        return self.child.stdout.readline().strip()

    def Ended(self, request, _):
        return b"%d" % self.child.wait(PATIENCE)

    def Held(self, request, _):
        self.open.wait(PATIENCE)
        self.last.wait(PATIENCE)
        return request

    def Terminated(self, requests, _):
        self.open.wait(PATIENCE)
        yield from (request.upper() for request in requests)
        self.last.set()


def ours(pairs):
    return [(key, value) for key, value in pairs if key.startswith("x-") and key != "x-request-id"]


def send_back(context):
    got = ours(context.invocation_metadata())
    context.send_initial_metadata([("x-first", "1"), *got])
    context.set_trailing_metadata([("x-last", "2"), *got])


def name(context):
    """What the client calls this call."""
    return dict(context.invocation_metadata())["x-name-bin"]


def serve(port):
    executor = concurrent.futures.ThreadPoolExecutor(CALLS + 20)
    server = grpc.server(executor, [Service(port).handler()], options=OPTIONS + PERMITTED)
    server.add_insecure_port(f"0.0.0.0:{port}")
    server.start()
    return server


def serve_until_terminated(port):
    server = serve(port)

    def stop(*_):
        server.stop(PATIENCE)
        print("stopping", flush=True)

    signal.signal(signal.SIGTERM, stop)
    print("serving", flush=True)
    server.wait_for_termination()


class Calls:
    """One end of a call whose other end waits for what is asked."""

    def __init__(self):
        self.asked = collections.deque()
        self.changed = threading.Semaphore(0)

    def ask(self, message):
        self.asked.append(message)
        self.changed.release()

    def __iter__(self):
        while self.changed.acquire(timeout=3 * PATIENCE) and (message := self.asked.popleft()) is not None:
            yield message


class Client:
    """A connection, and the calls on it."""

    def __init__(self, address, port, options=()):
        own = [("grpc.use_local_subchannel_pool", 1), *OPTIONS, *options]
        self.channel = grpc.insecure_channel(f"{address}:{port}", own)

    def __getattr__(self, name):
        kinds = {
            "ServerStream Endless Aborts": self.channel.unary_stream,
            "ClientStream": self.channel.stream_unary,
            "Bidirectional Refuses Idle Stopped CutShort Killed Terminated Returned Listening Asleep": self.channel.stream_stream,
        }
        kind = next((kind for names, kind in kinds.items() if name in names.split()), self.channel.unary_unary)
        return lambda request, timeout=PATIENCE, **more: kind(f"/{SERVICE}/{name}")(request, timeout=timeout, **more)

    def begin(self, name, count):
        """So many calls, none of which is waited for."""
        method = self.channel.unary_unary(f"/{SERVICE}/{name}")
        return [method.future(b"%d" % number, timeout=PATIENCE) for number in range(count)]

    def echo(self, name, **more):
        """A stream that goes on as it is asked to."""
        calls = Calls()
        stream = getattr(self, name)(iter(calls), **more)
        calls.ask(b"begun")
        assert next(stream) == b"BEGUN"
        return calls, stream


def failure(work):
    """How it fails: the messages before, the status."""
    messages = []
    try:
        result = work()
        messages.extend([result] if isinstance(result, bytes) else result)
    except grpc.RpcError as error:
        return [message.decode() for message in messages], error.code().name, error.details(), error
    raise AssertionError(messages)


def are_answered(futures):
    return [future.result() for future in futures] == [b"%d" % number for number in range(len(futures))]


def metadata(pairs):
    return [[key, value.hex() if isinstance(value, bytes) else value] for key, value in ours(pairs)]


def calls_that_end_well(client):
    yield "unary", client.Unary(b"hello").decode()
    yield "nothing", client.Unary(b"").decode()
    yield "server stream", [message.decode() for message in client.ServerStream(b"20")]
    yield "no messages", list(client.ServerStream(b"0"))
    yield "client stream", client.ClientStream(iter([b"one", b"two", b"three"])).decode()
    calls, stream = client.echo("Bidirectional")
    calls.ask(b"more")
    seen = next(stream)
    calls.ask(None)
    yield "bidirectional", [seen.decode(), list(stream), stream.code().name]
    yield "4 MB", client.Large(LARGE) == LARGE
    stream = client.Bidirectional(iter([]))
    yield "no requests", [list(stream), stream.code().name]
    calls, stream = client.echo("Bidirectional")
    yield "ping pong", [len(next(stream)) for size in SIZES if calls.ask(b"x" * size) is None]
    calls.ask(None)
    assert list(stream) == []
    call = client.channel.unary_unary(f"/{SERVICE}/Metadata")
    response, call = call.with_call(b"ok", metadata=SENT, timeout=PATIENCE)
    yield "metadata", [response.decode(), metadata(call.initial_metadata()), metadata(call.trailing_metadata())]
    stream = client.Returned(iter([b"ok"]), metadata=SENT)
    response = b"".join(stream)
    yield "metadata of a stream", [response.decode(), metadata(stream.initial_metadata()), metadata(stream.trailing_metadata())]
    yield "together", are_answered(client.begin("Together", CALLS))


def calls_that_fail(client):
    *seen, error = failure(lambda: client.Fails(b""))
    yield "fails", [*seen, metadata(error.trailing_metadata())]
    yield "forbidden", failure(lambda: client.Forbidden(b""))[:3]
    yield "aborts", failure(lambda: client.Aborts(b""))[:3]
    _, stream = client.echo("Refuses")
    yield "refuses", failure(lambda: stream)[:3]
    yield "no such method", failure(lambda: client.Missing(b""))[:3]
    other = client.channel.unary_unary("/remora.Other/Unary")
    yield "no such service", failure(lambda: other(b"", timeout=PATIENCE))[:3]
    name = os.urandom(8)
    yield "deadline", [failure(lambda: client.Deadline(name, timeout=0.6))[1], client.Cancelled(name).decode()]
    name = os.urandom(8)
    stream = client.Asleep(iter([b"x" * SIZES[0]]), timeout=0.6, metadata=[("x-name-bin", name)])
    yield "asleep", [failure(lambda: stream)[1], client.Cancelled(name).decode()]
    name = os.urandom(8)
    stream = client.Endless(name)
    begun = next(stream).decode()
    stream.cancel()
    yield "cancel", [begun, failure(lambda: stream)[1], client.Cancelled(name).decode()]
    name = os.urandom(8)
    stream = client.Listening(iter(Calls()), metadata=[("x-name-bin", name)])
    stream.initial_metadata()
    stream.cancel()
    yield "cancel after begin", [failure(lambda: stream)[1], client.Cancelled(name).decode()]
    name = os.urandom(8)
    _, stream = client.echo("Listening", metadata=[("x-name-bin", name)])
    stream.cancel()
    yield "cancel after first response", [failure(lambda: stream)[1], client.Cancelled(name).decode()]


def late(client):
    """How a call fails that comes when the server ends, and how many the server has cancelled before anybody knew that."""
    cancelled = 0
    while (code := failure(lambda: client.Unary(b"late"))[1]) == "CANCELLED":
        cancelled += 1
    return code, cancelled


def servers_that_end(client, address, port):
    client.Begin(b"a server")
    other = Client(address, port + 1)
    calls, stream = other.echo("Stopped")
    client.Stop(b"")
    # A proxy keeps its client, and does not pass GOAWAY on.
    refused, _ = late(other)
    calls.ask(b"last")
    calls.ask(None)
    yield "stops", [refused, [message.decode() for message in stream], stream.code().name]
    client.Begin(b"a server")
    other = Client(address, port + 1)
    _, stream = other.echo("CutShort")
    client.Cut(b"")
    yield "cut short", failure(lambda: stream)[1]
    client.Begin(b"a process")
    other = Client(address, port + 2)
    _, stream = other.echo("Killed")
    client.Kill(b"")
    yield "killed", failure(lambda: stream)[1]


def server_that_is_terminated(client, address, port):
    client.Begin(b"a process")
    other = Client(address, port + 2)
    held = other.begin("Held", HELD)
    calls, stream = other.echo("Terminated")
    told = client.Terminate(b"").decode()
    refused, cancelled = late(other)
    calls.ask(b"last")
    calls.ask(None)
    seen = [message.decode() for message in stream]
    ended = [told, refused, seen, stream.code().name, are_answered(held), client.Ended(b"").decode()]
    yield "terminated", ended
    yield "cancelled", cancelled


def quiet(address, port):
    calls, stream = Client(address, port, PINGS).echo("Idle")
    time.sleep(QUIET)
    calls.ask(b"still there")
    seen = next(stream)
    calls.ask(None)
    yield "idle", [seen.decode(), list(stream), stream.code().name]


def soak(client, address, port, calls, connections):
    def is_answered(client):
        return client.Unary(OF_A_SOAK) == OF_A_SOAK[::-1]

    yield "rpc soak", sum(is_answered(client) for _ in range(calls))
    answered = 0
    for _ in range(connections):
        other = Client(address, port)
        answered += is_answered(other)
        other.channel.close()
    yield "channel soak", answered


def call(which, address, port, *counts):
    client = Client(address, port)
    parts = [calls_that_end_well(client), calls_that_fail(client)]
    if which == "all":
        parts += [servers_that_end(client, address, port), quiet(address, port)]
    elif which == "terminated":
        parts = [server_that_is_terminated(client, address, port)]
    elif which == "soak":
        parts = [soak(client, address, port, *counts)]
    for part in parts:
        for name, seen in part:
            print(name, file=sys.stderr, flush=True)
            seen_by_name[name] = seen
    print(json.dumps(seen_by_name), flush=True)


seen_by_name = {}
if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve_until_terminated(int(sys.argv[2]))
    else:
        call(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
