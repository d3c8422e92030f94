// gRPC by the library of Node, as a server, or as a client that prints what it saw, in the words of rpc.py. Messages are bytes.
//
//   rpc.js GRPC-JS serve PORT
//   rpc.js GRPC-JS calls ADDRESS PORT
//   rpc.js GRPC-JS soak ADDRESS PORT CALLS CONNECTIONS     so many calls one after the other, and then one on each of so many connections
'use strict';

const { createHash, randomBytes } = require('node:crypto');
const { once } = require('node:events');
const grpc = require(process.argv[2]);

const PATIENCE = 10_000;
const CALLS = 100;
const LARGE = Buffer.alloc(4_194_304, createHash('sha256').update('remora').digest());
const BINARY = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
const SPECIAL = '\t\n100 % of €, \u{1f608}\r\n';
const SIZES = [27_182, 8, 1_828, 45_904];
const OF_A_SOAK = randomBytes(271_828);
const OPTIONS = { 'grpc.max_receive_message_length': -1, 'grpc.enable_retries': 0, 'grpc.use_local_subchannel_pool': 1 };

const bytes = (value) => Buffer.from(value);
const reversed = (message) => bytes(message).reverse();
const upper = (message) => bytes(message.toString('latin1').toUpperCase());
const status = (code, details, metadata) => Object.assign(new Error(details), { code, details, metadata });

/** Pairs of the test's own names, in the order of names. */
function ours(metadata) {
  const names = [...new Set(Object.keys(metadata.toJSON()))].sort();
  return names
    .filter((name) => name.startsWith('x-') && name !== 'x-request-id')
    .flatMap((name) => metadata.get(name).map((value) => [name, value]));
}

const told = (metadata) => ours(metadata).map(([name, value]) => [name, value.toString(Buffer.isBuffer(value) ? 'hex' : 'utf8')]);

function metadata(pairs) {
  const made = new grpc.Metadata();
  pairs.forEach(([name, value]) => made.add(name, value));
  return made;
}

// ---- The server.

/** By its name, the end of a call. */
const ends = new Map();

function end(name) {
  const key = name.toString('hex');
  if (!ends.has(key)) {
    const made = {};
    made.comes = new Promise((resolve) => (made.has = resolve));
    ends.set(key, made);
  }
  return ends.get(key);
}

const named = (call) => end(call.metadata.get('x-name-bin')[0]);

/** Sends back what came, and says what goes last. */
function sendBack(call) {
  const got = ours(call.metadata);
  call.sendMetadata(metadata([['x-first', '1'], ...got]));
  return metadata([['x-last', '2'], ...got]);
}

const waiting = [];

const UNARY = {
  Unary: (call, answer) => answer(null, reversed(call.request)),
  Large: (call, answer) => answer(null, call.request),
  Metadata: (call, answer) => answer(null, call.request, sendBack(call)),
  Fails: (_, answer) => answer(status(grpc.status.FAILED_PRECONDITION, SPECIAL, metadata([['x-why-bin', BINARY]]))),
  Forbidden: (_, answer) => answer(status(grpc.status.PERMISSION_DENIED, 'not you')),
  Deadline: (call) => call.on('cancelled', end(call.request).has),
  Cancelled: (call, answer) => end(call.request).comes.then(() => answer(null, bytes('1'))),
  Together: (call, answer) => {
    waiting.push(() => answer(null, call.request));
    if (waiting.length === CALLS) waiting.splice(0).forEach((go) => go());
  },
};

const SERVER_STREAM = {
  ServerStream: (call) => {
    for (let number = 0; number < Number(call.request); number++) call.write(bytes(String(number)));
    call.end();
  },
  Endless: (call) => {
    call.on('cancelled', end(call.request).has);
    call.write(bytes('begun'));
  },
  Aborts: (call) => {
    ['one', 'two', 'three'].forEach((message) => call.write(bytes(message)));
    call.emit('error', status(grpc.status.DATA_LOSS, 'no more'));
  },
};

const CLIENT_STREAM = {
  ClientStream: (call, answer) => {
    const messages = [];
    call.on('data', (message) => messages.push(message.toString()));
    call.on('end', () => answer(null, bytes(messages.join(','))));
  },
};

