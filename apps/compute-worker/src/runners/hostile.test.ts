import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { temporaryFolder } from '@morpheo/service/archive/testing';
import test from 'ava';
import { ProtocolFault, RunnerEnded } from './errors.ts';
import { openHttpDoor } from './http-door.ts';
import type { CallAnswer, OfferedCall, RunnerDesk } from './protocol.ts';
import { openRunnersFixture } from './testing.ts';

/** What programs say that they may not, and what their caller is told. */
const FAULTS: Readonly<Record<string, readonly [program: string, told: RegExp]>> = {
  'answers a call of somebody else': [
    "await ask('POST', '/done', { id: '00000000-0000-4000-8000-000000000000', ok: true }); await forever()",
    /answered 00000000-.*not \(or no longer\) its call/,
  ],
  'asks for what there is not': [
    "await ask('GET', '/secrets'); await forever()",
    /GET \/secrets.*GET \/next/,
  ],
  'asks for more calls than anybody may': [
    "await ask('GET', '/next?max=65'); await forever()",
    /max from 1 to 64/,
  ],
  'answers what is not JSON': ["await ask('POST', '/done', 'well done'); await forever()", /not JSON/],
  'answers without saying what': [
    "await ask('POST', '/done', { id }); await forever()",
    /not of the contract: ok/,
  ],
  'answers with more than there is': [
    "await ask('POST', '/done', { id, ok: true, score: 1 }); await forever()",
    /not of the contract.*score/,
  ],
  'says what its failure is not': [
    "await ask('POST', '/done', { id, ok: false, message: 7 }); await forever()",
    /message/,
  ],
  'answers at length': [
    "await ask('POST', '/done', { id, ok: false, message: 'x'.repeat(70_000) }); await forever()",
    /more than 65536 bytes/,
  ],
  'answers without end': [
    `const socket = net.connect(socketPath);
    socket.on('error', () => undefined);
    socket.write('POST /done HTTP/1.1\\r\\nhost: x\\r\\ntransfer-encoding: chunked\\r\\n\\r\\n');
    const chunk = '10000\\r\\n' + ' '.repeat(65_536) + '\\r\\n';
    for (;;) if (!socket.write(chunk)) await new Promise((r) => { socket.once('drain', r); socket.once('close', forever); });`,
    /more than 65536 bytes/,
  ],
  'announces a gigabyte': [
    "await ask('POST', '/done', 'x', { 'content-length': 2 ** 30 }); await forever()",
    /more than 65536 bytes/,
  ],
  'does not speak HTTP': [
    "net.connect(socketPath).end('good morning\\n'); await forever()",
    /does not speak HTTP/,
  ],
  'wants another protocol': [
    "await ask('GET', '/next', undefined, { connection: 'Upgrade', upgrade: 'websocket' }); await forever()",
    /another kind/,
  ],
  'asks on and on': [
    `const socket = net.connect(socketPath);
    socket.on('error', () => undefined);
    socket.write('GET /next HTTP/1.1\\r\\nhost: x\\r\\n\\r\\n'.repeat(2000));
    await forever();`,
    /asked 1000 times/,
  ],
  'connects on and on': [
    `for (;;) await new Promise((resolve) => {
      const socket = net.connect(socketPath);
      (keeps.sockets ??= []).push(socket);
      socket.on('error', resolve).on('connect', resolve);
    });`,
    /went on connecting/,
  ],
  'sends headers without end': [
    "await ask('GET', '/next', undefined, { x: 'x'.repeat(20_000) }); await forever()",
    /does not speak HTTP/,
  ],
};

for (const [what, [program, told]] of Object.entries(FAULTS)) {
  test(`A runner that ${what} ends, and its caller is told why`, async (t) => {
    await using fixture = await openRunnersFixture();
    const [hostile, other] = [await fixture.plan(), await fixture.plan()];
    const before = await fixture.call('', { plan: other });
    const error = await t.throwsAsync(fixture.call(program, { plan: hostile }), { instanceOf: RunnerEnded });
    t.true(error.why instanceof ProtocolFault);
    t.regex(error.message, told);
    t.like(await fixture.call('', { plan: other }), { reused: 1, runner: before.runner }, 'no other notices');
  });
}

