import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import test from 'ava';
import fc from 'fast-check';
import { listen } from '../conformance-listeners.ts';
import { NSQ_TIMES } from './connection.ts';
import { openWith } from './nsq.fixture.ts';

const frame = (type: number, body: string) => {
  const bytes = Buffer.from(body);
  const head = Buffer.alloc(8);
  head.writeInt32BE(bytes.length + 4, 0);
  head.writeInt32BE(type, 4);
  return Buffer.concat([head, bytes]);
};

const NONSENSE: readonly [string, Buffer][] = [
  ['zeros', Buffer.alloc(64)],
  ['a web server', Buffer.from('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n')],
  ['an endless frame', Buffer.from([0x7f, 255, 255, 255, 0, 0, 0, 0, 1])],
  ['a frame of negative length', Buffer.alloc(32, 255)],
  ['an introduction that is no JSON', frame(0, '{')],
  ['an introduction that is null', frame(0, 'null')],
  ['a message before its time', frame(2, 'x')],
  ['an error before its time', frame(1, 'E_BAD_BODY on purpose')],
];

for (const [what, bytes] of NONSENSE) {
  test(`A server that answers ${what} is refused with a remedy`, async (t) => {
    await using server = await startNonsense(bytes);
    await using broker = openWith({ nsqds: [server.address], times: NSQ_TIMES });
    await listen(broker, 'train');
    const error = await t.throwsAsync(broker.publish('train', 'x'), { code: 'unavailable' });
    t.regex(String(error?.message), new RegExp(`^nsqd at ${server.address} .*: .+\\.$`));
    await t.throwsAsync(broker.ping(), { code: 'unavailable' });
  });
}

test('No bytes of a server break the process', async (t) => {
  const chunk = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc
      .tuple(fc.integer({ min: -1, max: 4 }), fc.string({ maxLength: 20 }))
      .map(([type, body]) => frame(type, body)),
    fc.constant(frame(0, 'OK')),
    fc.constant(frame(0, '{"max_rdy_count":2500}')),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(chunk, { maxLength: 6 }), async (chunks) => {
      await using server = await startNonsense(Buffer.concat(chunks), 'and ends');
      await using broker = openWith({ nsqds: [server.address], times: NSQ_TIMES });
      await Promise.allSettled([broker.publish('train', 'x'), broker.ping(), listen(broker, 'train')]);
    }),
    { numRuns: 25 },
  );
  t.pass();
});

/** A server that says the same to everybody, whatever it is told. */
async function startNonsense(bytes: Buffer, then: 'and ends' | 'and stays' = 'and stays') {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
    socket.resume();
    if (then === 'and ends') socket.end(bytes);
    else socket.write(bytes);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
