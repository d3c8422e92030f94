// An application of Node's own server of HTTP/2: it answers with what it was told of the request, without what the mesh adds.
'use strict';

const { createHash } = require('node:crypto');
const http2 = require('node:http2');

const LEFT_OUT = ['x-request-id'];
const LARGE = Buffer.alloc(5_000_000, createHash('sha256').update('remora').digest());
const FIELDS = { 'x-upper-case': 'ABC xYz', 'set-cookie': ['a=1', 'b=2'], 'x-a': '1', 'content-type': 'text/plain' };

function pairs(raw) {
  return raw.flatMap((name, at) => (at % 2 ? [] : [[name, raw[at + 1]]]));
}

// What is known of the request, a line each.
function told(headers, raw, content, trailers) {
  const lines = [
    ...pairs(raw).filter(([name]) => !LEFT_OUT.includes(name)).map(([name, value]) => `${name}: ${value}`),
    `content: ${content.length} ${createHash('sha256').update(content).digest('hex')}`,
    ...pairs(trailers).map(([name, value]) => `trailer ${name}: ${value}`),
    `never indexed: ${(headers[http2.sensitiveHeaders] ?? []).length}`,
  ];
  return Buffer.from(lines.join('\n') + '\n', 'latin1');
}

// A response that has trailers after its content.
function withTrailers(stream, content) {
  stream.respond({ ':status': 200, ...FIELDS, trailer: 'x-sum' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': ['1', '3'], 'x-other': '2' }));
  stream.end(content);
}

function push(stream) {
  stream.respond({ ':status': 200, ...FIELDS });
  if (!stream.pushAllowed) {
    stream.end('page');
    return;
  }
  stream.pushStream({ ':path': '/pushed' }, (error, pushed) => {
    if (error) throw error;
    pushed.respond({ ':status': 200 });
    pushed.end('pushed');
    stream.end('page');
  });
}

const ANSWERS = {
  '/large': (stream) => stream.respond({ ':status': 200, 'content-length': LARGE.length, ...FIELDS }) ?? stream.end(LARGE),
  '/empty': (stream) => stream.respond({ ':status': 204 }, { endStream: true }),
  '/unmodified': (stream) => stream.respond({ ':status': 304, etag: '"a"' }, { endStream: true }),
  '/stream': (stream, text) => {
    stream.respond({ ':status': 200, ...FIELDS });
    stream.write(text.subarray(0, 5));
    stream.end(text.subarray(5));
  },
  '/hints': (stream, text) => {
    stream.additionalHeaders({ ':status': 102 });
    stream.additionalHeaders({ ':status': 103, link: ['</a.css>; rel=preload', '</b.css>; rel=preload'], 'x-a': '1' });
    stream.respond({ ':status': 200, ...FIELDS });
    stream.end(text);
  },
  '/trailers': withTrailers,
  '/trailers-only': (stream) => withTrailers(stream, ''),
  '/secret': (stream, text) => {
    stream.respond({ ':status': 200, 'x-secret': 'a', ...FIELDS, [http2.sensitiveHeaders]: ['x-secret'] });
    stream.end(text);
  },
  '/push': push,
  '/reset': (stream) => stream.close(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM),
};

const server = http2.createServer();
server.on('stream', (stream, headers, flags, raw) => {
  const path = headers[':path'].split('?')[0];
  stream.on('error', () => {});
  if (path === '/early') {
    stream.respond({ ':status': 413, 'content-length': 2 });
    stream.end('no');
    stream.close(http2.constants.NGHTTP2_NO_ERROR);
    return;
  }
  if (path === '/refused') {
    stream.respond({ ':status': 417, 'content-length': 2 });
    stream.end('no');
    return;
  }
  if (path === '/cut') {
    stream.respond({ ':status': 200, ...FIELDS });
    stream.write('half');
    stream.resume().on('end', () => stream.destroy(new Error('cut')));
    return;
  }
  if (headers.expect === '100-continue') stream.additionalHeaders({ ':status': 100 });
  const parts = [];
  let trailers = [];
  stream.on('trailers', (all, flags, raw) => (trailers = raw));
  stream.on('data', (part) => parts.push(part));
  stream.on('end', () => {
    const text = told(headers, raw, Buffer.concat(parts), trailers);
    const answer = ANSWERS[path];
    if (answer) {
      answer(stream, text);
      return;
    }
    stream.respond({ ':status': 200, 'content-length': text.length, ...FIELDS });
    stream.end(text);
  });
});
server.listen(Number(process.argv[2]), '0.0.0.0');