const BOTH_STREAM = {
  Bidirectional: (call) => {
    call.on('data', (message) => call.write(upper(message)));
    call.on('end', () => call.end());
  },
  Refuses: (call) =>
    call.once('data', (message) => {
      call.write(upper(message));
      call.emit('error', status(grpc.status.RESOURCE_EXHAUSTED, 'no more of these'));
    }),
  Returned: (call) => {
    const last = sendBack(call);
    call.on('data', (message) => call.write(upper(message)));
    call.on('end', () => call.end(last));
  },
  Listening: (call) => {
    call.on('cancelled', named(call).has);
    call.sendMetadata(new grpc.Metadata());
    call.on('data', (message) => call.write(upper(message)));
  },
  Asleep: (call) => {
    call.on('cancelled', named(call).has);
    call.resume();
  },
};

const KINDS = [
  [UNARY, { requestStream: false, responseStream: false }],
  [SERVER_STREAM, { requestStream: false, responseStream: true }],
  [CLIENT_STREAM, { requestStream: true, responseStream: false }],
  [BOTH_STREAM, { requestStream: true, responseStream: true }],
];
const PLAIN = { requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes };

/** What a client and a server need to know of the methods, and of one that no server has. */
function definition(methods) {
  const all = KINDS.flatMap(([kind, streams]) => Object.keys(kind).map((name) => [name, streams]));
  const defined = [...all, ...methods].map(([name, streams]) => [name, { path: `/remora.Test/${name}`, ...streams, ...PLAIN }]);
  return Object.fromEntries(defined);
}

function serve(port) {
  const server = new grpc.Server(OPTIONS);
  server.addService(definition([]), Object.assign({}, ...KINDS.map(([kind]) => kind)));
  server.bindAsync(`0.0.0.0:${port}`, grpc.ServerCredentials.createInsecure(), (error) => {
    if (error) throw error;
    console.log('serving');
  });
}

// ---- The client.

const soon = (after = PATIENCE) => ({ deadline: Date.now() + after });
const MISSING = [['Missing', { requestStream: false, responseStream: false }]];

/** A connection, and the calls on it. */
function connected(address, port) {
  const Client = grpc.makeClientConstructor(definition(MISSING), 'remora.Test');
  return new Client(`${address}:${port}`, grpc.credentials.createInsecure(), OPTIONS);
}

/** One answer. */
function unary(client, name, message, { sent = new grpc.Metadata(), after } = {}) {
  return new Promise((resolve, reject) => {
    const done = (error, answer) => (error ? reject(error) : resolve(answer));
    client[name](bytes(message), sent, soon(after), done);
  });
}

const code = (status) => grpc.status[status.code];

/** Messages until the end, and the end. */
async function heard(stream) {
  const messages = [];
  const status = new Promise((resolve) => stream.on('status', resolve));
  // The status says the same.
  stream.on('error', () => {});
  stream.on('data', (message) => messages.push(message.toString()));
  return { messages, status: await status };
}

/** How a call ends that has one answer. */
const failure = (work) =>
  work.then(
    (answer) => { throw new Error(`an answer: ${answer}`); },
    (error) => [[], code(error), error.details],
  );

async function ended(stream) {
  const { messages, status } = await heard(stream);
  return [messages, code(status), status.details];
}

const next = async (stream) => (await once(stream, 'data'))[0];

/** A stream that goes on as it is asked to. */
async function begun(client, name, sent = new grpc.Metadata()) {
  const stream = client[name](sent, soon());
  stream.write(bytes('begun'));
  return [stream, (await next(stream)).toString()];
}

const SENT = [['x-text', 'a value, ~'], ['x-twice', '1'], ['x-twice', '2'], ['x-some-bin', BINARY], ['x-some-bin', bytes('')]];

async function* callsThatEndWell(client) {
  yield ['unary', (await unary(client, 'Unary', 'hello')).toString()];
  yield ['nothing', (await unary(client, 'Unary', '')).toString()];
  yield ['server stream', (await heard(client.ServerStream(bytes('20'), soon()))).messages];
  yield ['no messages', (await heard(client.ServerStream(bytes('0'), soon()))).messages];
  const joined = new Promise((resolve, reject) => {
    const stream = client.ClientStream(soon(), (error, answer) => (error ? reject(error) : resolve(answer)));
    ['one', 'two', 'three'].forEach((message) => stream.write(bytes(message)));
    stream.end();
  });
  yield ['client stream', (await joined).toString()];
  let [stream] = await begun(client, 'Bidirectional');
  stream.write(bytes('more'));
  const more = (await next(stream)).toString();
  stream.end();
  yield ['bidirectional', [more, ...(await ended(stream)).slice(0, 2)]];
  yield ['4 MB', (await unary(client, 'Large', LARGE)).equals(LARGE)];
  stream = client.Bidirectional(soon());
  stream.end();
  yield ['no requests', (await ended(stream)).slice(0, 2)];
  [stream] = await begun(client, 'Bidirectional');
  const lengths = [];
  for (const size of SIZES) {
    stream.write(Buffer.alloc(size, 'x'));
    lengths.push((await next(stream)).length);
  }
  stream.end();
  await heard(stream);
  yield ['ping pong', lengths];
  yield* callsWithMetadata(client);
  const numbers = Array.from({ length: CALLS }, (_, number) => String(number));
  const together = await Promise.all(numbers.map((number) => unary(client, 'Together', number)));
  yield ['together', together.every((answer, number) => answer.toString() === numbers[number])];
}

