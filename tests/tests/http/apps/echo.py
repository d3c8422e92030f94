"""An application for servers of both gateway interfaces, and for two that have one of their own: it answers with what it was
told of the request, without what RFC 9110, section 7.6.1, makes the business of single connections, and without what the mesh
adds."""

import asyncio
import hashlib
import sys

LEFT_OUT = {"connection", "keep-alive", "proxy-connection", "te", "upgrade", "http2-settings", "x-request-id"}
LARGE = hashlib.sha256(b"remora").digest() * 156_250


def answer(method, target, version, fields, content):
    """The response's status, its fields and its content."""
    print(f"{method} {target}", flush=True)
    path = target.split("?")[0]
    if path == "/large":
        return 200, [], LARGE
    if path == "/empty":
        return 204, [], b""
    if path == "/unmodified":
        return 304, [("ETag", '"a"')], b""
    if path == "/refused":
        return 417, [("X-Why", "a test")], b"no"
    lines = [f"{method} {target} {version}"]
    lines += [f"{name}: {value}" for name, value in fields if name.lower() not in LEFT_OUT]
    lines += [f"{len(content)} {hashlib.sha256(content).hexdigest()}"]
    more = [("X-Mixed-Case", "1"), ("Set-Cookie", "a=1"), ("set-cookie", "b=2")]
    return 200, more, ("\n".join(lines) + "\n").encode("latin-1", "replace")


def wsgi(environ, start_response):
    target = environ.get("RAW_URI") or environ.get("REQUEST_URI") or environ["PATH_INFO"]
    names = sorted(name for name in environ if name.startswith("HTTP_") or name.startswith("CONTENT_"))
    fields = [(name.removeprefix("HTTP_").replace("_", "-"), environ[name]) for name in names]
    content = environ["wsgi.input"].read()
    version = environ["SERVER_PROTOCOL"]
    status, more, content = answer(environ["REQUEST_METHOD"], target, version, fields, content)
    if status not in (204, 304):
        length = [("Content-Length", str(len(content)))] if target != "/stream" else []
        more = [*more, *length]
    start_response(f"{status} Status", more)
    if environ["REQUEST_METHOD"] == "HEAD":
        return []
    return [content[:5], content[5:]] if target == "/stream" else [content]


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] != "http":
        return
    content, more = b"", True
    while more:
        message = await receive()
        content += message.get("body", b"")
        more = message.get("more_body", False)
    target = scope["raw_path"].decode("latin-1")
    if scope["query_string"]:
        target += "?" + scope["query_string"].decode("latin-1")
    fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    status, more, content = answer(scope["method"], target, scope["http_version"], fields, content)
    headers = [(name.lower().encode(), value.encode()) for name, value in more]
    if target != "/stream" and status not in (204, 304):
        headers.append((b"content-length", str(len(content)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if scope["method"] == "HEAD":
        content = b""
    half = len(content) // 2
    await send({"type": "http.response.body", "body": content[:half], "more_body": True})
    await send({"type": "http.response.body", "body": content[half:]})


def serve_waitress(port):
    import waitress

    waitress.serve(wsgi, host="0.0.0.0", port=port, threads=8, asyncore_use_poll=True)


def serve_tornado(port):
    from tornado import httpserver, httputil, ioloop

    def request(request):
        fields = request.headers.get_all()
        status, more, content = answer(request.method, request.uri, request.version, fields, request.body)
        headers = httputil.HTTPHeaders()
        for name, value in more:
            headers.add(name, value)
        if status not in (204, 304):
            headers.add("Content-Length", str(len(content)))
        line = httputil.ResponseStartLine("", status, "Status")
        request.connection.write_headers(line, headers, b"" if request.method == "HEAD" else content)
        request.connection.finish()

    httpserver.HTTPServer(request).listen(port, "0.0.0.0")
    ioloop.IOLoop.current().start()


def serve_aiohttp(port):
    from aiohttp import web

    async def handle(request):
        fields = [(name.decode("latin-1"), value.decode("latin-1", "replace")) for name, value in request.raw_headers]
        version = f"{request.version.major}.{request.version.minor}"
        content = await request.read()
        status, more, content = answer(request.method, request.path_qs, version, fields, content)
        response = web.Response(status=status, body=content)
        for name, value in more:
            response.headers.add(name, value)
        return response

    async def run():
        runner = web.ServerRunner(web.Server(handle))
        await runner.setup()
        await web.TCPSite(runner, "0.0.0.0", port).start()
        await asyncio.Event().wait()

    asyncio.run(run())


def serve_hypercorn(port):
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"0.0.0.0:{port}"]
    config.keep_alive_timeout = 60
    config.keep_alive_max_requests = 100_000
    asyncio.run(serve(asgi, config))


if __name__ == "__main__":
    SERVERS = {
        "waitress": serve_waitress,
        "tornado": serve_tornado,
        "aiohttp": serve_aiohttp,
        "hypercorn": serve_hypercorn,
    }
    SERVERS[sys.argv[1]](int(sys.argv[2]))