test('A runner that answers a call twice ends, and the call keeps its answer', async (t) => {
  await using fixture = await openRunnersFixture();
  const plan = await fixture.plan();
  const twice =
    "fs.writeFileSync(outputs + '/answer', 'first'); await ask('POST', '/done', { id, ok: true }); await ask('POST', '/done', { id, ok: false, message: 'second' }); return 'said'";
  t.is((await fixture.call(twice, { plan })).value, 'first');
  t.like(await fixture.call('', { plan }), { reused: 0 });
});

const machine = async () => 'x86_64';

/** A desk that has one call for whoever asks, and keeps what it is told. */
function aDesk(): RunnerDesk & { readonly told: unknown[]; readonly calls: OfferedCall[] } {
  const told: unknown[] = [];
  const calls: OfferedCall[] = [{ id: 'a', inputs: '/calls/a/inputs', outputs: '/calls/a/outputs' }];
  return {
    told,
    calls,
    next: async (_most, signal) => {
      if (calls.length > 0) return calls.splice(0);
      await once(signal, 'abort');
      return [];
    },
    answer: (id: string, answer: CallAnswer) => void told.push({ id, ...answer }),
    fault: (fault) => void told.push(fault.message),
  };
}

test('A runner that asks is to ask again after a while, and however deep its socket lies', async (t) => {
  await using box = await temporaryFolder();
  const desk = aDesk();
  const folder = join(box.path, 'x');
  await mkdir(folder);
  await using door = await openHttpDoor({ folder, desk, hasHostPaths: true, machine, pollMs: 20 });
  t.like(door, { mounts: [{ container: '/run/morpheo', readOnly: true }] });
  const answers = await talk(join(folder, 'runner.sock'), [
    'GET /next?max=2 HTTP/1.1\r\nhost: x\r\n\r\n',
    'GET /next HTTP/1.1\r\nhost: x\r\n\r\n',
    'POST /done HTTP/1.1\r\nhost: x\r\ncontent-length: 20\r\n\r\n{"id":"a","ok":true}',
  ]);
  t.deepEqual(
    answers.map((answer) => answer.split('\r\n')[0]),
    ['HTTP/1.1 200 OK', 'HTTP/1.1 204 No Content', 'HTTP/1.1 204 No Content'],
  );
  t.true(
    answers[0]?.endsWith('{"calls":[{"id":"a","inputs":"/calls/a/inputs","outputs":"/calls/a/outputs"}]}'),
  );
  t.deepEqual(desk.told, [{ id: 'a', ok: true }]);
});

test('A runner that hangs up while it waits is given nothing, and nobody minds', async (t) => {
  await using box = await temporaryFolder();
  const desk = aDesk();
  desk.calls.splice(0);
  await using _door = await openHttpDoor({ folder: box.path, desk, hasHostPaths: false, machine });
  const { promise, resolve } = Promise.withResolvers<void>();
  const { next } = desk;
  Object.assign(desk, {
    next: async (most: number, signal: AbortSignal) => {
      signal.addEventListener('abort', () => resolve());
      return await next(most, signal);
    },
  });
  const socket = connect(join(box.path, 'runner.sock'));
  socket.write('GET /next HTTP/1.1\r\nhost: x\r\n\r\n');
  await once(socket, 'connect');
  socket.destroy();
  await promise;
  t.deepEqual(desk.told, []);
});

/** Sends requests one after the other on a connection of their own; their answers. */
async function talk(path: string, requests: readonly string[]): Promise<string[]> {
  const socket = connect(path);
  const answers: string[] = [];
  for (const request of requests) {
    socket.write(request);
    const [answer] = await once(socket, 'data');
    answers.push(String(answer));
  }
  socket.destroy();
  return answers;
}
