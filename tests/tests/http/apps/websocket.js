// WebSocket by the library `ws` of Node, with what websocket.py does and prints. `ws` does not tell in which fragments a message
// came, so it is returned whole, and the length is that of all.
//
//     websocket.js serve PORT
//     websocket.js call ADDRESS PORT
"use strict";

const { createHash } = require("crypto");
const { WebSocket, WebSocketServer } = require("/usr/share/nodejs/ws");

const PATIENCE = 10000;
const PLAIN = { perMessageDeflate: false };

function send(socket, fragments, isBinary) {
  fragments.forEach((fragment, number) => {
    socket.send(fragment, { binary: isBinary, fin: number === fragments.length - 1 });
  });
}

function echo(socket) {
  socket.on("message", (message, isBinary) => {
    const text = isBinary ? "" : message.toString();
    if (text === "ping me") {
      socket.once("pong", (payload) => socket.send(payload.toString() === "are you there?" ? "there" : "away"));
      socket.ping("are you there?");
    } else if (text === "close me") {
      socket.close(4002, "asked for");
    } else {
      send(socket, [message], isBinary);
    }
  });
  socket.on("close", (code, reason) => console.log(`closed with (${code}, '${reason}')`));
}

function serve(port) {
  const handleProtocols = (offered) => [...offered][0];
  new WebSocketServer({ ...PLAIN, host: "0.0.0.0", port, handleProtocols }).on("connection", echo);
}

function next(socket, event) {
  return new Promise((done, failed) => {
    socket.once(event, (...told) => done(told));
    socket.once("error", failed);
  });
}

async function connected(address, port, path) {
  const options = { ...PLAIN, headers: { Host: `server.example:${port}` }, handshakeTimeout: PATIENCE };
  const socket = new WebSocket(`ws://${address}:${port}${path}`, ["echo"], options);
  await next(socket, "open");
  return socket;
}

async function returned(socket, fragments) {
  const isBinary = typeof fragments[0] !== "string";
  const back = next(socket, "message");
  send(socket, fragments, isBinary);
  const [message, cameBinary] = await back;
  const whole = Buffer.concat(fragments.map((fragment) => Buffer.from(fragment)));
  if (cameBinary !== isBinary || !message.equals(whole)) throw new Error(`${message.length} bytes of ${whole.length}`);
  return isBinary ? message.length : message.toString().length;
}

async function call(address, port) {
  const socket = await connected(address, port, "/chat?a=b");
  const seen = [["subprotocol", socket.protocol]];
  const digest = createHash("sha256").update("remora").digest();
  const large = Buffer.alloc(1 << 20, digest);
  const messages = {
    text: ["h\u00e4llo \u20ac"],
    nothing: [""],
    binary: [Buffer.from([...Array(256).keys()])],
    "fragments of text": ["one, ", "two, ", "three"],
    "fragments of bytes": ["\x00", "\r\n\r\n", "GET / HTTP/1.1\r\n"].map((text) => Buffer.from(text)),
    "1 MB": [large],
    "1 MB of fragments": [large.subarray(0, 300_000), large.subarray(300_000)],
  };
  for (const [name, fragments] of Object.entries(messages)) seen.push([name, [await returned(socket, fragments)]]);
  const pong = next(socket, "pong");
  socket.ping("a payload");
  seen.push(["pong", (await pong)[0].toString() === "a payload"]);
  const there = next(socket, "message");
  socket.send("ping me");
  seen.push(["ping", [(await there)[0].toString()]]);
  const closed = next(socket, "close");
  socket.close(4001, "good bye");
  const [code, reason] = await closed;
  seen.push(["closed by the client", [code, reason.toString()]]);
  const other = await connected(address, port, "/");
  const ended = next(other, "close");
  other.send("close me");
  const [given, why] = await ended;
  seen.push(["closed by the server", [given, why.toString()]]);
  console.log(JSON.stringify(seen));
}

const [kind, ...rest] = process.argv.slice(2);
if (kind === "serve") serve(Number(rest[0]));
else call(rest[0], Number(rest[1])).catch((error) => { console.error(error); process.exit(1); });
