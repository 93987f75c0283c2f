import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { machine, tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, requireProgram, withParts } from '@morpheo/real-parts';
import { eventually } from '@morpheo/service/testing';
import ava, { type ExecutionContext } from 'ava';
import { ProtocolFault } from '../errors.ts';
import type { CallAnswer, RunnerDesk } from '../protocol.ts';
import { Dealer } from './dealer.ts';
import { openZeromqDoor } from './door.ts';

const MODEL = join(import.meta.dirname, '../../../../../examples/shepherd/models/zeromq/model.py');

/** A desk that offers what is put to it, and notes what is said. */
function testDesk() {
  const calls: { id: string; inputs: string; outputs: string }[] = [];
  const answers: (CallAnswer & { id: string })[] = [];
  const faults: string[] = [];
  let isReady = false;
  let wake: (() => void) | undefined;
  let open: string | undefined;
  const desk: RunnerDesk = {
    next: async (_most, signal) => {
      isReady = true;
      while (calls.length === 0) {
        const { promise, resolve } = Promise.withResolvers<void>();
        wake = resolve;
        signal.addEventListener('abort', () => resolve());
        await promise;
        if (signal.aborted) return [];
      }
      const offered = calls.splice(0, 1);
      open = offered[0]?.id;
      return offered;
    },
    answer: (id, answer) => {
      if (id !== open) throw new ProtocolFault(`an answer to ${id}`);
      open = undefined;
      answers.push({ id, ...answer });
    },
    fault: ({ message }) => void faults.push(message),
  };
  const offer = (id: string, root = '/calls') => {
    calls.push({ id, inputs: join(root, id, 'inputs'), outputs: join(root, id, 'outputs') });
    wake?.();
  };
  return { desk, offer, answers, faults, isReady: () => isReady };
}

async function openDoor(t: ExecutionContext) {
  // Longer than the address of a socket may be.
  const parent = await mkdtemp(join(tmpdir(), `morpheo-${'long-'.repeat(20)}`));
  t.teardown(() => rm(parent, { recursive: true }));
  const folder = join(parent, 'door');
  await mkdir(folder);
  const tested = testDesk();
  const door = await openZeromqDoor({
    ...{ folder, desk: tested.desk, hasHostPaths: false, machine: async () => machine(), silentMs: 10 },
  });
  t.teardown(async () => await door[Symbol.asyncDispose]());
  return { ...tested, folder, parent, door };
}

withParts(ava, 'pyzmq')(
  "A program of Shepherd's protocol answers calls through the relay, at its own port, and says why one failed",
  async (t) => {
    const { door, folder, parent, offer, answers, faults } = await openDoor(t);
    const port = await freePort();
    t.deepEqual(door.before, ['/run/morpheo/relay', '/run/morpheo', '9999']);
    const words = [folder, String(port), requireProgram('python3-zmq'), MODEL, '-p', String(port)];
    const program = spawn(join(folder, 'relay'), words, { stdio: 'inherit' });
    const ended = once(program, 'exit');
    t.teardown(() => program.kill());
    const place = async (id: string, payload: unknown) => {
      for (const name of ['inputs', 'outputs']) await mkdir(join(parent, id, name), { recursive: true });
      await writeFile(join(parent, id, 'inputs/input'), JSON.stringify(payload));
      offer(id, parent);
    };
    await place('one', { input: 'é'.repeat(1000) });
    await eventually(t, (inner) => inner.deepEqual(answers, [{ id: 'one', ok: true }]));
    const output = await readFile(join(parent, 'one/outputs/output'), 'utf8');
    t.deepEqual(JSON.parse(output), { result: 'é'.repeat(1000) });
    await place('two', { fail: 'x'.repeat(10_000) });
    await eventually(t, (inner) => inner.is(answers.length, 2));
    t.like(answers[1], { id: 'two', ok: false, type: "<class 'ValueError'>" });
    t.regex(
      JSON.stringify(answers[1]),
      /"message":"ValueError: x{3900}.*traceback":".*model\.py.*in process/,
    );
    await place('three', { input: 3 });
    await eventually(t, (inner) => inner.like(answers[2], { id: 'three', ok: true }));
    program.kill('SIGTERM');
    t.deepEqual(await ended, [null, 'SIGTERM'], 'the relay has become the program');
    t.deepEqual(faults, []);
  },
);