async function* callsWithMetadata(client) {
  const seen = {};
  const answer = await new Promise((resolve, reject) => {
    const done = (error, answer) => (error ? reject(error) : (seen.answer = answer));
    const call = client.Metadata(bytes('ok'), metadata(SENT), soon(), done);
    call.on('metadata', (first) => (seen.first = first));
    call.on('status', (status) => setImmediate(() => resolve({ ...seen, last: status.metadata })));
  });
  yield ['metadata', [answer.answer.toString(), told(answer.first), told(answer.last)]];
  const stream = client.Returned(metadata(SENT), soon());
  stream.end(bytes('ok'));
  const first = once(stream, 'metadata');
  const { messages, status } = await heard(stream);
  yield ['metadata of a stream', [messages.join(''), told((await first)[0]), told(status.metadata)]];
}

async function* callsThatFail(client) {
  const fails = await unary(client, 'Fails', '').catch((error) => error);
  yield ['fails', [[], code(fails), fails.details, told(fails.metadata)]];
  yield ['forbidden', await failure(unary(client, 'Forbidden', ''))];
  yield ['aborts', await ended(client.Aborts(bytes(''), soon()))];
  const [refused] = await begun(client, 'Refuses');
  yield ['refuses', await ended(refused)];
  yield ['no such method', await failure(unary(client, 'Missing', ''))];
  const other = new Promise((resolve, reject) => {
    const done = (error, answer) => (error ? reject(error) : resolve(answer));
    client.makeUnaryRequest('/remora.Other/Unary', bytes, bytes, bytes(''), soon(), done);
  });
  yield ['no such service', await failure(other)];
  yield* callsThatAreGivenUp(client);
}

async function* callsThatAreGivenUp(client) {
  const over = async (name) => (await unary(client, 'Cancelled', name)).toString();
  let name = randomBytes(8);
  yield ['deadline', [(await failure(unary(client, 'Deadline', name, { after: 600 })))[1], await over(name)]];
  name = randomBytes(8);
  let stream = client.Asleep(metadata([['x-name-bin', name]]), soon(600));
  stream.end(Buffer.alloc(SIZES[0], 'x'));
  yield ['asleep', [(await ended(stream))[1], await over(name)]];
  name = randomBytes(8);
  stream = client.Endless(name, soon());
  const first = (await next(stream)).toString();
  stream.cancel();
  yield ['cancel', [first, (await ended(stream))[1], await over(name)]];
  name = randomBytes(8);
  stream = client.Listening(metadata([['x-name-bin', name]]), soon());
  await once(stream, 'metadata');
  stream.cancel();
  yield ['cancel after begin', [(await ended(stream))[1], await over(name)]];
  name = randomBytes(8);
  [stream] = await begun(client, 'Listening', metadata([['x-name-bin', name]]));
  stream.cancel();
  yield ['cancel after first response', [(await ended(stream))[1], await over(name)]];
}

async function* soak(client, address, port, calls, connections) {
  const isAnswered = async (client) => (await unary(client, 'Unary', OF_A_SOAK)).equals(reversed(OF_A_SOAK));
  let answered = 0;
  for (let call = 0; call < calls; call++) answered += await isAnswered(client);
  yield ['rpc soak', answered];
  answered = 0;
  for (let connection = 0; connection < connections; connection++) {
    const other = connected(address, port);
    answered += await isAnswered(other);
    other.close();
  }
  yield ['channel soak', answered];
}

async function call(which, address, port, ...counts) {
  const client = connected(address, port);
  const parts = which === 'soak' ? [soak(client, address, port, ...counts)] : [callsThatEndWell(client), callsThatFail(client)];
  const seen = {};
  for (const part of parts) {
    for await (const [name, value] of part) {
      console.error(name);
      seen[name] = value;
    }
  }
  console.log(JSON.stringify(seen));
  client.close();
}

const [which, ...rest] = process.argv.slice(3);
if (which === 'serve') serve(rest[0]);
else call(which, rest[0], ...rest.slice(1).map(Number));
