import { Duplex } from 'node:stream';
import test from 'ava';
import { Dealer, ZmtpEnd, ZmtpFault } from './dealer.ts';

/** A stream whose other side sends these bytes, in pieces of a size, and what was written to it. */
function streamOf(bytes: Uint8Array, pieces = 1 << 16) {
  const written: Buffer[] = [];
  const stream = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _encoding, done) => {
      written.push(chunk);
      done();
    },
  });
  for (let at = 0; at < bytes.length; at += pieces) stream.push(bytes.subarray(at, at + pieces));
  stream.push(null);
  return { stream, written };
}

function greeting({ version = 3, mechanism = 'NULL', signature = 0xff } = {}): Buffer {
  const bytes = Buffer.alloc(64);
  bytes.set([signature], 0);
  bytes.set([0x7f, version, 0], 9);
  bytes.write(mechanism, 12);
  return bytes;
}

const ready = (type: string) =>
  command('READY', `\x0bSocket-Type\0\0\0${String.fromCharCode(type.length)}${type}`);
const READY = ready('ROUTER');

function command(name: string, rest = ''): Buffer {
  return frame(4, Buffer.from(`${String.fromCharCode(name.length)}${name}${rest}`, 'latin1'));
}

function frame(flags: number, body: Buffer): Buffer {
  if (body.length < 256) return Buffer.concat([Buffer.of(flags, body.length), body]);
  return Buffer.concat([longHead(flags, BigInt(body.length)), body]);
}

function longHead(flags: number, bytes: bigint): Buffer {
  const head = Buffer.alloc(9);
  head[0] = flags | 2;
  head.writeBigUInt64BE(bytes, 1);
  return head;
}

/** What comes of a connection whose other side sends these. */
async function received(sent: readonly Buffer[], pieces?: number) {
  const { stream, written } = streamOf(Buffer.concat(sent), pieces);
  const dealer = await Dealer.open(stream, { mostBytes: 1000 });
  const messages = [];
  for await (const message of dealer.messages()) messages.push(message.toString());
  return { messages, written: Buffer.concat(written) };
}

test('Messages arrive whole, whatever pieces they come in', async (t) => {
  const texts = ['', 'a', 'b'.repeat(255), 'c'.repeat(256), 'd'.repeat(1000)];
  const frames = texts.map((text) => frame(0, Buffer.from(text)));
  for (const pieces of [1, 7, 64, 65_536]) {
    const { messages } = await received([greeting(), READY, ...frames], pieces);
    t.deepEqual(messages, texts, `${pieces} bytes at a time`);
  }
});

test('A PING is answered by a PONG with its context, and is no message', async (t) => {
  const { messages, written } = await received([
    greeting(),
    READY,
    command('PING', '\0\x0acontext'),
    command('LATER'),
  ]);
  t.deepEqual(messages, []);
  t.true(written.includes(Buffer.concat([Buffer.of(4, 12, 4), Buffer.from('PONGcontext')])));
});

for (const [what, sent, message] of [
  ['Another language', [Buffer.from(`${'GET / HTTP/1.1\r\n'.repeat(5)}`)], /does not speak ZeroMQ/],
  ['An old version', [greeting({ version: 2 })], /ZMTP 2/],
  ['Another mechanism', [greeting({ mechanism: 'CURVE' })], /security/],
  ['A message before READY', [greeting(), frame(0, Buffer.from('x'))], /READY/],
  ['A socket of another kind', [greeting(), ready('PUB')], /none that a DEALER speaks to/],
  ['A broken READY', [greeting(), command('READY', '\xffSocket-Type')], /READY is broken/],
  ['A refusal', [greeting(), command('ERROR', '\x03why')], /refuses/],
  ['Flags that there are not', [greeting(), READY, Buffer.of(8, 0)], /flags/],
  ['A message of several frames', [greeting(), READY, frame(1, Buffer.from('x'))], /several frames/],
  ['A frame over the bound', [greeting(), READY, frame(0, Buffer.alloc(1001))], /1001 bytes, where 1000/],
  ['A frame without end', [greeting(), READY, longHead(0, 2n ** 63n)], /9223372036854775808 bytes/],
  ['A command over the bound', [greeting(), READY, longHead(4, 1025n)], /1025 bytes, where 1024/],
  ['A broken command', [greeting(), READY, frame(4, Buffer.of(9, 1))], /broken command/],
] as const) {
  test(`${what} is told as a fault of the other side`, async (t) => {
    const error = await t.throwsAsync(received(sent), { instanceOf: ZmtpFault });
    t.regex(error.message, message);
  });
}

test('One that asks and asks, and reads nothing, is not answered without end', async (t) => {
  const pings = Buffer.concat(Array.from({ length: 10_000 }, () => command('PING', '\0\x0acontext')));
  const { stream } = streamOf(Buffer.concat([greeting(), READY, pings]), 1 << 20);
  const dealer = await Dealer.open(stream, { mostBytes: 1000 });
  stream.cork();
  const error = await t.throwsAsync(dealer.messages().next(), { instanceOf: ZmtpFault });
  t.regex(error.message, /does not read/);
});

test('Commands without end are a fault, and heartbeats between messages are none', async (t) => {
  const some = Buffer.concat(Array.from({ length: 12_000 }, () => command('LATER')));
  const begin = [greeting(), READY, some];
  const { messages } = await received([...begin, frame(0, Buffer.from('a')), some]);
  t.deepEqual(messages, ['a']);
  await t.throwsAsync(received([...begin, some]), { instanceOf: ZmtpFault, message: /without end/ });
});

test('A connection that ends in the middle of something is no fault', async (t) => {
  const all = Buffer.concat([greeting(), READY, frame(0, Buffer.from('abc'))]);
  for (const bytes of [0, 10, 63, 66, all.length - 1])
    await t.throwsAsync(received([all.subarray(0, bytes)]), { instanceOf: ZmtpEnd }, `${bytes} bytes`);
});