/** The other end of a door that speaks ZMTP, as one that listens and is joined by a relay. */
async function visit(folder: string): Promise<{ socket: Socket; peer: Dealer }> {
  await using handle = await open(folder);
  const socket = connect(`/proc/self/fd/${handle.fd}/runner.sock`);
  await once(socket, 'connect');
  return { socket, peer: await Dealer.open(socket, { mostBytes: 1 << 20 }) };
}

const closed = async (socket: Socket) => {
  while (!socket.destroyed) await once(socket.resume(), 'close').catch(() => undefined);
};

const done = (id: string) =>
  Buffer.from(JSON.stringify({ message: { job_id: id, message_type: 'DoneMessage' } }));

for (const [what, sent, said] of [
  ['no JSON', Buffer.from('{'), /no answer of a runner/],
  ['no text', Buffer.of(0xff, 0xfe), /no answer of a runner/],
  ['another message', Buffer.from('{"message":{"message_type":"InputMessage","job_id":"one"}}'), /no answer/],
  ['an answer to another call', done('two'), /an answer to two/],
  ['a frame of 1 GiB', Buffer.alloc((1 << 20) + 1), /1048577 bytes, where 1048576/],
] as const) {
  ava(`A program that sends ${what} is told to the desk, and heard no more`, async (t) => {
    const { folder, offer, answers, faults } = await openDoor(t);
    const { socket, peer } = await visit(folder);
    offer('one');
    const { value } = await peer.messages().next();
    t.deepEqual(JSON.parse(String(value)), {
      message: { identity: '', job_id: 'one', io_data_root: '/calls', message_type: 'InputMessage' },
    });
    peer.send(sent);
    peer.send(done('one'));
    await closed(socket);
    t.is(faults.length, 1);
    t.regex(faults[0] ?? '', said);
    t.deepEqual(answers, []);
  });
}

ava('An answer that comes twice is told to the desk, and so is one without a call', async (t) => {
  const { folder, offer, answers, faults } = await openDoor(t);
  const { socket, peer } = await visit(folder);
  offer('one');
  await peer.messages().next();
  peer.send(done('one'));
  peer.send(done('one'));
  await closed(socket);
  t.deepEqual([answers, faults], [[{ id: 'one', ok: true }], ['an answer to one']]);
});

ava(
  'A connection that ends between calls may be made anew; in the middle of one it is a fault',
  async (t) => {
    const { folder, offer, answers, faults, isReady } = await openDoor(t);
    const first = await visit(folder);
    await eventually(t, (inner) => inner.true(isReady()));
    first.socket.destroy();
    let second = first;
    await eventually(t, async (inner) => {
      second = await visit(folder);
      inner.pass();
    });
    offer('one');
    await second.peer.messages().next();
    second.peer.send(done('one'));
    await eventually(t, (inner) => inner.deepEqual(answers, [{ id: 'one', ok: true }]));
    offer('two');
    await second.peer.messages().next();
    second.socket.destroy();
    await eventually(t, (inner) =>
      inner.deepEqual(faults, ['The runner closed its connection in the middle of a call.']),
    );
  },
);

ava('A second one at a time is not let in, and what never speaks is no fault', async (t) => {
  const { folder, faults } = await openDoor(t);
  const { peer } = await visit(folder);
  await t.throwsAsync(visit(folder));
  peer.send(Buffer.from('?'));
  await eventually(t, (inner) => inner.is(faults.length, 1));
});
