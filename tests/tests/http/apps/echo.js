// An application of Node's own server: it answers with what it was told of the request, without what RFC 9110, section 7.6.1,
// makes the business of single connections, and without what the mesh adds.
'use strict';

const { createHash } = require('node:crypto');
const http = require('node:http');

const LEFT_OUT = ['connection', 'keep-alive', 'proxy-connection', 'te', 'upgrade', 'x-request-id'];
const LARGE = Buffer.alloc(5_000_000, createHash('sha256').update('remora').digest());

function pairs(raw) {
  return raw.flatMap((name, at) => (at % 2 ? [] : [[name, raw[at + 1]]]));
}

function answer(request, content, response) {
  const path = request.url.split('?')[0];
  const fields = pairs(request.rawHeaders).filter(([name]) => !LEFT_OUT.includes(name.toLowerCase()));
  const lines = [
    `${request.method} ${request.url} ${request.httpVersion}`,
    ...fields.map(([name, value]) => `${name}: ${value}`),
    `${content.length} ${createHash('sha256').update(content).digest('hex')}`,
    ...pairs(request.rawTrailers).map(([name, value]) => `${name}: ${value}`),
  ];
  const text = Buffer.from(lines.join('\n') + '\n', 'latin1');
  const more = ['X-Mixed-Case', '1', 'Set-Cookie', 'a=1', 'set-cookie', 'b=2'];
  const withLength = (content) => [...more, 'Content-Length', String(content.length)];
  if (path === '/large') {
    response.writeHead(200, withLength(LARGE)).end(LARGE);
  } else if (path === '/empty') {
    response.writeHead(204).end();
  } else if (path === '/unmodified') {
    response.writeHead(304, ['ETag', '"a"']).end();
  } else if (path === '/refused') {
    response.writeHead(417, withLength(Buffer.from('no'))).end('no');
  } else if (path === '/hints') {
    response.writeProcessing();
    response.writeEarlyHints({ link: '</a.css>; rel=preload' });
    response.writeHead(200, withLength(text)).end(text);
  } else if (path === '/stream') {
    const hasTrailers = request.httpVersion === '1.1' && request.method !== 'HEAD';
    response.writeHead(200, hasTrailers ? ['Trailer', 'X-Sum', ...more] : more);
    response.write(text.subarray(0, 5));
    response.write(text.subarray(5));
    if (hasTrailers) response.addTrailers({ 'X-Sum': '1', 'x-other': '2' });
    response.end();
  } else {
    response.writeHead(200, withLength(text)).end(text);
  }
}

const server = http.createServer((request, response) => {
  console.log(`${request.method} ${request.url}`);
  if (request.url === '/early') {
    response.writeHead(413, ['Connection', 'close', 'Content-Length', '2']).end('no');
    request.resume();
    return;
  }
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => answer(request, Buffer.concat(parts), response));
});
server.on('upgrade', (request, socket) => {
  console.log(`${request.method} ${request.url}`);
  socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
  socket.pipe(socket);
});
server.on('connect', (request, socket) => {
  console.log(`${request.method} ${request.url}`);
  socket.write('HTTP/1.1 200 Yes\r\n\r\n');
  socket.pipe(socket);
});
server.keepAliveTimeout = 60_000;
server.listen(Number(process.argv[2]), '0.0.0.0');
