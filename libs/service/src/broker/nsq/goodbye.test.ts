import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import test from 'ava';
import { eventually } from '../../testing/index.ts';
import { until } from '../conformance-listeners.ts';
import { openWith } from './nsq.fixture.ts';

const RESPONSE = 0;
const MESSAGE = 2;

function frame(type: number, body: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeInt32BE(body.length + 4, 0);
  head.writeInt32BE(type, 4);
  return Buffer.concat([head, body]);
}

function message(id: string, text: string): Buffer {
  return frame(
    MESSAGE,
    Buffer.concat([Buffer.alloc(10), Buffer.from(id.padEnd(16, '-')), Buffer.from(text)]),
  );
}

/** An nsqd as far as a subscriber sees one, which does at each command what the test says. */
async function startActor(onCommand: (command: string, socket: Socket) => void) {
  const sockets = new Set<Socket>();
  const heard: string[] = [];
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('end', () => heard.push('end'));
    socket.on('data', (data) => {
      for (const command of data.toString('latin1').match(/IDENTIFY|SUB|(?:RDY|FIN|REQ) [^\n]*/g) ?? []) {
        heard.push(command);
        if (/^(?:IDENTIFY|SUB)/.test(command)) socket.write(frame(RESPONSE, Buffer.from('OK')));
        onCommand(command, socket);
      }
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    heard,
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

test('What arrives while a subscription closes goes back', async (t) => {
  // Again, where this process was too busy to play both sides in time.
  await eventually(t, async (again) => {
    await using nsqd = await startActor((command, socket) => {
      // It was on its way when we asked for no more.
      if (command === 'RDY 0') setTimeout(() => socket.write(message('late', 'x')), 5);
    });
    await using broker = openWith({ nsqds: [nsqd.address] });
    const handle = async () => again.fail('it is not ours any more');
    const subscription = await broker.subscribe({ topic: 'train', channel: 'test', handle });
    await subscription[Symbol.asyncDispose]();
    await until(() => nsqd.heard.includes('end'));
    again.deepEqual(nsqd.heard, ['IDENTIFY', 'SUB', 'RDY 1', 'RDY 0', 'REQ late------------ 0', 'end']);
  });
});

test('A message that was handled last is finished before the end', async (t) => {
  await using nsqd = await startActor((command, socket) => {
    if (command === 'RDY 1') socket.write(message('last', 'x'));
  });
  await using broker = openWith({ nsqds: [nsqd.address] });
  const begun = Promise.withResolvers<void>();
  const handle = async () => begun.resolve();
  const subscription = await broker.subscribe({ topic: 'train', channel: 'test', handle });
  await begun.promise;
  await subscription[Symbol.asyncDispose]();
  await until(() => nsqd.heard.includes('end'));
  t.true(nsqd.heard.includes('FIN last------------'));
  t.is(nsqd.heard.at(-1), 'end');
});

test('nsqd is asked for no more than may be handled', async (t) => {
  const asked: number[] = [];
  await using one = await startActor(
    (command) => void asked.push(Number(/^RDY (\d+)/.exec(command)?.[1] ?? 0)),
  );
  await using other = await startActor(
    (command) => void asked.push(Number(/^RDY (\d+)/.exec(command)?.[1] ?? 0)),
  );
  await using broker = openWith({ nsqds: [one.address, other.address] });
  await broker.subscribe({ topic: 'train', channel: 'test', concurrency: 5, handle: async () => undefined });
  const last = (heard: readonly string[]) => heard.findLast((command) => command.startsWith('RDY'));
  // Until both are connected, one of them may be asked for all.
  await eventually(t, (t) =>
    t.deepEqual(new Set([last(one.heard), last(other.heard)]), new Set(['RDY 3', 'RDY 2'])),
  );
  t.true(asked.every((count) => count <= 5));
});
